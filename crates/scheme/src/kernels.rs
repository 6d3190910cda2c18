//! Passes over whole polynomials of the expansion and of traces.

use crate::fourier::c64;
use pulp::{Arch, Simd, WithSimd};

/// `even += t` and `odd = X^-shift (even - t)`, with the old `even`.
pub(crate) fn butterfly(even: &mut [u64], t: &[u64], odd: Option<&mut Vec<u64>>, shift: usize) {
    Arch::new().dispatch(|| {
        let Some(odd) = odd else {
            return even
                .iter_mut()
                .zip(t)
                .for_each(|(even, t)| *even = even.wrapping_add(*t));
        };
        let (kept, wrapped) = odd.split_at_mut(t.len() - shift);
        let (low, high) = even.split_at_mut(shift);
        let (low_t, high_t) = t.split_at(shift);
        for ((even, t), odd) in low.iter_mut().zip(low_t).zip(wrapped) {
            *odd = t.wrapping_sub(*even);
            *even = even.wrapping_add(*t);
        }
        for ((even, t), odd) in high.iter_mut().zip(high_t).zip(kept) {
            *odd = even.wrapping_sub(*t);
            *even = even.wrapping_add(*t);
        }
    });
}

/// `out += rhs`.
pub(crate) fn add(out: &mut [c64], rhs: &[c64]) {
    Arch::new().dispatch(|| out.iter_mut().zip(rhs).for_each(|(out, rhs)| *out += rhs));
}

/// `out = sum over levels i = 1, 2, ... of digits_i / B^i`.
pub(crate) fn recompose(out: &mut [c64], digits: &[c64], base_log: u32) {
    Arch::new().dispatch(|| {
        let size = out.len();
        let base = f64::from(1u32 << base_log);
        let mut scale = 1.0 / base;
        out.fill(c64::new(0.0, 0.0));
        for digit in digits.chunks_exact(size) {
            out.iter_mut()
                .zip(digit)
                .for_each(|(out, digit)| *out += digit * scale);
            scale /= base;
        }
    });
}

/// From a centred ciphertext (`mask`, `centred_body`) under z to the rows under the binary key:
/// `body = centred_body + h mask` with h = 1 + X + ..., `mask_row += body`, and `mask` doubled.
pub(crate) fn uncentre(
    mask: &mut [c64],
    body: &mut [c64],
    mask_row: &mut [c64],
    centred_body: &[c64],
    all_ones: &[c64],
) {
    struct Uncentre<'a>(
        &'a mut [c64],
        &'a mut [c64],
        &'a mut [c64],
        &'a [c64],
        &'a [c64],
    );
    impl WithSimd for Uncentre<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let (mask, mask_tail) = S::as_mut_simd_c64s(self.0);
            let (body, body_tail) = S::as_mut_simd_c64s(self.1);
            let (row, row_tail) = S::as_mut_simd_c64s(self.2);
            let (centred, centred_tail) = S::as_simd_c64s(self.3);
            let (ones, ones_tail) = S::as_simd_c64s(self.4);
            for ((((mask, body), row), centred), ones) in
                mask.iter_mut().zip(body).zip(row).zip(centred).zip(ones)
            {
                *body = simd.mul_add_c64s(*ones, *mask, *centred);
                *row = simd.add_c64s(*row, *body);
                *mask = simd.add_c64s(*mask, *mask);
            }
            for ((((mask, body), row), centred), ones) in mask_tail
                .iter_mut()
                .zip(body_tail)
                .zip(row_tail)
                .zip(centred_tail)
                .zip(ones_tail)
            {
                *body = ones * *mask + centred;
                *row += *body;
                *mask += *mask;
            }
        }
    }
    Arch::new().dispatch(Uncentre(mask, body, mask_row, centred_body, all_ones));
}
