//! Products of a torus polynomial with `GLev` ciphertexts in the Fourier domain, GLWE dimension 1:
//! the core of key switching.
//!
//! The polynomial is decomposed into l balanced digits, `a = sum d_i B^-i` up to B^-l / 2; the
//! product is `sum d_i GLev_i`, a GLWE encryption of `a` times the `GLev`'s message. Digits lie in
//! [-B/2, B/2) at even coefficients and in (-B/2, B/2] at odd ones: a range that is the same
//! everywhere gives digits a mean of -1/2, which the all-ones part of a binary key turns into 2 to
//! 4 bits of extra noise.

use crate::fourier::{Transform, TransformScratch, c64};
use aligned_vec::{AVec, CACHELINE_ALIGN};
use cipherfn_protocol::specs::Gadget;
use pulp::{Arch, NullaryFnOnce, Simd, WithSimd};

/// The bits of 2^52, whose low bits hold integers.
const INTEGER_BITS: u64 = 0x4330_0000_0000_0000;

/// Zeroed, cache-aligned values.
pub(crate) fn zeroed(len: usize) -> AVec<c64> {
    let mut values = AVec::new(CACHELINE_ALIGN);
    values.resize(len, c64::new(0.0, 0.0));
    values
}

/// A `GLev` ciphertext in the Fourier domain.
pub(crate) struct FourierGlev {
    gadget: Gadget,
    /// For each level, the first one first, mask and body.
    rows: AVec<c64>,
}

impl FourierGlev {
    /// From rows (mask, body) of torus values in the Fourier domain, level 1 first.
    pub(crate) fn new(gadget: Gadget, rows: AVec<c64>) -> Self {
        Self { gadget, rows }
    }

    pub(crate) const fn gadget(&self) -> Gadget {
        self.gadget
    }

    /// `mask, body = sum over levels of digit times row`.
    pub(crate) fn product(&self, mask: &mut [c64], body: &mut [c64], digits: &[c64]) {
        assert!(
            mask.len() == body.len()
                && digits.len() == self.gadget.levels.get() as usize * mask.len(),
            "one digit a level"
        );
        Arch::new().dispatch(Product {
            mask,
            body,
            digits,
            rows: &self.rows,
        });
    }
}

/// Decomposes polynomials and transforms their digits.
pub(crate) struct Decomposer {
    /// The transform's twist, times -1 at odd coefficients, in two parts.
    twist_re: Vec<f64>,
    twist_im: Vec<f64>,
    words: Vec<u64>,
    digits: AVec<c64>,
}

impl Decomposer {
    /// For polynomials of `transform`'s size and at most `levels` levels.
    pub(crate) fn new(transform: &Transform, levels: usize) -> Self {
        let alternate = |(j, twist): (usize, &c64)| if j % 2 == 0 { *twist } else { -*twist };
        let twist = transform.twist().iter().enumerate().map(alternate);
        Self {
            twist_re: twist.clone().map(|twist| twist.re).collect(),
            twist_im: twist.map(|twist| twist.im).collect(),
            words: vec![0; transform.polynomial_size()],
            digits: zeroed(levels * transform.fourier_size()),
        }
    }

    /// The transformed digits of `input(X^exponent)`, level 1 first. `exponent` is odd.
    pub(crate) fn digits(
        &mut self,
        input: &[u64],
        exponent: usize,
        gadget: Gadget,
        transform: &Transform,
        scratch: &mut TransformScratch,
    ) -> &[c64] {
        let offset = offset(gadget);
        let size = input.len();
        let mut position = 0;
        if exponent == 1 {
            for (out, word) in self.words.chunks_exact_mut(2).zip(input.chunks_exact(2)) {
                out[0] = word[0].wrapping_add(offset);
                out[1] = offset.wrapping_sub(word[1]);
            }
        } else {
            for (parity, word) in input.iter().enumerate() {
                // An automorphism keeps the parity of a coefficient's index.
                let sign = (u64::from(position & size != 0) ^ (parity as u64 & 1)).wrapping_neg();
                self.words[position & (size - 1)] =
                    (word ^ sign).wrapping_sub(sign).wrapping_add(offset);
                position = (position + exponent) & (2 * size - 1);
            }
        }
        let used = gadget.levels.get() as usize * transform.fourier_size();
        let digits = &mut self.digits[..used];
        for (level, digit) in (1..).zip(digits.chunks_exact_mut(transform.fourier_size())) {
            let shift = 64 - gadget.base_log.get() * level;
            Arch::new().dispatch(Digit {
                out: digit,
                words: &self.words,
                shift,
                base_log: gadget.base_log.get(),
                twist_re: &self.twist_re,
                twist_im: &self.twist_im,
            });
            transform.forward_twisted(digit, scratch);
        }
        digits
    }
}

/// What makes each digit non-negative, B/2 a level, and rounds the rest: half of the last level's
/// unit.
const fn offset(gadget: Gadget) -> u64 {
    let mut sum = 0u64;
    let mut level = 1;
    while level <= gadget.levels.get() {
        sum = sum.wrapping_add(1 << (63 - gadget.base_log.get() * (level - 1)));
        level += 1;
    }
    let used = gadget.bits();
    if used < 64 {
        sum.wrapping_add(1 << (63 - used))
    } else {
        sum
    }
}

struct Digit<'a> {
    out: &'a mut [c64],
    words: &'a [u64],
    shift: u32,
    base_log: u32,
    twist_re: &'a [f64],
    twist_im: &'a [f64],
}

impl NullaryFnOnce for Digit<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let mask = (1u64 << self.base_log) - 1;
        let zero = f64::from_bits(INTEGER_BITS + (1 << (self.base_log - 1)));
        let digit = |word: &u64| f64::from_bits(word >> self.shift & mask | INTEGER_BITS) - zero;
        let (re, im) = self.words.split_at(self.out.len());
        for (((out, re), im), (twist_re, twist_im)) in self
            .out
            .iter_mut()
            .zip(re)
            .zip(im)
            .zip(self.twist_re.iter().zip(self.twist_im))
        {
            let (re, im) = (digit(re), digit(im));
            *out = c64::new(re * twist_re - im * twist_im, re * twist_im + im * twist_re);
        }
    }
}

struct Product<'a> {
    mask: &'a mut [c64],
    body: &'a mut [c64],
    digits: &'a [c64],
    rows: &'a [c64],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let size = self.mask.len();
        let masks = vectors_mut::<S>(self.mask).iter_mut();
        let bodies = vectors_mut::<S>(self.body);
        let zero = simd.splat_c64s(c64::new(0.0, 0.0));
        for (index, (mask, body)) in masks.zip(bodies).enumerate() {
            // The sums stay in registers.
            let (mut mask_sum, mut body_sum) = ([zero; UNROLL], [zero; UNROLL]);
            for (digit, row) in self
                .digits
                .chunks_exact(size)
                .zip(self.rows.chunks_exact(2 * size))
            {
                let (row_mask, row_body) = row.split_at(size);
                let [digit, row_mask, row_body] =
                    [digit, row_mask, row_body].map(|values| &vectors::<S>(values)[index]);
                for i in 0..UNROLL {
                    mask_sum[i] = simd.mul_add_c64s(digit[i], row_mask[i], mask_sum[i]);
                    body_sum[i] = simd.mul_add_c64s(digit[i], row_body[i], body_sum[i]);
                }
            }
            (*mask, *body) = (mask_sum, body_sum);
        }
    }
}

/// Vectors that are handled at a time.
const UNROLL: usize = 4;

/// Values as groups of vectors. Sizes are powers of two, so none are left over.
#[inline(always)]
fn vectors<S: Simd>(values: &[c64]) -> &[[S::c64s; UNROLL]] {
    S::as_simd_c64s(values).0.as_chunks().0
}

#[inline(always)]
fn vectors_mut<S: Simd>(values: &mut [c64]) -> &mut [[S::c64s; UNROLL]] {
    S::as_mut_simd_c64s(values).0.as_chunks_mut().0
}

#[cfg(test)]
mod tests {
    use super::{Decomposer, c64};
    use crate::fourier::Transform;
    use cipherfn_protocol::specs::{BaseLog, Gadget, Levels};

    /// Recomposes the transformed digits: `sum d_i B^-i` must be the input up to half a unit of the
    /// last level, at every coefficient.
    #[test]
    fn digits_recompose() {
        let size = 512;
        let transform = Transform::new(size);
        let mut scratch = transform.scratch();
        for (base_log, levels) in [(3, 15), (7, 6), (10, 5), (16, 4), (23, 1)] {
            let gadget = Gadget::new(BaseLog::new(base_log), Levels::new(levels));
            let mut decomposer = Decomposer::new(&transform, levels as usize);
            let input: Vec<u64> = (1..=size as u64)
                .map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15))
                .collect();
            let digits = decomposer.digits(&input, 1, gadget, &transform, &mut scratch);
            let mut sum = vec![c64::new(0.0, 0.0); size / 2];
            for (level, digit) in (1..).zip(digits.chunks_exact(size / 2)) {
                let scale = 2f64.powi(-(base_log as i32) * level);
                sum.iter_mut()
                    .zip(digit)
                    .for_each(|(sum, digit)| *sum += digit * scale);
            }
            let mut back = vec![0; size];
            transform.backward_torus(&mut back, &sum, &mut scratch);
            let bound = 2f64.powi(63 - (base_log * levels) as i32) + 2f64.powi(20);
            for (back, input) in back.iter().zip(&input) {
                let error = back.wrapping_sub(*input) as i64;
                assert!(
                    (error as f64).abs() <= bound,
                    "{base_log} x {levels}: {error}"
                );
            }
        }
    }
}
