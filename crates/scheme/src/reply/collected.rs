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
    /// The ciphertexts of `rows` rows whose results have these forms, in order.
    pub fn shapes(self, outputs: &[ReplyShape], rows: usize) -> Vec<CollectedShape> {
        let Some(first) = outputs.first() else {
            return Vec::new();
        };
        match self {
            Self::Blocks => {
                let bits = outputs.iter().map(|output| output.bits).max();
                let (most, items) = (BlockShape::most_rows(first.set), rows * outputs.len());
                let block = |number: usize| {
                    CollectedShape::Block(BlockShape {
                        set: first.set,
                        rows: most.min(items - number * most),
                        bits: bits.unwrap_or(first.bits),
                    })
                };
                (0..items.div_ceil(most)).map(block).collect()
            }
            Self::Sums { rows: most } => (0..rows.div_ceil(most.max(1)))
                .flat_map(|_| outputs.iter().copied().map(CollectedShape::Sum))
                .collect(),
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
