//! Encrypted data frames that the service keeps, and queries over them. Documents of version 2.
//!
//! ```text
//! POST   /v2/uploads         pieces of a frame, by size and checksum --> where to put each of them
//! PUT    (presigned, to S3)  one a piece, bound to exactly that size and checksum
//! POST   /v2/frames          the pieces, in order --> a frame
//! GET    /v2/frames          the caller's frames
//! GET    /v2/frames/{frame}  schema, rows, key, expiry
//! DELETE /v2/frames/{frame}  deletes it
//! POST   /v2/frames/explain  what a query takes and how exact its answer is, before it runs
//! POST   /v2/frames/query    a query --> its answer
//! POST   /v2/frames/jobs     a query that is too long for a request --> a job
//! ```
//! A piece is a whole file of rows: [`FrameKind::DataFrame`](crate::frame::FrameKind::DataFrame). All
//! pieces of a frame have one schema, but for the number of rows, one key and one gadget; look-ups'
//! tables come with the first.

use super::job::{ChunkFile, IdempotencyKey};
use crate::frame::ParameterSetTag;
use crate::hex::as_hexadecimal;
use crate::message::KeyId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

/// Most pieces of a frame.
pub const MAX_PIECES: usize = 100;
/// Most frames of a query.
pub const MAX_QUERY_FRAMES: usize = 16;
/// Most invocations that share a query, all its passes together.
pub const MAX_QUERY_PARTS: usize = 100;
/// Rows that are evaluated together: those of a part begin and end at multiples.
pub const ROWS_TOGETHER: u64 = 64;

/// Names a stored frame: the folder that its pieces were uploaded to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameId([u8; 16]);

as_hexadecimal!(FrameId, "a frame is 32 hexadecimal digits, lower case");

impl FrameId {
    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(super) const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

/// Body of `POST /v2/frames`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameDeclaration {
    /// Where the pieces were uploaded to, which names the frame.
    pub frame: FrameId,
    /// The pieces in the order of their rows, 1 to [`MAX_PIECES`].
    pub pieces: Vec<ChunkFile>,
}

/// A gadget of selectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GadgetDocument {
    /// Bits of a digit.
    pub base_log: u32,
    /// Digits.
    pub levels: u32,
}

/// A stored frame, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameStatus {
    /// Names it here.
    pub frame: FrameId,
    /// Its schema, with its name and number of rows, as files have it.
    pub schema: Value,
    /// Rows.
    pub rows: u64,
    /// The key that it is encrypted under.
    pub key: KeyId,
    /// Parameter set of the key: the first half of its hash.
    pub parameter_set: ParameterSetTag,
    /// The gadget of its selectors.
    pub gadget: GadgetDocument,
    /// Pieces.
    pub pieces: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// When it was declared.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// When it stops being usable and is deleted.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
}

/// Answer to `GET /v2/frames`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameList {
    /// What the caller's quota counts and has not run out, the oldest first.
    pub frames: Vec<FrameStatus>,
}

/// A query over stored frames. Body of `POST /v2/frames/explain` and `POST /v2/frames/query`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameQuery {
    /// The frames that the plan names, by their schemas' names: 1 to [`MAX_QUERY_FRAMES`].
    pub frames: Vec<FrameId>,
    /// The plan, as a document.
    pub plan: Value,
    /// Rows that are summed in one ciphertext, 1 to 2,048.
    pub rows_per_sum: u32,
    /// Bits of its range that every column of the answer must have.
    pub min_bits: f64,
}

/// Body of `POST /v2/frames/jobs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryDeclaration {
    /// Names this declaration: the same one again is the same job.
    pub idempotency_key: IdempotencyKey,
    /// The query.
    pub query: FrameQuery,
    /// Rows that one invocation evaluates: a multiple of [`ROWS_TOGETHER`], so many that at most
    /// [`MAX_QUERY_PARTS`] share the query.
    pub rows_a_part: u64,
}

/// Answer to `POST /v2/frames/explain`: what is known before anything is evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryFigures {
    /// How exact the answer's columns are.
    pub columns: Vec<ColumnFigures>,
    /// What the passes take.
    pub passes: Vec<PassFigures>,
    /// Bytes of the answer.
    pub bytes: u64,
    /// Seconds of one core for all passes, about.
    pub seconds: f64,
}

/// How exact a column is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnFigures {
    /// Its name.
    pub name: String,
    /// Bits of its range that are guaranteed; absent where all of it is exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<f64>,
}

/// What a pass takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassFigures {
    /// Name of the frame that it goes over.
    pub frame: String,
    /// Rows of it.
    pub rows: u64,
    /// Encrypted choices a row.
    pub choices: u64,
    /// Seconds of one core for all rows, about.
    pub seconds: f64,
    /// Bytes of its results.
    pub bytes: u64,
}
