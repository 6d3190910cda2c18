//! Variances of the errors of a step.

use super::{BatchShape, GADGET};
use crate::bootstrap;
use crate::centred::shift_variance;
use crate::noise::{self, Variance};
use crate::operations::{invert, isolate};
use crate::parameters::{Bootstrap, ParameterSet};

/// Variance of the error of p times a ciphertext, beside the ciphertext's own: that of a CMUX of fresh
/// rows with a polynomial of `squares`, the sum of the squares of all features, in place of a bit.
pub fn product_variance(set: &ParameterSet, squares: f64) -> Variance {
    let row = noise::fresh(set) + noise::rounding(set.ring.body_bits);
    product_variance_of(set, row, squares)
}

/// The same of rows that have errors of the variance `row`.
pub(super) fn product_variance_of(set: &ParameterSet, row: Variance, squares: f64) -> Variance {
    let size = set.ring.polynomial_size as f64;
    2.0 * size * noise::digits(GADGET) * row
        + (1.0 + size / 2.0) * squares * noise::last_digit(GADGET)
        + 2.0 * (1.0 + size / 2.0) * noise::product_error(size, GADGET, 1.0 / 12.0)
}

/// Variance of the error of a residual where the table has the slope `slope` and z the error `of_z`
/// beside that of the look-up.
pub fn residual_variance(
    set: &ParameterSet,
    bootstrap: &Bootstrap,
    slope: f64,
    of_z: Variance,
) -> Variance {
    let looked_up = bootstrap::lookup_variance(set, bootstrap) + of_z;
    let isolated = set.packing().map(|packing| isolate::variance(set, packing));
    slope * slope * looked_up
        + bootstrap::result_variance(set, bootstrap)
        + isolated.unwrap_or_default()
}

/// Variance of the error that a step adds to a weight: that of its feature's residuals, each times the
/// feature's square, of the product ([`product_variance`], or that of a batch under a public key) and of the
/// partial trace. Isolating leaves errors in a residual's other coefficients, too: at most 0.03 % of the
/// variance, not counted.
pub fn update_variance(shape: &BatchShape, residuals: Variance, product: Variance) -> Variance {
    residuals + product + traced_variance(shape)
}

/// Variance of the error that a step adds to every coefficient of the weights' ciphertext: of the partial
/// trace, in which the key switch of a level is doubled by each of the later ones, and of the automorphism
/// behind it.
pub fn traced_variance(shape: &BatchShape) -> Variance {
    let set = shape.set;
    let levels = shape.samples().ilog2();
    let key_switch = set.packing().map(|packing| packing.key_switch);
    let trace = key_switch.unwrap_or_default().iter().take(levels as usize);
    let trace: Variance = trace
        .zip(0..)
        .map(|(gadget, level)| {
            4f64.powi(levels as i32 - 1 - level) * noise::key_switch(set, *gadget)
        })
        .sum();
    trace
        + shift_variance(set.ring.polynomial_size, levels)
        + invert::variance(set).unwrap_or_default()
}
