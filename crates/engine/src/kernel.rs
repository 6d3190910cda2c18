//! The arithmetic of the evaluator beside external products: loops over values in the Fourier domain.
//!
//! Values are GLWE ciphertexts, k + 1 polynomials of N/2 complex values one after the other, in
//! torus fractions. Everything here is safe code that `pulp` compiles for each instruction set and
//! picks at run time.

#![expect(
    clippy::inline_always,
    reason = "only inlined code is compiled for the instruction set that `pulp` dispatches to"
)]

use cipherfn_scheme::fourier::c64;
use pulp::{Arch, Simd, WithSimd, bytemuck};

/// `out += value` or `out -= value`.
pub(crate) fn add(out: &mut [c64], value: &[c64], negated: bool) {
    add_scaled(out, value, if negated { -1.0 } else { 1.0 });
}

/// `out += factor * value`.
pub(crate) fn add_scaled(out: &mut [c64], value: &[c64], factor: f64) {
    Arch::new().dispatch(Scaled {
        out: bytemuck::cast_slice_mut(out),
        value: bytemuck::cast_slice(value),
        factor,
    });
}

/// `out += monomial * value`, polynomial by polynomial; with `negated`, `out -= monomial * value`.
pub(crate) fn add_rotated(out: &mut [c64], value: &[c64], monomial: &[c64], negated: bool) {
    for (out, value) in out
        .chunks_exact_mut(monomial.len())
        .zip(value.chunks_exact(monomial.len()))
    {
        Arch::new().dispatch(Rotated {
            out,
            value,
            monomial,
            negated,
        });
    }
}

/// `out += sum of digits[i] * rows[i]`, for real digits: the product of a selector's body rows and
/// a plaintext constant.
pub(crate) fn add_scaled_rows<'a>(
    out: &mut [c64],
    rows: impl Iterator<Item = &'a [c64]>,
    digits: &[f64],
) {
    for (row, digit) in rows.zip(digits) {
        if *digit != 0.0 {
            add_scaled(out, row, *digit);
        }
    }
}

struct Scaled<'a> {
    out: &'a mut [f64],
    value: &'a [f64],
    factor: f64,
}

impl WithSimd for Scaled<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let factor = simd.splat_f64s(self.factor);
        let (out, out_tail) = S::as_mut_simd_f64s(self.out);
        let (value, value_tail) = S::as_simd_f64s(self.value);
        for (out, value) in out.iter_mut().zip(value) {
            *out = simd.mul_add_f64s(factor, *value, *out);
        }
        for (out, value) in out_tail.iter_mut().zip(value_tail) {
            *out += self.factor * value;
        }
    }
}

struct Rotated<'a> {
    out: &'a mut [c64],
    value: &'a [c64],
    monomial: &'a [c64],
    negated: bool,
}

impl WithSimd for Rotated<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (out, out_tail) = S::as_mut_simd_c64s(self.out);
        let (value, value_tail) = S::as_simd_c64s(self.value);
        let (monomial, monomial_tail) = S::as_simd_c64s(self.monomial);
        for ((out, value), monomial) in out.iter_mut().zip(value).zip(monomial) {
            let product = simd.mul_c64s(*monomial, *value);
            *out = if self.negated {
                simd.sub_c64s(*out, product)
            } else {
                simd.add_c64s(*out, product)
            };
        }
        for ((out, value), monomial) in out_tail.iter_mut().zip(value_tail).zip(monomial_tail) {
            *out += if self.negated {
                -(value * monomial)
            } else {
                value * monomial
            };
        }
    }
}
