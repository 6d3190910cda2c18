//! Encrypted data frames that the service keeps, and queries over them. Documents of version 2.
//!
//! ```text
//! POST   /v2/uploads         pieces of a frame, by size and checksum --> where to put each of them
//! PUT    (presigned, to S3)  one a piece, bound to exactly that size and checksum
//! POST   /v2/frames          the pieces, in order --> a frame
//! GET    /v2/frames          the caller's frames, without their schemas
//! GET    /v2/frames/{frame}  schema, rows, key, expiry
//! DELETE /v2/frames/{frame}  deletes it
//! POST   /v2/frames/{frame}/grants       a grant, signed by the frame's owner: others may add rows or columns
//! POST   /v2/frames/{frame}/revocations  ends a grant
//! POST   /v2/grants/uploads  a grant, pieces by size and checksum --> where to put each of them
//! POST   /v2/grants/rows     a grant, its pieces --> they are the frame's last rows, or columns beside all
//! POST   /v2/frames/explain  what a query takes and how exact its answer is, before it runs
//! POST   /v2/frames/query    a query --> its answer
//! POST   /v2/frames/jobs     a query that is too long for a request --> a job
//! ```
//! A piece is a whole file of rows: [`FrameKind::DataFrame`](crate::frame::FrameKind::DataFrame). All
//! pieces of a frame have one schema, but for the number of rows, one key and one gadget; look-ups'
//! tables come with the first.

use super::grant::TenantId;
use super::grants::GrantStatus;
use super::job::{ChunkFile, IdempotencyKey};
use super::{ModelName, Problem, ProblemType};
use crate::frame::ParameterSetTag;
use crate::hash::SpecsHash;
use crate::hex::as_hexadecimal;
use crate::message::KeyId;
use crate::specs::{BaseLog, Gadget, Levels};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use time::OffsetDateTime;

/// Most pieces of a frame.
pub const MAX_PIECES: usize = 100;
/// Most frames of a query.
pub const MAX_QUERY_FRAMES: usize = 16;
/// Most published models of a query.
pub const MAX_QUERY_MODELS: usize = 8;
/// Most invocations that share a query, all its passes together.
pub const MAX_QUERY_PARTS: usize = 100;
/// Most rows that are summed in one ciphertext.
pub const MAX_ROWS_PER_SUM: u32 = 2048;
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

    pub(crate) const fn to_bytes(self) -> [u8; 16] {
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

/// A gadget that selectors cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{levels} levels of {base_log} bits are no gadget: both are 1 to 48, together they have at most 64 bits; encrypt the frame with another one"
)]
pub struct GadgetError {
    levels: u32,
    base_log: u32,
}

impl TryFrom<GadgetDocument> for Gadget {
    type Error = GadgetError;

    fn try_from(document: GadgetDocument) -> Result<Self, GadgetError> {
        let GadgetDocument { base_log, levels } = document;
        let gadget = Self::new(BaseLog::new(base_log), Levels::new(levels));
        let each = 1..=48;
        if each.contains(&base_log) && each.contains(&levels) && gadget.bits() <= u64::BITS {
            return Ok(gadget);
        }
        Err(GadgetError { levels, base_log })
    }
}

impl From<Gadget> for GadgetDocument {
    fn from(gadget: Gadget) -> Self {
        Self {
            base_log: gadget.base_log.get(),
            levels: gadget.levels.get(),
        }
    }
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
    /// Rows of each of them, where there are several: columns that others add lie as they do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<u64>,
    /// Bytes of all that is stored of it.
    pub bytes: u64,
    /// When it was declared.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// When it stops being usable and is deleted.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
    /// Who else may add rows or columns to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<GrantStatus>,
}

/// A stored frame in a list. Its schema may be large, many of them larger than an answer: that of one
/// frame is in its [`FrameStatus`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedFrame {
    /// Names it here.
    pub frame: FrameId,
    /// Its schema's name.
    pub name: String,
    /// Rows.
    pub rows: u64,
    /// The key that it is encrypted under.
    pub key: KeyId,
    /// Bytes of its pieces.
    pub bytes: u64,
    /// When it stops being usable and is deleted.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
}

/// Answer to `GET /v2/frames`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameList {
    /// Names the caller here, for grants of others.
    pub tenant: TenantId,
    /// What the caller's quota counts and has not run out, the oldest first.
    pub frames: Vec<ListedFrame>,
}

/// A published table or model, as the client knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedVersion {
    /// Its name, which plans call it by.
    pub name: ModelName,
    /// Hash of its document or specs, which names the version.
    pub specs: SpecsHash,
}

/// A query over stored frames. Body of `POST /v2/frames/explain` and `POST /v2/frames/query`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameQuery {
    /// The frames that the plan names, by their schemas' names: 1 to [`MAX_QUERY_FRAMES`], tables
    /// included.
    pub frames: Vec<FrameId>,
    /// Published tables that the plan merges with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<PublishedVersion>,
    /// Published linear models whose scores the plan takes, each once: up to [`MAX_QUERY_MODELS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<PublishedVersion>,
    /// The plan, as a document.
    pub plan: Value,
    /// Rows that are summed in one ciphertext, 1 to [`MAX_ROWS_PER_SUM`].
    pub rows_per_sum: u32,
    /// Bits of its range that every column of the answer must have; with 0 it is evaluated whatever it is
    /// worth.
    pub min_bits: f64,
}

impl FrameQuery {
    /// Refuses numbers that no query has, before anything is read for it.
    pub fn check(&self) -> Result<(), Problem> {
        let (named, tables) = (self.frames.len(), self.tables.len());
        let mut names = BTreeSet::new();
        let twice = self
            .models
            .iter()
            .find(|own| !names.insert(own.name.as_str()));
        let detail = if !(1..=MAX_QUERY_FRAMES).contains(&named) {
            format!("frames: {named} are named; name 1 to {MAX_QUERY_FRAMES}")
        } else if named.saturating_add(tables) > MAX_QUERY_FRAMES {
            format!(
                "tables: {tables} are named beside {named} frames; name {MAX_QUERY_FRAMES} at most together"
            )
        } else if self.models.len() > MAX_QUERY_MODELS {
            format!(
                "models: {} are named; name {MAX_QUERY_MODELS} at most",
                self.models.len()
            )
        } else if let Some(twice) = twice {
            format!("models: {} is named twice; name it once", twice.name)
        } else if !(1..=MAX_ROWS_PER_SUM).contains(&self.rows_per_sum) {
            format!(
                "rows_per_sum: {} is not 1 to {MAX_ROWS_PER_SUM}",
                self.rows_per_sum
            )
        } else if !(self.min_bits >= 0.0 && self.min_bits.is_finite()) {
            "min_bits: a number of bits is 0 or more".to_owned()
        } else {
            return Ok(());
        };
        Err(Problem::new(ProblemType::MalformedRequest, detail))
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hash;

    #[test]
    fn gadgets_fit_into_a_word() {
        let gadget = |base_log, levels| Gadget::try_from(GadgetDocument { base_log, levels });
        for (base_log, levels) in [(6, 4), (1, 48), (48, 1), (16, 4)] {
            let known = gadget(base_log, levels).expect("a gadget");
            assert_eq!(
                GadgetDocument::from(known),
                GadgetDocument { base_log, levels }
            );
        }
        for (base_log, levels) in [(0, 4), (4, 0), (1, 49), (49, 1), (13, 5), (u32::MAX, 2)] {
            let error = gadget(base_log, levels).expect_err("no gadget").to_string();
            assert!(error.contains(&format!("{levels} levels of {base_log} bits")));
        }
    }

    #[test]
    fn queries_have_numbers_that_make_sense() {
        let query = FrameQuery {
            frames: vec![FrameId::from_bytes([1; 16])],
            tables: Vec::new(),
            models: Vec::new(),
            plan: Value::Null,
            rows_per_sum: 2048,
            min_bits: 0.0,
        };
        query.check().expect("a query");
        let none = FrameQuery {
            frames: Vec::new(),
            ..query.clone()
        };
        let table = PublishedVersion {
            name: "prices".parse().expect("a name"),
            specs: Hash::of(b"prices"),
        };
        let tables = FrameQuery {
            tables: vec![table.clone(); MAX_QUERY_FRAMES],
            ..query.clone()
        };
        let twice = FrameQuery {
            models: vec![table.clone(); 2],
            ..query.clone()
        };
        let models = FrameQuery {
            models: vec![table; MAX_QUERY_MODELS + 1],
            ..query.clone()
        };
        let sums = [0, 2049].map(|rows_per_sum| FrameQuery {
            rows_per_sum,
            ..query.clone()
        });
        let bits = [-1.0, f64::NAN, f64::INFINITY].map(|min_bits| FrameQuery {
            min_bits,
            ..query.clone()
        });
        let both = [(twice, "models: "), (models, "models: ")];
        for (wrong, field) in [(none, "frames: "), (tables, "tables: ")]
            .into_iter()
            .chain(both)
            .chain(sums.map(|query| (query, "rows_per_sum: ")))
            .chain(bits.map(|query| (query, "min_bits: ")))
        {
            let problem = wrong.check().expect_err("it is refused");
            assert_eq!(problem.kind, ProblemType::MalformedRequest);
            assert!(problem.detail.starts_with(field), "{}", problem.detail);
        }
    }
}
