//! Queries and replies: encrypted rows and their outcomes, in chunks, so that a million rows stream
//! in bounded memory.
//!
//! A file or body is a sequence of [frames](crate::frame) of one kind ([`FrameKind::Query`] or
//! [`FrameKind::Reply`]), one chunk each. The last chunk says that it is the last: a stream that ends
//! before is truncated. Payload of a chunk of version 2 (integers little endian):
//!
//! ```text
//! offset  size  field
//!      0    32  hash of the client specs that the rows were made for
//!     32    16  id of the secret key that the rows are encrypted under
//!     48    16  nonce of the query, which its reply repeats
//!     64     8  number of the chunk's first row, from 0
//!     72     1  flags: 1 = last chunk, 2 = rows in groups (queries), 4 = results packed
//!     73     4  rows in the chunk, n
//!     77     4  bytes of a row, of a full group where rows are in groups, r
//!    [81     1  depth: levels that the packed ciphertexts of a group are expanded by, flag 2 only
//!     82     4  rows in a full group, g, flag 2 only]
//!   then     -  query: n times r bytes; in groups n / g times r bytes, then the last n mod g rows
//!               reply: n outcomes, each 0 and r bytes, or 1, a length (4 bytes) and that many bytes of UTF-8 (why the row failed);
//!               packed: the same with 0 alone for a row that has a result, then the ciphertexts that hold all results
//! ```
//!
//! A query that sets flag 4 asks for packed results, and its reply has them. Where the result of a
//! row that failed would stand there is zero, which nobody takes for a score, as its outcome says
//! so.
//!
//! Version 1 has no nonce and no flag but the first, and what follows the nonce stands 16 bytes
//! earlier. Version 3 is laid out as version 2, and its rows are encrypted under a public key: with
//! their masks, and without seeds. A query is answered in its own version. Nonce and number of rows bind a reply to its
//! query: a client that checks both notices a mix-up of requests, though not a server that computes
//! wrongly.

use crate::frame::{FrameError, FrameKind};
use crate::hash::SpecsHash;
use crate::hex::as_hexadecimal;

mod codec;
mod stream;

pub use codec::{HEAD_LEN, MAX_HEAD_LEN};
pub use stream::{Chunks, frame_of, write_chunk};

/// Versions of messages that are read.
pub const VERSIONS: &[u16] = &[1, 2, 3];
/// Largest payload of a chunk that is read.
pub const MAX_CHUNK: u64 = 256 << 20;
/// Most rows of a chunk that is read.
pub const MAX_ROWS: usize = 1 << 20;
/// Payload that writers aim at; a single larger row is a chunk by itself.
pub const TARGET_CHUNK: usize = 2 << 20;
/// Most rows that writers put into a chunk.
pub const TARGET_ROWS: usize = 4096;
/// Longest explanation of a failed row, in bytes; longer ones are cut.
pub const MAX_EXPLANATION: usize = 1024;
/// Bytes of the outcome of a row that has an answer, beside the answer: a flag.
pub const OUTCOME_OVERHEAD: usize = 1;
/// Bytes of the longest outcome of a row that failed: a flag, a length, an explanation.
pub const MAX_FAILURE: usize = 5 + MAX_EXPLANATION;

/// What a row became: a reply row, or why there is none.
pub type Outcome = Result<Vec<u8>, String>;

/// Names a secret key, the evaluation key made from it and the ciphertexts under it, so that a
/// mix-up is an error and not a wrong answer. Random and public.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 16]);

as_hexadecimal!(KeyId, "a key id is 32 hexadecimal digits, lower case");

impl KeyId {
    /// An id from its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Names one query, so that a reply to another one is not taken for its own. Random and public.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Nonce([u8; 16]);

as_hexadecimal!(Nonce, "a nonce is 32 hexadecimal digits, lower case");

impl Nonce {
    /// A new one, from the operating system's random numbers.
    pub fn random() -> Result<Self, MessageError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(MessageError::Random)?;
        Ok(Self(bytes))
    }

    /// A nonce from its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// What every chunk starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkHead {
    /// Specs that the rows were made for.
    pub specs: SpecsHash,
    /// Secret key that the rows are encrypted under.
    pub key: KeyId,
    /// Names the query; none in messages of version 1.
    pub nonce: Option<Nonce>,
    /// Number of the first row, from 0.
    pub first_row: u64,
    /// Whether no chunk follows.
    pub last: bool,
    /// Bytes of a row, or of a full group. In a reply those of a row's results as they travel
    /// apart, packed or not.
    pub row_len: u32,
    /// How the rows of a query share ciphertexts; none where they do not, and in replies.
    pub group: Option<Group>,
    /// Of a query: whether its results are to be packed; of a reply: whether they are.
    pub packed: bool,
    /// Whether the rows of the query are encrypted under a public key: messages of version 3, which
    /// have a nonce.
    pub public: bool,
}

/// Rows that share ciphertexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Levels that the ciphertexts are expanded by.
    pub depth: u8,
    /// Rows of a full group, at least 2.
    pub rows: u32,
}

/// Encrypted rows in groups of one size; the last one may be smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryChunk {
    /// Head.
    pub head: ChunkHead,
    /// The groups, each full one of `head.row_len` bytes.
    pub groups: Vec<RowGroup>,
}

/// Encrypted rows that share ciphertexts, or one alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowGroup {
    /// Number of rows.
    pub rows: usize,
    /// All of them.
    pub bytes: Vec<u8>,
}

/// One outcome a query row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyChunk {
    /// Head; `row_len` is that of the rows that succeeded.
    pub head: ChunkHead,
    /// Outcomes in the order of the query's rows; a row whose result is packed has no bytes.
    pub outcomes: Vec<Outcome>,
    /// The ciphertexts that hold the results, where they are packed.
    pub packed: Vec<u8>,
}

impl From<Vec<u8>> for RowGroup {
    /// A row alone.
    fn from(bytes: Vec<u8>) -> Self {
        Self { rows: 1, bytes }
    }
}

impl ChunkHead {
    /// Version of the message.
    pub const fn version(&self) -> u16 {
        match (self.nonce, self.public) {
            (None, _) => 1,
            (Some(_), false) => 2,
            (Some(_), true) => 3,
        }
    }
}

/// A message that travels in chunks.
pub trait Chunk: Sized {
    /// Kind of its frames.
    const KIND: FrameKind;
    /// Its head.
    fn head(&self) -> &ChunkHead;
    /// Number of rows.
    fn len(&self) -> usize;
    /// Whether it has no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The payload, in the version of the head.
    fn to_payload(&self) -> Vec<u8>;
    /// Parses a payload of `version`, one of [`VERSIONS`]; every byte must be accounted for.
    fn from_payload(version: u16, payload: &[u8]) -> Result<Self, MessageError>;
}

/// How many rows of `row_len` bytes to put into a chunk.
pub fn rows_a_chunk(row_len: usize) -> usize {
    (TARGET_CHUNK / row_len.max(1)).clamp(1, TARGET_ROWS)
}

/// Why bytes are not a query or a reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The container is wrong.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The payload does not have the documented layout.
    #[error("{} is malformed: {reason}; make it anew", .kind.name())]
    Malformed {
        /// Kind of the message.
        kind: FrameKind,
        /// What is wrong.
        reason: &'static str,
    },
    /// The stream ends between chunks, before the last one.
    #[error("{} is truncated: it ends after {rows} rows, before its last chunk; transfer it again", .kind.name())]
    Unfinished {
        /// Kind of the message.
        kind: FrameKind,
        /// Rows that were there.
        rows: u64,
    },
    /// Chunks of different messages.
    #[error("{} is a mixture: the chunk at row {row} belongs to another query, other specs, keys or parameters than the first one; keep files apart", .kind.name())]
    Mixed {
        /// Kind of the message.
        kind: FrameKind,
        /// First row of the foreign chunk.
        row: u64,
    },
    /// A chunk is missing, doubled or out of place.
    #[error("{} has a chunk out of place: it starts at row {found} where row {expected} must follow; transfer it again", .kind.name())]
    OutOfOrder {
        /// Kind of the message.
        kind: FrameKind,
        /// Row that must follow.
        expected: u64,
        /// Row found.
        found: u64,
    },
    /// The operating system gave no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(#[source] getrandom::Error),
    /// Bytes follow the last chunk.
    #[error("bytes follow the last chunk of the {}; keep files apart", .kind.name())]
    Trailing {
        /// Kind of the message.
        kind: FrameKind,
    },
}

#[cfg(test)]
mod tests;
