//! Work on uploaded rows as a file, under way a checkpoint and at the end the result: what it is of, how far
//! it is, and its ciphertexts. Weights of a descent and sums of rows in trees are kinds of it.
//!
//! Payload of a frame (integers little endian):
//!
//! ```text
//! offset  size  field
//!      0    32  hash of the program
//!     32    16  id of the secret key
//!     48    32  hash of the rows
//!     80     8  how much is done
//!   then     -  ciphertexts, as the frame's kind and version have them
//! ```

use crate::error::TrainingError;
use cipherfn_protocol::api::job::MAX_CHUNK;
use cipherfn_protocol::frame::{self, FrameKind, HEADER_LEN, ParameterSetTag};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;

/// Bytes before the ciphertexts.
pub(crate) const HEAD: usize = 88;
/// Most bytes of a payload: it is a result, and these are no larger.
const MAX_BYTES: u64 = MAX_CHUNK - HEADER_LEN as u64;

/// What work is of, and how far it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkHead {
    pub(crate) program: Hash,
    pub(crate) key: KeyId,
    pub(crate) parameter_set: ParameterSetTag,
    pub(crate) rows: Hash,
    pub(crate) done: u64,
}

impl WorkHead {
    /// The file's bytes.
    pub(crate) fn to_file_bytes(
        self,
        (kind, version): (FrameKind, u16),
        ciphertexts: &[u8],
    ) -> Vec<u8> {
        let payload = [
            self.program.as_bytes().as_slice(),
            self.key.as_bytes(),
            self.rows.as_bytes(),
            &self.done.to_le_bytes(),
            ciphertexts,
        ]
        .concat();
        frame::encode(kind, version, self.parameter_set, &payload)
    }

    /// Reads a file of exactly these bytes, of one of these versions: its head, which version it is, and the
    /// ciphertexts, which are not looked at.
    ///
    /// # Errors
    /// Bytes that are no work of this kind.
    pub(crate) fn read(
        (kind, versions): (FrameKind, &'static [u16]),
        bytes: &[u8],
    ) -> Result<(Self, u16, Vec<u8>), TrainingError> {
        let frame = frame::decode(bytes, kind, versions, MAX_BYTES)?;
        let split = || {
            let (program, rest) = frame.payload.split_first_chunk()?;
            let (key, rest) = rest.split_first_chunk()?;
            let (rows, rest) = rest.split_first_chunk()?;
            let (done, ciphertexts) = rest.split_first_chunk()?;
            Some((*program, *key, *rows, *done, ciphertexts))
        };
        let length = frame.payload.len();
        let parts = split().ok_or_else(|| TrainingError::short(kind, length, HEAD))?;
        let (program, key, rows, done, ciphertexts) = parts;
        let head = Self {
            program: Hash::from_bytes(program),
            key: KeyId::from_bytes(key),
            parameter_set: frame.parameter_set,
            rows: Hash::from_bytes(rows),
            done: u64::from_le_bytes(done),
        };
        Ok((head, frame.version, ciphertexts.to_vec()))
    }

    /// That it is of this program, key, parameter set and rows.
    ///
    /// # Errors
    /// What differs.
    pub(crate) fn require(
        &self,
        (program, rows): (Hash, Hash),
        (key, parameter_set): (KeyId, ParameterSetTag),
    ) -> Result<(), TrainingError> {
        let is_key = (self.key, self.parameter_set) == (key, parameter_set);
        for (what, same) in [
            ("program", self.program == program),
            ("key", is_key),
            ("upload of rows", self.rows == rows),
        ] {
            if !same {
                return Err(TrainingError::OtherState { what });
            }
        }
        Ok(())
    }
}
