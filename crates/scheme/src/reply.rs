//! Replies: one GLWE ciphertext, modulus-switched to the bits that carry information, with the
//! result coefficients only.

use crate::bits;
use crate::error::SchemeError;
use crate::keys::SecretKey;
use crate::parameters::ParameterSet;

#[cfg(test)]
mod tests;

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
    pub bits: u32,
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
        if !(1..=64).contains(&self.bits) {
            return problem(format!("{} bits a coefficient", self.bits));
        }
        let end = self
            .coefficients
            .saturating_sub(1)
            .saturating_mul(self.stride);
        if end >= self.set.polynomial_size
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
    let size = shape.set.polynomial_size;
    count("mask coefficients", shape.set.mask_len(), mask.len())?;
    count("body coefficients", size, body.len())?;
    let switched: Vec<u64> = mask
        .iter()
        .map(|word| bits::round_to(*word, shape.bits))
        .collect();
    let error = |i: usize| i128::from(switched[i].wrapping_sub(mask[i]) as i64);
    let totals: i128 = (0..mask.len()).map(error).sum();
    // Coefficient p of r times the all-ones polynomial is the sum of r up to p minus the sum after
    // it.
    let mut until = 0;
    let mut next = 0;
    let body = shape.positions().map(|position| {
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
    let mut row = Vec::with_capacity(shape.row_bytes());
    let body: Vec<u64> = body.collect();
    bits::pack(&mut row, switched.iter().copied().chain(body), shape.bits);
    Ok(row)
}

/// The phase of each result coefficient, in units of 2^-64, signed.
///
/// These values are noisy: expose them only after rounding to the precision that the noise bound
/// guarantees (IND-CPA^D).
pub fn decrypt(key: &SecretKey, shape: &ReplyShape, row: &[u8]) -> Result<Vec<i64>, SchemeError> {
    shape.check()?;
    shape.set.require("secret key", key.parameter_set())?;
    let mask_len = shape.set.mask_len();
    let mut words = vec![0; mask_len + shape.coefficients];
    bits::unpack(&mut words, row, shape.bits, "reply row")?;
    let (mask, body) = words.split_at(mask_len);
    Ok(shape
        .positions()
        .zip(body)
        .map(|(position, body)| body.wrapping_sub(key.mask_product(mask, position)) as i64)
        .collect())
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
