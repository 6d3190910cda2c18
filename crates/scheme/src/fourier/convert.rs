//! Between 64-bit words and floats, in plain arithmetic that compilers vectorise on every
//! instruction set.
//!
//! AVX2 has no conversion between 64-bit integers and floats, so both directions go through the
//! bits of floats with a known exponent.

use super::{c64, multiply_assign};
use pulp::{Arch, Simd, WithSimd, bytemuck};

/// 2^64: units of a torus word in the torus.
pub const TORUS: f64 = 18_446_744_073_709_551_616.0;
/// Complex values that are handled at a time, so that they stay in the first-level cache.
const BLOCK: usize = 64;
/// 1.5 * 2^52: adding it leaves no fraction bits, taking it off again rounds to an integer.
const SHIFTER: f64 = 6_755_399_441_055_744.0;
/// 2^32.
const HALF_WORD: f64 = 4_294_967_296.0;

/// Nearest integer, ties to even, for `|x| < 2^51`.
#[inline(always)]
pub fn round(x: f64) -> f64 {
    (x + SHIFTER) - SHIFTER
}

/// `x` modulo 1 in [-1/2, 1/2], for `|x| < 2^51`.
#[inline(always)]
pub fn frac(x: f64) -> f64 {
    x - round(x)
}

/// `state = round(frac(state) * scale)`.
#[inline(always)]
pub fn reduce<S: Simd>(simd: S, states: &mut [f64], scale: f64) {
    let (states, tail) = S::as_mut_simd_f64s(states);
    let [shifter, scale_lanes] = [SHIFTER, scale].map(|value| simd.splat_f64s(value));
    for state in states {
        let integer = simd.sub_f64s(simd.add_f64s(*state, shifter), shifter);
        let fraction = simd.sub_f64s(*state, integer);
        *state = simd.sub_f64s(simd.mul_add_e_f64s(fraction, scale_lanes, shifter), shifter);
    }
    for state in tail {
        *state = round(frac(*state) * scale);
    }
}

/// `next = state / base` to the nearest, halves away from zero, `digit = state - next * base`,
/// `state = next`. For integers below 2^50 times the base.
///
/// Halves to even would make every digit that follows a half an even one, and halves more frequent:
/// the mean square of digits of base B would be `(B^2 + 2)/12 + 1/(2 (B - 1))`, a ninth more for B =
/// 4. Away from zero it stays `(B^2 + 2)/12`, and the mean 0, as signs are random.
#[inline(always)]
pub fn take_digit<S: Simd>(simd: S, digits: &mut [f64], states: &mut [f64], base: f64) {
    // A hair more than the inverse: half an integer rounds away from zero, all else stays as it is.
    let inverse = (1.0 + f64::EPSILON) / base;
    let (digits, digits_tail) = S::as_mut_simd_f64s(digits);
    let (states, states_tail) = S::as_mut_simd_f64s(states);
    let [shifter, inverse_lanes, minus_base] =
        [SHIFTER, inverse, -base].map(|value| simd.splat_f64s(value));
    for (digit, state) in digits.iter_mut().zip(states) {
        let next = simd.sub_f64s(simd.mul_add_e_f64s(*state, inverse_lanes, shifter), shifter);
        *digit = simd.mul_add_e_f64s(next, minus_base, *state);
        *state = next;
    }
    for (digit, state) in digits_tail.iter_mut().zip(states_tail) {
        let next = round(*state * inverse);
        *digit = *state - next * base;
        *state = next;
    }
}

/// `out[j] = twist[j] * (part(input[j]) + i part(input[j + N/2]))`.
pub(super) fn fold(out: &mut [c64], input: &[u64], part: impl Fn(u64) -> f64, twist: &[c64]) {
    assert!(
        input.len() == 2 * out.len() && twist.len() == out.len(),
        "polynomials of one size"
    );
    Arch::new().dispatch(Fold {
        out,
        input,
        part,
        twist,
    });
}

/// `out[j] = input[j] + i input[j + N/2]` as torus fractions in [-1/2, 1/2).
pub(super) fn fold_torus(out: &mut [c64], input: &[u64]) {
    assert!(input.len() == 2 * out.len(), "polynomials of one size");
    Arch::new().dispatch(|| {
        let (re, im) = input.split_at(out.len());
        for ((out, re), im) in out.iter_mut().zip(re).zip(im) {
            *out = c64::new(signed_to_float(*re) / TORUS, signed_to_float(*im) / TORUS);
        }
    });
}

/// Inverse of [`fold`] on the torus: fractions modulo 1, in units of 2^-64. `untwist` is normalised.
pub(super) fn unfold_torus(out: &mut [u64], values: &[c64], untwist: &[c64]) {
    assert!(
        out.len() == 2 * values.len() && untwist.len() == values.len(),
        "polynomials of one size"
    );
    Arch::new().dispatch(UnfoldTorus {
        out,
        values,
        untwist,
    });
}

/// Inverse of [`fold`]: `put` brings each coefficient into its word of `out`. `values` are used up,
/// `untwist` is normalised.
pub(super) fn unfold(
    out: &mut [u64],
    values: &mut [c64],
    put: impl Fn(&mut u64, f64),
    untwist: &[c64],
) {
    assert!(
        out.len() == 2 * values.len() && untwist.len() == values.len(),
        "polynomials of one size"
    );
    Arch::new().dispatch(Unfold {
        out,
        values,
        put,
        untwist,
    });
}

struct Fold<'a, P> {
    out: &'a mut [c64],
    input: &'a [u64],
    part: P,
    twist: &'a [c64],
}

impl<P: Fn(u64) -> f64> WithSimd for Fold<'_, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (re, im) = self.input.split_at(self.out.len());
        let blocks = self
            .out
            .chunks_mut(BLOCK)
            .zip(self.twist.chunks(BLOCK))
            .zip(re.chunks(BLOCK).zip(im.chunks(BLOCK)));
        for ((out, twist), (re, im)) in blocks {
            for ((out, re), im) in out.iter_mut().zip(re).zip(im) {
                *out = c64::new((self.part)(*re), (self.part)(*im));
            }
            multiply_assign(simd, out, twist);
        }
    }
}

struct Unfold<'a, P> {
    out: &'a mut [u64],
    values: &'a mut [c64],
    put: P,
    untwist: &'a [c64],
}

impl<P: Fn(&mut u64, f64)> WithSimd for Unfold<'_, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (re, im) = self.out.split_at_mut(self.values.len());
        let outputs = re.chunks_mut(BLOCK).zip(im.chunks_mut(BLOCK));
        let values = self.values.chunks_mut(BLOCK);
        for ((values, untwist), (re, im)) in values.zip(self.untwist.chunks(BLOCK)).zip(outputs) {
            multiply_assign(simd, values, untwist);
            for ((value, re), im) in values.iter().zip(re).zip(im) {
                (self.put)(re, value.re);
                (self.put)(im, value.im);
            }
        }
    }
}

struct UnfoldTorus<'a> {
    out: &'a mut [u64],
    values: &'a [c64],
    untwist: &'a [c64],
}

impl WithSimd for UnfoldTorus<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut block = [c64::new(0.0, 0.0); BLOCK];
        let (re, im) = self.out.split_at_mut(self.values.len());
        let outputs = re.chunks_mut(BLOCK).zip(im.chunks_mut(BLOCK));
        for ((values, untwist), (re, im)) in self
            .values
            .chunks(BLOCK)
            .zip(self.untwist.chunks(BLOCK))
            .zip(outputs)
        {
            let block = &mut block[..values.len()];
            block.copy_from_slice(values);
            multiply_assign(simd, block, untwist);
            for part in bytemuck::cast_slice_mut::<c64, f64>(block) {
                *part = frac(*part);
            }
            for ((value, re), im) in block.iter().zip(re).zip(im) {
                *re = fraction_to_torus(value.re);
                *im = fraction_to_torus(value.im);
            }
        }
    }
}

/// The integer nearest to `x`, modulo 2^64, ties to even, for `|x| < 2^51`.
#[inline(always)]
pub(crate) fn integer(x: f64) -> u64 {
    (x + SHIFTER).to_bits().wrapping_sub(SHIFTER.to_bits())
}

/// The signed value of a word, rounded to nearest once.
#[inline(always)]
pub(super) fn signed_to_float(word: u64) -> f64 {
    // 2^52 + low half, exactly.
    let low = f64::from_bits((word & 0xffff_ffff) | 0x4330_0000_0000_0000);
    // 2^84 + 2^63 + 2^32 * signed high half, exactly.
    let high = f64::from_bits(((word >> 32) ^ 0x8000_0000) | 0x4530_0000_0000_0000);
    // 2^84 + 2^63 + 2^52.
    (high - f64::from_bits(0x4530_0000_8010_0000)) + low
}

/// A fraction in [-1/2, 1/2] in units of 2^-64, modulo 2^64.
#[inline(always)]
fn fraction_to_torus(fraction: f64) -> u64 {
    let scaled = fraction * HALF_WORD;
    let high = scaled + SHIFTER;
    let low = (scaled - (high - SHIFTER)) * HALF_WORD + SHIFTER;
    let high = high.to_bits().wrapping_sub(SHIFTER.to_bits());
    let low = low.to_bits().wrapping_sub(SHIFTER.to_bits());
    (high << 32).wrapping_add(low)
}

#[cfg(test)]
mod tests {
    use super::{fraction_to_torus, integer, signed_to_float, take_digit};
    use pulp::{Arch, Simd, WithSimd};

    struct TakeDigit<'a>(&'a mut [f64], &'a mut [f64], f64);

    impl WithSimd for TakeDigit<'_> {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            take_digit(simd, self.0, self.1, self.2);
        }
    }

    /// All integers of five digits: both ends of a digit's range are as frequent, and the digits'
    /// mean square is that of the noise formulas.
    #[test]
    fn digits_are_centred_and_independent_of_those_before() {
        for base_log in [2, 3, 4] {
            let base = 1 << base_log;
            let range = 1 << (5 * base_log);
            // One more than vectors hold, for the tail.
            let mut states: Vec<f64> = (-range / 2..=range / 2).map(f64::from).collect();
            let mut digits = vec![0.0; states.len()];
            let count = states.len() as f64;
            for level in 0..3 {
                let before = states.clone();
                let base = f64::from(base);
                Arch::new().dispatch(TakeDigit(&mut digits, &mut states, base));
                for ((before, state), digit) in before.iter().zip(&states).zip(&digits) {
                    assert!((state * base + digit - before).abs() < 0.5, "{before}");
                    assert!(digit.abs() <= base / 2.0, "{digit}");
                }
                let sum = digits.iter().sum::<f64>();
                assert!(sum.abs() < 0.5, "level {level} of base {base}: {sum}");
                let square = digits.iter().map(|digit| digit * digit).sum::<f64>() / count;
                let expected = (base * base + 2.0) / 12.0;
                let close = 8.0 / f64::from(range) * base.powi(level);
                assert!(
                    (square / expected - 1.0).abs() < close.max(0.01),
                    "level {level} of base {base}: {square} instead of {expected}"
                );
            }
        }
    }

    #[test]
    fn words_become_the_nearest_float() {
        for word in [
            0,
            1,
            u64::MAX,
            1 << 63,
            (1 << 63) - 1,
            0xffff_ffff,
            1 << 32,
            0x8000_0000,
            0x1234_5678_9abc_def0,
            u64::MAX << 20,
        ] {
            assert_eq!(
                signed_to_float(word).to_bits(),
                (word as i64 as f64).to_bits(),
                "{word:#x}"
            );
        }
    }

    #[test]
    fn floats_become_the_nearest_integer() {
        for (float, expected) in [
            (0.0, 0),
            (2.4, 2),
            (-2.4, -2),
            (3.5, 4),
            (2f64.powi(50) + 0.75, (1 << 50) + 1),
            (-(2f64.powi(50)) - 0.75, -(1 << 50) - 1),
        ] {
            assert_eq!(integer(float) as i64, expected, "{float}");
        }
    }

    #[test]
    fn fractions_become_torus_words() {
        assert_eq!(fraction_to_torus(0.0), 0);
        assert_eq!(fraction_to_torus(0.25), 1 << 62);
        assert_eq!(fraction_to_torus(0.5), 1 << 63);
        assert_eq!(fraction_to_torus(-0.5), 1 << 63);
        assert_eq!(fraction_to_torus(-(2f64.powi(-64))), u64::MAX);
        assert_eq!(
            fraction_to_torus(2f64.powi(-33) + 2f64.powi(-60)),
            (1 << 31) + 16
        );
    }
}
