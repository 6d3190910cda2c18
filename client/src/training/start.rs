//! Weights that a training starts from, encrypted.

use super::DescentError;
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::descent::{BatchShape, Weights};
use cipherfn_training::descent::{DescentStart, DescentState, Training};

/// The file of weights that a training starts from, encrypted.
///
/// # Errors
/// Another number of weights than of the program's features; a parameter set without room for them.
pub(super) fn encrypt_start(
    key: &SecretKey,
    training: &Training,
    start: &DescentStart,
) -> Result<Vec<u8>, DescentError> {
    let shape = BatchShape::new(key.parameter_set(), training.features())?;
    let mut weights = Vec::new();
    for fractions in &start.fractions {
        let words: Vec<u64> = fractions.iter().map(|fraction| word(*fraction)).collect();
        weights.extend(Weights::encrypt(key, &shape, &words)?.to_bytes());
    }
    let state = DescentState {
        program: training.hash(),
        key: key.id(),
        parameter_set: key.parameter_set().tag(),
        rows: DescentState::no_rows(),
        steps: start.before,
        weights,
        watched: None,
    };
    Ok(state.to_file_bytes())
}

/// The torus word of a fraction.
fn word(fraction: f64) -> u64 {
    (fraction * 2f64.powi(64)).round() as i128 as u64
}
