//! Where there are no vectors, and for tests: the compiler's words of 128 bits.

use crate::random::aes::bitsliced::vector::{COLUMNS_TO_ROWS, SHIFT_ROWS, Vector};
use crate::random::aes::cipher::Block;

impl Vector for u128 {
    fn of(block: Block) -> Self {
        Self::from_le_bytes(block)
    }

    fn block(self) -> Block {
        self.to_le_bytes()
    }

    fn splat(byte: u8) -> Self {
        Self::from_le_bytes([byte; 16])
    }

    fn shift_right<const BY: u32>(self) -> Self {
        self >> BY
    }

    fn shift_left<const BY: u32>(self) -> Self {
        self << BY
    }

    fn columns_to_rows(self) -> Self {
        let bytes = self.block();
        Self::of(COLUMNS_TO_ROWS.map(|source| bytes[source]))
    }

    fn row_order() -> Self {
        Self::of(SHIFT_ROWS)
    }

    fn shift_rows(self, order: Self) -> Self {
        let bytes = self.block();
        Self::of(order.block().map(|source| bytes[usize::from(source)]))
    }

    fn next_row(self) -> Self {
        self.rotate_right(32)
    }

    fn two_rows_on(self) -> Self {
        self.rotate_right(64)
    }
}
