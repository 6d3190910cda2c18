//! Jobs: what is too long or too large for a request. Documents of version 2.
//!
//! ```text
//! GET    /v2/models/{model}/cost  what a row is predicted to take, by which chunks are sized
//! POST   /v2/uploads      chunks by size and checksum --> where to put each of them
//! PUT    (presigned, to S3)   one a chunk, bound to exactly that size and checksum
//! POST   /v2/jobs         a model, a key, and the chunks, in order --> a job
//! GET    /v2/jobs/{id}    where its chunks stand; results to fetch, as long as it runs and after
//! POST   /v2/jobs/{id}/predict   of a training that is over: encrypted rows --> their forms by its encrypted weights
//! DELETE /v2/jobs/{id}    ends it, and deletes what was uploaded for it and what came of it
//! ```
//! A chunk is a whole query, its result the reply. A job may say that the model is evaluated in parts:
//! several workers share each chunk then, and its result is one reply all the same. A training
//! ([`JobKind::Train`]) takes all of its chunks together, and has one result.

use super::{ModelName, Problem};
use crate::hash::{Sha256, SpecsHash};
use crate::hex::as_hexadecimal;
use crate::message::KeyId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// Most chunks of a job; larger tables are several jobs.
pub const MAX_CHUNKS: usize = 1000;
/// Largest chunk, and largest result of one, in bytes.
pub const MAX_CHUNK: u64 = 64 << 20;
/// Most chunks whose upload is asked for at once.
pub const MAX_UPLOADS: usize = 100;
/// Most chunks whose state is told at once.
pub const MAX_STATES: usize = 100;

/// Most parts that a model is evaluated in for a job.
pub const MAX_PARTS: u32 = 32;
/// Most chunks times parts of a job in parts: each is a worker's.
pub const MAX_SHARES: usize = 100;
/// Most bytes of all chunks of a training: a worker has all of them in memory.
pub const MAX_TRAINING: u64 = 1 << 30;
/// Most bytes of what all parts of a model make of a chunk: whoever adds them has them in memory.
pub const MAX_SUMS: usize = 256 << 20;

/// Longest that a request may take at an HTTP API, in microseconds.
const LONGEST_REQUEST: f64 = 29e6;
/// Seconds that a worker has.
pub const WORKER_SECONDS: f64 = 900.0;
/// Memory by which AWS Lambda gives one processor, in MB, and the most processors of a function.
const PROCESSOR: (f64, f64) = (1769.0, 6.0);

/// Names a job: random, made by the service.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId([u8; 16]);

as_hexadecimal!(JobId, "a job id is 32 hexadecimal digits, lower case");

/// Names a folder of uploads: random, made by the service.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadFolder([u8; 16]);

as_hexadecimal!(
    UploadFolder,
    "an upload is 32 hexadecimal digits, lower case"
);

/// Names a declaration of a job: random, made by the client. The same one again is the same job.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey([u8; 16]);

as_hexadecimal!(
    IdempotencyKey,
    "an idempotency key is 32 hexadecimal digits, lower case"
);

macro_rules! from_bytes {
    ($($name:ident),*) => {
        $(impl $name {
            /// From its bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
        })*
    };
}

from_bytes!(JobId, UploadFolder, IdempotencyKey);

/// A frame is named by the folder that its pieces were uploaded to.
impl From<UploadFolder> for super::frames::FrameId {
    fn from(upload: UploadFolder) -> Self {
        Self::from_bytes(upload.0)
    }
}

/// Rows of owners lie in the folder that their training names.
impl From<UploadFolder> for super::trainings::TrainingId {
    fn from(upload: UploadFolder) -> Self {
        Self::from_bytes(upload.0)
    }
}

impl From<super::frames::FrameId> for UploadFolder {
    fn from(frame: super::frames::FrameId) -> Self {
        Self(frame.to_bytes())
    }
}

/// A chunk, or the result of one, by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChunkFile {
    /// Number of bytes.
    pub bytes: u64,
    /// Of all bytes.
    pub sha256: Sha256,
}

/// Answer to `GET /v2/models/{model}/cost`: what a row of a job is predicted to take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowCost {
    /// The version.
    pub specs: SpecsHash,
    /// Microseconds of one thread, as the compile report has them.
    pub row_microseconds: f64,
    /// Memory of a worker in MB, by which AWS Lambda gives it processors.
    pub worker_memory_mb: u64,
    /// Architecture of its processors: `x86_64` or `arm64`.
    pub architecture: String,
}

impl RowCost {
    /// Microseconds that a worker takes for a row.
    pub fn worker_microseconds(&self) -> f64 {
        let (processor, most) = PROCESSOR;
        let processors = self.worker_memory_mb as f64 / processor;
        self.row_microseconds / processors.clamp(f64::MIN_POSITIVE, most)
    }

    /// Whether even one row is predicted to take longer than a request may, of a function with a
    /// worker's memory: then only jobs answer it, as functions that are cut off never learn how long it
    /// takes.
    pub fn needs_jobs(&self) -> bool {
        self.worker_microseconds() > LONGEST_REQUEST
    }
}

/// Body of `POST /v2/uploads`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadDeclaration {
    /// An earlier answer's folder, for more chunks of the same job; a new one without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<UploadFolder>,
    /// What will be uploaded, 1 to [`MAX_UPLOADS`].
    pub chunks: Vec<ChunkFile>,
    /// What for.
    #[serde(default, skip_serializing_if = "UploadPurpose::is_job")]
    pub purpose: UploadPurpose,
}

/// What is uploaded: it lies elsewhere, and is kept for another time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UploadPurpose {
    /// Chunks of a job.
    #[default]
    Job,
    /// Pieces of a frame, which the folder names.
    Frame,
}

impl UploadPurpose {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    fn is_job(&self) -> bool {
        *self == Self::Job
    }
}

/// Answer to `POST /v2/uploads`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uploads {
    /// Where the chunks will be.
    pub upload: UploadFolder,
    /// One a declared chunk, in their order.
    pub chunks: Vec<Transfer>,
}

/// A presigned request for a chunk or a result: `method` `url` with exactly these `headers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// What is transferred.
    pub file: ChunkFile,
    /// HTTP method.
    pub method: String,
    /// Presigned URL.
    pub url: String,
    /// Headers that the signature covers.
    pub headers: BTreeMap<String, String>,
    /// When the URL stops working.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// Answers queries to a model.
    Predict,
    /// Answers a query over frames: [`super::frames`]. It has one chunk, whose result is the answer.
    Query,
    /// Trains by gradient descent, or counts rows in trees: `model` is a training program, `specs` its hash,
    /// and the uploaded chunks are encrypted rows, together and in order. Its status has one chunk, whose
    /// result is the state of the training after the last step.
    Train,
}

/// Body of `POST /v2/jobs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobDeclaration {
    /// Names this declaration.
    pub idempotency_key: IdempotencyKey,
    /// What is to be done.
    pub kind: JobKind,
    /// The model that does it, or the training program.
    pub model: ModelName,
    /// The version that the chunks were made for.
    pub specs: SpecsHash,
    /// The key that they are encrypted under.
    pub key: KeyId,
    /// Where the chunks were uploaded to.
    pub upload: UploadFolder,
    /// The chunks in order, 1 to [`MAX_CHUNKS`].
    pub chunks: Vec<ChunkFile>,
    /// In how many parts the model is evaluated, 1 to [`MAX_PARTS`]: as many workers share a chunk, so
    /// that a row that is too long for one of them is answered. Chunks times parts are at most
    /// [`MAX_SHARES`], unless there is one part.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub parts: u32,
}

const fn whole() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_whole(parts: &u32) -> bool {
    *parts == 1
}

/// Answer to `POST /v2/jobs` and `GET /v2/jobs/{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobStatus {
    /// Names the job.
    pub job: JobId,
    /// What it does.
    pub kind: JobKind,
    /// The model of predictions, or the program of a training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub specs: Option<SpecsHash>,
    /// The key.
    pub key: KeyId,
    /// When it was declared.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// When it ends, and its results are deleted.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
    /// How many chunks it has.
    pub chunks: usize,
    /// How many of them have a result.
    pub done: usize,
    /// Number of the first chunk in `states`, from 0: what the request asked for.
    pub from: usize,
    /// Where chunks stand, at most [`MAX_STATES`].
    pub states: Vec<ChunkState>,
}

/// Where a chunk stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ChunkState {
    /// Nobody works on it: before its first attempt, or between two.
    Waiting {
        /// Attempts so far.
        attempts: u32,
        /// How far the next one is spared: rows of a prediction or of counts, steps of descent.
        #[serde(default, skip_serializing_if = "is_zero")]
        steps: u64,
    },
    /// Somebody works on it.
    Running {
        /// Number of the attempt, from 1.
        attempts: u32,
        /// When the attempt is over at the latest.
        #[serde(with = "time::serde::rfc3339")]
        until: OffsetDateTime,
        /// How far it has come for certain: rows of a prediction or of counts, steps of descent.
        #[serde(default, skip_serializing_if = "is_zero")]
        steps: u64,
    },
    /// It has a result.
    Done {
        /// Attempts that it took.
        attempts: u32,
        /// Time of the last one, and of those before it that it went on from; where the model is
        /// evaluated in parts, of all workers together.
        milliseconds: u64,
        /// Gives the reply.
        result: Transfer,
    },
    /// It will have no result.
    Failed {
        /// Attempts that were made.
        attempts: u32,
        /// Why.
        problem: Problem,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}
