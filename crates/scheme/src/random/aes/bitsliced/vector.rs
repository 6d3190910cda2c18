//! Vectors of sixteen bytes, and what AES does to them.

use crate::random::aes::cipher::Block;
use std::ops::{BitAnd, BitXor};

/// Sixteen bytes: of a block four columns of four, of a state four rows of four.
pub(crate) trait Vector: Copy + BitXor<Output = Self> + BitAnd<Output = Self> {
    fn of(block: Block) -> Self;

    fn block(self) -> Block;

    /// The same byte sixteen times.
    fn splat(byte: u8) -> Self;

    /// Bits move down, some of them into the byte before.
    fn shift_right<const BY: u32>(self) -> Self;

    /// Bits move up, some of them into the byte behind.
    fn shift_left<const BY: u32>(self) -> Self;

    /// Columns of rows become rows of columns.
    fn columns_to_rows(self) -> Self;

    /// Rows of columns become columns of rows.
    fn rows_to_columns(self) -> Self {
        self.columns_to_rows()
    }

    /// What [`Self::shift_rows`] takes.
    fn row_order() -> Self;

    /// Row r begins with column r.
    fn shift_rows(self, order: Self) -> Self;

    /// Each row becomes the next one.
    fn next_row(self) -> Self;

    /// Each row becomes the one after the next.
    fn two_rows_on(self) -> Self;
}

/// Where each byte comes from.
pub(super) type Sources<T> = [T; 16];

pub(super) const COLUMNS_TO_ROWS: Sources<usize> =
    [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];
pub(super) const SHIFT_ROWS: Sources<u8> = [0, 1, 2, 3, 5, 6, 7, 4, 10, 11, 8, 9, 15, 12, 13, 14];
