//! External products: gadget digits of a ciphertext times the rows of a selector.
//!
//! Values in the Fourier domain are GLWE ciphertexts, k + 1 polynomials of N/2 complex values one
//! after the other, in torus fractions. Everything here is safe code that `pulp` compiles for each
//! instruction set and picks at run time.

use crate::fourier::{TORUS, Transform, c64, multiply_assign, reduce, round, take_digit};
use cipherfn_protocol::specs::Gadget;
use pulp::{Arch, Simd, WithSimd, bytemuck};

/// Complex values that are handled at a time, so that they stay in the first-level cache.
pub(crate) const BLOCK: usize = 64;

/// `out[c] += sum over r of polynomials[r] * rows[r][c]`: the vector-matrix product of an external
/// product. `rows` holds GLWE ciphertexts one after the other, `polynomials` as many polynomials of
/// `fourier_size` values.
pub fn add_products(out: &mut [c64], rows: &[c64], polynomials: &[c64], fourier_size: usize) {
    assert!(
        rows.len() * fourier_size == polynomials.len() * out.len(),
        "one row a polynomial"
    );
    Arch::new().dispatch(ExternalProducts {
        out,
        rows,
        polynomials,
        fourier_size,
    });
}

/// Gadget digits of one component of a value: takes the inverse transform's output (folded,
/// twisted, times N/2) and writes what the forward transform takes (folded, twisted). `digits`
/// holds, for each stored level of a selector (the last level first), one polynomial a component.
///
/// Digits are balanced, in [-B/2, B/2], and sum to the nearest multiple of B^-levels; all of it is
/// exact in 53 bits.
pub fn decompose(
    digits: &mut [c64],
    value: &[c64],
    component: Component,
    gadget: Gadget,
    transform: &Transform,
) {
    assert!(
        value.len() == transform.fourier_size()
            && digits.len() == value.len() * component.count * gadget.levels.get() as usize,
        "one size"
    );
    Arch::new().dispatch(Decompose {
        digits,
        value,
        component,
        gadget,
        transform,
    });
}

/// Balanced digits of one torus word, in the order of [`decompose`].
pub fn scalar_digits(value: u64, gadget: Gadget) -> impl Iterator<Item = f64> {
    let base = f64::from(gadget.base_log.get()).exp2();
    let mut state = round(value as i64 as f64 / TORUS * gadget_scale(gadget));
    (0..gadget.levels.get()).map(move |_| {
        let next = round(state / base);
        let digit = state - next * base;
        state = next;
        digit
    })
}

/// One of the `count` polynomials of a value.
#[derive(Clone, Copy, Debug)]
pub struct Component {
    /// Which one.
    pub index: usize,
    /// k + 1.
    pub count: usize,
}

/// B^levels.
pub(crate) fn gadget_scale(gadget: Gadget) -> f64 {
    f64::from(gadget.bits()).exp2()
}

struct ExternalProducts<'a> {
    out: &'a mut [c64],
    rows: &'a [c64],
    polynomials: &'a [c64],
    fourier_size: usize,
}

impl WithSimd for ExternalProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (size, row_len) = (self.fourier_size, self.out.len());
        // Polynomials lie a power of two apart, so their values of one place compete for few cache
        // lines. Going block by block keeps the sums and the two polynomials at hand in the
        // first-level cache, while rows stream through it.
        for start in (0..size).step_by(BLOCK) {
            let block = start..size.min(start + BLOCK);
            for (polynomials, rows) in self
                .polynomials
                .chunks(2 * size)
                .zip(self.rows.chunks(2 * row_len))
            {
                let (first, second) = polynomials.split_at(size);
                let (first_row, second_row) = rows.split_at(row_len);
                for (component, out) in self.out.chunks_exact_mut(size).enumerate() {
                    let out = &mut out[block.clone()];
                    let at = component * size + block.start..component * size + block.end;
                    let a = (&first[block.clone()], &first_row[at.clone()]);
                    if second.is_empty() {
                        add_product(simd, out, a);
                    } else {
                        add_two_products(simd, out, a, (&second[block.clone()], &second_row[at]));
                    }
                }
            }
        }
    }
}

/// `out[i] += a.0[i] * a.1[i] + b.0[i] * b.1[i]`.
#[inline(always)]
fn add_two_products<S: Simd>(simd: S, out: &mut [c64], a: (&[c64], &[c64]), b: (&[c64], &[c64])) {
    let (out, out_tail) = S::as_mut_simd_c64s(out);
    let [(a0, a0_tail), (a1, a1_tail), (b0, b0_tail), (b1, b1_tail)] =
        [a.0, a.1, b.0, b.1].map(|values| S::as_simd_c64s(values));
    for ((((out, a0), a1), b0), b1) in out.iter_mut().zip(a0).zip(a1).zip(b0).zip(b1) {
        *out = simd.mul_add_c64s(*b0, *b1, simd.mul_add_c64s(*a0, *a1, *out));
    }
    for ((((out, a0), a1), b0), b1) in out_tail
        .iter_mut()
        .zip(a0_tail)
        .zip(a1_tail)
        .zip(b0_tail)
        .zip(b1_tail)
    {
        *out += a0 * a1 + b0 * b1;
    }
}

/// `out[i] += a.0[i] * a.1[i]`.
#[inline(always)]
fn add_product<S: Simd>(simd: S, out: &mut [c64], a: (&[c64], &[c64])) {
    let (out, out_tail) = S::as_mut_simd_c64s(out);
    let [(a0, a0_tail), (a1, a1_tail)] = [a.0, a.1].map(|values| S::as_simd_c64s(values));
    for ((out, a0), a1) in out.iter_mut().zip(a0).zip(a1) {
        *out = simd.mul_add_c64s(*a0, *a1, *out);
    }
    for ((out, a0), a1) in out_tail.iter_mut().zip(a0_tail).zip(a1_tail) {
        *out += a0 * a1;
    }
}

struct Decompose<'a> {
    digits: &'a mut [c64],
    value: &'a [c64],
    component: Component,
    gadget: Gadget,
    transform: &'a Transform,
}

impl WithSimd for Decompose<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let size = self.value.len();
        let mut states = [c64::new(0.0, 0.0); BLOCK];
        for start in (0..size).step_by(BLOCK) {
            let len = BLOCK.min(size - start);
            let states = &mut states[..len];
            multiply(
                simd,
                states,
                &self.value[start..][..len],
                &self.transform.untwist()[start..][..len],
            );
            let states = bytemuck::cast_slice_mut::<c64, f64>(states);
            reduce(simd, states, gadget_scale(self.gadget));
            let twist = &self.transform.twist()[start..][..len];
            for level in self.digits.chunks_exact_mut(size * self.component.count) {
                let out = &mut level[self.component.index * size + start..][..len];
                take_digit(
                    simd,
                    bytemuck::cast_slice_mut(out),
                    states,
                    f64::from(self.gadget.base_log.get()).exp2(),
                );
                multiply_assign(simd, out, twist);
            }
        }
    }
}

/// `out[i] = lhs[i] * rhs[i]`.
#[inline(always)]
pub(crate) fn multiply<S: Simd>(simd: S, out: &mut [c64], lhs: &[c64], rhs: &[c64]) {
    let (out, out_tail) = S::as_mut_simd_c64s(out);
    let (lhs, lhs_tail) = S::as_simd_c64s(lhs);
    let (rhs, rhs_tail) = S::as_simd_c64s(rhs);
    for ((out, lhs), rhs) in out.iter_mut().zip(lhs).zip(rhs) {
        *out = simd.mul_c64s(*lhs, *rhs);
    }
    for ((out, lhs), rhs) in out_tail.iter_mut().zip(lhs_tail).zip(rhs_tail) {
        *out = lhs * rhs;
    }
}
