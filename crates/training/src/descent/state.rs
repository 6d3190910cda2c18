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
use cipherfn_protocol::api::job::MAX_CHUNK;
use cipherfn_protocol::frame::{self, FrameKind, HEADER_LEN, ParameterSetTag};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;

const VERSION: u16 = 1;
/// Bytes before the weights.
const HEAD: usize = 88;
/// Most bytes of a payload: states are results, and these are no larger.
const MAX_BYTES: u64 = MAX_CHUNK - HEADER_LEN as u64;

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

    /// The file's bytes.
    pub fn to_file_bytes(&self) -> Vec<u8> {
        let payload = [
            self.program.as_bytes().as_slice(),
            self.key.as_bytes(),
            self.rows.as_bytes(),
            &self.steps.to_le_bytes(),
            &self.weights,
        ]
        .concat();
        frame::encode(FrameKind::Descent, VERSION, self.parameter_set, &payload)
    }

    /// Reads a file of exactly these bytes. The weights are not looked at.
    ///
    /// # Errors
    /// Bytes that are no state.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self, TrainingError> {
        let frame = frame::decode(bytes, FrameKind::Descent, &[VERSION], MAX_BYTES)?;
        let split = || {
            let (program, rest) = frame.payload.split_first_chunk()?;
            let (key, rest) = rest.split_first_chunk()?;
            let (rows, rest) = rest.split_first_chunk()?;
            let (steps, weights) = rest.split_first_chunk()?;
            Some((*program, *key, *rows, *steps, weights))
        };
        let (program, key, rows, steps, weights) = split().ok_or_else(|| TrainingError::Short {
            what: FrameKind::Descent.with_article(),
            bytes: frame.payload.len(),
            head: HEAD,
        })?;
        Ok(Self {
            program: Hash::from_bytes(program),
            key: KeyId::from_bytes(key),
            parameter_set: frame.parameter_set,
            rows: Hash::from_bytes(rows),
            steps: u64::from_le_bytes(steps),
            weights: weights.to_vec(),
        })
    }

    /// That it is of this program, key, parameter set and rows.
    ///
    /// # Errors
    /// What differs.
    pub fn require(
        &self,
        (program, rows): (Hash, Hash),
        (key, parameter_set): (KeyId, ParameterSetTag),
    ) -> Result<(), TrainingError> {
        for (what, same) in [
            ("program", self.program == program),
            (
                "key",
                (self.key, self.parameter_set) == (key, parameter_set),
            ),
            ("upload of rows", self.rows == rows),
        ] {
            if !same {
                return Err(TrainingError::OtherState { what });
            }
        }
        Ok(())
    }
}
