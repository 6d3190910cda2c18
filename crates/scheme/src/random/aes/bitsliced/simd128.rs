//! The vectors of WebAssembly.

use crate::random::aes::bitsliced::vector::{COLUMNS_TO_ROWS, SHIFT_ROWS, Vector};
use crate::random::aes::cipher::Block;
use core::arch::wasm32::{
    i8x16_shuffle, i8x16_swizzle, i32x4_shuffle, u8x16_splat, u64x2_shl, u64x2_shr, v128, v128_and,
    v128_xor,
};
use pulp::bytemuck;
use std::hint::black_box;
use std::ops::{BitAnd, BitXor};

/// A vector of 128 bits.
#[derive(Clone, Copy)]
pub(crate) struct Simd128(v128);

impl BitXor for Simd128 {
    type Output = Self;

    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        Self(v128_xor(self.0, other.0))
    }
}

impl BitAnd for Simd128 {
    type Output = Self;

    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        Self(v128_and(self.0, other.0))
    }
}

macro_rules! shuffle {
    ($vector:expr, $sources:ident, $($index:literal)*) => {
        i8x16_shuffle::<$({ $sources[$index] }),*>($vector, $vector)
    };
}

impl Vector for Simd128 {
    #[inline(always)]
    fn of(block: Block) -> Self {
        Self(bytemuck::cast(block))
    }

    #[inline(always)]
    fn block(self) -> Block {
        bytemuck::cast(self.0)
    }

    #[inline(always)]
    fn splat(byte: u8) -> Self {
        Self(u8x16_splat(byte))
    }

    #[inline(always)]
    fn shift_right<const BY: u32>(self) -> Self {
        Self(u64x2_shr(self.0, BY))
    }

    #[inline(always)]
    fn shift_left<const BY: u32>(self) -> Self {
        Self(u64x2_shl(self.0, BY))
    }

    #[inline(always)]
    fn columns_to_rows(self) -> Self {
        Self(shuffle!(self.0, COLUMNS_TO_ROWS, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15))
    }

    /// As a value of which the compiler knows nothing: what it knew would become an operand, which V8
    /// makes anew for each shuffle, in four instructions.
    #[inline(always)]
    fn row_order() -> Self {
        black_box(Self::of(SHIFT_ROWS))
    }

    #[inline(always)]
    fn shift_rows(self, order: Self) -> Self {
        Self(i8x16_swizzle(self.0, order.0))
    }

    #[inline(always)]
    fn next_row(self) -> Self {
        Self(i32x4_shuffle::<1, 2, 3, 0>(self.0, self.0))
    }

    #[inline(always)]
    fn two_rows_on(self) -> Self {
        Self(i32x4_shuffle::<2, 3, 0, 1>(self.0, self.0))
    }
}
