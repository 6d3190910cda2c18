//! The container of every binary file and body.
//!
//! ```text
//! offset  size  field
//!      0     8  magic "cipherfn"
//!      8     2  kind (little endian, see `FrameKind`)
//!     10     2  format version of that kind
//!     12    16  first half of the parameter set's hash (zero for kinds without one)
//!     28     8  payload length in bytes
//!     36    16  first half of BLAKE3 over the 36 bytes before and the payload
//!     52     -  payload
//! ```
//!
//! The checksum finds corruption, not forgery: whoever stores a file can also write a new checksum.

use crate::hash::ParameterSetHash;
pub use crate::header::{Header, header};
use crate::header::{read_header, whole_header};
use crate::hex::as_hexadecimal;
use crate::versions;
use std::io::{self, Read};
use zeroize::Zeroizing;

pub(crate) const MAGIC: &[u8; 8] = b"cipherfn";
/// Bytes before the payload.
pub const HEADER_LEN: usize = 52;
/// Bytes of a payload that are allocated before they arrive. Secret keys are shorter: a buffer that
/// grows leaves copies behind.
const AT_ONCE: u64 = 64 << 10;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum FrameKind {
    /// A secret key: client only.
    SecretKey = 1,
    /// A compressed evaluation key.
    EvaluationKey = 2,
    /// Encrypted rows.
    Query = 3,
    /// Encrypted results.
    Reply = 4,
    /// A compiled model.
    Bundle = 5,
    /// A reply under way: server only.
    Checkpoint = 6,
    /// What a part of a model makes of encrypted rows: server only.
    Sums = 7,
    /// A part of an encrypted data frame.
    DataFrame = 8,
    /// What a query made of data frames.
    Answer = 9,
    /// What others encrypt under for a key holder.
    PublicKey = 10,
    /// Statistics of some owners' rows, encrypted under a public key.
    Contribution = 11,
    /// A training under way, or its end.
    Descent = 12,
    /// Encrypted rows of a training.
    TrainingRows = 13,
    /// A table that the server has in the clear: server only.
    PlainTable = 14,
    /// Encrypted rows for weights that stay encrypted.
    FormsQuery = 15,
    /// Linear forms of rows by weights that stay encrypted.
    Forms = 16,
    /// Encrypted rows that are counted in the leaves of trees.
    LeafRows = 17,
    /// Encrypted counts of rows in leaves.
    LeafSums = 18,
    /// A tree that is grown, as far as it is.
    LeafTree = 19,
}

impl FrameKind {
    pub(crate) fn from_u16(value: u16) -> Option<Self> {
        [
            Self::SecretKey,
            Self::EvaluationKey,
            Self::Query,
            Self::Reply,
            Self::Bundle,
            Self::Checkpoint,
            Self::Sums,
            Self::DataFrame,
            Self::Answer,
            Self::PublicKey,
            Self::Contribution,
            Self::Descent,
            Self::TrainingRows,
            Self::PlainTable,
            Self::FormsQuery,
            Self::Forms,
            Self::LeafRows,
            Self::LeafSums,
            Self::LeafTree,
        ]
        .into_iter()
        .find(|kind| *kind as u16 == value)
    }

    /// Name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SecretKey => "secret key",
            Self::EvaluationKey => "evaluation key",
            Self::Query => "query",
            Self::Reply => "reply",
            Self::Bundle => "bundle",
            Self::Checkpoint => "checkpoint",
            Self::Sums => "file of sums",
            Self::DataFrame => "data frame",
            Self::Answer => "answer",
            Self::PublicKey => "public key",
            Self::Contribution => "contribution",
            Self::Descent => "state of a training",
            Self::TrainingRows => "chunk of rows of a training",
            Self::PlainTable => "table in the clear",
            Self::FormsQuery => "query to trained weights",
            Self::Forms => "reply of trained weights",
            Self::LeafRows => "chunk of rows for leaves",
            Self::LeafSums => "file of leaf counts",
            Self::LeafTree => "tree of a training",
        }
    }

    /// The name in a sentence.
    pub const fn with_article(self) -> &'static str {
        match self {
            Self::SecretKey => "a secret key",
            Self::EvaluationKey => "an evaluation key",
            Self::Query => "a query",
            Self::Reply => "a reply",
            Self::Bundle => "a bundle",
            Self::Checkpoint => "a checkpoint",
            Self::Sums => "a file of sums",
            Self::DataFrame => "a data frame",
            Self::Answer => "an answer",
            Self::PublicKey => "a public key",
            Self::Contribution => "a contribution",
            Self::Descent => "a state of a training",
            Self::TrainingRows => "a chunk of rows of a training",
            Self::PlainTable => "a table in the clear",
            Self::FormsQuery => "a query to trained weights",
            Self::Forms => "a reply of trained weights",
            Self::LeafRows => "a chunk of rows for leaves",
            Self::LeafSums => "a file of leaf counts",
            Self::LeafTree => "a tree of a training",
        }
    }
}

/// First half of a parameter set's hash, as frames carry it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ParameterSetTag(pub(crate) [u8; 16]);

as_hexadecimal!(
    ParameterSetTag,
    "a parameter set's tag is 32 hexadecimal digits, lower case"
);

impl ParameterSetTag {
    /// For kinds that belong to no parameter set.
    pub const NONE: Self = Self([0; 16]);
}

impl From<ParameterSetHash> for ParameterSetTag {
    fn from(hash: ParameterSetHash) -> Self {
        let mut tag = [0; 16];
        tag.copy_from_slice(&hash.as_bytes()[..16]);
        Self(tag)
    }
}

/// A decoded frame: header checked, payload not yet parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Format version, one of those that the reader knows.
    pub version: u16,
    /// Parameter set of the payload.
    pub parameter_set: ParameterSetTag,
    /// The bytes inside.
    pub payload: Vec<u8>,
}

/// The kind that the first bytes of a file say, if they are a frame's; nothing is checked but these.
pub fn kind(start: &[u8]) -> Option<FrameKind> {
    let rest = start.strip_prefix(MAGIC)?;
    FrameKind::from_u16(u16::from_le_bytes(*rest.first_chunk()?))
}

/// Why bytes are not a frame of the wanted kind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Other magic bytes.
    #[error("not a cipherfn file: it does not start with the bytes \"cipherfn\"; give the {} written by the cipherfn command", .expected.name())]
    Foreign {
        /// Kind that was asked for.
        expected: FrameKind,
    },
    /// A cipherfn file, of another kind.
    #[error("this is {found}, not {}; give the right file", .expected.with_article())]
    WrongKind {
        /// Kind that was asked for.
        expected: FrameKind,
        /// Kind that was found.
        found: String,
    },
    /// Written by another format version.
    #[error("{} format version {found} is not supported, this build reads {}; make it anew with this build", .kind.name(), versions::list(.known))]
    Version {
        /// Kind of the frame.
        kind: FrameKind,
        /// Version found.
        found: u16,
        /// Versions that the reader knows.
        known: &'static [u16],
    },
    /// Longer than the limit for its kind.
    #[error("{} of {len} bytes exceeds the limit of {limit} bytes", .kind.name())]
    TooLarge {
        /// Kind of the frame.
        kind: FrameKind,
        /// Length announced.
        len: u64,
        /// Limit in force.
        limit: u64,
    },
    /// Ends early.
    #[error("{} is truncated: {missing} bytes are missing; transfer it again", .kind.name())]
    Truncated {
        /// Kind that was asked for.
        kind: FrameKind,
        /// Bytes that should have followed.
        missing: u64,
    },
    /// Bytes follow the payload.
    #[error("{extra} bytes follow the end of the {}; it is corrupt", .kind.name())]
    Trailing {
        /// Kind of the frame.
        kind: FrameKind,
        /// Bytes too many.
        extra: usize,
    },
    /// Checksum mismatch.
    #[error("{} is corrupt: its checksum does not match; transfer or make it again", .kind.name())]
    Corrupt {
        /// Kind of the frame.
        kind: FrameKind,
    },
    /// The stream failed.
    #[error("reading {} failed: {source}", .kind.with_article())]
    Io {
        /// Kind that was asked for.
        kind: FrameKind,
        /// Cause.
        source: io::Error,
    },
}

fn checksum(header: &[u8], payload: &[u8]) -> [u8; 16] {
    // Its state holds the end of the payload, which may be a secret.
    let mut hasher = Zeroizing::new(blake3::Hasher::new());
    hasher.update(header).update(payload);
    let mut out = [0; 16];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    out
}

/// Wraps `payload`, which is of format `version`.
pub fn encode(
    kind: FrameKind,
    version: u16,
    parameter_set: ParameterSetTag,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_LEN + payload.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&(kind as u16).to_le_bytes());
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&parameter_set.0);
    bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    let sum = checksum(&bytes, payload);
    bytes.extend_from_slice(&sum);
    bytes.extend_from_slice(payload);
    bytes
}

/// Reads bytes that hold exactly one frame of `kind` in one of the `known` versions, payload at
/// most `limit` bytes.
pub fn decode(
    bytes: &[u8],
    kind: FrameKind,
    known: &'static [u16],
    limit: u64,
) -> Result<Frame, FrameError> {
    let mut rest = bytes;
    match read(&mut rest, kind, known, limit)? {
        None => Err(FrameError::Truncated {
            kind,
            missing: HEADER_LEN as u64,
        }),
        Some(_) if !rest.is_empty() => Err(FrameError::Trailing {
            kind,
            extra: rest.len(),
        }),
        Some(frame) => Ok(frame),
    }
}

/// Reads the next frame of `kind` from a stream, or `None` at its end. Nothing is allocated for a
/// payload above `limit`, and no more than what arrives for one below it.
pub fn read(
    input: &mut impl Read,
    kind: FrameKind,
    known: &'static [u16],
    limit: u64,
) -> Result<Option<Frame>, FrameError> {
    let io = |source| FrameError::Io { kind, source };
    let mut header = Vec::with_capacity(HEADER_LEN);
    input
        .by_ref()
        .take(HEADER_LEN as u64)
        .read_to_end(&mut header)
        .map_err(io)?;
    if header.is_empty() {
        return Ok(None);
    }
    let header = whole_header(&header, kind)?;
    let Header {
        version,
        parameter_set,
        len,
    } = read_header(&header, kind, known, limit)?;
    let mut payload = Vec::with_capacity(len.min(AT_ONCE) as usize);
    input
        .by_ref()
        .take(len)
        .read_to_end(&mut payload)
        .map_err(io)?;
    if (payload.len() as u64) < len {
        return Err(FrameError::Truncated {
            kind,
            missing: len - payload.len() as u64,
        });
    }
    if checksum(&header[..36], &payload) != header[36..52] {
        return Err(FrameError::Corrupt { kind });
    }
    Ok(Some(Frame {
        version,
        parameter_set,
        payload,
    }))
}
