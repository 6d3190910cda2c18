//! LWE ciphertexts, by the key that they are under.

use crate::error::SchemeError;
use crate::glwe::Glwe;
use crate::parameters::Bootstrap;
use std::marker::PhantomData;

/// Under S1, the secret key of the levelled ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Levelled {}
/// Under s, the small key of a bootstrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Small {}
/// Under S2, the key of a bootstrap's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {}

/// An LWE ciphertext: message and noise are `body - <mask, key>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lwe<K> {
    pub(crate) mask: Vec<u64>,
    pub(crate) body: u64,
    key: PhantomData<K>,
}

impl<K> Lwe<K> {
    pub(crate) const fn new(mask: Vec<u64>, body: u64) -> Self {
        Self {
            mask,
            body,
            key: PhantomData,
        }
    }

    /// Coefficient `position` of a ciphertext under the polynomials of the key, without error: of a
    /// product with a polynomial S of the key, coefficient p is the sum of `a_(p - i) S_i` over i up
    /// to p, and minus that of `a_(N + p - i) S_i` after it.
    pub(super) fn extracted(glwe: &Glwe, position: usize) -> Self {
        let size = glwe.body.len();
        let position = position % size;
        let mut mask = Vec::with_capacity(glwe.mask.len());
        for polynomial in glwe.mask.chunks_exact(size) {
            let (until, after) = polynomial.split_at(position + 1);
            mask.extend(until.iter().rev());
            mask.extend(after.iter().rev().map(|word| word.wrapping_neg()));
        }
        Self::new(mask, glwe.body[position])
    }

    /// Adds `weight` times a ciphertext; its error is multiplied as well.
    pub fn add_multiple(&mut self, other: &Self, weight: i64) -> Result<(), SchemeError> {
        require_len(self.mask.len(), other.mask.len())?;
        let weight = weight as u64;
        for (sum, word) in self.mask.iter_mut().zip(&other.mask) {
            *sum = sum.wrapping_add(word.wrapping_mul(weight));
        }
        self.add_constant(other.body.wrapping_mul(weight));
        Ok(())
    }

    /// Adds a number that is known, in units of 2^-64.
    pub const fn add_constant(&mut self, word: u64) {
        self.body = self.body.wrapping_add(word);
    }
}

impl Lwe<Output> {
    /// Zero without noise, to add to.
    pub fn zero(bootstrap: &Bootstrap) -> Self {
        Self::new(vec![0; bootstrap.output.mask_len()], 0)
    }
}

impl Lwe<Levelled> {
    /// Coefficient `position` of a ciphertext of the levelled ring.
    pub fn extract(glwe: &Glwe, position: usize) -> Self {
        Self::extracted(glwe, position)
    }
}

/// Masks must have as many words as the key has coefficients.
pub(super) const fn require_len(expected: usize, found: usize) -> Result<(), SchemeError> {
    if expected == found {
        return Ok(());
    }
    Err(SchemeError::Count {
        what: "mask coefficients",
        expected,
        found,
    })
}
