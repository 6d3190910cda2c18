//! Encrypted rows of a training as files.
//!
//! Batches share ciphertexts: each holds as many whole batches as it has room for. The ciphertexts of all
//! sets of weights, set by set, are one sequence, and a chunk is a stretch of it: so whoever has all chunks
//! knows that none is missing, doubled or in another place. Where several owners have rows, each has a sequence
//! of its own, one behind the other.
//!
//! Payload of a frame of kind [`FrameKind::TrainingRows`] (integers little endian). In version 1 each
//! ciphertext holds one batch, in version 3 they are under the public key:
//!
//! ```text
//! offset  size  field
//!      0    32  hash of the program
//!     32    16  id of the secret key
//!     48     8  rows of the whole upload
//!     56     8  number of the chunk's first ciphertext in the sequence, from 0
//!   then     -  ciphertexts, one behind the other
//! ```

use crate::error::TrainingError;
use cipherfn_protocol::api::job::MAX_CHUNK;
use cipherfn_protocol::frame::{self, FrameKind, HEADER_LEN, ParameterSetTag};
use cipherfn_protocol::hash::{Hash, Sha256};
use cipherfn_protocol::message::KeyId;

/// Those of [`RowsForm`], in its order.
const VERSIONS: [u16; 3] = [1, 2, 3];
/// Bytes before the ciphertexts.
const HEAD: usize = 64;
/// Most bytes of ciphertexts in a chunk that a service takes.
pub const MAX_BATCHES: usize = MAX_CHUNK as usize - HEADER_LEN - HEAD;
/// Bytes of a file that say what it holds.
pub const ROWS_HEAD: usize = HEADER_LEN + HEAD;
/// Bytes of a ciphertext under the public key: `cipherfn_scheme` has its form.
pub const PUBLIC_BATCH: usize = 96_256;

/// How rows are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsForm {
    /// By the key holder, a batch a ciphertext: what earlier clients send.
    Apart,
    /// By the key holder; batches share ciphertexts, in which rows at odd places are negated.
    Shared,
    /// The same under the public key, by anybody.
    Public,
}

/// What a chunk says of itself before its ciphertexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowsHead {
    /// Hash of the program.
    pub program: Hash,
    /// Id of the secret key.
    pub key: KeyId,
    /// Parameter set of the ciphertexts.
    pub parameter_set: ParameterSetTag,
    /// Rows of the whole upload.
    pub rows: u64,
    /// Number of the first ciphertext in the sequence of all sets' ones.
    pub first: u64,
    /// How they are encrypted.
    pub form: RowsForm,
    /// Bytes of ciphertexts that follow.
    pub bytes: u64,
}

impl RowsHead {
    /// Reads the first [`ROWS_HEAD`] bytes of a file. Whether the rest is there and as it was made, its
    /// checksum alone tells, which is not looked at.
    ///
    /// # Errors
    /// Bytes that begin no chunk of rows, or one that is larger than a service takes.
    pub fn read(start: &[u8]) -> Result<Self, TrainingError> {
        let limit = (HEAD + MAX_BATCHES) as u64;
        let header = frame::header(start, FrameKind::TrainingRows, &VERSIONS, limit)?;
        let payload = start.get(HEADER_LEN..).unwrap_or_default();
        let (program, key, rows, first) = fields(payload)?;
        Ok(Self {
            program,
            key,
            parameter_set: header.parameter_set,
            rows,
            first,
            form: RowsForm::of(header.version),
            bytes: header.len.saturating_sub(HEAD as u64),
        })
    }
}

impl RowsForm {
    const fn of(version: u16) -> Self {
        match version {
            1 => Self::Apart,
            2 => Self::Shared,
            _ => Self::Public,
        }
    }
}

/// What a payload begins with: program, key, rows, first ciphertext.
fn fields(payload: &[u8]) -> Result<(Hash, KeyId, u64, u64), TrainingError> {
    let split = || {
        let (program, rest) = payload.split_first_chunk()?;
        let (key, rest) = rest.split_first_chunk()?;
        let (rows, rest) = rest.split_first_chunk()?;
        let (first, _) = rest.split_first_chunk()?;
        Some((*program, *key, *rows, *first))
    };
    let short = || TrainingError::short(FrameKind::TrainingRows, payload.len(), HEAD);
    let (program, key, rows, first) = split().ok_or_else(short)?;
    Ok((
        Hash::from_bytes(program),
        KeyId::from_bytes(key),
        u64::from_le_bytes(rows),
        u64::from_le_bytes(first),
    ))
}

/// Some ciphertexts of a training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsChunk {
    /// Hash of the program.
    pub program: Hash,
    /// Id of the secret key.
    pub key: KeyId,
    /// Parameter set of the ciphertexts.
    pub parameter_set: ParameterSetTag,
    /// Rows of the whole upload.
    pub rows: u64,
    /// Number of the first ciphertext in the sequence of all sets' ones.
    pub first: u64,
    /// How they are encrypted.
    pub form: RowsForm,
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
            VERSIONS[self.form as usize],
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
        let (program, key, rows, first) = fields(&frame.payload)?;
        let mut batches = frame.payload;
        batches.drain(..HEAD);
        Ok(Self {
            program,
            key,
            parameter_set: frame.parameter_set,
            rows,
            first,
            form: RowsForm::of(frame.version),
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

/// What names an upload of several owners: of the checksums of all files in order. Whoever has the weights
/// decrypted has these from the service, and not the ciphertexts.
pub fn files_hash(files: impl IntoIterator<Item = Sha256>) -> Hash {
    rows_hash(
        files
            .into_iter()
            .map(|file| Hash::from_bytes(*file.as_bytes())),
    )
}
