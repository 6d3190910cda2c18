//! `ChaCha20` (Bernstein, "`ChaCha`, a variant of Salsa20") of four blocks at a time: what browsers draw
//! noise from.
//!
//! It is additions, exclusive ors and rotations, so what it takes tells nothing of the key, and in
//! WebAssembly it takes a quarter of AES-256.

use lanes::Lanes;
use std::marker::PhantomData;
use zeroize::Zeroizing;

mod lanes;
#[cfg(target_feature = "simd128")]
mod simd128;
#[cfg(test)]
mod tests;

#[cfg(target_feature = "simd128")]
use core::arch::wasm32::v128 as Widest;
#[cfg(all(target_family = "wasm", not(target_feature = "simd128")))]
use lanes::Words as Widest;

/// The stream in the vectors that there are.
#[cfg(target_family = "wasm")]
pub(crate) type ChaChaStream = Stream<Widest>;

/// "expand 32-byte k".
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
/// Blocks at a time, of 16 words of 32 bits each.
const BLOCKS: usize = 4;
/// Words of 64 bits that they are.
const WORDS: usize = 8 * BLOCKS;
/// Of a round on columns and one on diagonals each.
const DOUBLE_ROUNDS: usize = 10;

/// The stream of a key, which is erased from memory when dropped: words of 32 bits, the first ones of
/// four blocks, then the second ones, and so on.
pub(crate) struct Stream<L> {
    key: Zeroizing<[u32; 8]>,
    /// Of the next block.
    counter: u64,
    lanes: PhantomData<L>,
}

impl<L: Lanes> Stream<L> {
    pub(crate) fn with_key(key: &[u8; 32]) -> Self {
        let mut words = Zeroizing::new([0; 8]);
        for (word, bytes) in words.iter_mut().zip(key.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Self {
            key: words,
            counter: 0,
            lanes: PhantomData,
        }
    }

    /// The next words. What is left of four blocks is left out.
    pub(crate) fn fill(&mut self, out: &mut [u64]) {
        for out in out.chunks_mut(WORDS) {
            let blocks = Zeroizing::new(self.blocks().map(L::words));
            for (out, words) in out.iter_mut().zip(blocks.as_flattened().as_chunks().0) {
                let [low, high] = *words;
                *out = u64::from(low) | u64::from(high) << 32;
            }
        }
    }

    /// The next four blocks, word by word.
    fn blocks(&mut self) -> [L; 16] {
        let counters: [u64; BLOCKS] = std::array::from_fn(|block| self.counter + block as u64);
        self.counter += BLOCKS as u64;
        let constants = CONSTANTS.map(L::splat);
        let key = self.key.map(L::splat);
        let counter = [
            L::of(counters.map(|counter| counter as u32)),
            L::of(counters.map(|counter| (counter >> 32) as u32)),
        ];
        let nonce = L::splat(0);
        let ([mut a0, mut a1, mut a2, mut a3], [mut d0, mut d1]) = (constants, counter);
        let [
            mut b0,
            mut b1,
            mut b2,
            mut b3,
            mut c0,
            mut c1,
            mut c2,
            mut c3,
        ] = key;
        let (mut d2, mut d3) = (nonce, nonce);
        for _ in 0..DOUBLE_ROUNDS {
            (a0, b0, c0, d0) = quarter_round(a0, b0, c0, d0);
            (a1, b1, c1, d1) = quarter_round(a1, b1, c1, d1);
            (a2, b2, c2, d2) = quarter_round(a2, b2, c2, d2);
            (a3, b3, c3, d3) = quarter_round(a3, b3, c3, d3);
            (a0, b1, c2, d3) = quarter_round(a0, b1, c2, d3);
            (a1, b2, c3, d0) = quarter_round(a1, b2, c3, d0);
            (a2, b3, c0, d1) = quarter_round(a2, b3, c0, d1);
            (a3, b0, c1, d2) = quarter_round(a3, b0, c1, d2);
        }
        let [s0, s1, s2, s3] = constants;
        let [k0, k1, k2, k3, k4, k5, k6, k7] = key;
        [
            a0.plus(s0),
            a1.plus(s1),
            a2.plus(s2),
            a3.plus(s3),
            b0.plus(k0),
            b1.plus(k1),
            b2.plus(k2),
            b3.plus(k3),
            c0.plus(k4),
            c1.plus(k5),
            c2.plus(k6),
            c3.plus(k7),
            d0.plus(counter[0]),
            d1.plus(counter[1]),
            d2,
            d3,
        ]
    }
}

#[inline(always)]
fn quarter_round<L: Lanes>(a: L, b: L, c: L, d: L) -> (L, L, L, L) {
    let a = a.plus(b);
    let d = d.xor(a).rotate_left::<16>();
    let c = c.plus(d);
    let b = b.xor(c).rotate_left::<12>();
    let a = a.plus(b);
    let d = d.xor(a).rotate_left::<8>();
    let c = c.plus(d);
    let b = b.xor(c).rotate_left::<7>();
    (a, b, c, d)
}
