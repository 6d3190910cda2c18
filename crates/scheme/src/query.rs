//! Query rows: selectors, packed or as GGSW ciphertexts, and the inputs of linear models.

mod group;
mod input;
mod linear;
mod public;
mod selectors;
mod slots;
mod tables;
mod values;

#[cfg(test)]
mod tests;

pub use crate::cursor::Cursor;
pub use crate::public::Encryption;
pub use group::{
    GroupShape, encrypt_digits, encrypt_group, expand_part_of_row, expand_part_of_row_under,
    expand_row,
};
pub use input::{GroupForm, InputShape, InputValues, encrypt_row, encrypt_rows};
pub use linear::{LinearQueryShape, decode_linear, encrypt_linear};
#[cfg(test)]
pub(crate) use public::fits_packed;
pub use public::{decode_linear_under, encrypt_rows_under};
pub use selectors::{
    SelectorQueryShape, encrypt_selectors, expand_part_of_selectors, expand_selectors,
};
pub use tables::{TableShape, decode_tables, encrypt_tables};
pub use values::{ValueShape, encrypt_values, expand_values};

use crate::error::SchemeError;
use crate::parameters::ParameterSet;
use crate::seeded::{MaskSeed, SEED_LEN};

/// Splits a row into seed and bodies.
fn split_seed<'a>(
    row: &'a [u8],
    expected: usize,
    what: &'static str,
) -> Result<(MaskSeed, &'a [u8]), SchemeError> {
    match row.split_first_chunk::<SEED_LEN>() {
        Some((seed, bodies)) if row.len() == expected => Ok((*seed, bodies)),
        _ => Err(SchemeError::Length {
            what,
            expected,
            found: row.len(),
        }),
    }
}

fn count(what: &'static str, expected: usize, found: usize) -> Result<(), SchemeError> {
    if expected == found {
        return Ok(());
    }
    Err(SchemeError::Count {
        what,
        expected,
        found,
    })
}

fn shape_error(set: &'static ParameterSet, what: &'static str, problem: String) -> SchemeError {
    SchemeError::Shape {
        what,
        problem,
        set: set.name,
    }
}
