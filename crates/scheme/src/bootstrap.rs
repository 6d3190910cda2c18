//! Bootstraps: any function of a number that the server computed.
//!
//! ```text
//! Lwe<Levelled>  -- key switch -->  Lwe<Small>  -- modulus switch, blind rotation -->  Rotated
//!  under S1                          under s             of a Table                  under S2
//!     ^                                 ^                                               | extract
//!     |                                 '-------- key switch ---------------------- Lwe<Output>
//!     '-- extract -- Glwe  <------------------- key switch -----------------------------'
//! ```
//!
//! A number z is a fraction of the torus. The result is f(z + e), with e the error of the key and
//! modulus switches ([`lookup_variance`]), plus the error of the rotation ([`rotation_variance`]).
//! Approximate: no padding bits, no digits. A z outside of the table's domain *wraps* silently, so
//! ranges must leave a margin.
//!
//! S1 is the secret key of the levelled ring; S2 and s follow from the same seed by hashes of their
//! own, so that three independent keys travel under one key id. S2 under S1, S1 and S2 under s, s
//! under S2: circular security is assumed, as everywhere in TFHE.

mod digits;
mod expanded;
pub(crate) mod key;
mod lwe;
pub mod module_switch;
pub mod modulus_switch;
pub mod rotate;
mod table;

#[cfg(test)]
mod tests;

pub use expanded::BootstrapKey;
pub use lwe::{Levelled, Lwe, Output, Small};
pub use rotate::Rotated;
pub use table::Table;

use crate::noise::{self, Variance};
use crate::parameters::{Bootstrap, ParameterSet};

/// Variance of the error of a result that was switched back to S1, beside what the function makes of
/// the error of z.
pub fn result_variance(set: &ParameterSet, bootstrap: &Bootstrap) -> Variance {
    rotation_variance(bootstrap) + module_switch::variance_to_levelled(set, bootstrap)
}

/// Variance of the error of z when the table is read: key switch from S1 (or S2, the same) and
/// modulus switch.
pub fn lookup_variance(set: &ParameterSet, bootstrap: &Bootstrap) -> Variance {
    module_switch::variance_to_small(set, bootstrap) + modulus_switch::variance(bootstrap)
}

/// Variance of a rotated table's error: n CMUXes ([`noise::cmux`]) of fresh rows. The rounding error of
/// the decomposition is there where the bit is 1: half of them.
pub fn rotation_variance(bootstrap: &Bootstrap) -> Variance {
    let (ring, gadget) = (&bootstrap.output, bootstrap.rotation);
    let (size, k) = (ring.polynomial_size as f64, ring.glwe_dimension as f64);
    let row = noise::fresh_in(ring) + noise::rounding(ring.body_bits);
    let rows = size * noise::digits(gadget) * (1.0 + k) * row;
    let rounding = (1.0 + k * size / 2.0) * noise::last_digit(gadget);
    let error = (k + 1.0) * (1.0 + k * size / 2.0) * noise::product_error(size, gadget, 1.0 / 12.0);
    bootstrap.small.mask_len() as f64 * (rows + 0.5 * rounding + error)
}
