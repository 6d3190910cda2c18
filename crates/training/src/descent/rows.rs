//! Encrypted rows of a training as files.
//!
//! Batches share ciphertexts: each holds as many whole batches as it has room for. The ciphertexts of all
//! sets of weights, set by set, are one sequence, and a chunk is a stretch of it: so whoever has all chunks
//! knows that none is missing, doubled or in another place.
//!
//! Payload of a frame of kind [`FrameKind::TrainingRows`], version 2 (integers little endian); in version 1
//! each ciphertext holds one batch:
//!
//! ```text
//! offset  size  field
//!      0    32  hash of the program
//!     32    16  id of the secret key
//!     48     8  rows of the whole training
//!     56     8  number of the chunk's first ciphertext in the sequence, from 0
//!   then     -  ciphertexts, one behind the other
//! ```

use crate::error::TrainingError;
use cipherfn_protocol::api::job::MAX_CHUNK;
use cipherfn_protocol::frame::{self, FrameKind, HEADER_LEN, ParameterSetTag};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;

/// A batch a ciphertext, and several.
const VERSIONS: [u16; 2] = [1, 2];
/// Bytes before the ciphertexts.
const HEAD: usize = 64;
/// Most bytes of ciphertexts in a chunk that a service takes.
pub const MAX_BATCHES: usize = MAX_CHUNK as usize - HEADER_LEN - HEAD;

/// Some ciphertexts of a training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsChunk {
    /// Hash of the program.
    pub program: Hash,
    /// Id of the secret key.
    pub key: KeyId,
    /// Parameter set of the ciphertexts.
    pub parameter_set: ParameterSetTag,
    /// Rows of the whole training.
    pub rows: u64,
    /// Number of the first ciphertext in the sequence of all sets' ones.
    pub first: u64,
    /// Whether batches share ciphertexts; those of earlier clients do not.
    pub shared: bool,
    /// The ciphertexts.
    pub batches: Vec<u8>,
}

impl RowsChunk {
    /// The file's bytes.
    pub fn to_file_bytes(&self) -> Vec<u8> {
        let payload = [
            self.program.as_bytes().as_slice(),
            self.key.as_bytes(),
            &self.rows.to_le_bytes(),
            &self.first.to_le_bytes(),
            &self.batches,
        ]
        .concat();
        frame::encode(
            FrameKind::TrainingRows,
            VERSIONS[usize::from(self.shared)],
            self.parameter_set,
            &payload,
        )
    }

    /// Reads a file of exactly these bytes. The ciphertexts are not looked at.
    ///
    /// # Errors
    /// Bytes that are no chunk of rows, or more than a service takes.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self, TrainingError> {
        let limit = (HEAD + MAX_BATCHES) as u64;
        let frame = frame::decode(bytes, FrameKind::TrainingRows, &VERSIONS, limit)?;
        let split = || {
            let (program, rest) = frame.payload.split_first_chunk()?;
            let (key, rest) = rest.split_first_chunk()?;
            let (rows, rest) = rest.split_first_chunk()?;
            let (first, _) = rest.split_first_chunk()?;
            Some((*program, *key, *rows, *first))
        };
        let (program, key, rows, first) = split().ok_or_else(|| TrainingError::Short {
            what: FrameKind::TrainingRows.with_article(),
            bytes: frame.payload.len(),
            head: HEAD,
        })?;
        let mut batches = frame.payload;
        batches.drain(..HEAD);
        Ok(Self {
            program: Hash::from_bytes(program),
            key: KeyId::from_bytes(key),
            parameter_set: frame.parameter_set,
            rows: u64::from_le_bytes(rows),
            first: u64::from_le_bytes(first),
            shared: frame.version == VERSIONS[1],
            batches,
        })
    }

    /// Hashes of its ciphertexts of so many bytes each.
    pub fn hashes(&self, batch: usize) -> impl Iterator<Item = Hash> {
        self.batches.chunks(batch.max(1)).map(Hash::of)
    }
}

/// What names all that was uploaded for a training, however rows are cut into chunks: of the hashes of all
/// ciphertexts in the sequence, behind that of the start's file where there is one.
pub fn rows_hash(batches: impl IntoIterator<Item = Hash>) -> Hash {
    let hashes: Vec<u8> = batches
        .into_iter()
        .flat_map(|hash| *hash.as_bytes())
        .collect();
    Hash::of(&hashes)
}
