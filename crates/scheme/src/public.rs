//! Encryption by people who hold no secret: a key holder's public key, ciphertexts under it, and
//! their sums.
//!
//! The public key is an encryption of zero, `(a, b = a s + e)`, with a seeded. Whoever encrypts draws
//! u with coefficients of -1 and 1 and sends `(a u + e1, b u + e0 + m)`, whose phase is
//! `m + e u + e0 - e1 s`. Both polynomials hide u as a ciphertext hides s: u is longer than the
//! secret key's binary coefficients, and the noise is the same.
//!
//! With a binary u the sum over many owners would have an error that grows with their number and not
//! with its root: e is one for all of them, and u has a mean of 1/2.
//!
//! ```
//! use cipherfn_scheme::{SecretKey, parameters::ParameterSet, public::PublicKey};
//!
//! let holder = SecretKey::generate(ParameterSet::by_name("cipherfn-128-n2048-m11-v1")?)?;
//! let public = PublicKey::generate(&holder)?; // goes to the owners
//! let mut sum = public.encrypt(&[1 << 60, 2 << 60])?; // by one of them
//! sum.add(&public.encrypt(&[2 << 60, 3 << 60])?)?; // by the server
//! let words = sum.decrypt(&holder)?;
//! let rounded = |word: u64| word.wrapping_add(1 << 59) >> 60;
//! assert_eq!((rounded(words[0]), rounded(words[1])), (3, 5));
//! # Ok::<(), cipherfn_scheme::SchemeError>(())
//! ```

use crate::bits::{self, packed_len};
use crate::error::SchemeError;
use crate::glwe::Glwe;
use crate::keys::{RingKey, SecretKey};
use crate::noise::{self, Variance};
use crate::parameters::ParameterSet;
use crate::polynomial;
use crate::random::{self, Distribution, MaskSeed, Masks, Noise, SEED_LEN};
use crate::seeded::Encryptor;
use cipherfn_protocol::frame::{self, FrameKind, HEADER_LEN};
use cipherfn_protocol::message::KeyId;
use cipherfn_protocol::specs::Bits;
use std::fmt;

mod tables;
#[cfg(test)]
mod tests;

pub use tables::PublicTableShape;

/// Bits of a ciphertext's coefficients that travel, in mask and body. A sum has no more.
pub const CIPHERTEXT_BITS: Bits = Bits::new(47);
const FILE_VERSION: u16 = 1;

/// What ciphertexts are encrypted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// The secret key: masks are streams of seeds.
    Secret,
    /// A public key: masks travel.
    Public,
}

/// A key holder's public key.
pub struct PublicKey {
    set: &'static ParameterSet,
    id: KeyId,
    seed: MaskSeed,
    /// The body, packed to the `body_bits` of the ring.
    body: Vec<u8>,
}

impl PublicKey {
    /// Makes one of `key`'s.
    ///
    /// # Errors
    /// A set of which ciphertexts have several masks; the operating system has no random bytes.
    pub fn generate(key: &SecretKey) -> Result<Self, SchemeError> {
        let set = key.parameter_set();
        require_one_mask(set)?;
        let mut encryptor = Encryptor::new(key)?;
        let mut words = vec![0; set.ring.polynomial_size];
        encryptor.encrypt(&mut words);
        let mut body = Vec::with_capacity(packed_len(words.len(), set.ring.body_bits));
        bits::pack(&mut body, words, set.ring.body_bits);
        Ok(Self {
            set,
            id: key.id(),
            seed: encryptor.seed(),
            body,
        })
    }

    /// Its parameter set.
    pub const fn parameter_set(&self) -> &'static ParameterSet {
        self.set
    }

    /// Id of the secret key that decrypts.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Encrypts torus words, N a ciphertext.
    ///
    /// # Errors
    /// The operating system has no random bytes.
    pub fn encrypt(&self, words: &[u64]) -> Result<PublicCiphertext, SchemeError> {
        Ok(PublicCiphertext {
            set: self.set,
            glwes: self.encrypt_to(words, CIPHERTEXT_BITS)?,
        })
    }

    /// [`Self::encrypt`] to so many bits of each coefficient, in mask and body.
    pub(crate) fn encrypt_to(&self, words: &[u64], bits: Bits) -> Result<Vec<Glwe>, SchemeError> {
        let size = self.set.ring.polynomial_size;
        let (mut a, mut b) = (vec![0; size], vec![0; size]);
        Masks::new(self.seed).fill(&mut a);
        bits::unpack(&mut b, &self.body, self.set.ring.body_bits, "public key")?;
        let noise = Distribution::TUniform(self.set.ring.noise_bound_log2);
        let mut noise = Noise::new(&*random::seed()?, noise);
        let mut glwes = Vec::with_capacity(words.len().div_ceil(size));
        for words in words.chunks(size) {
            let signs = random::seed::<{ MAX_SIZE / 8 }>()?;
            let u = RingKey::new(&signs[..size / 8], size);
            let mut product = |input: &[u64]| {
                let mut out = signed_product(&u, input);
                noise.add(&mut out);
                out
            };
            let (mask, mut body) = (product(&a), product(&b));
            body.truncate(words.len());
            for (body, word) in body.iter_mut().zip(words) {
                *body = body.wrapping_add(*word);
            }
            let round = |words: Vec<u64>| {
                let round = |word| bits::round_to(word, bits);
                words.into_iter().map(round).collect()
            };
            glwes.push(Glwe {
                mask: round(mask),
                body: round(body),
            });
        }
        Ok(glwes)
    }

    /// Bytes of the file of any public key of `set`.
    pub const fn file_bytes(set: &ParameterSet) -> usize {
        HEADER_LEN + payload_len(set)
    }

    /// The file's bytes: a frame whose payload is the secret key's id, the seed and the packed body.
    pub fn to_file_bytes(&self) -> Vec<u8> {
        let payload = [self.id.as_bytes().as_slice(), &self.seed, &self.body].concat();
        frame::encode(FrameKind::PublicKey, FILE_VERSION, self.set.tag(), &payload)
    }

    /// Reads a file of exactly these bytes. Every body of the right length is that of a public key:
    /// whether somebody can decrypt what is encrypted under it, its file does not tell.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self, SchemeError> {
        let limit = ParameterSet::all().iter().map(payload_len).max();
        let limit = limit.unwrap_or_default() as u64;
        let frame = frame::decode(bytes, FrameKind::PublicKey, &[FILE_VERSION], limit)?;
        let what = FrameKind::PublicKey.name();
        let set = ParameterSet::by_tag(frame.parameter_set, what)?;
        require_one_mask(set)?;
        let split = || {
            let (id, rest) = frame.payload.split_first_chunk()?;
            let (seed, body) = rest.split_first_chunk()?;
            Some((*id, *seed, body))
        };
        let (id, seed, body) = split()
            .filter(|_| frame.payload.len() == payload_len(set))
            .ok_or(SchemeError::Length {
                what,
                expected: payload_len(set),
                found: frame.payload.len(),
            })?;
        let mut words = vec![0; set.ring.polynomial_size];
        bits::unpack(&mut words, body, set.ring.body_bits, what)?;
        Ok(Self {
            set,
            id: KeyId::from_bytes(id),
            seed,
            body: body.to_vec(),
        })
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("parameter_set", &self.set.name)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Torus words under a public key, or a sum of such.
#[derive(Clone, Debug, PartialEq)]
pub struct PublicCiphertext {
    set: &'static ParameterSet,
    /// Full masks, and the bodies' coefficients that have words.
    pub(crate) glwes: Vec<Glwe>,
}

impl PublicCiphertext {
    /// Its parameter set.
    pub const fn parameter_set(&self) -> &'static ParameterSet {
        self.set
    }

    /// Adds another one, word by word.
    ///
    /// # Errors
    /// Another set, or another number of words.
    pub fn add(&mut self, other: &Self) -> Result<(), SchemeError> {
        self.set.require("ciphertext to add", other.set)?;
        if self.glwes.len() != other.glwes.len() {
            return Err(SchemeError::Count {
                what: "ciphertexts to add",
                expected: self.glwes.len(),
                found: other.glwes.len(),
            });
        }
        self.glwes
            .iter_mut()
            .zip(&other.glwes)
            .try_for_each(|(own, other)| own.add(other))
    }

    /// The words with their errors, whose variance is [`variance`] a summand.
    ///
    /// # Errors
    /// A key of another set.
    pub fn decrypt(&self, key: &SecretKey) -> Result<Vec<u64>, SchemeError> {
        self.set.require("secret key", key.parameter_set())?;
        let mut multiplier = key.multiplier();
        let mut words = Vec::new();
        for glwe in &self.glwes {
            let product = multiplier.product(&glwe.mask);
            let phases = glwe.body.iter().zip(product);
            words.extend(phases.map(|(body, product)| body.wrapping_sub(*product)));
        }
        Ok(words)
    }

    /// Bytes of one with so many words.
    pub fn bytes(set: &ParameterSet, words: usize) -> usize {
        let size = set.ring.polynomial_size;
        let lengths = (0..words.div_ceil(size)).map(|index| size + size.min(words - index * size));
        lengths.map(|len| packed_len(len, CIPHERTEXT_BITS)).sum()
    }

    /// The packed words: of each ciphertext mask and body.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for glwe in &self.glwes {
            let words = [glwe.mask.as_slice(), &glwe.body].concat();
            bits::pack(&mut bytes, words, CIPHERTEXT_BITS);
        }
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote of so many words. Any bits are a ciphertext.
    ///
    /// # Errors
    /// Another number of bytes, padding that is not zero.
    pub fn from_bytes(
        set: &'static ParameterSet,
        words: usize,
        mut bytes: &[u8],
    ) -> Result<Self, SchemeError> {
        const WHAT: &str = "ciphertext under a public key";
        require_one_mask(set)?;
        let expected = Self::bytes(set, words);
        if bytes.len() != expected {
            return Err(SchemeError::Length {
                what: WHAT,
                expected,
                found: bytes.len(),
            });
        }
        let size = set.ring.polynomial_size;
        let mut glwes = Vec::with_capacity(words.div_ceil(size));
        for start in (0..words).step_by(size) {
            let mut mask = vec![0; size + size.min(words - start)];
            let (own, rest) = bytes.split_at(packed_len(mask.len(), CIPHERTEXT_BITS));
            bits::unpack(&mut mask, own, CIPHERTEXT_BITS, WHAT)?;
            let body = mask.split_off(size);
            glwes.push(Glwe { mask, body });
            bytes = rest;
        }
        Ok(Self { set, glwes })
    }
}

/// Variance of the error of each word of one encryption: `N (sigma^2 + rounding)` of e u, the public
/// key's rounding with it, `N/2 (sigma^2 + rounding)` of e1 s, the mask's rounding with it, and the
/// body's own. Errors of several owners are independent given the public key, as their u have mean 0.
pub fn variance(set: &ParameterSet) -> Variance {
    variance_under(set, CIPHERTEXT_BITS, set.ring.polynomial_size as f64 / 2.0)
}

/// The same of coefficients with so many bits, under a secret key with so many coefficients that are 1.
pub(crate) fn variance_under(set: &ParameterSet, bits: Bits, ones: f64) -> Variance {
    let size = set.ring.polynomial_size as f64;
    let (fresh, rounding) = (noise::fresh(set), noise::rounding(bits));
    size * (fresh + noise::rounding(set.ring.body_bits))
        + ones * (fresh + rounding)
        + fresh
        + rounding
}

/// Largest polynomial of a set with one mask.
const MAX_SIZE: usize = 2048;

const fn payload_len(set: &ParameterSet) -> usize {
    size_of::<KeyId>() + SEED_LEN + packed_len(set.ring.polynomial_size, set.ring.body_bits)
}

/// An encryption of zero hides one mask; with several it would take as many of them as masks.
pub(crate) fn require_one_mask(set: &'static ParameterSet) -> Result<(), SchemeError> {
    if set.ring.glwe_dimension == 1 && set.ring.polynomial_size <= MAX_SIZE {
        return Ok(());
    }
    Err(SchemeError::Shape {
        what: "public key",
        problem: format!("{} masks", set.ring.glwe_dimension),
        set: set.name,
    })
}

/// The product with the polynomial of -1 for each 0 of `bits` and 1 for each 1:
/// `2 bits - (1 + X + ...)`.
fn signed_product(bits: &RingKey, input: &[u64]) -> Vec<u64> {
    let mut multiplier = bits.multiplier();
    multiplier
        .product(input)
        .iter()
        .zip(polynomial::times_all_ones(input))
        .map(|(product, ones)| (product << 1).wrapping_sub(ones))
        .collect()
}
