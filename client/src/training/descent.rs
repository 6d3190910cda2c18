//! Rows of a training by descent, and its weights.

use cipherfn_protocol::api::job::MAX_CHUNK;
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::descent::{BatchShape, Weights, encrypt_batch};
use cipherfn_scheme::{SchemeError, SecretKey};
use cipherfn_training::TrainingError;
use cipherfn_training::descent::{DescentState, MAX_BATCHES, RowsChunk, Training};
use rayon::prelude::*;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// A row's features as integers ([`Training::encode`]), and its class.
pub type DescentRow = (Vec<i32>, usize);

/// Why rows cannot be encrypted, or a result is none of this training's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescentError {
    /// Encryption or decryption.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    /// The program, and what a state says of itself.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// Weights of another step than the last.
    #[error("the result is of step {found} of {steps}; these weights are not trained")]
    Untrained {
        /// Step of the result.
        found: u64,
        /// All steps.
        steps: usize,
    },
}

/// Rows on their way to a training, in the order of descent.
#[derive(Debug)]
pub struct RowsEncryption {
    key: Arc<SecretKey>,
    training: Training,
    rows: Arc<[DescentRow]>,
    shape: BatchShape,
    /// Batches of each set of weights.
    batches: usize,
    /// Batches of a chunk.
    together: usize,
    next: usize,
}

impl RowsEncryption {
    /// Encrypts rows chunk by chunk: of so many batches each, or as many as a service takes.
    ///
    /// # Errors
    /// A parameter set without room for a batch; fewer rows than a batch.
    pub fn new(
        key: Arc<SecretKey>,
        training: &Training,
        rows: Arc<[DescentRow]>,
        together: Option<NonZeroUsize>,
    ) -> Result<Self, DescentError> {
        let shape = BatchShape::new(key.parameter_set(), training.features())?;
        let most = (MAX_BATCHES / shape.bytes()).max(1);
        Ok(Self {
            batches: training.batches(rows.len())?,
            together: together.map_or(most, |together| together.get().min(most)),
            key,
            training: training.clone(),
            rows,
            shape,
            next: 0,
        })
    }

    /// The program.
    pub const fn training(&self) -> &Training {
        &self.training
    }

    /// The key that rows are encrypted under.
    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// Number of the rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of all batches.
    pub const fn bytes(&self) -> u64 {
        (self.batches * self.training.sets() * self.shape.bytes()) as u64
    }

    /// Bytes of all chunks as files.
    pub const fn file_bytes(&self) -> u64 {
        let chunks = (self.batches * self.training.sets()).div_ceil(self.together);
        // What a file has beside its batches.
        let head = MAX_CHUNK - MAX_BATCHES as u64;
        self.bytes() + chunks as u64 * head
    }

    /// Bytes of a batch.
    pub const fn batch_bytes(&self) -> usize {
        self.shape.bytes()
    }

    /// A batch of the sequence of all sets' batches.
    fn batch(&self, number: usize) -> Result<Vec<u8>, SchemeError> {
        let (set, batch) = (number / self.batches, number % self.batches);
        let rows = self.rows.chunks(self.training.batch()).nth(batch);
        let folded: Vec<Vec<i32>> = rows
            .unwrap_or_default()
            .iter()
            .map(|(features, class)| self.training.folded(set, features, *class))
            .collect();
        let folded: Vec<&[i32]> = folded.iter().map(Vec::as_slice).collect();
        encrypt_batch(&self.key, &self.shape, &folded)
    }
}

impl Iterator for RowsEncryption {
    type Item = Result<RowsChunk, SchemeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.next;
        let all = self.batches * self.training.sets();
        self.next = all.min(first + self.together);
        if first == all {
            return None;
        }
        let batches = (first..self.next).into_par_iter();
        let batches: Result<Vec<_>, _> = batches.map(|number| self.batch(number)).collect();
        Some(batches.map(|batches| RowsChunk {
            program: self.training.hash(),
            key: self.key.id(),
            parameter_set: self.key.parameter_set().tag(),
            rows: self.rows.len() as u64,
            first: first as u64,
            batches: batches.concat(),
        }))
    }
}

/// The weights of each set as fractions of the torus, with their errors, from the result of a training on
/// `count` rows which `rows` names ([`cipherfn_training::descent::rows_hash`]).
///
/// # Errors
/// Bytes that are no state of this program, key and rows, or one before the last step.
pub fn decrypt_weights(
    key: &SecretKey,
    training: &Training,
    (count, rows): (usize, Hash),
    result: &[u8],
) -> Result<Vec<Vec<f64>>, DescentError> {
    let set = key.parameter_set();
    let shape = BatchShape::new(set, training.features())?;
    let state = DescentState::from_file_bytes(result)?;
    state.require((training.hash(), rows), (key.id(), set.tag()))?;
    let steps = training.schedule(count)?.len();
    if state.steps != steps as u64 {
        return Err(DescentError::Untrained {
            found: state.steps,
            steps,
        });
    }
    let fraction = |word: u64| word as i64 as f64 * 2f64.powi(-64);
    let weights = Weights::read_sets(&shape, training.sets(), &state.weights)?;
    let decrypted = weights.iter().map(|own| {
        let words = own.decrypt(key, &shape)?;
        Ok(words.into_iter().map(fraction).collect())
    });
    decrypted.collect()
}
