//! What becomes of many rows' results: blocks of them, or sums.

use super::{BlockShape, ReplyShape, compress, compress_block, decrypt, decrypt_block};
use crate::error::SchemeError;
use crate::glwe::Glwe;
use crate::keys::SecretKey;

/// How results of rows are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collection {
    /// One coefficient a row, in blocks.
    Blocks,
    /// Sums over so many rows at most.
    Sums {
        /// Rows of a sum.
        rows: usize,
    },
}

/// A ciphertext of collected results.
#[derive(Clone, Copy, Debug)]
pub enum CollectedShape {
    /// Of so many rows, each with a coefficient.
    Block(BlockShape),
    /// A sum of rows' results.
    Sum(ReplyShape),
}

impl Collection {
    /// Number of the ciphertext that a row's result goes to, in a set with N coefficients.
    pub fn place(self, row: usize, polynomial_size: usize) -> usize {
        match self {
            Self::Blocks => row / polynomial_size,
            Self::Sums { rows } => row / rows.max(1),
        }
    }

    /// The ciphertexts of `rows` rows whose results have the form `row`.
    pub fn shapes(self, row: ReplyShape, rows: usize) -> impl Iterator<Item = CollectedShape> {
        let most = match self {
            Self::Blocks => BlockShape::most_rows(row.set),
            Self::Sums { rows } => rows.max(1),
        };
        (0..rows.div_ceil(most)).map(move |number| match self {
            Self::Blocks => CollectedShape::Block(BlockShape {
                set: row.set,
                rows: most.min(rows - number * most),
                bits: row.bits,
            }),
            Self::Sums { .. } => CollectedShape::Sum(row),
        })
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

    /// The phases of its coefficients: one a row, or those of the sum. As noisy as those of
    /// [`super::decrypt`].
    pub fn decrypt(&self, key: &SecretKey, bytes: &[u8]) -> Result<Vec<i64>, SchemeError> {
        match self {
            Self::Block(shape) => decrypt_block(key, shape, bytes),
            Self::Sum(shape) => decrypt(key, shape, bytes),
        }
    }
}
