//! Tables of functions.

use crate::error::SchemeError;
use crate::parameters::Bootstrap;

/// A function of z at the middles of the N steps of half the torus. On the other half the rotation
/// gives minus the function's value half a torus away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The values, in units of 2^-64.
    pub(super) words: Vec<u64>,
    /// log2 of the number of functions whose values lie side by side.
    pub(super) functions_log2: u32,
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
        Ok(Self {
            words,
            functions_log2: 0,
        })
    }

    /// Several functions in one rotation: coefficient i of the turned table is `values[i]`, in units of
    /// 2^-64, for z in [0, 1/2), and minus that for z in [-1/2, 0). z is read in steps that are as
    /// many times as long as there are values, rounded up to a power of two: at most as many values as
    /// a table has entries (`PBSmanyLUT`, Chillotti, Ligier, Orfila and Tap,
    /// <https://eprint.iacr.org/2021/729>).
    pub fn of_signs(bootstrap: &Bootstrap, values: &[u64]) -> Result<Self, SchemeError> {
        let size = bootstrap.output.polynomial_size;
        let functions = values.len().next_power_of_two();
        if functions > size {
            return Err(SchemeError::Count {
                what: "functions of a table",
                expected: size,
                found: values.len(),
            });
        }
        let mut words = vec![0; size];
        for group in words.chunks_exact_mut(functions) {
            group[..values.len()].copy_from_slice(values);
        }
        Ok(Self {
            words,
            functions_log2: functions.ilog2(),
        })
    }
}
