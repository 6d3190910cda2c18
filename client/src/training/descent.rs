//! Rows of a training by descent, and its weights.

use cipherfn_scheme::descent::{BatchShape, Weights, encrypt_batch};
use cipherfn_scheme::{SchemeError, SecretKey};
use cipherfn_training::descent::Training;
use rayon::prelude::*;

/// A row's features as integers ([`Training::encode`]), and its class.
pub type DescentRow = (Vec<i32>, usize);

/// Encrypts rows in their order: for each set of weights the batches.
///
/// # Errors
/// A parameter set without room for a batch; the operating system has no random bytes.
pub fn encrypt_rows(
    key: &SecretKey,
    training: &Training,
    rows: &[DescentRow],
) -> Result<Vec<Vec<Vec<u8>>>, SchemeError> {
    let shape = BatchShape::new(key.parameter_set(), training.features())?;
    let batch = |set: usize, rows: &[DescentRow]| {
        let folded: Vec<Vec<i32>> = rows
            .iter()
            .map(|(features, class)| training.folded(set, features, *class))
            .collect();
        let folded: Vec<&[i32]> = folded.iter().map(Vec::as_slice).collect();
        encrypt_batch(key, &shape, &folded)
    };
    let sets = (0..training.sets()).map(|set| {
        rows.par_chunks(training.batch())
            .map(|rows| batch(set, rows))
            .collect()
    });
    sets.collect()
}

/// The weights of each set as fractions of the torus, with their errors.
///
/// # Errors
/// A key of another set.
pub fn decrypt_weights(
    key: &SecretKey,
    training: &Training,
    weights: &[Weights],
) -> Result<Vec<Vec<f64>>, SchemeError> {
    let shape = BatchShape::new(key.parameter_set(), training.features())?;
    let fraction = |word: u64| word as i64 as f64 * 2f64.powi(-64);
    weights
        .iter()
        .map(|own| {
            Ok(own
                .decrypt(key, &shape)?
                .into_iter()
                .map(fraction)
                .collect())
        })
        .collect()
}
