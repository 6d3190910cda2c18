//! Operations of the server on whole ciphertexts, by automorphism key switching. Each file has the
//! equation, the variance of the error that it adds, and a test that measures it.

pub mod invert;
pub mod isolate;
pub mod lookup;
pub mod pack;

#[cfg(test)]
mod tests;

use crate::error::SchemeError;
use crate::glwe::Glwe;
use crate::parameters::{Packing, ParameterSet};

/// Only a key of log2 N levels can clear everything beside one wanted coefficient.
pub(crate) fn require_all_levels(
    set: &'static ParameterSet,
    packing: &Packing,
) -> Result<(), SchemeError> {
    require_levels(set, packing, set.ring.polynomial_size.ilog2())
}

/// Only a key of so many levels can clear everything between wanted coefficients that are 2^levels
/// apart.
fn require_levels(
    set: &'static ParameterSet,
    packing: &Packing,
    levels: u32,
) -> Result<(), SchemeError> {
    if levels <= packing.depth().levels() {
        return Ok(());
    }
    Err(SchemeError::CannotClear {
        set: set.name,
        kept: packing.slots(),
    })
}

/// The ciphertext must be of the set's ring.
fn require_size(set: &ParameterSet, glwe: &Glwe) -> Result<(), SchemeError> {
    for (what, expected, found) in [
        ("mask coefficients", set.mask_len(), glwe.mask.len()),
        (
            "body coefficients",
            set.ring.polynomial_size,
            glwe.body.len(),
        ),
    ] {
        if expected != found {
            return Err(SchemeError::Count {
                what,
                expected,
                found,
            });
        }
    }
    Ok(())
}
