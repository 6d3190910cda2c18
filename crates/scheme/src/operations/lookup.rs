//! Look-ups: a table that encrypted bits turn, without bootstrapping.
//!
//! The accumulator starts as X^r T, a plaintext or a ciphertext. Each bit b with rotation t makes
//!
//! ```text
//! A <- A + GGSW(b) (.) (X^t - 1) A
//! ```
//!
//! of it, which is X^(b t) A: one CMUX a bit. After all of them the constant coefficient is the
//! table's entry at minus the sum of the chosen rotations, a function of a linear form of the bits.
//!
//! Accumulators are kept folded and not transformed: N/2 complex values `a_j + i a_(j + N/2)` a
//! polynomial, torus fractions in [-1/2, 1/2]. There X^(N/2) is i, so a rotation moves two runs of
//! values and turns them by quarters, where the Fourier domain would read a monomial of N/2 values
//! for every rotation. Evaluate selectors outside and some [`GROUP`] accumulators inside: the
//! selector is read from memory once, and both stay in the second-level cache.

mod kernel;
#[cfg(test)]
mod tests;

use crate::external;
use crate::fourier::{TORUS, Transform, TransformScratch, c64};
use crate::noise::{self, SelectorNoise, Variance};
use crate::parameters::ParameterSet;
use cipherfn_protocol::specs::Gadget;
use kernel::{add_product, set_digits};

/// Accumulators that are turned by one selector before the next one is read: 512 KB of them at
/// N = 2048 and k = 1.
pub const GROUP: usize = 16;

/// Working memory of [`turn`].
pub struct TurnMemory<'a> {
    /// As long as the accumulator.
    pub product: &'a mut [c64],
    /// As long as the accumulator, times the levels of the gadget.
    pub digits: &'a mut [c64],
    /// Of the transform.
    pub fft: &'a mut TransformScratch,
}

/// `X^rotation table`, rotation < 2N, as an accumulator of k + 1 polynomials without noise. The table
/// is sparse: positions below N, and values in units of 2^-64.
pub fn start(accumulator: &mut [c64], table: &[(u32, u64)], rotation: u32, transform: &Transform) {
    let (size, half) = (transform.polynomial_size(), transform.fourier_size());
    accumulator.fill(c64::new(0.0, 0.0));
    let body = accumulator.len() - half;
    for (position, value) in table {
        let exponent = (*position as usize + rotation as usize) % (2 * size);
        let value = *value as i64 as f64 / TORUS;
        let value = if exponent < size { value } else { -value };
        let place = &mut accumulator[body + exponent % half];
        if exponent % size < half {
            place.re = value;
        } else {
            place.im = value;
        }
    }
}

/// Adds a ciphertext in the Fourier domain to an accumulator; `value` is used up.
pub fn add(
    accumulator: &mut [c64],
    value: &mut [c64],
    transform: &Transform,
    fft: &mut TransformScratch,
) {
    let half = transform.fourier_size();
    for (polynomial, value) in accumulator
        .chunks_exact_mut(half)
        .zip(value.chunks_exact_mut(half))
    {
        transform.inverse_twisted(value, fft);
        add_product(polynomial, value, transform.untwist());
    }
}

/// Turns an accumulator by `rotation` < 2N if the bit in `selector` is 1.
pub fn turn(
    accumulator: &mut [c64],
    selector: &[c64],
    gadget: Gadget,
    rotation: u32,
    transform: &Transform,
    work: &mut TurnMemory<'_>,
) {
    let half = transform.fourier_size();
    let digits = &mut work.digits[..accumulator.len() * gadget.levels.get() as usize];
    set_digits(digits, accumulator, rotation as usize, gadget, transform);
    for polynomial in digits.chunks_exact_mut(half) {
        transform.forward_twisted(polynomial, work.fft);
    }
    work.product.fill(c64::new(0.0, 0.0));
    external::add_products(work.product, selector, digits, half);
    for (polynomial, product) in accumulator
        .chunks_exact_mut(half)
        .zip(work.product.chunks_exact_mut(half))
    {
        transform.inverse_twisted(product, work.fft);
        add_product(polynomial, product, transform.untwist());
    }
}

/// Brings an accumulator into the Fourier domain.
pub fn finish(accumulator: &mut [c64], transform: &Transform, fft: &mut TransformScratch) {
    for polynomial in accumulator.chunks_exact_mut(transform.fourier_size()) {
        kernel::twist(polynomial, transform.twist());
        transform.forward_twisted(polynomial, fft);
    }
}

/// Variance of a look-up by `bits` bits, in each coefficient: that of as many CMUXes. A plaintext table
/// adds none, a ciphertext its own. Accumulators that the same selectors turn have errors of their own: the selectors' errors
/// meet digits of different ciphertexts, which are as good as random after the first bit, and the
/// first one's, of the table, meet the body rows alone.
pub fn variance(
    set: &ParameterSet,
    gadget: Gadget,
    selector: &SelectorNoise,
    bits: usize,
) -> Variance {
    bits as f64 * noise::cmux(set, gadget, selector)
}
