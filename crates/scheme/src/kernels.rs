//! Passes over whole polynomials of the expansion and of traces.

use crate::fourier::{c64, frac, multiply_assign};
use aligned_vec::AVec;
use pulp::{Arch, Simd, WithSimd};

/// Complex values that are handled at a time, so that they stay in the first-level cache.
const BLOCK: usize = 64;

/// `even += t` and `odd = X^-shift (even - t)`, with the old `even`, modulo 1: folded polynomials of
/// torus fractions. `t` is `values`, what the inverse transform gives, times `untwist`.
pub(crate) fn butterfly(
    even: &mut [c64],
    values: &[c64],
    untwist: &[c64],
    odd: Option<&mut AVec<c64>>,
    shift: usize,
) {
    struct Butterfly<'a>(
        &'a mut [c64],
        &'a [c64],
        &'a [c64],
        Option<&'a mut [c64]>,
        usize,
    );
    impl WithSimd for Butterfly<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self(even, values, untwist, mut odd, shift) = self;
            let kept = even.len() - shift;
            let mut block = [c64::new(0.0, 0.0); BLOCK];
            for start in (0..even.len()).step_by(BLOCK) {
                let range = start..even.len().min(start + BLOCK);
                let t = &mut block[..range.len()];
                t.copy_from_slice(&values[range.clone()]);
                multiply_assign(simd, t, &untwist[range.clone()]);
                let even = &mut even[range.clone()];
                if let Some(odd) = &mut odd {
                    let difference =
                        |even: &c64, t: &c64| c64::new(frac(even.re - t.re), frac(even.im - t.im));
                    // What goes below X^0 comes back negated, from X^(N/2) on as imaginary part.
                    let wrapped = shift.saturating_sub(start).min(range.len());
                    for (at, (even, t)) in (start + kept..).zip(even.iter().zip(&*t)).take(wrapped)
                    {
                        let value = difference(even, t);
                        odd[at] = c64::new(value.im, -value.re);
                    }
                    if wrapped < range.len() {
                        let out = &mut odd[start + wrapped - shift..];
                        for (odd, (even, t)) in
                            out.iter_mut().zip(even.iter().zip(&*t).skip(wrapped))
                        {
                            *odd = difference(even, t);
                        }
                    }
                }
                for (even, t) in even.iter_mut().zip(t) {
                    *even = c64::new(frac(even.re + t.re), frac(even.im + t.im));
                }
            }
        }
    }
    let odd = odd.map(AVec::as_mut_slice);
    Arch::new().dispatch(Butterfly(even, values, untwist, odd, shift));
}

/// `even += t` and `odd = X^-shift (even - t)` in the Fourier domain, where X^-shift is minus
/// `minus_monomial`.
pub(crate) fn fourier_butterfly(
    even: &mut [c64],
    t: &[c64],
    odd: Option<&mut AVec<c64>>,
    minus_monomial: &[c64],
) {
    struct FourierButterfly<'a>(&'a mut [c64], &'a [c64], Option<&'a mut [c64]>, &'a [c64]);
    impl WithSimd for FourierButterfly<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            // Sizes are powers of two, so no values are left over.
            let even = S::as_mut_simd_c64s(self.0).0;
            let t = S::as_simd_c64s(self.1).0;
            let Some(odd) = self.2 else {
                for (even, t) in even.iter_mut().zip(t) {
                    *even = simd.add_c64s(*even, *t);
                }
                return;
            };
            let odd = S::as_mut_simd_c64s(odd).0;
            let monomial = S::as_simd_c64s(self.3).0;
            for (((even, t), odd), monomial) in even.iter_mut().zip(t).zip(odd).zip(monomial) {
                *odd = simd.mul_c64s(*monomial, simd.sub_c64s(*t, *even));
                *even = simd.add_c64s(*even, *t);
            }
        }
    }
    let odd = odd.map(AVec::as_mut_slice);
    Arch::new().dispatch(FourierButterfly(even, t, odd, minus_monomial));
}
