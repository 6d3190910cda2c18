//! Tables of functions.

use crate::error::SchemeError;
use crate::parameters::Bootstrap;

/// A function of z at the middles of the N steps of half the torus. On the other half the rotation
/// gives minus the function's value half a torus away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The values, in units of 2^-64.
    pub(super) words: Vec<u64>,
}

impl Table {
    /// The entries on [0, 1/2), in units of 2^-64, at strictly increasing positions; the others are 0.
    pub fn of_entries(bootstrap: &Bootstrap, entries: &[(u32, u64)]) -> Result<Self, SchemeError> {
        let size = bootstrap.output.polynomial_size;
        let mut words = vec![0; size];
        for (position, value) in entries {
            let found = *position as usize + 1;
            *words
                .get_mut(*position as usize)
                .ok_or(SchemeError::Count {
                    what: "entries of a table",
                    expected: size,
                    found,
                })? = *value;
        }
        Ok(Self { words })
    }
}
