//! Rows of a training by descent, and its weights.

use super::start::encrypt_start;
use cipherfn_protocol::api::job::MAX_CHUNK;
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use cipherfn_scheme::descent::{BatchShape, Watch, Weights, encrypt_batch, encrypt_batch_under};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::public::PublicKey;
use cipherfn_scheme::{SchemeError, SecretKey};
use cipherfn_training::TrainingError;
use cipherfn_training::descent::{
    DescentStart, DescentState, DescentUpload, MAX_BATCHES, RowsChunk, RowsForm, Training,
    rows_hash,
};
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
    /// More sets of weights than predictions by encrypted weights have room for.
    #[error(
        "the training has {found} sets of weights, one a class, and predictions by encrypted weights have room for {most}; have the weights decrypted (without --keep-encrypted)"
    )]
    TooManySets {
        /// Of the program.
        found: usize,
        /// That a reply has room for.
        most: usize,
    },
    /// Weights to start from by somebody who cannot encrypt them.
    #[error(
        "weights that a training starts from are encrypted under the secret key; leave them to the key holder"
    )]
    StartWithoutKey,
    /// A service that no longer has the weights that were kept.
    #[error(
        "the weights that the service has are others than it had when they were kept; train anew"
    )]
    OtherWeights,
    /// Kept weights that no run of the training can have led to.
    #[error(
        "the weights are larger than any that the training can have led to; do not trust this service with them"
    )]
    FarWeights,
    /// A reply to something else.
    #[error("the reply is to another {what}; ask again, and have the operator look at the service")]
    OtherForms {
        /// What differs.
        what: &'static str,
    },
    /// A reply of another size.
    #[error("the reply has {found} bytes of forms where {expected} were asked for; ask again")]
    FormsLength {
        /// Bytes of the rows' forms.
        expected: usize,
        /// Bytes that came.
        found: usize,
    },
}

/// What rows are encrypted with.
#[derive(Clone, Debug)]
pub enum RowsKey {
    /// By the key holder.
    Secret(Arc<SecretKey>),
    /// By an owner of rows, who cannot decrypt.
    Public(Arc<PublicKey>),
}

impl From<Arc<SecretKey>> for RowsKey {
    fn from(key: Arc<SecretKey>) -> Self {
        Self::Secret(key)
    }
}

impl From<Arc<PublicKey>> for RowsKey {
    fn from(key: Arc<PublicKey>) -> Self {
        Self::Public(key)
    }
}

impl RowsKey {
    /// Id of the secret key that decrypts.
    pub fn id(&self) -> KeyId {
        match self {
            Self::Secret(key) => key.id(),
            Self::Public(key) => key.id(),
        }
    }

    /// Its parameter set.
    pub fn parameter_set(&self) -> &'static ParameterSet {
        match self {
            Self::Secret(key) => key.parameter_set(),
            Self::Public(key) => key.parameter_set(),
        }
    }

    const fn form(&self) -> RowsForm {
        match self {
            Self::Secret(_) => RowsForm::Shared,
            Self::Public(_) => RowsForm::Public,
        }
    }

    const fn batch_bytes(&self, shape: &BatchShape) -> usize {
        match self {
            Self::Secret(_) => shape.bytes(),
            Self::Public(_) => shape.public_bytes(),
        }
    }

    fn encrypt(&self, shape: &BatchShape, rows: &[&[i32]]) -> Result<Vec<u8>, SchemeError> {
        match self {
            Self::Secret(key) => encrypt_batch(key, shape, rows),
            Self::Public(key) => encrypt_batch_under(key, shape, rows),
        }
    }
}

/// The rows of each owner of a training, and what names their encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainedRows {
    /// How many rows each owner has.
    pub owners: Vec<usize>,
    /// Of all ciphertexts ([`rows_hash`]), or of all files where rows are under a public key
    /// ([`cipherfn_training::descent::files_hash`]).
    pub name: Hash,
}

/// Of one owner.
impl From<(usize, Hash)> for TrainedRows {
    fn from((rows, name): (usize, Hash)) -> Self {
        Self {
            owners: vec![rows],
            name,
        }
    }
}

/// Rows on their way to a training, in the order of descent.
#[derive(Debug)]
pub struct RowsEncryption {
    key: RowsKey,
    training: Training,
    rows: Arc<[DescentRow]>,
    /// What the training starts from, as a file.
    start: Option<Vec<u8>>,
    shape: BatchShape,
    /// Ciphertexts of each set of weights.
    ciphertexts: usize,
    /// Ciphertexts of a chunk.
    together: usize,
    next: usize,
}

impl RowsEncryption {
    /// Encrypts rows chunk by chunk: of so many ciphertexts each, or as many as a service takes.
    ///
    /// # Errors
    /// A parameter set without room for a batch; fewer rows than a batch.
    pub fn new(
        key: impl Into<RowsKey>,
        training: &Training,
        rows: Arc<[DescentRow]>,
        together: Option<NonZeroUsize>,
    ) -> Result<Self, DescentError> {
        let key = key.into();
        let shape = BatchShape::new(key.parameter_set(), training.features())?;
        let most = (MAX_BATCHES / key.batch_bytes(&shape)).max(1);
        Ok(Self {
            ciphertexts: training
                .batches(rows.len())?
                .div_ceil(training.batches_together()),
            together: together.map_or(most, |together| together.get().min(most)),
            key,
            training: training.clone(),
            rows,
            start: None,
            shape,
            next: 0,
        })
    }

    /// With weights that the training starts from, encrypted.
    ///
    /// # Errors
    /// Another number of weights than of the program's features; a public key.
    pub fn starting_from(mut self, start: &DescentStart) -> Result<Self, DescentError> {
        let RowsKey::Secret(key) = &self.key else {
            return Err(DescentError::StartWithoutKey);
        };
        self.start = Some(encrypt_start(key, &self.training, start)?);
        Ok(self)
    }

    /// The file of what the training starts from, which goes before all chunks.
    pub fn start(&self) -> Option<&[u8]> {
        self.start.as_deref()
    }

    /// All of it at once, and what names it.
    ///
    /// # Errors
    /// Features that a batch cannot hold.
    pub fn upload(self) -> Result<(DescentUpload, Hash), DescentError> {
        let (batch, mut upload) = (self.batch_bytes(), DescentUpload::default());
        let start = self.start.as_deref();
        if let Some(start) = start {
            upload.add(start)?;
        }
        let start = start.map(Hash::of);
        upload.chunks = self.collect::<Result<Vec<_>, _>>()?;
        let hashes = upload.chunks.iter().flat_map(|chunk| chunk.hashes(batch));
        let hash = rows_hash(start.into_iter().chain(hashes));
        Ok((upload, hash))
    }

    /// The program.
    pub const fn training(&self) -> &Training {
        &self.training
    }

    /// The key that rows are encrypted with.
    pub const fn key(&self) -> &RowsKey {
        &self.key
    }

    /// Number of the rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of all ciphertexts.
    pub const fn bytes(&self) -> u64 {
        (self.ciphertexts * self.training.sets() * self.batch_bytes()) as u64
    }

    /// Chunks that they are encrypted in.
    pub const fn chunks(&self) -> usize {
        (self.ciphertexts * self.training.sets()).div_ceil(self.together)
    }

    /// Bytes of all files.
    pub fn file_bytes(&self) -> u64 {
        let start = self.start.as_ref().map_or(0, Vec::len);
        self.rows_bytes() + start as u64
    }

    /// Bytes of all files of rows.
    const fn rows_bytes(&self) -> u64 {
        // What a file has beside its ciphertexts.
        let head = MAX_CHUNK - MAX_BATCHES as u64;
        self.bytes() + self.chunks() as u64 * head
    }

    /// Bytes of a ciphertext.
    pub const fn batch_bytes(&self) -> usize {
        self.key.batch_bytes(&self.shape)
    }

    /// A ciphertext of the sequence of all sets' ones.
    fn ciphertext(&self, number: usize) -> Result<Vec<u8>, SchemeError> {
        let (set, place) = (number / self.ciphertexts, number % self.ciphertexts);
        let together = self.training.batches_together() * self.training.batch();
        let rows = self.rows.chunks(together).nth(place);
        let folded: Vec<Vec<i32>> = rows
            .unwrap_or_default()
            .iter()
            .enumerate()
            .map(|(place, (features, class))| {
                let folded = self.training.folded(set, features, *class);
                alternated(place, &folded)
            })
            .collect();
        let folded: Vec<&[i32]> = folded.iter().map(Vec::as_slice).collect();
        self.key.encrypt(&self.shape, &folded)
    }
}

impl Iterator for RowsEncryption {
    type Item = Result<RowsChunk, SchemeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.next;
        let all = self.ciphertexts * self.training.sets();
        self.next = all.min(first + self.together);
        if first == all {
            return None;
        }
        let batches = (first..self.next).into_par_iter();
        let batches: Result<Vec<_>, _> = batches.map(|number| self.ciphertext(number)).collect();
        Some(batches.map(|batches| RowsChunk {
            program: self.training.hash(),
            key: self.key.id(),
            parameter_set: self.key.parameter_set().tag(),
            rows: self.rows.len() as u64,
            first: first as u64,
            form: self.key.form(),
            batches: batches.concat(),
        }))
    }
}

/// The weights of each set as fractions of the torus, with their errors, from the result of a training on
/// these rows.
///
/// # Errors
/// Bytes that are no state of this program, key and rows, or one before the last step.
pub fn decrypt_weights(
    key: &SecretKey,
    training: &Training,
    rows: impl Into<TrainedRows>,
    result: &[u8],
) -> Result<Vec<Vec<f64>>, DescentError> {
    let shape = BatchShape::new(key.parameter_set(), training.features())?;
    let weights = trained_weights(key, training, rows, result)?;
    let decrypted = weights.iter().map(|own| {
        let words = own.decrypt(key, &shape)?;
        Ok(words.into_iter().map(fraction).collect())
    });
    decrypted.collect()
}

/// What was watched of the forms of each set of a training on rows of owners, as fractions of the torus
/// ([`Training::require_watched`]).
///
/// # Errors
/// As [`decrypt_weights`]; a result that does not say.
pub fn decrypt_watched(
    key: &SecretKey,
    training: &Training,
    rows: impl Into<TrainedRows>,
    result: &[u8],
) -> Result<Vec<f64>, DescentError> {
    let state = trained_state(key, training, rows, result)?;
    let watched = state.watched.ok_or(TrainingError::Unwatched)?;
    let watched = Watch::read_sets(key.parameter_set(), training.sets(), &watched)?;
    let decrypted = watched.iter().map(|own| Ok(fraction(own.decrypt(key)?)));
    decrypted.collect()
}

/// The same, encrypted as they are: that a result is one of this training's.
///
/// # Errors
/// As [`decrypt_weights`].
pub fn trained_weights(
    key: &SecretKey,
    training: &Training,
    rows: impl Into<TrainedRows>,
    result: &[u8],
) -> Result<Vec<Weights>, DescentError> {
    let state = trained_state(key, training, rows, result)?;
    let shape = BatchShape::new(key.parameter_set(), training.features())?;
    Ok(Weights::read_sets(&shape, training.sets(), &state.weights)?)
}

/// The state after the last step of a training on these rows.
fn trained_state(
    key: &SecretKey,
    training: &Training,
    rows: impl Into<TrainedRows>,
    result: &[u8],
) -> Result<DescentState, DescentError> {
    let TrainedRows { owners, name } = rows.into();
    let tag = key.parameter_set().tag();
    let state = DescentState::from_file_bytes(result)?;
    state.require((training.hash(), name), (key.id(), tag))?;
    let steps = training.schedule_of(0, &owners)?.len();
    if state.steps != steps as u64 {
        return Err(DescentError::Untrained {
            found: state.steps,
            steps,
        });
    }
    Ok(state)
}

/// The fraction of a torus word, from -1/2 to 1/2.
pub(super) fn fraction(word: u64) -> f64 {
    word as i64 as f64 * 2f64.powi(-64)
}

/// A row at its place in a ciphertext: negated at odd ones. Rows are alike, all the more so with their labels
/// folded in, and the error of a product grows with what they have in common; neighbours of opposite signs
/// have nothing.
pub(super) fn alternated(place: usize, features: &[i32]) -> Vec<i32> {
    let sign = if place % 2 == 1 { -1 } else { 1 };
    features.iter().map(|x| sign * x).collect()
}
