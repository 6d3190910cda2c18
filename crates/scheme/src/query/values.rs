//! Encrypted values of rows, which become carriers: GLWE ciphertexts with the value as constant
//! coefficient.

use super::slots::Slots;
use super::{GroupForm, count, shape_error, split_seed};
use crate::carriers::FourierCarriers;
use crate::cursor::Cursor;
use crate::error::SchemeError;
use crate::expand::{self, Packed, SlotForm};
use crate::keys::{ExpandedEvaluationKey, SecretKey};
use crate::operations::pack;
use crate::parameters::ParameterSet;
use crate::public::Encryption;

/// Most values of a row.
const MAX_VALUES: usize = 1 << 16;

/// Dimensions of a row of values.
#[derive(Clone, Copy, Debug)]
pub struct ValueShape {
    /// Parameter set of the ciphertexts.
    pub set: &'static ParameterSet,
    /// Number of values of a row.
    pub values: usize,
}

impl ValueShape {
    /// Bytes of a group of rows.
    pub const fn bytes(&self, form: GroupForm) -> usize {
        self.slots(form).bytes(self.set)
    }

    const fn slots(&self, form: GroupForm) -> Slots {
        Slots {
            a_row: self.values,
            depth: form.depth,
            rows: form.rows,
        }
    }

    /// A carrier has nothing but its value only after as many levels as clear all other coefficients.
    pub fn check(&self, form: GroupForm) -> Result<(), SchemeError> {
        let packing = pack::require(self.set)?;
        let problem = |problem| Err(shape_error(self.set, "group of values", problem));
        if form.depth != packing.depth() {
            return problem(format!("a depth of {}", form.depth));
        }
        if self.values > MAX_VALUES {
            return problem(format!("{} values a row", self.values));
        }
        Ok(())
    }
}

/// Encrypts rows of torus values (units of 2^-64), which are rounded to multiples of 2^depth units.
/// Gives exactly [`ValueShape::bytes`] bytes.
pub fn encrypt_values<R: AsRef<[u64]>>(
    key: &SecretKey,
    shape: &ValueShape,
    form: GroupForm,
    rows: &[R],
) -> Result<Vec<u8>, SchemeError> {
    shape.check(form)?;
    let packing = pack::require(shape.set)?;
    shape.set.require("secret key", key.parameter_set())?;
    count("rows", form.rows, rows.len())?;
    for row in rows {
        count("values", shape.values, row.as_ref().len())?;
    }
    let (slots, size) = (shape.slots(form), shape.set.ring.polynomial_size);
    let levels = form.depth.levels();
    slots.encrypt(key, packing, |plaintexts| {
        for (number, row) in rows.iter().enumerate() {
            for (slot, value) in (slots.first(number)..).zip(row.as_ref()) {
                let (ciphertext, coefficient) = slots.place(slot);
                // The expansion multiplies by the number of slots.
                let rounded = value.wrapping_add(1 << (levels - 1)) as i64 >> levels;
                plaintexts[ciphertext * size + coefficient] = rounded as u64;
            }
        }
    })
}

/// The carriers of a row, as many as `out` has room for; with a cursor, on this thread, and for less
/// where the row before has just been expanded with it.
pub fn expand_values(
    key: &ExpandedEvaluationKey,
    cursor: Option<&mut Cursor>,
    shape: &ValueShape,
    form: GroupForm,
    bytes: &[u8],
    row: usize,
    out: &mut FourierCarriers,
) -> Result<(), SchemeError> {
    shape.check(form)?;
    shape.set.require("evaluation key", key.parameter_set())?;
    count("values", shape.values, out.len())?;
    if row >= form.rows {
        return Err(SchemeError::Count {
            what: "rows",
            expected: form.rows,
            found: row + 1,
        });
    }
    let (seed, bodies) = split_seed(bytes, shape.bytes(form), "group of values")?;
    let packed = Packed {
        seed,
        bodies,
        depth: form.depth,
        encryption: Encryption::Secret,
    };
    let slot = shape.slots(form).first(row);
    let out = out.values_mut();
    match cursor {
        Some(cursor) => expand::expand_on(key, cursor, packed, SlotForm::Carrier, slot, out),
        None => expand::expand(key, packed, SlotForm::Carrier, slot, out),
    }
}

#[cfg(test)]
mod tests;
