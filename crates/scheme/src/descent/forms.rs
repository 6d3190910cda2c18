//! Linear forms of encrypted rows by encrypted weights: what predictions are made of.

use super::{Batch, BatchShape, Weights, product_variance, traced_variance};
use crate::bits::{self, packed_len};
use crate::error::SchemeError;
use crate::keys::SecretKey;
use crate::noise::{self, Variance};
use crate::parameters::ParameterSet;
use cipherfn_protocol::specs::Bits;

const WHAT: &str = "forms of rows";
/// Of each coefficient that travels: rounding adds 2^-28.8, a hundredth of what the product does.
const BITS: Bits = Bits::new(32);

/// Bytes of the forms of a batch by one set of weights.
pub const fn form_bytes(shape: &BatchShape) -> usize {
    packed_len(words(shape), BITS)
}

/// A mask, and a coefficient of the body for each row that a batch has room for.
const fn words(shape: &BatchShape) -> usize {
    shape.set.mask_len() + shape.samples()
}

/// The forms of all rows that a batch has room for: one external product, no key.
pub fn forms(batch: &Batch, weights: &Weights) -> Vec<u8> {
    let shape = &batch.shape;
    let forms = batch.times(&weights.0);
    let words = [forms.mask.as_slice(), &forms.body[..shape.samples()]].concat();
    let mut bytes = Vec::with_capacity(form_bytes(shape));
    bits::pack(&mut bytes, words, BITS);
    bytes
}

/// The forms as torus words, with their errors: one for each row that a batch has room for.
///
/// # Errors
/// A key of another set than `shape`'s, another number of bytes.
pub fn decrypt_forms(
    key: &SecretKey,
    shape: &BatchShape,
    bytes: &[u8],
) -> Result<Vec<u64>, SchemeError> {
    shape.set.require("secret key", key.parameter_set())?;
    let mut mask = vec![0; words(shape)];
    bits::unpack(&mut mask, bytes, BITS, WHAT)?;
    let body = mask.split_off(shape.set.mask_len());
    let mut multiplier = key.multiplier();
    let phases = body.iter().zip(multiplier.product(&mask));
    Ok(phases
        .map(|(body, product)| body.wrapping_sub(*product))
        .collect())
}

/// What the error of a product with rows grows with under this very key: the squares of p and of p s, in place of
/// which [`product_variance`] takes those of p times 1 + N/2. Rows that are alike, as all are in the constant, make
/// p s larger than that.
///
/// # Errors
/// As [`encrypt_batch`](super::encrypt_batch).
pub fn squares_under(
    key: &SecretKey,
    shape: &BatchShape,
    rows: &[&[i32]],
) -> Result<f64, SchemeError> {
    shape.set.require("secret key", key.parameter_set())?;
    let features = shape.polynomial(rows)?;
    let mut multiplier = key.multiplier();
    let under_key = multiplier.product(&features);
    let words = features.iter().chain(under_key);
    let squares: f64 = words.map(|word| (*word as i64 as f64).powi(2)).sum();
    Ok(squares / (1.0 + shape.set.ring.polynomial_size as f64 / 2.0))
}

/// Variance of the error of a form beside that of its weights: of the product (`squares` as of
/// [`squares_under`]), of what travels, and of what `steps` have left beside the weights, which the features of
/// other rows meet.
pub fn form_variance(shape: &BatchShape, squares: f64, steps: f64) -> Variance {
    let set: &ParameterSet = shape.set;
    let size = set.ring.polynomial_size as f64;
    product_variance(set, squares)
        + (1.0 + size / 2.0) * noise::rounding(BITS)
        + steps * squares * traced_variance(shape)
}
