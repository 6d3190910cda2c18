//! What is uploaded for a training of trees: all rows, and before them the tree where it is grown.

use super::{GrownTree, LeafRowsChunk};
use crate::error::TrainingError;
use cipherfn_protocol::frame::{FrameKind, kind};

/// Files of an upload, read one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeafUpload {
    /// The tree as far as it is grown; without one it is a leaf.
    pub tree: Option<GrownTree>,
    /// Chunks of rows, in order.
    pub chunks: Vec<LeafRowsChunk>,
}

impl LeafUpload {
    /// Takes the next file: a chunk of rows, or, as the first one, a tree.
    ///
    /// # Errors
    /// Bytes that are neither.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), TrainingError> {
        let is_first = self.tree.is_none() && self.chunks.is_empty();
        if is_first && kind(bytes) == Some(FrameKind::LeafTree) {
            self.tree = Some(GrownTree::from_file_bytes(bytes)?);
        } else {
            self.chunks.push(LeafRowsChunk::from_file_bytes(bytes)?);
        }
        Ok(())
    }
}
