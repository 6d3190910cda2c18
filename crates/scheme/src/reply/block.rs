//! Results of up to N rows in one ciphertext, added up as they come.

use super::{ReplyShape, compress_at, decrypt_at};
use crate::error::SchemeError;
use crate::glwe::Glwe;
use crate::keys::{ExpandedEvaluationKey, SecretKey};
use crate::noise::Variance;
use crate::operations::pack;
use crate::parameters::ParameterSet;
use crate::polynomial;
use cipherfn_protocol::specs::Bits;

/// Rows that are packed at a time.
pub const RUN: usize = 64;

/// Dimensions of a block: rows of one result coefficient each.
///
/// *Runs* of [`RUN`] rows are packed, which clears everything else of their results, and added: row i
/// of run s stands at coefficient i N / [`RUN`] + s. So no more than a run's results need be there at
/// once, whoever evaluates which.
#[derive(Clone, Copy, Debug)]
pub struct BlockShape {
    /// Parameter set of the ciphertext.
    pub set: &'static ParameterSet,
    /// Number of rows, at most [`BlockShape::most_rows`].
    pub rows: usize,
    /// Bits of each coefficient, mask and body alike.
    pub bits: Bits,
}

impl BlockShape {
    /// Rows that one ciphertext has room for.
    pub const fn most_rows(set: &ParameterSet) -> usize {
        set.ring.polynomial_size
    }

    /// Bytes of the block.
    pub const fn bytes(&self) -> usize {
        ReplyShape {
            set: self.set,
            coefficients: self.rows,
            stride: 1,
            bits: self.bits,
        }
        .row_bytes()
    }

    /// Number of runs.
    pub const fn runs(&self) -> usize {
        self.rows.div_ceil(RUN)
    }

    fn check(&self) -> Result<(), SchemeError> {
        pack::require(self.set)?;
        if (1..=Self::most_rows(self.set)).contains(&self.rows) && self.bits.is_valid() {
            return Ok(());
        }
        Err(SchemeError::Shape {
            what: "block of results",
            problem: format!("{} rows of {} bits", self.rows, self.bits),
            set: self.set.name,
        })
    }

    /// Positions of the results in the order of travel, ascending, each with its row.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        let (stride, rows) = (self.set.ring.polynomial_size / RUN, self.rows);
        (0..RUN).flat_map(move |place| {
            (0..stride)
                .map(move |run| (place * stride + run, run * RUN + place))
                .filter(move |(_, row)| *row < rows)
        })
    }
}

/// The results of run `run`, at most [`RUN`] of them, at their places: to be added to those of the
/// other runs. None counts as zero.
pub fn pack_run(
    key: &ExpandedEvaluationKey,
    shape: &BlockShape,
    run: usize,
    results: &[Option<Glwe>],
) -> Result<Glwe, SchemeError> {
    shape.check()?;
    if results.len() > RUN || run >= shape.runs() {
        return Err(SchemeError::Count {
            what: "results of a run",
            expected: RUN,
            found: results.len(),
        });
    }
    let mut items = results.to_vec();
    items.resize(RUN, None);
    let packed = pack::pack_constants(key, shape.set, &items)?;
    let [mask, body] = [&packed.mask, &packed.body].map(|words| polynomial::rotate(words, run));
    Ok(Glwe { mask, body })
}

/// Variance that packing adds to each result: that of every run.
pub fn variance(shape: &BlockShape) -> Result<Variance, SchemeError> {
    let packing = pack::require(shape.set)?;
    Ok(shape.runs() as f64 * pack::variance(shape.set, packing))
}

/// Compresses the sum of all runs to exactly [`BlockShape::bytes`] bytes.
pub fn compress_block(shape: &BlockShape, block: &Glwe) -> Result<Vec<u8>, SchemeError> {
    shape.check()?;
    super::count("mask coefficients", shape.set.mask_len(), block.mask.len())?;
    let size = shape.set.ring.polynomial_size;
    super::count("body coefficients", size, block.body.len())?;
    let positions = shape.places().map(|(position, _)| position);
    let (mask, body) = (&block.mask, &block.body);
    Ok(compress_at(shape.set, shape.bits, mask, body, positions))
}

/// The phase of each row's result, in units of 2^-64, signed. As noisy as those of
/// [`super::decrypt`].
pub fn decrypt_block(
    key: &SecretKey,
    shape: &BlockShape,
    reply: &[u8],
) -> Result<Vec<i64>, SchemeError> {
    shape.check()?;
    shape.set.require("secret key", key.parameter_set())?;
    let (positions, rows): (Vec<_>, Vec<_>) = shape.places().unzip();
    let phases = decrypt_at(key, shape.bits, reply, &positions)?;
    let mut results = vec![0; shape.rows];
    for (row, phase) in rows.into_iter().zip(phases) {
        results[row] = phase;
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::{BlockShape, RUN, compress_block, decrypt_block, pack_run, variance};
    use crate::glwe::Glwe;
    use crate::keys::{EvaluationKey, SecretKey};
    use crate::noise;
    use crate::parameters::ParameterSet;
    use crate::testing::Noiseless;
    use cipherfn_protocol::specs::Bits;

    /// Random messages in all coefficients: the constant one comes to its row, within eight
    /// deviations, and of the others nothing is left between the places.
    #[test]
    fn runs_add_up_to_a_block() {
        let set = ParameterSet::by_name("cipherfn-128-n2048-m11-v1").unwrap();
        let secret = SecretKey::generate(set).unwrap();
        let key = EvaluationKey::generate(&secret).unwrap().expand().unwrap();
        let inputs: Vec<Noiseless> = (0..7)
            .map(|index| Noiseless::random(&secret, index))
            .collect();
        for rows in [1, 5, RUN, RUN + 3, 5 * RUN] {
            let bits = Bits::new(26);
            let shape = BlockShape { set, rows, bits };
            let mut block: Option<Glwe> = None;
            for run in 0..shape.runs() {
                let results: Vec<_> = (run * RUN..rows.min((run + 1) * RUN))
                    .map(|row| (row % 11 != 4).then(|| inputs[row % 7].glwe.clone()))
                    .collect();
                let packed = pack_run(&key, &shape, run, &results).unwrap();
                match &mut block {
                    Some(block) => block.add(&packed).unwrap(),
                    None => block = Some(packed),
                }
            }
            let block = block.unwrap();
            let reply = compress_block(&shape, &block).unwrap();
            assert_eq!(reply.len(), shape.bytes());
            let bound = variance(&shape).unwrap() + noise::modulus_switch(set, bits);
            let bound = 8.0 * bound.deviation().get();
            let found = decrypt_block(&secret, &shape, &reply).unwrap();
            for (row, found) in found.into_iter().enumerate() {
                let expected = match row % 11 {
                    4 => 0,
                    _ => inputs[row % 7].message[0],
                };
                let error = (found as u64).wrapping_sub(expected) as i64 as f64 / 2f64.powi(64);
                assert!(error.abs() < bound, "row {row} of {rows}: {error:e}");
            }
            let places: Vec<usize> = shape.places().map(|(position, _)| position).collect();
            let opened = crate::testing::phases(&secret, &block.mask, &block.body);
            for (position, phase) in opened.into_iter().enumerate() {
                if places.binary_search(&position).is_err() {
                    assert!((phase as i64 as f64 / 2f64.powi(64)).abs() < bound);
                }
            }
        }
        let shape = BlockShape {
            set,
            rows: 2049,
            bits: Bits::new(24),
        };
        assert!(pack_run(&key, &shape, 0, &[]).is_err());
    }
}
