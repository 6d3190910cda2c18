//! In the vectors of WebAssembly.

use crate::random::chacha::lanes::Lanes;
use core::arch::wasm32::{
    u32x4, u32x4_add, u32x4_shl, u32x4_shr, u32x4_splat, v128, v128_or, v128_xor,
};
use pulp::bytemuck;

impl Lanes for v128 {
    #[inline(always)]
    fn of([a, b, c, d]: [u32; 4]) -> Self {
        u32x4(a, b, c, d)
    }

    #[inline(always)]
    fn words(self) -> [u32; 4] {
        bytemuck::cast(self)
    }

    #[inline(always)]
    fn splat(word: u32) -> Self {
        u32x4_splat(word)
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        u32x4_add(self, other)
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        v128_xor(self, other)
    }

    #[inline(always)]
    fn rotate_left<const BY: u32>(self) -> Self {
        v128_or(u32x4_shl(self, BY), u32x4_shr(self, 32 - BY))
    }
}
