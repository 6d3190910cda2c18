//! Upload grants: rows and columns that others add to a frame, and rows that they add to a training.
//! Documents of version 2.

use super::frames::FrameId;
use super::grant::{GrantId, SignedGrant, TenantId};
use super::job::ChunkFile;
use super::trainings::TrainingId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Most grants of a frame or a training at a time.
pub const MAX_GRANTS: usize = 32;

/// Body of `POST /v2/grants/uploads` and of `POST /v2/grants/rows`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantedPieces {
    /// The grant by which they are added.
    pub grant: SignedGrant,
    /// The pieces of a frame, of a grant of columns all of them, or all chunks of an owner's rows, in the order
    /// of their rows. None to `POST /v2/grants/rows` adds nothing: the answer is where the grant stands.
    pub pieces: Vec<ChunkFile>,
}

/// Body of `POST /v2/frames/{frame}/revocations` and of `POST /v2/trainings/{training}/revocations`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// The grant that ends.
    pub grant: GrantId,
    /// Whether the rows or columns that were added by it are removed.
    #[serde(default)]
    pub drop_rows: bool,
}

/// Who has contributed to a total, so that the caller cannot by a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Contributor {
    /// The caller itself, by this grant or another one: each tenant contributes once.
    Caller,
    /// Another tenant by this grant, which is for one contribution.
    Another,
}

/// Where a grant stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantStatus {
    /// Names it.
    pub grant: GrantId,
    /// The frame to which rows or columns may be added, if it is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<FrameId>,
    /// The training to which rows may be added, if it is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingId>,
    /// Who may; anybody who has the grant if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<TenantId>,
    /// Most pieces.
    pub objects: u32,
    /// Pieces for which addresses were given out: all of them count.
    pub objects_used: u32,
    /// Most bytes of them.
    pub bytes: u64,
    /// Bytes of those for which addresses were given out.
    pub bytes_used: u64,
    /// Rows that were added by it.
    pub rows: u64,
    /// Most rows of a training that may be; frames have no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_rows: Option<u64>,
    /// Of a grant of a total, for whoever presents it: who has contributed already, if somebody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contributed: Option<Contributor>,
    /// Names of the columns that may be added; absent of a grant of rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Until when it can be used.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
    /// Whether it was revoked, and is told of for what came by it and is still there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
}
