//! Plaintext polynomials.

use super::CircuitError;
use crate::circuit::{Constant, ConstantId};

pub(super) fn check(constants: &[Constant], polynomial_size: usize) -> Result<(), CircuitError> {
    for (index, constant) in constants.iter().enumerate() {
        let mut least = 0;
        for (position, _) in &constant.0 {
            if u64::from(*position) < least || *position as usize >= polynomial_size {
                return Err(CircuitError::Position {
                    constant: ConstantId(index as u32),
                    position: *position,
                    limit: polynomial_size,
                });
            }
            least = u64::from(*position) + 1;
        }
    }
    Ok(())
}
