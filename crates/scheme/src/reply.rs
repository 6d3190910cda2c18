//! Replies: one GLWE ciphertext, modulus-switched to the bits that carry information, with the
//! result coefficients only.

use crate::bits;
use crate::error::SchemeError;
use crate::keys::SecretKey;
use crate::parameters::ParameterSet;
use cipherfn_protocol::specs::Bits;

mod block;
mod collected;
mod packed;
mod rows;

#[cfg(test)]
mod tests;

pub use block::{
    BlockShape, RUN, compress_block, decrypt_block, pack_run, variance as block_variance,
};
pub use collected::{CollectedShape, Collection};
pub use packed::{PackedShape, decrypt_packed, pack};
pub use rows::PackedRows;

/// Dimensions of a reply row.
#[derive(Clone, Copy, Debug)]
pub struct ReplyShape {
    /// Parameter set of the ciphertext.
    pub set: &'static ParameterSet,
    /// Number of result coefficients ...
    pub coefficients: usize,
    /// ... at positions 0, `stride`, 2 `stride`, ...
    pub stride: usize,
    /// Bits of each coefficient, mask and body alike.
    pub bits: Bits,
}

impl ReplyShape {
    /// Bytes of one row.
    pub const fn row_bytes(&self) -> usize {
        bits::packed_len(
            self.set.mask_len().saturating_add(self.coefficients),
            self.bits,
        )
    }

    fn check(&self) -> Result<(), SchemeError> {
        let problem = |problem| {
            Err(SchemeError::Shape {
                what: "reply",
                problem,
                set: self.set.name,
            })
        };
        if !self.bits.is_valid() {
            return problem(format!("{} bits a coefficient", self.bits));
        }
        let end = self
            .coefficients
            .saturating_sub(1)
            .saturating_mul(self.stride);
        if end >= self.set.ring.polynomial_size
            || (self.stride == 0 && self.coefficients > 1)
            || self.coefficients == 0
        {
            return problem(format!(
                "{} coefficients at distance {}",
                self.coefficients, self.stride
            ));
        }
        Ok(())
    }

    fn positions(&self) -> impl Iterator<Item = usize> {
        (0..self.coefficients).map(|i| i * self.stride)
    }
}

/// Switches a GLWE ciphertext (`mask`: k N words, `body`: N words) to `shape.bits` bits and packs
/// it: the mask, then the result coefficients of the body.
///
/// The mask's rounding errors r reach the phase as r s. Their expectation over a binary key, r/2
/// times the all-ones polynomial, is known here and taken off the body, which halves the error's
/// variance: see [`crate::noise::modulus_switch`]. (`tfhe` calls this the centred mean noise
/// reduction.)
pub fn compress(shape: &ReplyShape, mask: &[u64], body: &[u64]) -> Result<Vec<u8>, SchemeError> {
    shape.check()?;
    count("mask coefficients", shape.set.mask_len(), mask.len())?;
    count(
        "body coefficients",
        shape.set.ring.polynomial_size,
        body.len(),
    )?;
    Ok(compress_at(
        shape.set,
        shape.bits,
        mask,
        body,
        shape.positions(),
    ))
}

/// [`compress`] with the body coefficients at `positions`, ascending.
fn compress_at(
    set: &ParameterSet,
    bits: Bits,
    mask: &[u64],
    body: &[u64],
    positions: impl Iterator<Item = usize>,
) -> Vec<u8> {
    let size = set.ring.polynomial_size;
    let switched: Vec<u64> = mask
        .iter()
        .map(|word| bits::round_to(*word, bits))
        .collect();
    let error = |i: usize| i128::from(switched[i].wrapping_sub(mask[i]) as i64);
    let totals: i128 = (0..mask.len()).map(error).sum();
    // Coefficient p of r times the all-ones polynomial is the sum of r up to p minus the sum after
    // it.
    let mut until = 0;
    let mut next = 0;
    let body = positions.map(|position| {
        for i in next..=position {
            until += mask
                .chunks_exact(size)
                .enumerate()
                .map(|(j, _)| error(j * size + i))
                .sum::<i128>();
        }
        next = position + 1;
        body[position].wrapping_add(((2 * until - totals) / 2) as u64)
    });
    let words: Vec<u64> = switched.iter().copied().chain(body).collect();
    let mut row = Vec::with_capacity(bits::packed_len(words.len(), bits));
    bits::pack(&mut row, words, bits);
    row
}

/// The phase of each result coefficient, in units of 2^-64, signed.
///
/// These values are noisy: expose them only after rounding to the precision that the noise bound
/// guarantees (IND-CPA^D).
pub fn decrypt(key: &SecretKey, shape: &ReplyShape, row: &[u8]) -> Result<Vec<i64>, SchemeError> {
    shape.check()?;
    shape.set.require("secret key", key.parameter_set())?;
    let positions: Vec<usize> = shape.positions().collect();
    decrypt_at(key, shape.bits, row, &positions)
}

/// [`decrypt`] of the body coefficients at `positions`.
fn decrypt_at(
    key: &SecretKey,
    bits: Bits,
    row: &[u8],
    positions: &[usize],
) -> Result<Vec<i64>, SchemeError> {
    let mask_len = key.parameter_set().mask_len();
    let mut words = vec![0; mask_len + positions.len()];
    bits::unpack(&mut words, row, bits, "reply row")?;
    let (mask, body) = words.split_at(mask_len);
    let mut multiplier = key.multiplier();
    let products = multiplier.product_at(mask, positions);
    let phase = |(body, product): (&u64, &u64)| body.wrapping_sub(*product) as i64;
    Ok(body.iter().zip(products).map(phase).collect())
}

/// The phases of a row that is the concatenation of rows of these shapes, in order.
pub fn decrypt_row(
    key: &SecretKey,
    shapes: &[ReplyShape],
    row: &[u8],
) -> Result<Vec<i64>, SchemeError> {
    let expected: usize = shapes.iter().map(ReplyShape::row_bytes).sum();
    if row.len() != expected {
        return Err(SchemeError::Length {
            what: "reply row",
            expected,
            found: row.len(),
        });
    }
    let mut phases = Vec::new();
    let mut rest = row;
    for shape in shapes {
        let (part, after) = rest.split_at(shape.row_bytes());
        phases.extend(decrypt(key, shape, part)?);
        rest = after;
    }
    Ok(phases)
}

fn count(what: &'static str, expected: usize, found: usize) -> Result<(), SchemeError> {
    if expected == found {
        Ok(())
    } else {
        Err(SchemeError::Count {
            what,
            expected,
            found,
        })
    }
}
