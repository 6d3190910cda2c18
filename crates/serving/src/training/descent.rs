//! Training by descent: all steps, and their state, from which they go on elsewhere.
//!
//! Payload of a frame of kind [`FrameKind::Descent`], version 1 (integers little endian):
//!
//! ```text
//! offset  size  field
//!      0    32  hash of the program
//!     32    16  id of the secret key
//!     48    32  hash of the rows
//!     80     8  steps that were done
//!   then     -  weights, set by set: mask and body, 8 bytes a word
//! ```

use cipherfn_protocol::frame::{self, FrameError, FrameKind};
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::descent::{
    Batch, BatchShape, Residual, Weights, product_variance, residual_variance, step,
    update_variance,
};
use cipherfn_scheme::noise::Variance;
use cipherfn_scheme::parameters::{KeyPart, ParameterSet};
use cipherfn_scheme::{ExpandedEvaluationKey, SchemeError};
use cipherfn_training::TrainingError;
use cipherfn_training::descent::{DescentStep, StepNoise, Training};

/// Parameter set of trainings.
pub const SET: &str = "cipherfn-128-n2048-m11-v1";
/// The bootstrap whose own error is small beside a residual.
const BOOTSTRAP: &str = "bootstrap-precise";
const VERSION: u16 = 1;
/// Bytes before the weights.
const HEAD: usize = 88;

/// Why a training cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescentError {
    /// Ciphertexts, and keys.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    /// The program.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// Bytes that are no state.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Batches that are missing, or too many.
    #[error(
        "set {set} of the rows has {found} batches where {expected} are needed; upload the rows again"
    )]
    Batches {
        /// Which set of weights, from 1.
        set: usize,
        /// Batches of so many rows.
        expected: usize,
        /// Batches given.
        found: usize,
    },
    /// A state of something else.
    #[error(
        "the state is of another {what}; go on with the one that it was made of, or begin anew"
    )]
    OtherState {
        /// What differs.
        what: &'static str,
    },
    /// A state that is not whole.
    #[error("the state of the training is malformed; begin anew")]
    Malformed,
    /// Weights before the last step.
    #[error("{done} of {all} steps are done; the weights are not trained before the last")]
    Unfinished {
        /// Steps done.
        done: usize,
        /// All steps.
        all: usize,
    },
}

/// A training under way.
#[derive(Debug)]
pub struct Descent<'a> {
    training: &'a Training,
    key: &'a ExpandedEvaluationKey,
    steps: Vec<DescentStep>,
    /// For each set of weights.
    batches: Vec<Vec<Batch>>,
    rows: Hash,
    weights: Vec<Weights>,
    done: usize,
}

/// Parts of the evaluation key that a training needs beside each other.
///
/// # Errors
/// A set that has none of them.
pub fn required_parts(set: &'static ParameterSet) -> Result<Vec<&'static KeyPart>, SchemeError> {
    ["expansion", "inverse", BOOTSTRAP]
        .into_iter()
        .map(|name| set.part(name))
        .collect()
}

/// What steps add, where the squares of features are `mean_square` on average.
///
/// # Errors
/// A set that cannot hold the features, or lacks the bootstrap.
pub fn noise(
    training: &Training,
    set: &'static ParameterSet,
    mean_square: f64,
) -> Result<StepNoise, SchemeError> {
    let shape = BatchShape::new(set, training.features())?;
    let bootstrap = set
        .part(BOOTSTRAP)?
        .bootstrap()
        .ok_or(SchemeError::KeyPartMissing {
            part: BOOTSTRAP,
            set: set.name,
        })?;
    let squares = mean_square * (training.batch() * training.features()) as f64;
    let looked_up = cipherfn_scheme::bootstrap::lookup_variance(set, bootstrap);
    let of_residual = residual_variance(set, bootstrap, 0.0, Variance::default());
    Ok(StepNoise {
        of_z: (looked_up + product_variance(set, squares))
            .deviation()
            .get(),
        of_residual: of_residual.deviation().get(),
        of_update: update_variance(&shape, Variance::default(), squares)
            .deviation()
            .get(),
    })
}

impl<'a> Descent<'a> {
    /// From uploads: for each set of weights the batches of `rows` rows.
    ///
    /// # Errors
    /// Fewer rows than a batch, missing batches, batches of another length.
    pub fn new(
        training: &'a Training,
        key: &'a ExpandedEvaluationKey,
        rows: usize,
        uploads: &[Vec<Vec<u8>>],
    ) -> Result<Self, DescentError> {
        let set = key.parameter_set();
        let shape = BatchShape::new(set, training.features())?;
        let expected = training.batches(rows)?;
        let counts = uploads.iter().map(Vec::len).chain(std::iter::repeat(0));
        for (index, found) in counts.take(training.sets().max(uploads.len())).enumerate() {
            let expected = if index < training.sets() { expected } else { 0 };
            if found != expected {
                let set = index + 1;
                return Err(DescentError::Batches {
                    set,
                    expected,
                    found,
                });
            }
        }
        let read = |batches: &Vec<Vec<u8>>| {
            let batches = batches.iter().map(|bytes| Batch::read(&shape, bytes));
            batches.collect::<Result<Vec<_>, _>>()
        };
        let hashes: Vec<u8> = uploads
            .iter()
            .flatten()
            .flat_map(|bytes| *Hash::of(bytes).as_bytes())
            .collect();
        Ok(Self {
            training,
            key,
            steps: training.schedule(rows)?,
            batches: uploads.iter().map(read).collect::<Result<_, _>>()?,
            rows: Hash::of(&hashes),
            weights: vec![Weights::zero(&shape); training.sets()],
            done: 0,
        })
    }

    /// Steps that were done, and all of them.
    pub const fn progress(&self) -> (usize, usize) {
        (self.done, self.steps.len())
    }

    /// The next step, of all sets of weights. Whether there was one.
    ///
    /// # Errors
    /// A key that lacks a part. Nothing was done then.
    pub fn step(&mut self) -> Result<bool, DescentError> {
        let Some(now) = self.steps.get(self.done) else {
            return Ok(false);
        };
        let bootstrap = self.key.bootstrap(BOOTSTRAP)?;
        let odd = |z: f64| now.unit * self.training.odd_residual(now, z);
        let residual = Residual::new(bootstrap.parameters(), odd, -0.5 * now.unit)?;
        let mut next = self.weights.clone();
        for (weights, batches) in next.iter_mut().zip(&self.batches) {
            let batch = &batches[now.batch];
            step(self.key, bootstrap, batch, now.rows, &residual, weights)?;
        }
        self.weights = next;
        self.done += 1;
        Ok(true)
    }

    /// The state as the bytes of a file.
    pub fn state(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        payload.extend_from_slice(self.training.hash().as_bytes());
        payload.extend_from_slice(self.key.id().as_bytes());
        payload.extend_from_slice(self.rows.as_bytes());
        payload.extend_from_slice(&(self.done as u64).to_le_bytes());
        for weights in &self.weights {
            payload.extend(weights.to_bytes());
        }
        let tag = self.key.parameter_set().tag();
        frame::encode(FrameKind::Descent, VERSION, tag, &payload)
    }

    /// Goes on from a state of the same program, key and rows, which gives the same bits as if there had
    /// been no interruption.
    ///
    /// # Errors
    /// Bytes that are no such state. Nothing is changed then.
    pub fn resume(&mut self, state: &[u8]) -> Result<(), DescentError> {
        let set = self.key.parameter_set();
        let shape = BatchShape::new(set, self.training.features())?;
        let limit = HEAD + self.weights.len() * Weights::bytes(&shape);
        let frame = frame::decode(state, FrameKind::Descent, &[VERSION], limit as u64)?;
        let split = || {
            let (training, rest) = frame.payload.split_first_chunk()?;
            let (key, rest) = rest.split_first_chunk()?;
            let (rows, rest) = rest.split_first_chunk()?;
            let (done, weights) = rest.split_first_chunk()?;
            Some((*training, key, *rows, u64::from_le_bytes(*done), weights))
        };
        let (training, key, rows, done, weights) = split().ok_or(DescentError::Malformed)?;
        let key: &[u8; 16] = key;
        for (what, same) in [
            (
                "program",
                Hash::from_bytes(training) == self.training.hash(),
            ),
            (
                "key",
                key == self.key.id().as_bytes() && frame.parameter_set == set.tag(),
            ),
            ("upload of rows", Hash::from_bytes(rows) == self.rows),
        ] {
            if !same {
                return Err(DescentError::OtherState { what });
            }
        }
        let done = usize::try_from(done)
            .ok()
            .filter(|done| *done <= self.steps.len());
        let done = done
            .filter(|_| frame.payload.len() == limit)
            .ok_or(DescentError::Malformed)?;
        let weights = weights.chunks_exact(Weights::bytes(&shape));
        let weights = weights.map(|bytes| Weights::from_bytes(&shape, bytes));
        self.weights = weights.collect::<Result<_, _>>()?;
        self.done = done;
        Ok(())
    }

    /// The trained weights of each set.
    ///
    /// # Errors
    /// Steps are left.
    pub fn finish(self) -> Result<Vec<Weights>, DescentError> {
        let (done, all) = self.progress();
        if done < all {
            return Err(DescentError::Unfinished { done, all });
        }
        Ok(self.weights)
    }
}
