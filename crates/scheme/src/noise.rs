//! Noise: the variance of each operation's error, in units of the torus squared.
//!
//! B and l are a gadget's base and levels, sigma^2 the variance of fresh noise, N the polynomial
//! size, k the GLWE dimension. Digits are taken as uniform in [-B/2, B/2), errors as independent
//! and centred. The formulas for gadget products are those of TFHE (Chillotti et al., <https://eprint.iacr.org/2018/421>, sections 3.3 and 4.2), averaged over a uniform binary key instead of bounded.

use crate::parameters::{Depth, Packing, ParameterSet, Ring};
use cipherfn_protocol::specs::{Bits, Gadget, Transport};

mod floor;
mod variance;

#[cfg(test)]
mod tests;

pub use floor::{FineStep, check_steps, coarsening};
pub use variance::{Deviation, Variance};

/// By how much the standard deviation under one particular key may exceed what the formulas give.
/// Guarantees must multiply predicted standard deviations by it, or by [`margin`]. The tests hold
/// each key's measured deviation to it; the spread between keys is about 3 %.
pub const KEY_MARGIN: f64 = 1.125;

/// Standard deviations that a normal variable exceeds, to either side, with a probability below
/// 2^-40.
pub const DEVIATIONS_40: f64 = 7.14;

/// By how much to multiply the standard deviation of a sum of CMUXes before it is taken for a
/// normal variable's, down to a probability of 2^-(40 + `more`). The sum's error comes from `rows`
/// mask rows in equal parts, or more in unequal ones of which none is larger.
///
/// Given the rows' errors the sum is normal: its digits are many and random. Its variance is the
/// rows' mean square, and that varies from query to query: half of an expanded mask row's error is
/// the body row's error times the all-ones half of the key, 81 % of which lies in a single
/// Fourier mode, and a deep expansion gathers a fifth of the body row's error in one coefficient.
/// The mean square is an exponential variable for the most part, and the tail of the mixture is
/// heavier than a normal one, the more so the farther out. The numbers bound the mixture's for the
/// set's deepest expansion, on average over keys (the tests show it): with 1 % less, single keys of
/// the compact set fail with 2^-39.3. Rows that travel whole have errors of equal size everywhere.
pub fn margin(set: &ParameterSet, transport: Transport, rows: f64, more: f64) -> f64 {
    let (most, share) = match (transport, set.packing()) {
        (Transport::Packed, Some(packing)) if packing.depth() > Depth::new(8) => {
            (1.06, 1.6 + 0.05 * more)
        }
        (Transport::Packed, Some(_)) => (1.025, 1.12 + 0.04 * more),
        _ => return KEY_MARGIN,
    };
    KEY_MARGIN.max(most + share / rows)
}

/// Standard deviations that none of `results` results exceeds but with a probability below 2^-40,
/// each a sum of CMUXes as [`margin`] has it.
pub fn bound(set: &ParameterSet, transport: Transport, rows: f64, results: f64) -> f64 {
    let more = results.max(1.0).log2();
    deviations(-40.0 - more) * margin(set, transport, rows, more)
}

/// `z` such that a normal variable exceeds `z` standard deviations, to either side, with
/// probability at most `2^log2_probability`.
///
/// By Mills' bound `P(|X| > z) < sqrt(2 / pi) * exp(-z^2 / 2) / z`.
pub fn deviations(log2_probability: f64) -> f64 {
    let log2_bound = |z: f64| {
        (2.0 / std::f64::consts::PI).sqrt().log2()
            - z.log2()
            - z * z / 2.0 * std::f64::consts::LOG2_E
    };
    let (mut low, mut high) = (1.0, 64.0);
    for _ in 0..64 {
        let middle = f64::midpoint(low, high);
        if log2_bound(middle) > log2_probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Relative error (standard deviation) of a product of two polynomials by the Fourier transform in
/// `f64`, measured.
const FFT_ERROR: f64 = 2.0 * f64::EPSILON;

/// Fresh encryption: TUniform(b) has variance (2^(2b+1) + 1) / 6 in units of 2^-64.
pub fn fresh(set: &ParameterSet) -> Variance {
    fresh_in(&set.ring)
}

/// Fresh encryption in any ring.
pub(crate) fn fresh_in(ring: &Ring) -> Variance {
    let square = (2f64.powi(2 * ring.noise_bound_log2 as i32 + 1) + 1.0) / 6.0;
    Variance::new(square * 2f64.powi(-128))
}

/// Rounding a word to `bits` bits: uniform in half a unit.
pub fn rounding(bits: Bits) -> Variance {
    Variance::new(2f64.powi(-2 * bits.get() as i32) / 12.0)
}

/// Errors of a selector's GGSW ciphertext.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelectorNoise {
    /// Body row: mean over the coefficients.
    pub body: Variance,
    /// Body row: the constant coefficient. The expansion concentrates its early levels' errors on
    /// few coefficients, this one among them.
    pub body_constant: Variance,
    /// Each mask row: mean over the coefficients.
    pub mask: Variance,
}

/// Errors of selectors that travelled by `transport`; packed ones at the set's full depth, which
/// bounds those at any other.
///
/// # Panics
/// For packed transport in a set without packing.
pub fn selector(set: &ParameterSet, transport: Transport) -> SelectorNoise {
    match transport {
        Transport::Packed => {
            let packing = set
                .packing()
                .expect("packed transport is of a set with packing");
            expanded(set, packing, packing.depth())
        }
        Transport::Ggsw => {
            let row = fresh(set) + rounding(set.ring.body_bits);
            SelectorNoise {
                body: row,
                body_constant: row,
                mask: row,
            }
        }
    }
}

/// Errors of selectors that are expanded in `depth` levels, m. Level j's key switch reaches a slot
/// through m-1-j levels, each of which doubles the remaining coefficients and clears every other
/// one: 2^(m-1-j) times the variance on average, 4^(m-1-j) times at the constant coefficient and
/// the other multiples of 2^m.
pub fn expanded(set: &ParameterSet, packing: &Packing, depth: Depth) -> SelectorNoise {
    let m = depth.levels() as i32;
    let query = fresh(set) + rounding(packing.query_body_bits);
    let sum = |growth: f64| {
        let levels = packing.key_switch.iter().zip(1..=m);
        growth.powi(m) * query
            + levels
                .map(|(gadget, j)| growth.powi(m - j) * key_switch(set, *gadget))
                .sum::<Variance>()
    };
    let body = sum(2.0);
    let size = set.ring.polynomial_size as f64;
    let mask = size / 2.0 * body + scheme_switch(set, packing.scheme_switch);
    SelectorNoise {
        body,
        body_constant: sum(4.0),
        mask,
    }
}

/// The error of a value's carrier at the constant coefficient; it is smaller at the others.
pub fn carrier(set: &ParameterSet, packing: &Packing) -> Variance {
    expanded(set, packing, packing.depth()).body_constant
}

/// One automorphism key switch: `l N B^2/12 (sigma^2 + rounding) + N/12 B^(-2l)`, for a centred
/// mask (half of the mask, key coefficients of -1 and 1), and the Fourier transform's error in mask
/// and body.
pub fn key_switch(set: &ParameterSet, gadget: Gadget) -> Variance {
    let size = set.ring.polynomial_size as f64;
    // Key masks are centred: halves, uniform in [-1/4, 1/4).
    let error =
        size * product_error(size, gadget, 1.0 / 48.0) + product_error(size, gadget, 1.0 / 12.0);
    product(set, gadget) + size * last_digit(gadget) + error
}

/// The product with the scheme-switching key, an encryption of 2 s^2. What the decomposition of a
/// slot's centred mask leaves, half of B^-l at most, is left out of the body row's mask as well, so
/// in the mask row it meets 2 s^2 - (1 + X + ...) s = z s, of norm (3/4)^(1/2) N on average, and
/// not 2 s^2, which is some 15 times as long.
pub(crate) fn scheme_switch(set: &ParameterSet, gadget: Gadget) -> Variance {
    let size = set.ring.polynomial_size as f64;
    let norm = 0.75 * size.powi(2);
    let error = (1.0 + size / 2.0) * product_error(size, gadget, 1.0 / 12.0);
    product(set, gadget) + norm * last_digit(gadget) + error
}

/// One CMUX, `clear + selector (set - clear)`, on top of the selected branch's own error:
/// `l N B^2/12 (V_body + k V_mask) + (1 + k N/2)/12 B^(-2l)`, and the Fourier transform's error.
///
/// The last term is there only when the bit is 1; its mean over a binary key, which is no error of
/// zero mean, is counted in the norm: key coefficients have mean square 1/2.
pub fn cmux(set: &ParameterSet, gadget: Gadget, selector: &SelectorNoise) -> Variance {
    let (size, k) = (
        set.ring.polynomial_size as f64,
        set.ring.glwe_dimension as f64,
    );
    let rows = size * digits(gadget) * (selector.body + k * selector.mask);
    let error = (k + 1.0) * (1.0 + k * size / 2.0) * product_error(size, gadget, 1.0 / 12.0);
    rows + (1.0 + k * size / 2.0) * last_digit(gadget) + error
}

/// A selector times a constant with one non-zero coefficient, decomposed into digits of which the
/// squares sum to `digit_squares`: at that coefficient.
pub fn scalar_product(selector: &SelectorNoise, digit_squares: f64) -> Variance {
    digit_squares * selector.body_constant
}

/// The rounding of a reply to `bits` bits with the mask's mean error taken off the body:
/// `(k N/4 + 1) 2^(-2 bits) / 12` (`tfhe`'s centred mean noise reduction; without it `k N/2` in
/// place of `k N/4`).
pub fn modulus_switch(set: &ParameterSet, bits: Bits) -> Variance {
    (set.mask_len() as f64 / 4.0 + 1.0) * rounding(bits)
}

/// A linear model: fresh noise and the rounding of the bodies to `body_bits` bits, times the sum of
/// the squared weights.
pub fn linear(set: &ParameterSet, weight_squares: f64, body_bits: Bits) -> Variance {
    weight_squares * (fresh(set) + rounding(body_bits))
}

/// The Fourier transform's error in a linear model's product, in each result coefficient;
/// `weight_squares` are those of all scores, which share the polynomial of weights. Errors of the
/// mask are multiplied by the key.
pub fn linear_transform(set: &ParameterSet, weight_squares: f64) -> Variance {
    let products = weight_squares / 12.0 * (1.0 + set.mask_len() as f64 / 2.0);
    Variance::new(FFT_ERROR * FFT_ERROR * products)
}

/// Mean sum of the squares of l digits, uniform in [-B/2, B/2): `l (B^2 + 2)/12`.
pub(crate) fn digits(gadget: Gadget) -> f64 {
    f64::from(gadget.levels.get()) * (2f64.powi(2 * gadget.base_log.get() as i32) + 2.0) / 12.0
}

/// The error of key rows in a product with a decomposed polynomial.
fn product(set: &ParameterSet, gadget: Gadget) -> Variance {
    set.ring.polynomial_size as f64 * digits(gadget) * (fresh(set) + rounding(set.ring.body_bits))
}

/// What a decomposition leaves over, uniform in half a unit of the last level.
pub(crate) fn last_digit(gadget: Gadget) -> Variance {
    rounding(Bits::new(gadget.bits()))
}

/// The transform's error in one polynomial of a gadget product whose rows have coefficients of
/// variance `row`.
pub(crate) fn product_error(size: f64, gadget: Gadget, row: f64) -> Variance {
    Variance::new(FFT_ERROR * FFT_ERROR * size * digits(gadget) * row)
}
