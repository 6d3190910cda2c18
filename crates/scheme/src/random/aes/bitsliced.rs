//! AES-128 of eight blocks at a time, each bit of their bytes in a vector of its own.
//!
//! Byte 4 r + c of vector b holds bit b of row r and column c of all eight blocks (Käsper and Schwabe,
//! "Faster and Timing-Attack Resistant AES-GCM", <https://eprint.iacr.org/2009/129>): so rows are the
//! lanes of a vector, which browsers move by one instruction where any other order of bytes takes
//! them five. Nothing is looked up and nothing branches on keys or blocks.

use crate::random::aes::cipher::{Block, Cipher};
use vector::Vector;

mod sbox;
#[cfg(target_feature = "simd128")]
mod simd128;
mod vector;
#[cfg(not(target_feature = "simd128"))]
mod words;

#[cfg(target_feature = "simd128")]
use simd128::Simd128 as Widest;
#[cfg(all(target_family = "wasm", not(target_feature = "simd128")))]
use std::primitive::u128 as Widest;

/// AES-128 in the vectors that there are.
#[cfg(target_family = "wasm")]
pub(crate) type Aes128 = Bitsliced<Widest>;

/// Blocks at a time.
const BLOCKS: usize = 8;
/// Round keys of four words each.
const ROUND_KEYS: usize = 11;
/// Bits of a byte that the S-box's last step turns, 0x63.
const TURNED: [usize; 4] = [0, 1, 5, 6];

/// A bit of a byte each.
type State<V> = [V; 8];

/// AES-128.
pub(crate) struct Bitsliced<V> {
    /// The state that each is for eight blocks; from the second one on with [`TURNED`] bits turned,
    /// which the S-box leaves out.
    round_keys: [State<V>; ROUND_KEYS],
}

impl<V: Vector> Cipher for Bitsliced<V> {
    type Key = [u8; 16];

    fn new(key: &Self::Key) -> Self {
        let mut round_keys = [[V::splat(0); 8]; ROUND_KEYS];
        for (round, (state, words)) in round_keys.iter_mut().zip(expand::<V>(*key)).enumerate() {
            let mut block = Block::default();
            block.copy_from_slice(words.as_flattened());
            *state = transpose([V::of(block).columns_to_rows(); 8]);
            if round > 0 {
                turn(state);
            }
        }
        Self { round_keys }
    }

    fn encrypt(&self, blocks: &mut [Block]) {
        let [first, middle @ .., last] = &self.round_keys;
        let order = V::row_order();
        for blocks in blocks.chunks_mut(BLOCKS) {
            let mut state = [V::splat(0); 8];
            for (vector, block) in state.iter_mut().zip(blocks.iter()) {
                *vector = V::of(*block).columns_to_rows();
            }
            state = add(transpose(state), first);
            for round_key in middle {
                state = shift_rows(sbox::substitute(state), order);
                state = add(mix_columns(state), round_key);
            }
            state = shift_rows(sbox::substitute(state), order);
            state = transpose(add(state, last));
            for (vector, block) in state.iter().zip(blocks) {
                *block = vector.rows_to_columns().block();
            }
        }
    }
}

/// Adds 0x63 to every byte.
fn turn<V: Vector>(state: &mut State<V>) {
    for bit in TURNED {
        state[bit] = state[bit] ^ V::splat(0xff);
    }
}

#[inline(always)]
fn add<V: Vector>(state: State<V>, round_key: &State<V>) -> State<V> {
    let [s0, s1, s2, s3, s4, s5, s6, s7] = state;
    let [k0, k1, k2, k3, k4, k5, k6, k7] = round_key;
    [
        s0 ^ *k0,
        s1 ^ *k1,
        s2 ^ *k2,
        s3 ^ *k3,
        s4 ^ *k4,
        s5 ^ *k5,
        s6 ^ *k6,
        s7 ^ *k7,
    ]
}

/// Bit j of a byte of vector i becomes bit i of that byte of vector j, and the other way round.
#[inline(always)]
fn transpose<V: Vector>([v0, v1, v2, v3, v4, v5, v6, v7]: State<V>) -> State<V> {
    let low = V::splat(0x55);
    let [(v0, v1), (v2, v3)] = [swap::<V, 1>(v0, v1, low), swap::<V, 1>(v2, v3, low)];
    let [(v4, v5), (v6, v7)] = [swap::<V, 1>(v4, v5, low), swap::<V, 1>(v6, v7, low)];
    let low = V::splat(0x33);
    let [(v0, v2), (v1, v3)] = [swap::<V, 2>(v0, v2, low), swap::<V, 2>(v1, v3, low)];
    let [(v4, v6), (v5, v7)] = [swap::<V, 2>(v4, v6, low), swap::<V, 2>(v5, v7, low)];
    let low = V::splat(0x0f);
    let [(v0, v4), (v1, v5)] = [swap::<V, 4>(v0, v4, low), swap::<V, 4>(v1, v5, low)];
    let [(v2, v6), (v3, v7)] = [swap::<V, 4>(v2, v6, low), swap::<V, 4>(v3, v7, low)];
    [v0, v1, v2, v3, v4, v5, v6, v7]
}

/// Swaps the bits of the first that `low` leaves out with those of the second that it has.
#[inline(always)]
fn swap<V: Vector, const BY: u32>(first: V, second: V, low: V) -> (V, V) {
    let differences = (first.shift_right::<BY>() ^ second) & low;
    (first ^ differences.shift_left::<BY>(), second ^ differences)
}

/// With a the rows and b the next one of each: 2 (a + b) + b + (a + b) two rows on, times two modulo
/// x^8 + x^4 + x^3 + x + 1.
#[inline(always)]
fn mix_columns<V: Vector>([a0, a1, a2, a3, a4, a5, a6, a7]: State<V>) -> State<V> {
    let (s0, b0) = with_next(a0);
    let (s1, b1) = with_next(a1);
    let (s2, b2) = with_next(a2);
    let (s3, b3) = with_next(a3);
    let (s4, b4) = with_next(a4);
    let (s5, b5) = with_next(a5);
    let (s6, b6) = with_next(a6);
    let (s7, b7) = with_next(a7);
    [
        b0 ^ s7 ^ s0.two_rows_on(),
        b1 ^ s0 ^ s7 ^ s1.two_rows_on(),
        b2 ^ s1 ^ s2.two_rows_on(),
        b3 ^ s2 ^ s7 ^ s3.two_rows_on(),
        b4 ^ s3 ^ s7 ^ s4.two_rows_on(),
        b5 ^ s4 ^ s5.two_rows_on(),
        b6 ^ s5 ^ s6.two_rows_on(),
        b7 ^ s6 ^ s7.two_rows_on(),
    ]
}

/// The sum of each row and the next, and the next.
#[inline(always)]
fn with_next<V: Vector>(state: V) -> (V, V) {
    let next = state.next_row();
    (state ^ next, next)
}

#[inline(always)]
fn shift_rows<V: Vector>([s0, s1, s2, s3, s4, s5, s6, s7]: State<V>, order: V) -> State<V> {
    [
        s0.shift_rows(order),
        s1.shift_rows(order),
        s2.shift_rows(order),
        s3.shift_rows(order),
        s4.shift_rows(order),
        s5.shift_rows(order),
        s6.shift_rows(order),
        s7.shift_rows(order),
    ]
}

/// The key schedule (FIPS 197, section 5.2): four words of four bytes a round key.
fn expand<V: Vector>(key: [u8; 16]) -> [[[u8; 4]; 4]; ROUND_KEYS] {
    let mut expanded = [[[0; 4]; 4]; ROUND_KEYS];
    let words = expanded.as_flattened_mut();
    words[..4].copy_from_slice(key.as_chunks().0);
    let mut constant = 1u8;
    for index in 4..words.len() {
        let mut word = words[index - 1];
        if index % 4 == 0 {
            word.rotate_left(1);
            word = substitute_word::<V>(word);
            word[0] ^= constant;
            // Times two modulo x^8 + x^4 + x^3 + x + 1.
            constant = (constant << 1) ^ ((constant >> 7) * 0x1b);
        }
        for (byte, before) in word.iter_mut().zip(words[index - 4]) {
            *byte ^= before;
        }
        words[index] = word;
    }
    expanded
}

/// The S-box of each byte of a word.
fn substitute_word<V: Vector>(word: [u8; 4]) -> [u8; 4] {
    let mut block = Block::default();
    block[..4].copy_from_slice(&word);
    let mut state = [V::splat(0); 8];
    state[0] = V::of(block);
    state = sbox::substitute(transpose(state));
    turn(&mut state);
    let [a, b, c, d, ..] = transpose(state)[0].block();
    [a, b, c, d]
}

#[cfg(test)]
mod tests;
