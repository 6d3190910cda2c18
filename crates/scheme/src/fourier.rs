//! Polynomials modulo X^N + 1 in the Fourier domain: the negacyclic FFT, and the multiply-adds on its
//! output.
//!
//! A real polynomial of N coefficients is folded to N/2 complex values (`a_j + i a_(j + N/2)`),
//! twisted by the powers of a primitive 2N-th root of unity, and transformed ("Fast and Error-Free
//! Negacyclic Integer Convolution using Extended Fourier Transform", <https://eprint.iacr.org/2021/480>).

use crate::parameters::{KeyPart, ParameterSet};
use aligned_vec::{AVec, CACHELINE_ALIGN};
use pulp::{Arch, Simd, WithSimd};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tfhe::core_crypto::fft_impl::fft64::math::fft::FftView;

mod convert;
mod permutation;
mod plan;

#[cfg(test)]
mod tests;

pub(crate) use permutation::Permutation;

pub(crate) use convert::integer;
pub use convert::{TORUS, frac, reduce, round, take_digit};
pub use tfhe::core_crypto::fft_impl::fft64::c64;

/// The transform for one polynomial size.
#[derive(Clone)]
pub struct Transform(Arc<Tables>);

/// Makes the transforms of every parameter set, so that the first request of a process does not
/// wait for them.
pub fn warm_up() {
    for set in ParameterSet::all() {
        let bootstraps = set.parts.iter().filter_map(KeyPart::bootstrap);
        let sizes = bootstraps.flat_map(|bootstrap| {
            [
                bootstrap.small.polynomial_size,
                bootstrap.output.polynomial_size,
            ]
        });
        for size in sizes.chain([set.ring.polynomial_size]) {
            let _ = Transform::new(size);
        }
    }
}

/// Scratch memory of a [`Transform`]; one a thread.
pub struct TransformScratch(plan::Scratch);

impl Transform {
    /// The transform for polynomials of `polynomial_size` coefficients, a power of two of at least
    /// 32.
    pub fn new(polynomial_size: usize) -> Self {
        static TABLES: OnceLock<Mutex<Vec<Arc<Tables>>>> = OnceLock::new();
        let tables = TABLES.get_or_init(Mutex::default);
        // The list is only ever appended to, so it is whole even if a thread panicked here.
        let mut tables = tables.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tables
            .iter()
            .find(|tables| tables.twist.len() * 2 == polynomial_size);
        let entry = known.cloned().unwrap_or_else(|| {
            let new = Arc::new(Tables::new(polynomial_size));
            tables.push(Arc::clone(&new));
            new
        });
        Self(entry)
    }

    /// Coefficients of a polynomial.
    pub fn polynomial_size(&self) -> usize {
        self.0.twist.len() * 2
    }

    /// Complex values of a transformed polynomial: half its coefficients.
    pub fn fourier_size(&self) -> usize {
        self.0.twist.len()
    }

    /// `tfhe`'s own handle.
    pub fn as_tfhe(&self) -> FftView<'_> {
        self.0.plan.as_tfhe()
    }

    /// Scratch for the calls below.
    pub fn scratch(&self) -> TransformScratch {
        TransformScratch(self.0.plan.scratch())
    }

    /// Transforms torus coefficients (units of 2^-64), read as fractions in [-1/2, 1/2).
    pub fn forward_torus(&self, out: &mut [c64], input: &[u64], scratch: &mut TransformScratch) {
        let fraction = |word| convert::signed_to_float(word) * (1.0 / TORUS);
        self.forward_part(out, input, fraction, scratch);
    }

    /// Torus coefficients (units of 2^-64) folded, as fractions in [-1/2, 1/2): what
    /// [`Self::forward_twisted`] takes once it is times [`Self::twist`].
    pub(crate) fn fold_torus(out: &mut [c64], input: &[u64]) {
        convert::fold_torus(out, input);
    }

    /// Transforms signed integers (two's complement).
    pub fn forward_integer(&self, out: &mut [c64], input: &[u64], scratch: &mut TransformScratch) {
        self.forward_part(out, input, convert::signed_to_float, scratch);
    }

    /// Transforms what `part` makes of each word.
    pub fn forward_part(
        &self,
        out: &mut [c64],
        input: &[u64],
        part: impl Fn(u64) -> f64,
        scratch: &mut TransformScratch,
    ) {
        convert::fold(out, input, part, &self.0.twist);
        self.forward_twisted(out, scratch);
    }

    /// Back to torus coefficients, reduced modulo 1. `values` is used up as working memory.
    pub fn backward_torus_in_place(
        &self,
        out: &mut [u64],
        values: &mut [c64],
        scratch: &mut TransformScratch,
    ) {
        self.inverse_twisted(values, scratch);
        convert::unfold_torus(out, values, &self.0.untwist);
    }

    /// Back to coefficients, each of which `put` brings into its word of `out`. `values` is used up as
    /// working memory.
    pub fn backward_part(
        &self,
        out: &mut [u64],
        values: &mut [c64],
        put: impl Fn(&mut u64, f64),
        scratch: &mut TransformScratch,
    ) {
        self.inverse_twisted(values, scratch);
        convert::unfold(out, values, put, &self.0.untwist);
    }

    /// Back to torus coefficients, reduced modulo 1.
    pub fn backward_torus(&self, out: &mut [u64], input: &[c64], scratch: &mut TransformScratch) {
        let mut values = AVec::<c64>::from_slice(CACHELINE_ALIGN, input);
        self.backward_torus_in_place(out, &mut values, scratch);
    }

    /// Transforms, in place, values that are folded and times [`Self::twist`] already.
    pub fn forward_twisted(&self, values: &mut [c64], scratch: &mut TransformScratch) {
        self.0.plan.forward(values, &mut scratch.0);
    }

    /// Inverse of [`Self::forward_twisted`], times N/2: times [`Self::untwist`] it gives the folded
    /// coefficients.
    pub fn inverse_twisted(&self, values: &mut [c64], scratch: &mut TransformScratch) {
        self.0.plan.inverse(values, &mut scratch.0);
    }

    /// exp(i pi j / N) for j < N/2.
    pub fn twist(&self) -> &[c64] {
        &self.0.twist
    }

    /// The inverse twist with the inverse transform's normalisation: exp(-i pi j / N) * 2 / N.
    pub fn untwist(&self) -> &[c64] {
        &self.0.untwist
    }
}

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transform")
            .field("polynomial_size", &self.polynomial_size())
            .finish_non_exhaustive()
    }
}

/// What a size needs, made once a process.
struct Tables {
    plan: plan::Plan,
    twist: AVec<c64>,
    untwist: AVec<c64>,
}

impl Tables {
    fn new(polynomial_size: usize) -> Self {
        let fourier_size = polynomial_size / 2;
        let twist = |j: usize| {
            let (sin, cos) = (std::f64::consts::PI * j as f64 / polynomial_size as f64).sin_cos();
            c64::new(cos, sin)
        };
        Self {
            plan: plan::Plan::new(fourier_size),
            twist: AVec::from_iter(CACHELINE_ALIGN, (0..fourier_size).map(twist)),
            untwist: AVec::from_iter(
                CACHELINE_ALIGN,
                (0..fourier_size).map(|j| twist(j).conj() / fourier_size as f64),
            ),
        }
    }
}

/// `out[i] += lhs[i] * rhs[i]`. All three have the same length.
pub fn multiply_add(out: &mut [c64], lhs: &[c64], rhs: &[c64]) {
    struct MultiplyAdd<'a>(&'a mut [c64], &'a [c64], &'a [c64]);
    impl WithSimd for MultiplyAdd<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let (out, out_tail) = S::as_mut_simd_c64s(self.0);
            let (lhs, lhs_tail) = S::as_simd_c64s(self.1);
            let (rhs, rhs_tail) = S::as_simd_c64s(self.2);
            for ((out, lhs), rhs) in out.iter_mut().zip(lhs).zip(rhs) {
                *out = simd.mul_add_c64s(*lhs, *rhs, *out);
            }
            for ((out, lhs), rhs) in out_tail.iter_mut().zip(lhs_tail).zip(rhs_tail) {
                *out += lhs * rhs;
            }
        }
    }
    assert!(
        out.len() == lhs.len() && out.len() == rhs.len(),
        "polynomials of one size"
    );
    Arch::new().dispatch(MultiplyAdd(out, lhs, rhs));
}

/// `out[i] *= rhs[i]`, for kernels that are dispatched as a whole. Both have the same length.
#[inline(always)]
pub fn multiply_assign<S: Simd>(simd: S, out: &mut [c64], rhs: &[c64]) {
    let (out, out_tail) = S::as_mut_simd_c64s(out);
    let (rhs, rhs_tail) = S::as_simd_c64s(rhs);
    for (out, rhs) in out.iter_mut().zip(rhs) {
        *out = simd.mul_c64s(*out, *rhs);
    }
    for (out, rhs) in out_tail.iter_mut().zip(rhs_tail) {
        *out *= rhs;
    }
}
