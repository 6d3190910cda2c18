//! Products of masks with the secret key, exact modulo 2^64.
//!
//! A word is `low + 2^32 high` with signed halves below 2^31, so coefficients of either half's
//! product with a binary key of k N = 2048 coefficients stay below 2^42. In `f64` a product by the
//! Fourier transform is off by at most some 2^6 half units in the last place of the 2-norms'
//! product, 2^36.5 times 2^5.5: less than 2^-4, so rounding gives the exact integer. Four
//! transforms take a fortieth of the time of `tfhe`'s exact product.
//!
//! Nothing of it is exchanged, so browsers have a transform of their own.
//!
//! Both ways take the same time whatever the key's bits are.

use crate::fourier::{c64, integer, multiply_add};
use crate::glev::zeroed;
use aligned_vec::AVec;
use plan::{Plan, Scratch};
use pulp::{Arch, bytemuck};
use zeroize::{Zeroize, Zeroizing};

mod plan;

/// Up to this many coefficients are computed one by one; about where the two ways take as long.
const FEW: usize = 40;

/// The forms of a key that its products need.
pub(super) struct Factor {
    plan: Plan,
    polynomial_size: usize,
    /// Each polynomial in the Fourier domain.
    fourier: Vec<AVec<c64>>,
    /// Each polynomial, last coefficient first, all bits set for a coefficient of 1.
    reversed: Zeroizing<Vec<u64>>,
}

impl Factor {
    pub(super) fn new(coefficients: &[u64], polynomial_size: usize) -> Self {
        let plan = Plan::new(polynomial_size);
        let mut scratch = plan.scratch();
        let fourier = coefficients.chunks_exact(polynomial_size).map(|key| {
            let mut values = zeroed(polynomial_size / 2);
            plan.forward_part(&mut values, key, low, &mut scratch);
            values
        });
        let fourier = fourier.collect();
        let mut reversed = Zeroizing::new(Vec::with_capacity(coefficients.len()));
        for key in coefficients.chunks_exact(polynomial_size) {
            reversed.extend(key.iter().rev().map(|bit| bit.wrapping_neg()));
        }
        Self {
            plan,
            polynomial_size,
            fourier,
            reversed,
        }
    }
}

impl Drop for Factor {
    fn drop(&mut self) {
        self.fourier.iter_mut().for_each(|values| erase(values));
    }
}

/// Multiplies masks with a key: the key and working memory, which is erased when dropped, as
/// product and mask together give the key away.
pub(crate) struct Multiplier<'a> {
    factor: &'a Factor,
    scratch: Scratch,
    values: AVec<c64>,
    sum: AVec<c64>,
    product: Zeroizing<Vec<u64>>,
    /// Some coefficients of a product.
    some: Zeroizing<Vec<u64>>,
}

impl<'a> Multiplier<'a> {
    pub(super) fn new(factor: &'a Factor) -> Self {
        let fourier = || zeroed(factor.polynomial_size / 2);
        Self {
            factor,
            scratch: factor.plan.scratch(),
            values: fourier(),
            sum: fourier(),
            product: Zeroizing::new(vec![0; factor.polynomial_size]),
            // Never more: a buffer that grows leaves copies behind.
            some: Zeroizing::new(Vec::with_capacity(factor.polynomial_size)),
        }
    }

    /// The whole product of a mask, k N words.
    pub(crate) fn product(&mut self, mask: &[u64]) -> &[u64] {
        self.half(mask, low, |word, product| *word = integer(product));
        self.half(mask, high, |word, product| {
            *word = word.wrapping_add(integer(product) << 32);
        });
        &self.product
    }

    /// Coefficients of the product of a mask, in the order of `positions`.
    pub(crate) fn product_at(&mut self, mask: &[u64], positions: &[usize]) -> &[u64] {
        self.some.clear();
        if positions.len() > FEW {
            self.product(mask);
            let chosen = positions.iter().map(|position| self.product[*position]);
            self.some.extend(chosen);
            return &self.some;
        }
        let size = self.factor.polynomial_size;
        let reversed = &self.factor.reversed;
        self.some.extend(positions.iter().map(|position| {
            mask.chunks_exact(size)
                .zip(reversed.chunks_exact(size))
                .map(|(mask, reversed)| coefficient(mask, reversed, *position))
                .fold(0, u64::wrapping_add)
        }));
        &self.some
    }

    /// The product of `part` of each word with the key, each coefficient brought into its word by
    /// `put`.
    fn half(&mut self, mask: &[u64], part: impl Fn(u64) -> f64, put: impl Fn(&mut u64, f64)) {
        let Factor { plan, fourier, .. } = self.factor;
        self.sum.fill(c64::new(0.0, 0.0));
        let polynomials = mask.chunks_exact(self.factor.polynomial_size);
        for (mask, key) in polynomials.zip(fourier) {
            plan.forward_part(&mut self.values, mask, &part, &mut self.scratch);
            multiply_add(&mut self.sum, &self.values, key);
        }
        plan.backward_part(&mut self.product, &mut self.sum, put, &mut self.scratch);
    }
}

impl Drop for Multiplier<'_> {
    fn drop(&mut self) {
        erase(&mut self.values);
        erase(&mut self.sum);
    }
}

/// The low half of a word, signed.
#[inline(always)]
fn low(word: u64) -> f64 {
    f64::from(word as i32)
}

/// What is left of a word without its low half, in units of 2^32, signed: modulo 2^32.
#[inline(always)]
fn high(word: u64) -> f64 {
    f64::from((word.wrapping_add(1 << 31) >> 32) as i32)
}

/// Coefficient `position` of the negacyclic product of one polynomial.
fn coefficient(mask: &[u64], reversed: &[u64], position: usize) -> u64 {
    let (until, after) = mask.split_at(position + 1);
    let (key_after, key_until) = reversed.split_at(after.len());
    let sum = |mask: &[u64], key: &[u64]| {
        mask.iter()
            .zip(key)
            .fold(0u64, |sum, (mask, key)| sum.wrapping_add(mask & key))
    };
    Arch::new().dispatch(|| sum(until, key_until).wrapping_sub(sum(after, key_after)))
}

fn erase(values: &mut [c64]) {
    bytemuck::cast_slice_mut::<c64, f64>(values).zeroize();
}

#[cfg(test)]
mod tests {
    use super::{Factor, Multiplier};

    /// By the definition.
    fn product(mask: &[u64], key: &[u64], size: usize) -> Vec<u64> {
        let mut out = vec![0u64; size];
        for (mask, key) in mask.chunks_exact(size).zip(key.chunks_exact(size)) {
            for (i, word) in mask.iter().enumerate() {
                for (j, bit) in key.iter().enumerate() {
                    let term = word.wrapping_mul(*bit);
                    let out = &mut out[(i + j) % size];
                    *out = if i + j < size {
                        out.wrapping_add(term)
                    } else {
                        out.wrapping_sub(term)
                    };
                }
            }
        }
        out
    }

    /// Random words, and those of which the halves are as large as can be, under a random key and
    /// under the longest.
    #[test]
    fn products_are_exact() {
        for (dimension, size) in [(1, 2048), (4, 512)] {
            let random = |i: usize| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7;
            let len = dimension * size;
            let masks: [Vec<u64>; 4] = [
                (0..len)
                    .map(|i| random(i).wrapping_mul(random(i + 9)))
                    .collect(),
                vec![0x8000_0000_8000_0000; len],
                vec![0x7fff_ffff_7fff_ffff; len],
                (0..len)
                    .map(|i| {
                        if i % 3 == 0 {
                            0x7fff_ffff_8000_0000
                        } else {
                            u64::MAX
                        }
                    })
                    .collect(),
            ];
            let keys = [(0..len).map(|i| random(i) & 1).collect(), vec![1; len]];
            for key in &keys {
                let factor = Factor::new(key, size);
                let mut multiplier = Multiplier::new(&factor);
                for mask in &masks {
                    let expected = product(mask, key, size);
                    assert_eq!(multiplier.product(mask), expected);
                    for count in [1, 7, 100] {
                        let positions: Vec<usize> =
                            (0..count).map(|i| i * (size - 1) / count.max(2)).collect();
                        let some: Vec<u64> = positions.iter().map(|p| expected[*p]).collect();
                        assert_eq!(multiplier.product_at(mask, &positions), some);
                    }
                }
            }
        }
    }
}
