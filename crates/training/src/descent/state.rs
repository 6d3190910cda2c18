//! The state of a training as a file: under way a checkpoint, after the last step the result, and before
//! the first one what it starts from.
//!
//! Payload of a frame of kind [`FrameKind::Descent`], version 1 (integers little endian):
//!
//! ```text
//! offset  size  field
//!      0    32  hash of the program
//!     32    16  id of the secret key
//!     48    32  hash of the rows; of a start that of none
//!     80     8  steps that were done on them; of a start on other rows
//!   then     -  weights, set by set: mask and body, 8 bytes a word
//! ```

use super::rows_hash;
use crate::error::TrainingError;
use crate::work::WorkHead;
use cipherfn_protocol::frame::{FrameKind, ParameterSetTag};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;

/// Encrypted weights, and how they came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescentState {
    /// Hash of the program.
    pub program: Hash,
    /// Id of the secret key.
    pub key: KeyId,
    /// Parameter set of the weights.
    pub parameter_set: ParameterSetTag,
    /// What names the rows: [`rows_hash`].
    pub rows: Hash,
    /// Steps that were done.
    pub steps: u64,
    /// Weights of all sets.
    pub weights: Vec<u8>,
}

impl DescentState {
    /// What names the rows of a start.
    pub fn no_rows() -> Hash {
        rows_hash([])
    }

    const fn head(&self) -> WorkHead {
        WorkHead {
            program: self.program,
            key: self.key,
            parameter_set: self.parameter_set,
            rows: self.rows,
            done: self.steps,
        }
    }

    /// The file's bytes.
    pub fn to_file_bytes(&self) -> Vec<u8> {
        self.head().to_file_bytes(FrameKind::Descent, &self.weights)
    }

    /// Reads a file of exactly these bytes. The weights are not looked at.
    ///
    /// # Errors
    /// Bytes that are no state.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self, TrainingError> {
        let (head, weights) = WorkHead::read(FrameKind::Descent, bytes)?;
        Ok(Self {
            program: head.program,
            key: head.key,
            parameter_set: head.parameter_set,
            rows: head.rows,
            steps: head.done,
            weights,
        })
    }

    /// That it is of this program, key, parameter set and rows.
    ///
    /// # Errors
    /// What differs.
    pub fn require(
        &self,
        of: (Hash, Hash),
        under: (KeyId, ParameterSetTag),
    ) -> Result<(), TrainingError> {
        self.head().require(of, under)
    }
}
