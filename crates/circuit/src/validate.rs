//! The rules that a circuit must keep before anything is sized or indexed by it.

mod error;
mod inputs;
mod nodes;
mod outputs;
mod plaintexts;

#[cfg(test)]
mod tests;

pub use error::CircuitError;
pub use outputs::MAX_OUTPUTS;

use crate::circuit::Circuit;
use std::ops::RangeInclusive;

/// Dimensions of a circuit's ciphertexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimensions {
    /// k.
    pub glwe_dimension: usize,
    /// N.
    pub polynomial_size: usize,
    /// Entries of a table of the bootstrap that the circuit names, if the set has that.
    pub bootstrap_table: Option<usize>,
}

impl Circuit {
    /// Checks every rule, in time and memory linear in the circuit's size.
    pub fn validate(&self, dimensions: Dimensions) -> Result<(), CircuitError> {
        let size = dimensions.polynomial_size;
        inputs::check(&self.inputs, size)?;
        plaintexts::check(&self.constants, size)?;
        nodes::check(self, dimensions)?;
        outputs::check(self, size)
    }
}

fn within(
    field: &'static str,
    found: impl TryInto<u64>,
    allowed: RangeInclusive<u64>,
) -> Result<(), CircuitError> {
    let found = found.try_into().unwrap_or(u64::MAX);
    if allowed.contains(&found) {
        return Ok(());
    }
    Err(CircuitError::OutOfRange {
        field,
        found,
        least: *allowed.start(),
        most: *allowed.end(),
    })
}
