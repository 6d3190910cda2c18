//! The state of a training as a file: under way a checkpoint, after the last step the result, and before
//! the first one what it starts from.
//!
//! Payload of a frame of kind [`FrameKind::Descent`], version 1, and version 2 where forms are watched (integers
//! little endian):
//!
//! ```text
//! offset  size  field
//!      0    32  hash of the program
//!     32    16  id of the secret key
//!     48    32  hash of the rows; of a start that of none
//!     80     8  steps that were done on them; of a start on other rows
//!     88     8  bytes of the weights (since version 2)
//!   then     -  weights, set by set: mask and body, 8 bytes a word
//!   then     -  what was watched of forms, the same (since version 2)
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
    /// What was watched of the forms of all sets; nothing where the key holder has all rows.
    pub watched: Option<Vec<u8>>,
}

/// Weights alone.
const ALONE: u16 = 1;
/// Weights, and what was watched of forms.
const WATCHED: u16 = 2;

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
        let Some(watched) = &self.watched else {
            let kind = (FrameKind::Descent, ALONE);
            return self.head().to_file_bytes(kind, &self.weights);
        };
        let bytes = (self.weights.len() as u64).to_le_bytes();
        let ciphertexts = [bytes.as_slice(), &self.weights, watched].concat();
        let kind = (FrameKind::Descent, WATCHED);
        self.head().to_file_bytes(kind, &ciphertexts)
    }

    /// Reads a file of exactly these bytes. The weights are not looked at.
    ///
    /// # Errors
    /// Bytes that are no state.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self, TrainingError> {
        let kind = (FrameKind::Descent, [ALONE, WATCHED].as_slice());
        let (head, version, mut weights) = WorkHead::read(kind, bytes)?;
        let watched = if version == WATCHED {
            let (ciphertexts, watched) = split(&weights)
                .ok_or_else(|| TrainingError::short(FrameKind::Descent, weights.len(), 8))?;
            let watched = Some(watched.to_vec());
            weights = ciphertexts.to_vec();
            watched
        } else {
            None
        };
        Ok(Self {
            program: head.program,
            key: head.key,
            parameter_set: head.parameter_set,
            rows: head.rows,
            steps: head.done,
            weights,
            watched,
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

/// Weights, and what was watched of forms.
fn split(ciphertexts: &[u8]) -> Option<(&[u8], &[u8])> {
    let (bytes, rest) = ciphertexts.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*bytes)).ok()?)
}
