//! What becomes of many rows' results: blocks of them, or sums.

use super::{BlockShape, ReplyShape, compress, compress_block, decrypt, decrypt_block};
use crate::error::SchemeError;
use crate::glwe::Glwe;
use crate::keys::SecretKey;

/// How results of rows are collected, each of which has one result an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collection {
    /// One coefficient a result, in blocks: the results of a row one after the other, then those of
    /// the next.
    Blocks,
    /// Sums over so many rows at most: an output after the other, then those of the next sum.
    Sums {
        /// Rows of a sum.
        rows: usize,
    },
}

/// A ciphertext of collected results.
#[derive(Clone, Copy, Debug)]
pub enum CollectedShape {
    /// Of so many results.
    Block(BlockShape),
    /// A sum of rows' results.
    Sum(ReplyShape),
}

impl Collection {
    /// Number of ciphertexts of `rows` rows whose results have these forms. Nothing is built for
    /// them: a frame may say that it has any number of rows.
    pub fn count(self, outputs: &[ReplyShape], rows: usize) -> usize {
        let Some(first) = outputs.first() else {
            return 0;
        };
        match self {
            Self::Blocks => {
                let items = rows.saturating_mul(outputs.len());
                items.div_ceil(BlockShape::most_rows(first.set))
            }
            Self::Sums { rows: most } => {
                let sums = rows.div_ceil(most.max(1));
                sums.saturating_mul(outputs.len())
            }
        }
    }

    /// The ciphertext of this number, from 0; `None` where there are fewer.
    pub fn shape(
        self,
        outputs: &[ReplyShape],
        rows: usize,
        number: usize,
    ) -> Option<CollectedShape> {
        if number >= self.count(outputs, rows) {
            return None;
        }
        let first = outputs.first()?;
        Some(match self {
            Self::Blocks => {
                let bits = outputs.iter().map(|output| output.bits).max();
                let most = BlockShape::most_rows(first.set);
                let items = rows.saturating_mul(outputs.len());
                CollectedShape::Block(BlockShape {
                    set: first.set,
                    rows: most.min(items - number * most),
                    bits: bits.unwrap_or(first.bits),
                })
            }
            Self::Sums { .. } => CollectedShape::Sum(outputs[number % outputs.len()]),
        })
    }

    /// The ciphertexts of `rows` rows whose results have these forms, in order.
    pub fn shapes(
        self,
        outputs: &[ReplyShape],
        rows: usize,
    ) -> impl Iterator<Item = CollectedShape> {
        (0..self.count(outputs, rows)).filter_map(move |number| self.shape(outputs, rows, number))
    }

    /// Bytes of all these ciphertexts.
    pub fn bytes(self, outputs: &[ReplyShape], rows: usize) -> usize {
        let count = self.count(outputs, rows);
        let bytes = |number: usize| {
            let shape = self.shape(outputs, rows, number);
            shape.map_or(0, |shape| shape.bytes())
        };
        match self {
            // All are alike but the last one.
            Self::Blocks => {
                let others = count.saturating_sub(1);
                let last = bytes(others);
                bytes(0).saturating_mul(others).saturating_add(last)
            }
            Self::Sums { .. } => {
                let sum: usize = outputs.iter().map(ReplyShape::row_bytes).sum();
                sum.saturating_mul(count / outputs.len().max(1))
            }
        }
    }

    /// Coefficients of results in all these ciphertexts.
    pub fn coefficients(self, outputs: &[ReplyShape], rows: usize) -> usize {
        match self {
            Self::Blocks => rows.saturating_mul(outputs.len()),
            Self::Sums { .. } => {
                let sum: usize = outputs.iter().map(|output| output.coefficients).sum();
                sum.saturating_mul(self.count(outputs, rows) / outputs.len().max(1))
            }
        }
    }
}

impl CollectedShape {
    /// Bytes of the ciphertext.
    pub const fn bytes(&self) -> usize {
        match self {
            Self::Block(shape) => shape.bytes(),
            Self::Sum(shape) => shape.row_bytes(),
        }
    }

    /// Compresses the ciphertext to exactly [`Self::bytes`] bytes.
    pub fn compress(&self, glwe: &Glwe) -> Result<Vec<u8>, SchemeError> {
        match self {
            Self::Block(shape) => compress_block(shape, glwe),
            Self::Sum(shape) => compress(shape, &glwe.mask, &glwe.body),
        }
    }

    /// The phases of its coefficients. As noisy as those of [`super::decrypt`].
    pub fn decrypt(&self, key: &SecretKey, bytes: &[u8]) -> Result<Vec<i64>, SchemeError> {
        match self {
            Self::Block(shape) => decrypt_block(key, shape, bytes),
            Self::Sum(shape) => decrypt(key, shape, bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::ParameterSet;
    use cipherfn_protocol::specs::Bits;

    const SET: &str = "cipherfn-128-n2048-m11-v1";

    #[test]
    fn what_is_counted_is_what_there_is() {
        let set = ParameterSet::by_name(SET).expect("the set");
        let output = |coefficients: usize, bits: u32| ReplyShape {
            set,
            coefficients,
            stride: 1,
            bits: Bits::new(bits),
        };
        let outputs = [output(1, 26), output(4, 20), output(7, 26)];
        let ways = [1, 3, 64, 2048].map(|rows| Collection::Sums { rows });
        for way in ways.into_iter().chain([Collection::Blocks]) {
            for outputs in [&outputs[..], &outputs[..1], &[]] {
                for rows in [0, 1, 63, 64, 2047, 2048, 2049, 5000] {
                    let shapes: Vec<_> = way.shapes(outputs, rows).collect();
                    assert_eq!(way.count(outputs, rows), shapes.len(), "{way:?}");
                    let bytes: usize = shapes.iter().map(CollectedShape::bytes).sum();
                    assert_eq!(way.bytes(outputs, rows), bytes, "{way:?}, {rows} rows");
                    let coefficients = shapes.iter().map(|shape| match shape {
                        CollectedShape::Block(block) => block.rows,
                        CollectedShape::Sum(sum) => sum.coefficients,
                    });
                    let coefficients: usize = coefficients.sum();
                    assert_eq!(way.coefficients(outputs, rows), coefficients, "{way:?}");
                }
            }
        }
        // Numbers that nobody could build a list of.
        let way = Collection::Sums { rows: 1 };
        assert_eq!(way.count(&outputs[..1], 1 << 40), 1 << 40);
        assert_eq!(way.bytes(&outputs, usize::MAX), usize::MAX);
    }
}
