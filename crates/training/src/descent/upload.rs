//! What is uploaded for a training: all rows, and before them what weights it starts from.

use super::{DescentState, RowsChunk};
use crate::error::TrainingError;
use cipherfn_protocol::frame::{FrameKind, kind};
use cipherfn_protocol::hash::Hash;

/// Files of an upload, read one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescentUpload {
    /// What it starts from: a state before all rows. Without one weights start from zero.
    pub start: Option<DescentState>,
    /// Chunks of rows, in order; those of several owners one behind the other.
    pub chunks: Vec<RowsChunk>,
    /// File of the public key that some rows are under: weights begin as a fresh encryption of zero under it.
    pub public_key: Option<Vec<u8>>,
    /// What names all of it where some rows are under the public key ([`super::files_hash`]).
    pub name: Option<Hash>,
}

impl DescentUpload {
    /// Takes the next file: a chunk of rows, or, as the first one, a start.
    ///
    /// # Errors
    /// Bytes that are neither.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), TrainingError> {
        let is_first = self.start.is_none() && self.chunks.is_empty();
        if is_first && kind(bytes) == Some(FrameKind::Descent) {
            self.start = Some(DescentState::from_file_bytes(bytes)?);
        } else {
            self.chunks.push(RowsChunk::from_file_bytes(bytes)?);
        }
        Ok(())
    }
}

/// Rows alone.
impl From<Vec<RowsChunk>> for DescentUpload {
    fn from(chunks: Vec<RowsChunk>) -> Self {
        Self {
            start: None,
            chunks,
            public_key: None,
            name: None,
        }
    }
}
