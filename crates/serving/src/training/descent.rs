//! Training by descent: all steps, and their state, from which they go on elsewhere.

mod uploads;

use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use cipherfn_scheme::descent::{
    BatchShape, Residual, Watch, Weights, product_variance, public_product_variance,
    residual_variance, step, update_variance, watch_variance,
};
use cipherfn_scheme::noise::Variance;
use cipherfn_scheme::parameters::{Bootstrap, KeyPart, ParameterSet};
use cipherfn_scheme::public::PublicKey;
use cipherfn_scheme::{ExpandedEvaluationKey, SchemeError};
use cipherfn_training::TrainingError;
use cipherfn_training::descent::{
    DescentState, DescentStep, DescentUpload, RowsForm, StepNoise, Training, rows_hash,
};
use uploads::Upload;

/// Parameter set of trainings.
pub const SET: &str = "cipherfn-128-n2048-m11-v1";
/// The bootstrap whose own error is small beside a residual.
const BOOTSTRAP: &str = "bootstrap-precise";

/// Why a training cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescentError {
    /// Ciphertexts, and keys.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    /// The program, and bytes that are no state of it.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// A start of something else.
    #[error("what the training starts from: {0}")]
    Start(TrainingError),
    /// A start beside rows of owners, who have been told that weights start from zero.
    #[error(
        "there are weights to start from beside rows under a public key: on rows of other owners a training starts from zero, as weights that the key holder chooses could be made to show single rows; leave the start out"
    )]
    StartBesideOwners,
    /// Rows of owners without the key that they are under.
    #[error(
        "there are rows under a public key and no public key: weights begin as an encryption of zero under it; declare the training anew, with its public key"
    )]
    NoPublicKey,
    /// Another public key than that of the rows.
    #[error(
        "the public key is of key {found}, the rows are under {expected}; declare the training anew, with its public key"
    )]
    OtherPublicKey {
        /// Id of the rows' key.
        expected: KeyId,
        /// Id that the public key says.
        found: KeyId,
    },
    /// No rows.
    #[error("there are no chunks of rows; encrypt the rows and give all chunks")]
    NoChunks,
    /// A chunk of something else.
    #[error(
        "chunk {chunk} of the rows is of another {what} than {than}; encrypt the rows again, all for one program and under one key"
    )]
    OtherChunk {
        /// Number of the chunk, from 0.
        chunk: usize,
        /// What differs.
        what: &'static str,
        /// From what.
        than: String,
    },
    /// A chunk that is not the next one.
    #[error(
        "chunk {chunk} of the rows begins with ciphertext {found} where ciphertext {expected} comes next: a chunk is missing, doubled or in another place; give all chunks once, in order"
    )]
    OutOfOrder {
        /// Number of the chunk, from 0.
        chunk: usize,
        /// Number of the ciphertext that comes next, from 0.
        expected: u64,
        /// Number that the chunk says.
        found: u64,
    },
    /// A chunk that is no whole number of ciphertexts.
    #[error(
        "chunk {chunk} of the rows has {bytes} bytes of ciphertexts, which have {batch} each; encrypt the rows again"
    )]
    PartOfBatch {
        /// Number of the chunk, from 0.
        chunk: usize,
        /// Its bytes.
        bytes: usize,
        /// Bytes of a ciphertext.
        batch: usize,
    },
    /// The same rows again.
    #[error("the rows that begin with chunk {chunk} came before; give the rows of each owner once")]
    Doubled {
        /// Number of their first chunk, from 0.
        chunk: usize,
    },
    /// Ciphertexts that are missing at the end, or too many.
    #[error(
        "the chunks have {found} ciphertexts where {rows} rows take {expected}: chunks are missing at the end, or too many; give all chunks once, in order"
    )]
    Batches {
        /// Rows that the chunks say there are.
        rows: u64,
        /// Ciphertexts of so many rows, for all sets of weights.
        expected: usize,
        /// Ciphertexts given.
        found: usize,
    },
    /// A key that the state is not under.
    #[error("the training is under key {expected}, not under {found}; give the part of that key")]
    OtherKey {
        /// Id of the rows' key.
        expected: KeyId,
        /// Id of the key at hand.
        found: KeyId,
    },
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
pub struct Descent {
    training: Training,
    key: KeyId,
    shape: BatchShape,
    set: &'static ParameterSet,
    steps: Vec<DescentStep>,
    /// Of each owner.
    uploads: Vec<Upload>,
    rows: Hash,
    weights: Vec<Weights>,
    /// Of rows of owners, whose forms nobody has simulated.
    watched: Option<Vec<Watch>>,
    /// First step whose forms are.
    watched_from: usize,
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

/// What steps add, where the squares of features are `mean_square` on average, on rows that the key holder
/// has encrypted.
///
/// # Errors
/// As [`noise_of`].
pub fn noise(
    training: &Training,
    set: &'static ParameterSet,
    mean_square: f64,
) -> Result<StepNoise, SchemeError> {
    noise_of(training, set, mean_square, RowsForm::Shared)
}

/// The same on rows of any form.
///
/// # Errors
/// A set that cannot hold the features, or lacks the bootstrap.
pub fn noise_of(
    training: &Training,
    set: &'static ParameterSet,
    mean_square: f64,
    form: RowsForm,
) -> Result<StepNoise, SchemeError> {
    let shape = BatchShape::new(set, training.features())?;
    let bootstrap = bootstrap(set)?;
    // All batches of a ciphertext add to the error of its products.
    let rows = training.batches_together() * training.batch();
    let squares = mean_square * (rows * training.features()) as f64;
    let product = match form {
        RowsForm::Apart | RowsForm::Shared => product_variance(set, squares),
        RowsForm::Public => public_product_variance(set, squares),
    };
    let looked_up = cipherfn_scheme::bootstrap::lookup_variance(set, bootstrap);
    let of_residual = residual_variance(set, bootstrap, 0.0, Variance::default());
    Ok(StepNoise {
        of_z: (looked_up + product).deviation().get(),
        of_residual: of_residual.deviation().get(),
        of_update: update_variance(&shape, Variance::default(), product)
            .deviation()
            .get(),
    })
}

/// Standard deviation of the error of what is watched of so many rows in so many steps, a fraction of the torus.
///
/// # Errors
/// A set that lacks the bootstrap.
pub fn watch_deviation(
    set: &'static ParameterSet,
    watched: (usize, usize),
) -> Result<f64, SchemeError> {
    Ok(watch_variance(set, bootstrap(set)?, watched)
        .deviation()
        .get())
}

/// The bootstrap's parameters of a set.
fn bootstrap(set: &'static ParameterSet) -> Result<&'static Bootstrap, SchemeError> {
    let part = set.part(BOOTSTRAP)?;
    part.bootstrap().ok_or(SchemeError::KeyPartMissing {
        part: BOOTSTRAP,
        set: set.name,
    })
}

/// Weights of zero of which no owner knows mask or body. A batch under a public key is any bits, and with weights
/// that everybody knows the first step would add a linear function of them, of the owner's choice, to the weights:
/// multiples of the key's coefficients as well.
fn hidden_zero(
    (training, shape): (&Training, &BatchShape),
    key: &ExpandedEvaluationKey,
    public: &[u8],
) -> Result<Vec<Weights>, DescentError> {
    let public = PublicKey::from_file_bytes(public)?;
    if public.id() != key.id() {
        return Err(DescentError::OtherPublicKey {
            expected: key.id(),
            found: public.id(),
        });
    }
    let sets = (0..training.sets()).map(|_| Weights::zero_under(&public, shape));
    Ok(sets.collect::<Result<_, _>>()?)
}

impl Descent {
    /// From what was uploaded: all chunks of rows, in order, those of several owners one behind the other, and
    /// what it starts from. Beside rows of owners it starts from a fresh encryption of zero, so two of them have
    /// other bits; [`Self::resume`] goes on with those of a state.
    ///
    /// # Errors
    /// Chunks of another program or key, missing, doubled or in another order; an owner with fewer rows than a
    /// batch; a start of another program or key, or beside rows of others; these without their public key.
    pub fn new(
        training: &Training,
        key: &ExpandedEvaluationKey,
        upload: impl Into<DescentUpload>,
    ) -> Result<Self, DescentError> {
        let DescentUpload {
            start,
            chunks,
            public_key,
            name,
        } = upload.into();
        let set = key.parameter_set();
        let shape = BatchShape::new(set, training.features())?;
        if chunks.is_empty() {
            return Err(DescentError::NoChunks);
        }
        let uploads = Upload::all((training, &shape), (key.id(), set.tag()), chunks)?;
        let is_public = |upload: &Upload| upload.form == RowsForm::Public;
        let has_owners = uploads.iter().any(is_public);
        if start.is_some() && has_owners {
            return Err(DescentError::StartBesideOwners);
        }
        let (before, weights) = match &start {
            None if has_owners => {
                let public = public_key.ok_or(DescentError::NoPublicKey)?;
                (0, hidden_zero((training, &shape), key, &public)?)
            }
            None => (0, vec![Weights::zero(&shape); training.sets()]),
            Some(start) => {
                let named = (training.hash(), DescentState::no_rows());
                let of_this = start.require(named, (key.id(), set.tag()));
                of_this.map_err(DescentError::Start)?;
                let weights = Weights::read_sets(&shape, training.sets(), &start.weights)?;
                (start.steps, weights)
            }
        };
        let start = start.map(|start| Hash::of(&start.to_file_bytes()));
        // Rows of others are named by files, of which the key holder knows.
        let name = name.filter(|_| has_owners);
        let hashes = uploads.iter().flat_map(Upload::hashes);
        let rows = name.unwrap_or_else(|| rows_hash(start.into_iter().chain(hashes)));
        let owners: Vec<usize> = uploads.iter().map(|upload| upload.rows).collect();
        let steps = training.schedule_of(before, &owners)?;
        Ok(Self {
            training: training.clone(),
            key: key.id(),
            shape,
            set,
            watched_from: training.watched(&steps).start,
            steps,
            uploads,
            rows,
            weights,
            watched: has_owners.then(|| vec![Watch::none(set); training.sets()]),
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
    /// Another key, or one that lacks a part. Nothing was done then.
    pub fn step(&mut self, key: &ExpandedEvaluationKey) -> Result<bool, DescentError> {
        let Some(now) = self.steps.get(self.done) else {
            return Ok(false);
        };
        if key.id() != self.key {
            return Err(DescentError::OtherKey {
                expected: self.key,
                found: key.id(),
            });
        }
        let bootstrap = key.bootstrap(BOOTSTRAP)?;
        let odd = |z: f64| now.unit * self.training.odd_residual(now, z);
        let upload = self.uploads.get(now.upload).ok_or(DescentError::NoChunks)?;
        // Rows at odd places are negated, but for those of earlier clients.
        let alternates = upload.form != RowsForm::Apart;
        let residual = Residual::new(bootstrap.parameters(), odd, -0.5 * now.unit, alternates)?;
        let (mut next, mut watched) = (self.weights.clone(), self.watched.clone());
        let is_watched = self.done >= self.watched_from;
        for (set, weights) in next.iter_mut().enumerate() {
            // Read anew in each epoch: the Fourier form is nearly three times as large, and making it is
            // few transforms beside a bootstrap a row.
            let (batch, place) = upload.batch(&self.shape, (set, now.batch))?;
            let first = place * self.training.batch();
            let rows = first..first + now.rows;
            let watch = watched.as_mut().filter(|_| is_watched);
            let watch = watch.map(|sets| &mut sets[set]);
            step(key, bootstrap, &batch, rows, &residual, (weights, watch))?;
        }
        (self.weights, self.watched) = (next, watched);
        self.done += 1;
        Ok(true)
    }

    /// The state as the bytes of a file.
    pub fn state(&self) -> Vec<u8> {
        let state = DescentState {
            program: self.training.hash(),
            key: self.key,
            parameter_set: self.set.tag(),
            rows: self.rows,
            steps: self.done as u64,
            weights: self.weights.iter().flat_map(Weights::to_bytes).collect(),
            watched: (self.watched.as_ref())
                .map(|sets| sets.iter().flat_map(Watch::to_bytes).collect()),
        };
        state.to_file_bytes()
    }

    /// Goes on from a state of the same program, key and rows, which gives the same bits as if there had
    /// been no interruption.
    ///
    /// # Errors
    /// Bytes that are no such state. Nothing is changed then.
    pub fn resume(&mut self, state: &[u8]) -> Result<(), DescentError> {
        let state = DescentState::from_file_bytes(state)?;
        state.require(
            (self.training.hash(), self.rows),
            (self.key, self.set.tag()),
        )?;
        let sets = self.weights.len();
        let weights = Weights::read_sets(&self.shape, sets, &state.weights)?;
        let watched = match (&self.watched, &state.watched) {
            (None, _) => None,
            (Some(_), None) => return Err(TrainingError::Unwatched.into()),
            (Some(_), Some(watched)) => Some(Watch::read_sets(self.set, sets, watched)?),
        };
        let steps = usize::try_from(state.steps).ok();
        let done = steps.filter(|done| *done <= self.steps.len());
        self.done = done.ok_or(TrainingError::OtherState {
            what: "number of steps",
        })?;
        (self.weights, self.watched) = (weights, watched);
        Ok(())
    }

    /// The trained weights, as the state after the last step.
    ///
    /// # Errors
    /// Steps are left.
    pub fn finish(self) -> Result<Vec<u8>, DescentError> {
        let (done, all) = self.progress();
        if done < all {
            return Err(DescentError::Unfinished { done, all });
        }
        Ok(self.state())
    }
}
