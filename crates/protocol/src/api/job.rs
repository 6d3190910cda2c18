//! Jobs: what is too long or too large for a request. Documents of version 2.
//!
//! ```text
//! GET    /v2/models/{model}/cost  what a row is predicted to take, by which chunks are sized
//! POST   /v2/uploads      chunks by size and checksum --> where to put each of them
//! PUT    (presigned, to S3)   one a chunk, bound to exactly that size and checksum
//! POST   /v2/jobs         a model, a key, and the chunks, in order --> a job
//! GET    /v2/jobs/{id}    where its chunks stand; results to fetch, as long as it runs and after
//! DELETE /v2/jobs/{id}    ends it, and deletes what was uploaded for it and what came of it
//! ```
//! A chunk is a whole query, its result the reply.

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

/// Body of `POST /v2/uploads`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadDeclaration {
    /// An earlier answer's folder, for more chunks of the same job; a new one without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<UploadFolder>,
    /// What will be uploaded, 1 to [`MAX_UPLOADS`].
    pub chunks: Vec<ChunkFile>,
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
    /// Answers queries.
    Predict,
}

/// Body of `POST /v2/jobs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobDeclaration {
    /// Names this declaration.
    pub idempotency_key: IdempotencyKey,
    /// What is to be done.
    pub kind: JobKind,
    /// The model that does it.
    pub model: ModelName,
    /// The version that the chunks were made for.
    pub specs: SpecsHash,
    /// The key that they are encrypted under.
    pub key: KeyId,
    /// Where the chunks were uploaded to.
    pub upload: UploadFolder,
    /// The chunks in order, 1 to [`MAX_CHUNKS`].
    pub chunks: Vec<ChunkFile>,
}

/// Answer to `POST /v2/jobs` and `GET /v2/jobs/{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobStatus {
    /// Names the job.
    pub job: JobId,
    /// What it does.
    pub kind: JobKind,
    /// The model.
    pub model: ModelName,
    /// Its version.
    pub specs: SpecsHash,
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
        /// How far the next one is spared: rows, of a prediction.
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
        /// How far it has come for certain: rows, of a prediction.
        #[serde(default, skip_serializing_if = "is_zero")]
        steps: u64,
    },
    /// It has a result.
    Done {
        /// Attempts that it took.
        attempts: u32,
        /// Time of the last one, and of those before it that it went on from.
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
