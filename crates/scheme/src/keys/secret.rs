//! The secret key.

use crate::bits::packed_len;
use crate::error::SchemeError;
use crate::parameters::ParameterSet;
use cipherfn_protocol::frame::{self, Kind};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use std::fmt;
use tfhe::core_crypto::commons::generators::SecretRandomGenerator;
use tfhe::core_crypto::commons::math::random::DefaultRandomGenerator;
use tfhe::core_crypto::prelude::{
    GlweDimension, GlweSecretKey, PolynomialSize, allocate_and_generate_new_binary_glwe_secret_key,
};
use tfhe::core_crypto::seeders::new_seeder;
use zeroize::{Zeroize, Zeroizing};

/// A uniform binary GLWE secret key. Only the client holds one.
///
/// It is erased from memory when dropped, and `Debug` shows the parameter set alone.
pub struct SecretKey {
    set: &'static ParameterSet,
    key: GlweSecretKey<Vec<u64>>,
}

impl SecretKey {
    /// A new key from the system's entropy.
    pub fn generate(set: &'static ParameterSet) -> Self {
        let mut generator =
            SecretRandomGenerator::<DefaultRandomGenerator>::new(new_seeder().seed());
        let key = allocate_and_generate_new_binary_glwe_secret_key(
            GlweDimension(set.ring.glwe_dimension),
            PolynomialSize(set.ring.polynomial_size),
            &mut generator,
        );
        Self { set, key }
    }

    /// Its parameter set.
    pub const fn parameter_set(&self) -> &'static ParameterSet {
        self.set
    }

    /// Its id: a hash of the key under a context of its own. Public: 2^(k N) keys are too many to
    /// try.
    pub fn id(&self) -> KeyId {
        const CONTEXT: &[u8] = b"cipherfn key id v1 ";
        let bits = self.packed_bits();
        let mut text = Zeroizing::new(Vec::with_capacity(
            CONTEXT.len() + self.set.name.len() + bits.len(),
        ));
        text.extend_from_slice(CONTEXT);
        text.extend_from_slice(self.set.name.as_bytes());
        text.extend_from_slice(&bits);
        let mut id = [0; 16];
        id.copy_from_slice(&Hash::of(&text).as_bytes()[..16]);
        KeyId::from_bytes(id)
    }

    /// The file's bytes: a frame whose payload is the key's bits, k N of them, least significant
    /// bit first.
    pub fn to_file_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(frame::encode(
            Kind::SecretKey,
            1,
            self.set.tag(),
            &self.packed_bits(),
        ))
    }

    /// Reads a file of exactly these bytes.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self, SchemeError> {
        let limit = ParameterSet::all()
            .iter()
            .map(|set| packed_len(set.mask_len(), 1))
            .max()
            .unwrap_or_default();
        let frame = frame::decode(bytes, Kind::SecretKey, &[1], limit as u64)?;
        let payload = Zeroizing::new(frame.payload);
        let set = ParameterSet::by_tag(frame.parameter_set, Kind::SecretKey.name())?;
        let expected = packed_len(set.mask_len(), 1);
        if payload.len() != expected {
            return Err(SchemeError::Length {
                what: Kind::SecretKey.name(),
                expected,
                found: payload.len(),
            });
        }
        let bits = payload
            .iter()
            .flat_map(|byte| (0..8).map(move |i| u64::from(byte >> i & 1)));
        let mut coefficients = Vec::with_capacity(set.mask_len());
        coefficients.extend(bits);
        Ok(Self {
            set,
            key: GlweSecretKey::from_container(
                coefficients,
                PolynomialSize(set.ring.polynomial_size),
            ),
        })
    }

    /// The key's bits, least significant bit of a byte first.
    fn packed_bits(&self) -> Zeroizing<Vec<u8>> {
        let pack = |bits: &[u64]| {
            bits.iter()
                .rev()
                .fold(0u8, |byte, bit| byte << 1 | *bit as u8)
        };
        Zeroizing::new(self.coefficients().chunks(8).map(pack).collect())
    }

    /// `tfhe`'s form.
    pub(crate) const fn as_tfhe(&self) -> &GlweSecretKey<Vec<u64>> {
        &self.key
    }

    /// The k N coefficients, 0 or 1.
    pub(crate) fn coefficients(&self) -> &[u64] {
        self.key.as_ref()
    }

    /// Coefficients of the product of a mask (k N words) and the key.
    pub(crate) fn mask_products(&self, mask: &[u64], positions: &[usize]) -> Vec<u64> {
        positions
            .iter()
            .map(|position| self.mask_product(mask, *position))
            .collect()
    }

    /// Coefficient `position` of the product of a mask (k N words) and the key.
    pub(crate) fn mask_product(&self, mask: &[u64], position: usize) -> u64 {
        let size = self.set.ring.polynomial_size;
        let mut sum = 0u64;
        for (mask, key) in mask
            .chunks_exact(size)
            .zip(self.coefficients().chunks_exact(size))
        {
            let (until, after) = mask.split_at(position + 1);
            let (key_until, key_after) = key.split_at(position + 1);
            for (mask, key) in until.iter().zip(key_until.iter().rev()) {
                sum = sum.wrapping_add(mask.wrapping_mul(*key));
            }
            for (mask, key) in after.iter().zip(key_after.iter().rev()) {
                sum = sum.wrapping_sub(mask.wrapping_mul(*key));
            }
        }
        sum
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey")
            .field("parameter_set", &self.set.name)
            .finish_non_exhaustive()
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.key.as_mut().zeroize();
    }
}
