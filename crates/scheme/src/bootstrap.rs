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
//! modulus switches ([`lookup_variance`]), plus the error of the rotation ([`rotate::variance`]).
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

use crate::noise::Variance;
use crate::parameters::{Bootstrap, ParameterSet};

/// Variance of the error of a result that was switched back to S1, beside what the function makes of
/// the error of z.
pub fn result_variance(set: &ParameterSet, bootstrap: &Bootstrap) -> Variance {
    rotate::variance(bootstrap) + module_switch::variance_to_levelled(set, bootstrap)
}

/// Variance of the error of z when the table is read: key switch from S1 (or S2, the same) and
/// modulus switch.
pub fn lookup_variance(set: &ParameterSet, bootstrap: &Bootstrap) -> Variance {
    module_switch::variance_to_small(set, bootstrap) + modulus_switch::variance(bootstrap)
}
