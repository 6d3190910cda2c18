//! A transform in little code, whose roots hold the twist: modulo X^N + 1 as it is.
//!
//! A polynomial of N real coefficients is one of n = N/2 complex ones, `a_j + i a_(j + n)`, modulo
//! X^n - i. A block is a polynomial modulo X^(4m) - z^4, and becomes the four modulo X^m - z, X^m + z,
//! X^m - iz and X^m + iz; values are left in the order in which blocks end up.

use crate::fourier::c64;
use pulp::{Scalar, Simd, WithSimd};
use std::f64::consts::TAU;

/// Working memory of a transform: none.
pub(in super::super) struct SmallScratch;

/// The transform of polynomials of a size that is a power of two.
pub(in super::super) struct SmallPlan {
    /// Of each block z, where n is no power of four and the first step makes two of one.
    halving: Option<c64>,
    /// Of each block z, z^2 and z^3; of each step, the longest blocks first.
    quartering: Vec<Vec<[c64; 3]>>,
    /// 1/n.
    scale: f64,
}

impl SmallPlan {
    pub(in super::super) fn new(polynomial_size: usize) -> Self {
        let fourier_size = polynomial_size / 2;
        debug_assert!(fourier_size.is_power_of_two(), "a power of two");
        let root = |turns: f64| {
            let (sin, cos) = (TAU * turns).sin_cos();
            c64::new(cos, sin)
        };
        // Of i, and of each block's X^m from then on.
        let mut turns = vec![0.25];
        let halving = (fourier_size.ilog2() % 2 == 1).then(|| {
            turns = vec![0.125, 0.625];
            root(0.125)
        });
        let steps = fourier_size.ilog2() / 2;
        let quartering = (0..steps).map(|_| {
            for turns in &mut turns {
                *turns /= 4.0;
            }
            let roots = turns
                .iter()
                .map(|turns| [1.0, 2.0, 3.0].map(|power| root(power * turns)));
            let roots = roots.collect();
            let quarters = turns
                .iter()
                .flat_map(|turns| [0.0, 0.5, 0.25, 0.75].map(|quarter| turns + quarter));
            turns = quarters.collect();
            roots
        });
        Self {
            halving,
            quartering: quartering.collect(),
            scale: 1.0 / fourier_size as f64,
        }
    }

    #[expect(clippy::unused_self, reason = "as of the server's")]
    pub(in super::super) fn scratch(&self) -> SmallScratch {
        SmallScratch
    }

    /// Transforms what `part` makes of each word.
    pub(in super::super) fn forward_part(
        &self,
        out: &mut [c64],
        input: &[u64],
        part: impl Fn(u64) -> f64,
        _: &mut SmallScratch,
    ) {
        let (re, im) = input.split_at(out.len());
        for ((out, re), im) in out.iter_mut().zip(re).zip(im) {
            *out = c64::new(part(*re), part(*im));
        }
        dispatch(Forward {
            plan: self,
            values: out,
        });
    }

    /// Back to coefficients, each of which `put` brings into its word of `out`. `values` is used up as
    /// working memory.
    pub(in super::super) fn backward_part(
        &self,
        out: &mut [u64],
        values: &mut [c64],
        put: impl Fn(&mut u64, f64),
        _: &mut SmallScratch,
    ) {
        dispatch(Backward { plan: self, values });
        let (re, im) = out.split_at_mut(values.len());
        for ((value, re), im) in values.iter().zip(re).zip(im) {
            put(re, value.re * self.scale);
            put(im, value.im * self.scale);
        }
    }
}

struct Forward<'a> {
    plan: &'a SmallPlan,
    values: &'a mut [c64],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let values = S::as_mut_simd_c64s(self.values).0;
        if let Some(root) = self.plan.halving {
            let z = simd.splat_c64s(root);
            let (first, second) = values.split_at_mut(values.len() / 2);
            for (a0, a1) in first.iter_mut().zip(second) {
                let u1 = simd.mul_c64s(z, *a1);
                (*a0, *a1) = (simd.add_c64s(*a0, u1), simd.sub_c64s(*a0, u1));
            }
        }
        for roots in &self.plan.quartering {
            let blocks = values.chunks_exact_mut(values.len() / roots.len());
            for (block, roots) in blocks.zip(roots) {
                let [z, z2, z3] = roots.map(|root| simd.splat_c64s(root));
                for [a0, a1, a2, a3] in quarters(block) {
                    let [u1, u2, u3] = [
                        simd.mul_c64s(z, *a1),
                        simd.mul_c64s(z2, *a2),
                        simd.mul_c64s(z3, *a3),
                    ];
                    let (s0, s1) = (simd.add_c64s(*a0, u2), simd.sub_c64s(*a0, u2));
                    let s2 = simd.add_c64s(u1, u3);
                    let s3 = simd.neg_c64s(times_minus_i(simd, simd.sub_c64s(u1, u3)));
                    (*a0, *a1) = (simd.add_c64s(s0, s2), simd.sub_c64s(s0, s2));
                    (*a2, *a3) = (simd.add_c64s(s1, s3), simd.sub_c64s(s1, s3));
                }
            }
        }
    }
}

/// The inverse, times n.
struct Backward<'a> {
    plan: &'a SmallPlan,
    values: &'a mut [c64],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let values = S::as_mut_simd_c64s(self.values).0;
        for roots in self.plan.quartering.iter().rev() {
            let blocks = values.chunks_exact_mut(values.len() / roots.len());
            for (block, roots) in blocks.zip(roots) {
                let [z, z2, z3] = roots.map(|root| simd.splat_c64s(root.conj()));
                for [a0, a1, a2, a3] in quarters(block) {
                    let (s0, s2) = (simd.add_c64s(*a0, *a1), simd.sub_c64s(*a0, *a1));
                    let s1 = simd.add_c64s(*a2, *a3);
                    let s3 = times_minus_i(simd, simd.sub_c64s(*a2, *a3));
                    *a0 = simd.add_c64s(s0, s1);
                    *a1 = simd.mul_c64s(z, simd.add_c64s(s2, s3));
                    *a2 = simd.mul_c64s(z2, simd.sub_c64s(s0, s1));
                    *a3 = simd.mul_c64s(z3, simd.sub_c64s(s2, s3));
                }
            }
        }
        if let Some(root) = self.plan.halving {
            let z = simd.splat_c64s(root.conj());
            let (first, second) = values.split_at_mut(values.len() / 2);
            for (a0, a1) in first.iter_mut().zip(second) {
                let difference = simd.sub_c64s(*a0, *a1);
                *a0 = simd.add_c64s(*a0, *a1);
                *a1 = simd.mul_c64s(z, difference);
            }
        }
    }
}

/// The values of a block's quarters, side by side.
#[inline(always)]
fn quarters<T>(block: &mut [T]) -> impl Iterator<Item = [&mut T; 4]> {
    let quarter = block.len() / 4;
    let (first, second) = block.split_at_mut(2 * quarter);
    let (a0, a1) = first.split_at_mut(quarter);
    let (a2, a3) = second.split_at_mut(quarter);
    let halves = a0.iter_mut().zip(a1).zip(a2.iter_mut().zip(a3));
    halves.map(|((a0, a1), (a2, a3))| [a0, a1, a2, a3])
}

#[inline(always)]
fn times_minus_i<S: Simd>(simd: S, values: S::c64s) -> S::c64s {
    simd.conj_c64s(simd.swap_re_im_c64s(values))
}

/// With one value a vector, as nothing here looks into one; not in the fused arithmetic of some
/// browsers as well, which would be the same code once more.
fn dispatch(operation: impl WithSimd<Output = ()>) {
    #[cfg(target_family = "wasm")]
    if let Some(simd) = pulp::wasm::Simd128::try_new() {
        return operation.with_simd(simd);
    }
    operation.with_simd(Scalar::new());
}

#[cfg(test)]
mod tests {
    use super::super::super::{high, low};
    use super::SmallPlan;
    use crate::fourier::{Transform, c64, integer, multiply_add};

    /// Of both steps' sizes: there and back, and products as by `tfhe`'s transform.
    #[test]
    fn products_are_those_of_the_other_plan() {
        for size in [32, 64, 512, 1024, 2048] {
            let word = |i: u64| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mask: Vec<u64> = (0..size)
                .map(|i| word(i).wrapping_mul(word(i + 9)))
                .collect();
            let key: Vec<u64> = (0..size).map(|i| word(i) >> 13 & 1).collect();
            let plan = SmallPlan::new(size as usize);
            let scratch = &mut plan.scratch();
            let values = || vec![c64::new(0.0, 0.0); size as usize / 2];
            let (mut ours, mut ours_key, mut ours_product) = (values(), values(), values());
            plan.forward_part(&mut ours_key, &key, low, scratch);
            let large = Transform::new(size as usize);
            let large_scratch = &mut large.scratch();
            let (mut theirs, mut theirs_key, mut theirs_product) = (values(), values(), values());
            large.forward_part(&mut theirs_key, &key, low, large_scratch);
            for part in [low, high] {
                plan.forward_part(&mut ours, &mask, part, scratch);
                ours_product.fill(c64::new(0.0, 0.0));
                multiply_add(&mut ours_product, &ours, &ours_key);
                large.forward_part(&mut theirs, &mask, part, large_scratch);
                theirs_product.fill(c64::new(0.0, 0.0));
                multiply_add(&mut theirs_product, &theirs, &theirs_key);
                let put = |word: &mut u64, value| *word = integer(value);
                let [mut product, mut expected, mut back] =
                    [(); 3].map(|()| vec![0; size as usize]);
                plan.backward_part(&mut product, &mut ours_product, put, scratch);
                large.backward_part(&mut expected, &mut theirs_product, put, large_scratch);
                assert_eq!(product, expected, "{size}");
                plan.backward_part(&mut back, &mut ours, put, scratch);
                let parts: Vec<u64> = mask.iter().map(|word| part(*word) as i64 as u64).collect();
                assert_eq!(back, parts, "{size}");
            }
        }
    }
}
