//! Weights under the secret key, and their bytes.

use super::BatchShape;
use crate::error::SchemeError;
use crate::glwe::Glwe;
use crate::keys::SecretKey;
use crate::public::PublicKey;
use crate::seeded::{Encryptor, Masks};
use zeroize::Zeroizing;

/// Weights under the secret key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights(pub(super) Glwe);

impl Weights {
    /// Weights of zero, known to everybody.
    pub fn zero(shape: &BatchShape) -> Self {
        Self(Glwe {
            mask: vec![0; shape.set.mask_len()],
            body: vec![0; shape.set.ring.polynomial_size],
        })
    }

    /// Weights of zero under a key holder's public key: of whoever has the key neither mask nor body is known.
    ///
    /// # Errors
    /// A key of another set than `shape`'s; the operating system has no random bytes.
    pub fn zero_under(key: &PublicKey, shape: &BatchShape) -> Result<Self, SchemeError> {
        shape.set.require("public key", key.parameter_set())?;
        let mut zero = key.encrypt(&vec![0; shape.set.ring.polynomial_size])?;
        let one = zero.glwes.pop().ok_or(SchemeError::Count {
            what: "ciphertexts of weights",
            expected: 1,
            found: 0,
        })?;
        Ok(Self(one))
    }

    /// Encrypts weights, torus words, one a feature, with a fresh ciphertext's error.
    ///
    /// # Errors
    /// A key of another set than `shape`'s, another number of weights than of features.
    pub fn encrypt(
        key: &SecretKey,
        shape: &BatchShape,
        weights: &[u64],
    ) -> Result<Self, SchemeError> {
        shape.set.require("secret key", key.parameter_set())?;
        if weights.len() != shape.features {
            return Err(SchemeError::Count {
                what: "weights",
                expected: shape.features,
                found: weights.len(),
            });
        }
        let mut body = Zeroizing::new(vec![0; shape.set.ring.polynomial_size]);
        for (feature, weight) in weights.iter().enumerate() {
            let (place, negated) = shape.weight(feature);
            body[place] = if negated {
                weight.wrapping_neg()
            } else {
                *weight
            };
        }
        let mut encryptor = Encryptor::new(key)?;
        let mut mask = vec![0; shape.set.mask_len()];
        Masks::new(encryptor.seed()).fill(&mut mask);
        encryptor.encrypt(&mut body);
        Ok(Self(Glwe {
            mask,
            body: body.to_vec(),
        }))
    }

    /// The weights as torus words, with their errors.
    ///
    /// # Errors
    /// A key of another set than `shape`'s.
    pub fn decrypt(&self, key: &SecretKey, shape: &BatchShape) -> Result<Vec<u64>, SchemeError> {
        shape.set.require("secret key", key.parameter_set())?;
        let mut multiplier = key.multiplier();
        let phases = self.0.body.iter().zip(multiplier.product(&self.0.mask));
        let phases: Vec<u64> = phases
            .map(|(body, product)| body.wrapping_sub(*product))
            .collect();
        Ok(shape.weights_of(&phases))
    }

    /// Bytes of them.
    pub const fn bytes(shape: &BatchShape) -> usize {
        2 * shape.set.ring.polynomial_size * size_of::<u64>()
    }

    /// All bits: mask, then body.
    pub fn to_bytes(&self) -> Vec<u8> {
        let words = self.0.mask.iter().chain(&self.0.body);
        words.flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Reads several, one behind the other.
    ///
    /// # Errors
    /// Another number of bytes.
    pub fn read_sets(
        shape: &BatchShape,
        sets: usize,
        bytes: &[u8],
    ) -> Result<Vec<Self>, SchemeError> {
        let expected = sets * Self::bytes(shape);
        if bytes.len() != expected {
            return Err(SchemeError::Length {
                what: "ciphertext of weights",
                expected,
                found: bytes.len(),
            });
        }
        let sets = bytes.chunks_exact(Self::bytes(shape));
        sets.map(|bytes| Self::from_bytes(shape, bytes)).collect()
    }

    /// Reads what [`Self::to_bytes`] wrote. Any bits are weights.
    ///
    /// # Errors
    /// Another number of bytes.
    pub fn from_bytes(shape: &BatchShape, bytes: &[u8]) -> Result<Self, SchemeError> {
        let (words, rest) = bytes.as_chunks();
        if bytes.len() != Self::bytes(shape) || !rest.is_empty() {
            return Err(SchemeError::Length {
                what: "ciphertext of weights",
                expected: Self::bytes(shape),
                found: bytes.len(),
            });
        }
        let words = words.iter().map(|word| u64::from_le_bytes(*word));
        let mut mask: Vec<u64> = words.collect();
        let body = mask.split_off(shape.set.ring.polynomial_size);
        Ok(Self(Glwe { mask, body }))
    }
}
