//! Batches of owners who have no secret: GGSW ciphertexts under a key holder's public key.
//!
//! A row of a GGSW ciphertext is an encryption of zero with a multiple of p added to its mask or its body. The
//! multiple needs no key, and encryptions of zero a public one: so the owner of p makes all rows alone. The
//! mask is no seed's stream then, and travels.

use super::{Batch, BatchShape, GADGET, WHAT, product_variance_of};
use crate::bits::packed_len;
use crate::error::SchemeError;
use crate::fourier::Transform;
use crate::noise::Variance;
use crate::parameters::ParameterSet;
use crate::public::{self, CIPHERTEXT_BITS, PublicCiphertext, PublicKey};
use crate::selectors::FourierSelectors;
use rayon::prelude::*;

/// Rows of the GGSW ciphertext: one with p in its mask and one with p in its body, a level.
const ROWS: usize = 2 * GADGET.levels.get() as usize;

impl BatchShape {
    /// Bytes of a batch under a public key, however many rows it has.
    pub const fn public_bytes(&self) -> usize {
        ROWS * packed_len(2 * self.set.ring.polynomial_size, CIPHERTEXT_BITS)
    }
}

/// Encrypts rows of a batch, [`BatchShape::samples`] at most, under a key holder's public key.
///
/// # Errors
/// A key of another set, more rows or other numbers of features than the shape has, features beyond
/// 2^15.
pub fn encrypt_batch_under(
    key: &PublicKey,
    shape: &BatchShape,
    rows: &[&[i32]],
) -> Result<Vec<u8>, SchemeError> {
    shape.set.require("public key", key.parameter_set())?;
    let features = shape.polynomial(rows)?;
    let size = shape.set.ring.polynomial_size;
    let mut batch = key.encrypt(&vec![0; ROWS * size])?;
    let levels = (1..=GADGET.levels.get()).rev();
    for (level, rows) in levels.zip(batch.glwes.chunks_exact_mut(2)) {
        let shift = 64 - GADGET.base_log.get() * level;
        let [of_mask, of_body] = rows else { continue };
        for own in [&mut of_mask.mask, &mut of_body.body] {
            for (own, word) in own.iter_mut().zip(features.iter()) {
                *own = own.wrapping_add(word << shift);
            }
        }
    }
    Ok(batch.to_bytes())
}

impl Batch {
    /// Reads what [`encrypt_batch_under`] gave, on all threads of the current pool. Any bits are a batch.
    ///
    /// # Errors
    /// Another number of bytes.
    pub fn read_public(shape: &BatchShape, bytes: &[u8]) -> Result<Self, SchemeError> {
        let size = shape.set.ring.polynomial_size;
        if bytes.len() != shape.public_bytes() {
            return Err(SchemeError::Length {
                what: WHAT,
                expected: shape.public_bytes(),
                found: bytes.len(),
            });
        }
        let batch = PublicCiphertext::from_bytes(shape.set, ROWS * size, bytes)?;
        let transform = Transform::new(size);
        let mut ggsw = FourierSelectors::zeroed(shape.ggsw(), 1);
        let half = transform.fourier_size();
        ggsw.values_mut()
            .par_chunks_mut(2 * half)
            .zip(&batch.glwes)
            .for_each_init(
                || transform.scratch(),
                |scratch, (out, row)| {
                    let polynomials = [&row.mask, &row.body];
                    for (out, words) in out.chunks_exact_mut(half).zip(polynomials) {
                        transform.forward_torus(out, words, scratch);
                    }
                },
            );
        Ok(Self {
            shape: *shape,
            ggsw,
        })
    }
}

/// [`product_variance`](super::product_variance) of a batch under a public key.
pub fn public_product_variance(set: &ParameterSet, squares: f64) -> Variance {
    product_variance_of(set, public::variance(set), squares)
}
