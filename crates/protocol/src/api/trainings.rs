//! Trainings on rows of several owners: who adds rows to one, before its job. Documents of version 2.
//!
//! ```text
//! POST   /v2/trainings             a program, a key --> a training that owners may add rows to
//! GET    /v2/trainings             the caller's trainings
//! GET    /v2/trainings/{training}  who may add rows, and who did
//! DELETE /v2/trainings/{training}  ends it, and deletes all rows that were added
//! POST   /v2/trainings/{training}/grants       a grant, signed by the key holder: an owner may add rows
//! POST   /v2/trainings/{training}/revocations  ends a grant
//! POST   /v2/grants/uploads        a grant, chunks by size and checksum --> where to put each of them
//! POST   /v2/grants/rows           a grant, all chunks of an owner's rows --> they are rows of the training
//! ```
//! A chunk is a file of rows ([`FrameKind::TrainingRows`](crate::frame::FrameKind::TrainingRows)) under the
//! public key. They lie in the folder of uploads that the training's id names, and its job is declared over
//! them like any other ([`JobKind::Train`](super::job::JobKind::Train)). Where the program is of sums, a chunk is
//! an owner's contribution, and the job adds them: a *total*, which is fetched as its result.

use super::grant::{GrantId, TenantId};
use super::grants::GrantStatus;
use super::job::{ChunkFile, UploadFolder};
use super::{ModelName, PublicKeyFile};
use crate::frame::ParameterSetTag;
use crate::hash::SpecsHash;
use crate::hex::as_hexadecimal;
use crate::message::KeyId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Most contributions to a total, and most grants of one.
pub const MAX_CONTRIBUTIONS: usize = 1000;
/// Most files that may be uploaded by a grant of a total, of which one is its contribution.
pub const MAX_TRIES: u32 = 3;

/// Names a training that owners add rows to: random, made by the key holder's client. The same declaration
/// again is the same training.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrainingId([u8; 16]);

as_hexadecimal!(
    TrainingId,
    "a training is 32 hexadecimal digits, lower case"
);

impl TrainingId {
    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

/// Rows are uploaded to the folder of this name.
impl From<TrainingId> for UploadFolder {
    fn from(training: TrainingId) -> Self {
        Self::from_bytes(training.0)
    }
}

/// Body of `POST /v2/trainings`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingDeclaration {
    /// Names it.
    pub training: TrainingId,
    /// The training program.
    pub program: ModelName,
    /// Its version.
    pub specs: SpecsHash,
    /// The key that decrypts.
    pub key: KeyId,
    /// Parameter set of the key.
    pub parameter_set: ParameterSetTag,
    /// The public key that owners encrypt under: weights begin as a fresh encryption of zero under it, of which no
    /// owner knows mask or body.
    pub public_key: PublicKeyFile,
    /// Of a total of sums, from how many owners it is made at least, the key holder not among them: from 2 to
    /// [`MAX_CONTRIBUTIONS`]. Programs by which rows are trained on have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_owners: Option<u32>,
}

/// Rows that an owner has added, or sums.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnerRows {
    /// The grant by which they came.
    pub grant: GrantId,
    /// Who has added them, of sums: an owner has one contribution to a total.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<TenantId>,
    /// How many; 0 of sums, as nobody but their owner can tell.
    pub rows: u64,
    /// Their chunks, in order; of sums one.
    pub chunks: Vec<ChunkFile>,
}

/// A training in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedTraining {
    /// Names it.
    pub training: TrainingId,
    /// The training program.
    pub program: ModelName,
    /// Its version.
    pub specs: SpecsHash,
    /// The key that decrypts.
    pub key: KeyId,
    /// When it was declared.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
    /// Of a total, from how many owners it is made at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_owners: Option<u32>,
    /// Rows of all owners; 0 of sums.
    pub rows: u64,
    /// How many uploads they came in.
    pub owners: u64,
    /// How many grants there are.
    pub grants: u64,
}

/// Answer to `GET /v2/trainings`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingList {
    /// The caller's trainings that have not run out, the oldest first.
    pub trainings: Vec<ListedTraining>,
}

/// Where a training stands before its job, for the key holder alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingStatus {
    /// Names it.
    pub training: TrainingId,
    /// Names the caller here, for grants.
    pub tenant: TenantId,
    /// The training program.
    pub program: ModelName,
    /// Its version.
    pub specs: SpecsHash,
    /// The key that decrypts.
    pub key: KeyId,
    /// When it was declared.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// When it ends, and rows can no longer be added.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
    /// Of a total, from how many owners it is made at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_owners: Option<u32>,
    /// Rows of all owners; 0 of sums.
    pub rows: u64,
    /// What owners have added, in the order in which they did.
    pub owners: Vec<OwnerRows>,
    /// Who may add rows.
    pub grants: Vec<GrantStatus>,
}
