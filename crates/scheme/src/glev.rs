//! Products of a torus polynomial with `GLev` ciphertexts in the Fourier domain, GLWE dimension 1:
//! the core of key switching.
//!
//! The polynomial is decomposed into l balanced digits, `a = sum d_i B^-i` up to B^-l / 2; the
//! product is `sum d_i GLev_i`, a GLWE encryption of `a` times the `GLev`'s message. Digits lie in
//! [-B/2, B/2], both ends alike, see [`take_digit`]: a range without one of its ends gives digits a
//! mean of -1/2, which the all-ones part of a binary key turns into 2 to 4 bits of extra noise.

use crate::fourier::{Transform, TransformScratch, c64, multiply_assign, reduce, take_digit};
use aligned_vec::{AVec, CACHELINE_ALIGN};
use cipherfn_protocol::specs::Gadget;
use pulp::{Arch, Simd, WithSimd, bytemuck};

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

    /// `digits`: the transformed digits of a folded polynomial of torus fractions, level 1 first.
    pub(crate) fn decompose(
        &self,
        digits: &mut [c64],
        folded: &[c64],
        transform: &Transform,
        scratch: &mut TransformScratch,
    ) {
        let size = transform.fourier_size();
        assert!(
            folded.len() == size && digits.len() == size * self.gadget.levels.get() as usize,
            "one digit a level"
        );
        Arch::new().dispatch(DecomposeFolded {
            digits,
            folded,
            gadget: self.gadget,
            twist: transform.twist(),
        });
        for digit in digits.chunks_exact_mut(size) {
            transform.forward_twisted(digit, scratch);
        }
    }

    pub(crate) const fn gadget(&self) -> Gadget {
        self.gadget
    }

    /// For each level, the first one first, mask and body.
    pub(crate) fn rows(&self) -> &[c64] {
        &self.rows
    }

    /// `mask = sum over levels of digit times row's mask`, and the bodies' products are added to
    /// `body`.
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

/// Complex values that are decomposed at a time, all levels of them: they stay in the first-level
/// cache.
const BLOCK: usize = 64;

struct DecomposeFolded<'a> {
    digits: &'a mut [c64],
    folded: &'a [c64],
    gadget: Gadget,
    twist: &'a [c64],
}

impl WithSimd for DecomposeFolded<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let base_log = self.gadget.base_log;
        let (base, scale) = (
            f64::from(base_log.get()).exp2(),
            f64::from(self.gadget.bits()).exp2(),
        );
        let size = self.folded.len();
        let mut states = [c64::new(0.0, 0.0); BLOCK];
        for start in (0..size).step_by(BLOCK) {
            let block = start..size.min(start + BLOCK);
            let states = &mut states[..block.len()];
            states.copy_from_slice(&self.folded[block.clone()]);
            let states = bytemuck::cast_slice_mut::<c64, f64>(states);
            reduce(simd, states, scale);
            for level in self.digits.chunks_exact_mut(size).rev() {
                let out = &mut level[block.clone()];
                take_digit(simd, bytemuck::cast_slice_mut(out), states, base);
                multiply_assign(simd, out, &self.twist[block.clone()]);
            }
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
        let masks = vectors_mut::<S, UNROLL>(self.mask).iter_mut();
        let bodies = vectors_mut::<S, UNROLL>(self.body);
        let zero = simd.splat_c64s(c64::new(0.0, 0.0));
        for (index, (mask, body)) in masks.zip(bodies).enumerate() {
            // The sums stay in registers.
            let (mut mask_sum, mut body_sum) = ([zero; UNROLL], *body);
            for (digit, row) in self
                .digits
                .chunks_exact(size)
                .zip(self.rows.chunks_exact(2 * size))
            {
                let (row_mask, row_body) = row.split_at(size);
                let [digit, row_mask, row_body] =
                    [digit, row_mask, row_body].map(|values| &vectors::<S, UNROLL>(values)[index]);
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
pub(crate) fn vectors<S: Simd, const UNROLL: usize>(values: &[c64]) -> &[[S::c64s; UNROLL]] {
    S::as_simd_c64s(values).0.as_chunks().0
}

#[inline(always)]
pub(crate) fn vectors_mut<S: Simd, const UNROLL: usize>(
    values: &mut [c64],
) -> &mut [[S::c64s; UNROLL]] {
    S::as_mut_simd_c64s(values).0.as_chunks_mut().0
}

#[cfg(test)]
mod tests {
    use super::{FourierGlev, c64, zeroed};
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
            let input: Vec<u64> = (1..=size as u64)
                .map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15))
                .collect();
            let mut digits = vec![c64::new(0.0, 0.0); levels as usize * size / 2];
            let mut folded = vec![c64::new(0.0, 0.0); size / 2];
            Transform::fold_torus(&mut folded, &input);
            let glev = FourierGlev::new(gadget, zeroed(0));
            glev.decompose(&mut digits, &folded, &transform, &mut scratch);
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
