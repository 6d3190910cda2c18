//! The secret key.

use crate::bits::packed_len;
use crate::error::SchemeError;
use crate::parameters::ParameterSet;
use crate::random;
use cipherfn_protocol::frame::{self, FrameKind};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use cipherfn_protocol::specs::Bits;
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

mod product;
mod ring;

pub(crate) use product::Multiplier;
pub(crate) use ring::RingKey;

/// A uniform binary GLWE secret key. Only the client holds one.
///
/// It is erased from memory when dropped, and `Debug` shows the parameter set alone.
pub struct SecretKey {
    set: &'static ParameterSet,
    origin: Origin,
    id: KeyId,
    ring: RingKey,
}

/// A keyed hash of what stays with the key's owner: without the key it tells nothing, whatever was
/// hashed.
pub struct KeyedDigest(Zeroizing<blake3::Hasher>);

impl KeyedDigest {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Of all bytes.
    pub fn finish(self) -> Hash {
        Hash::from_bytes(*self.0.finalize().as_bytes())
    }

    /// Of all bytes, as long as `out`.
    fn fill(self, out: &mut [u8]) {
        Zeroizing::new(self.0.finalize_xof()).fill(out);
    }
}

/// What a file holds: the coefficients follow from it.
enum Origin {
    /// Version 1: the coefficients themselves, as bits.
    Bits,
    /// Version 2: what they are expanded from, and what their id is salted with.
    Seed {
        seed: Zeroizing<[u8; SEED_LEN]>,
        salt: [u8; SALT_LEN],
    },
}

/// A coefficient of the key, 0 or 1.
const COEFFICIENT_BITS: Bits = Bits::new(1);
/// Twice the security level: the seed is as hard to find by a quantum search as the key.
const SEED_LEN: usize = 32;
/// As long as an id: no two keys share a salt, so that one search aims at one key.
const SALT_LEN: usize = 16;

/// What separates the coefficients from any other use of the seed.
const COEFFICIENTS_CONTEXT: &str = "cipherfn secret key v2 coefficients";
/// What separates the id from any other use of the seed.
const ID_CONTEXT: &str = "cipherfn secret key v2 id";

impl SecretKey {
    /// A new key from the system's entropy.
    ///
    /// # Errors
    /// The operating system has no random bytes to give.
    pub fn generate(set: &'static ParameterSet) -> Result<Self, SchemeError> {
        // The order is that of the seeds which the tests of the noise model fix.
        let salt = random::seed()?;
        Ok(Self::from_seed(set, random::seed()?, *salt))
    }

    fn from_seed(
        set: &'static ParameterSet,
        seed: Zeroizing<[u8; SEED_LEN]>,
        salt: [u8; SALT_LEN],
    ) -> Self {
        let mut hasher = Zeroizing::new(blake3::Hasher::new_derive_key(COEFFICIENTS_CONTEXT));
        hasher.update(set.hash().as_bytes()).update(seed.as_ref());
        let mut bits = Zeroizing::new(vec![0; packed_len(set.mask_len(), COEFFICIENT_BITS)]);
        Zeroizing::new(hasher.finalize_xof()).fill(&mut bits);
        Self::new(set, Origin::Seed { seed, salt }, &bits)
    }

    /// From the coefficients, least significant bit of a byte first.
    fn new(set: &'static ParameterSet, origin: Origin, bits: &[u8]) -> Self {
        Self {
            set,
            id: id(set, &origin, bits),
            origin,
            ring: RingKey::new(bits, set.ring.polynomial_size),
        }
    }

    /// Its parameter set.
    pub const fn parameter_set(&self) -> &'static ParameterSet {
        self.set
    }

    /// Its id: a hash of the key under a context of its own. Public. One search cannot aim at many
    /// keys, as each id has a salt; those of version 1 files have none.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// A hash under a key that follows from this one; `context` names its use, and no other's.
    pub fn digest(&self, context: &'static str) -> KeyedDigest {
        let mut hasher = Zeroizing::new(blake3::Hasher::new_derive_key(context));
        match &self.origin {
            Origin::Seed { seed, .. } => hasher
                .update(self.set.hash().as_bytes())
                .update(seed.as_ref()),
            Origin::Bits => hasher.update(&self.packed_bits()),
        };
        let key = Zeroizing::new(*hasher.finalize().as_bytes());
        KeyedDigest(Zeroizing::new(blake3::Hasher::new_keyed(&key)))
    }

    /// The file's bytes: a frame of version 2 whose payload is salt and seed; of a key that was read
    /// from a version 1 file, one of version 1 with the key's bits, k N of them, least significant
    /// bit first.
    pub fn to_file_bytes(&self) -> Zeroizing<Vec<u8>> {
        let (version, payload) = match &self.origin {
            Origin::Seed { seed, salt } => {
                let payload = [salt.as_slice(), seed.as_slice()].concat();
                (2, Zeroizing::new(payload))
            }
            Origin::Bits => (1, self.packed_bits()),
        };
        Zeroizing::new(frame::encode(
            FrameKind::SecretKey,
            version,
            self.set.tag(),
            &payload,
        ))
    }

    /// Reads a file of exactly these bytes, of either version.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self, SchemeError> {
        let limit = ParameterSet::all()
            .iter()
            .map(|set| packed_len(set.mask_len(), COEFFICIENT_BITS))
            .max();
        let limit = limit.unwrap_or_default() as u64;
        let frame = frame::decode(bytes, FrameKind::SecretKey, &[1, 2], limit)?;
        let payload = Zeroizing::new(frame.payload);
        let set = ParameterSet::by_tag(frame.parameter_set, FrameKind::SecretKey.name())?;
        let expected = match frame.version {
            1 => packed_len(set.mask_len(), COEFFICIENT_BITS),
            _ => SALT_LEN + SEED_LEN,
        };
        if payload.len() != expected {
            return Err(SchemeError::Length {
                what: FrameKind::SecretKey.name(),
                expected,
                found: payload.len(),
            });
        }
        if frame.version == 1 {
            return Ok(Self::new(set, Origin::Bits, &payload));
        }
        let (mut salt, mut seed) = ([0; SALT_LEN], Zeroizing::new([0; SEED_LEN]));
        salt.copy_from_slice(&payload[..SALT_LEN]);
        seed.copy_from_slice(&payload[SALT_LEN..]);
        Ok(Self::from_seed(set, seed, salt))
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

    /// As the key of its set's ring.
    pub(crate) const fn ring(&self) -> &RingKey {
        &self.ring
    }

    /// A key of `dimension` polynomials of `size` coefficients that follows from this one and is
    /// independent of it and of all others, as far as the hash is a random function; `context` and
    /// `label` name its use, and no other's.
    pub(crate) fn derive(
        &self,
        context: &'static str,
        label: &[u8],
        (dimension, size): (usize, usize),
    ) -> RingKey {
        let mut bits = Zeroizing::new(vec![0; packed_len(dimension * size, COEFFICIENT_BITS)]);
        let mut digest = self.digest(context);
        digest.update(label);
        digest.fill(&mut bits);
        RingKey::new(&bits, size)
    }

    /// The k N coefficients, 0 or 1.
    pub(crate) fn coefficients(&self) -> &[u64] {
        self.ring.coefficients()
    }

    /// For products with masks.
    pub(crate) fn multiplier(&self) -> Multiplier<'_> {
        self.ring.multiplier()
    }
}

/// [`SecretKey::id`]. `bits`: the coefficients, least significant bit of a byte first.
fn id(set: &ParameterSet, origin: &Origin, bits: &[u8]) -> KeyId {
    let mut hasher = match origin {
        Origin::Seed { .. } => blake3::Hasher::new_derive_key(ID_CONTEXT),
        Origin::Bits => blake3::Hasher::new(),
    };
    match origin {
        Origin::Seed { seed, salt } => hasher
            .update(set.hash().as_bytes())
            .update(salt)
            .update(seed.as_ref()),
        Origin::Bits => hasher
            .update(b"cipherfn key id v1 ")
            .update(set.name.as_bytes())
            .update(bits),
    };
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    hasher.zeroize();
    KeyId::from_bytes(id)
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey")
            .field("parameter_set", &self.set.name)
            .finish_non_exhaustive()
    }
}
