//! Loops over folded accumulators.

use crate::external::{BLOCK, gadget_scale, multiply};
use crate::fourier::{Transform, c64, frac, multiply_assign, reduce, take_digit};
use cipherfn_protocol::specs::Gadget;
use pulp::{Arch, Simd, WithSimd, bytemuck};

/// Gadget digits of `(X^rotation - 1) accumulator` as the forward transform takes them, in the order
/// of [`crate::external::decompose`].
pub(super) fn set_digits(
    digits: &mut [c64],
    accumulator: &[c64],
    rotation: usize,
    gadget: Gadget,
    transform: &Transform,
) {
    let half = transform.fourier_size();
    let (quarters, shift) = (rotation / half, rotation % half);
    for (index, value) in accumulator.chunks_exact(half).enumerate() {
        let (start, end) = value.split_at(half - shift);
        // X^shift moves the end to the front, where it comes around as i times itself.
        for (first, source, quarters) in [(0, end, quarters + 1), (shift, start, quarters)] {
            Arch::new().dispatch(TurnedDigits {
                digits,
                place: index * half + first,
                distance: accumulator.len(),
                source,
                value: &value[first..][..source.len()],
                factor: quarter_turn(quarters),
                gadget,
                twist: &transform.twist()[first..][..source.len()],
            });
        }
    }
}

/// `polynomial + untwist product`, modulo 1.
pub(super) fn add_product(polynomial: &mut [c64], product: &[c64], untwist: &[c64]) {
    Arch::new().dispatch(AddProduct {
        polynomial,
        product,
        untwist,
    });
}

/// `polynomial twist`.
pub(super) fn twist(polynomial: &mut [c64], twist: &[c64]) {
    struct Twist<'a>(&'a mut [c64], &'a [c64]);
    impl WithSimd for Twist<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            multiply_assign(simd, self.0, self.1);
        }
    }
    Arch::new().dispatch(Twist(polynomial, twist));
}

/// i^quarters.
const fn quarter_turn(quarters: usize) -> c64 {
    let (re, im) = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)][quarters % 4];
    c64 { re, im }
}

/// Digits of `factor source - value`, a run of values that move together.
struct TurnedDigits<'a> {
    digits: &'a mut [c64],
    /// Where the run's digits begin in a level.
    place: usize,
    /// From level to level.
    distance: usize,
    source: &'a [c64],
    value: &'a [c64],
    factor: c64,
    gadget: Gadget,
    twist: &'a [c64],
}

impl WithSimd for TurnedDigits<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut states = [c64::new(0.0, 0.0); BLOCK];
        let base = f64::from(self.gadget.base_log.get()).exp2();
        for start in (0..self.value.len()).step_by(BLOCK) {
            let len = BLOCK.min(self.value.len() - start);
            let states = &mut states[..len];
            difference(
                simd,
                states,
                &self.source[start..][..len],
                &self.value[start..][..len],
                self.factor,
            );
            let states = bytemuck::cast_slice_mut::<c64, f64>(states);
            reduce(simd, states, gadget_scale(self.gadget));
            for level in self.digits.chunks_exact_mut(self.distance) {
                let out = &mut level[self.place + start..][..len];
                take_digit(simd, bytemuck::cast_slice_mut(out), states, base);
                multiply_assign(simd, out, &self.twist[start..][..len]);
            }
        }
    }
}

/// `out = factor source - value`.
#[inline(always)]
fn difference<S: Simd>(simd: S, out: &mut [c64], source: &[c64], value: &[c64], factor: c64) {
    let lanes = simd.splat_c64s(factor);
    let (out, out_tail) = S::as_mut_simd_c64s(out);
    let (source, source_tail) = S::as_simd_c64s(source);
    let (value, value_tail) = S::as_simd_c64s(value);
    for ((out, source), value) in out.iter_mut().zip(source).zip(value) {
        *out = simd.sub_c64s(simd.mul_c64s(lanes, *source), *value);
    }
    for ((out, source), value) in out_tail.iter_mut().zip(source_tail).zip(value_tail) {
        *out = factor * source - value;
    }
}

struct AddProduct<'a> {
    polynomial: &'a mut [c64],
    product: &'a [c64],
    untwist: &'a [c64],
}

impl WithSimd for AddProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut block = [c64::new(0.0, 0.0); BLOCK];
        for ((polynomial, product), untwist) in self
            .polynomial
            .chunks_mut(BLOCK)
            .zip(self.product.chunks(BLOCK))
            .zip(self.untwist.chunks(BLOCK))
        {
            let block = &mut block[..polynomial.len()];
            multiply(simd, block, product, untwist);
            let product = bytemuck::cast_slice::<c64, f64>(block);
            let polynomial = bytemuck::cast_slice_mut::<c64, f64>(polynomial);
            for (value, product) in polynomial.iter_mut().zip(product) {
                *value = frac(*value + product);
            }
        }
    }
}
