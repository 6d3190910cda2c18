//! Rows for predictions by weights that stay encrypted, and what comes back.
//!
//! Payload of a frame of kind [`FrameKind::FormsQuery`], version 1 (integers little endian):
//!
//! ```text
//! offset  size  field
//!      0    32  hash of the program
//!     32    16  id of the secret key
//!     48     4  features of a row, the constant included
//!     52     8  rows, as many to a batch as it has room for
//!   then     -  batches, one behind the other
//! ```
//!
//! Payload of a frame of kind [`FrameKind::Forms`], version 1:
//!
//! ```text
//! offset  size  field
//!      0    32  hash of the query's file
//!     32    16  id of the secret key
//!   then     -  forms, batch by batch and in a batch set by set
//! ```

use crate::error::TrainingError;
use cipherfn_protocol::api::{MAX_REPLY, MAX_REQUEST};
use cipherfn_protocol::frame::{self, FrameKind, HEADER_LEN, ParameterSetTag};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;

const VERSION: u16 = 1;
const QUERY_HEAD: usize = 60;
const REPLY_HEAD: usize = 48;
/// Most bytes of batches in a query.
pub const MAX_QUERY_BATCHES: usize = MAX_REQUEST - HEADER_LEN - QUERY_HEAD;
/// Most bytes of forms in a reply.
pub const MAX_FORMS: usize = MAX_REPLY - HEADER_LEN - REPLY_HEAD;

/// Encrypted rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormsQuery {
    /// Hash of the program.
    pub program: Hash,
    /// Id of the secret key.
    pub key: KeyId,
    /// Parameter set of the ciphertexts.
    pub parameter_set: ParameterSetTag,
    /// Features of a row, the constant included.
    pub features: u32,
    /// Number of rows.
    pub rows: u64,
    /// The ciphertexts.
    pub batches: Vec<u8>,
}

/// Encrypted forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forms {
    /// Hash of the query's file.
    pub query: Hash,
    /// Id of the secret key.
    pub key: KeyId,
    /// Parameter set of the ciphertexts.
    pub parameter_set: ParameterSetTag,
    /// The ciphertexts.
    pub forms: Vec<u8>,
}

impl FormsQuery {
    /// The file's bytes.
    pub fn to_file_bytes(&self) -> Vec<u8> {
        let payload = [
            self.program.as_bytes().as_slice(),
            self.key.as_bytes(),
            &self.features.to_le_bytes(),
            &self.rows.to_le_bytes(),
            &self.batches,
        ]
        .concat();
        frame::encode(FrameKind::FormsQuery, VERSION, self.parameter_set, &payload)
    }

    /// Reads a file of exactly these bytes. The ciphertexts are not looked at.
    ///
    /// # Errors
    /// Bytes that are no query, or more than a service takes.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self, TrainingError> {
        let (kind, limit) = (
            FrameKind::FormsQuery,
            (QUERY_HEAD + MAX_QUERY_BATCHES) as u64,
        );
        let frame = frame::decode(bytes, kind, &[VERSION], limit)?;
        let split = || {
            let (program, rest) = frame.payload.split_first_chunk()?;
            let (key, rest) = rest.split_first_chunk()?;
            let (features, rest) = rest.split_first_chunk()?;
            let (rows, batches) = rest.split_first_chunk()?;
            Some((*program, *key, *features, *rows, batches))
        };
        let length = frame.payload.len();
        let parts = split().ok_or_else(|| TrainingError::short(kind, length, QUERY_HEAD))?;
        let (program, key, features, rows, batches) = parts;
        Ok(Self {
            program: Hash::from_bytes(program),
            key: KeyId::from_bytes(key),
            parameter_set: frame.parameter_set,
            features: u32::from_le_bytes(features),
            rows: u64::from_le_bytes(rows),
            batches: batches.to_vec(),
        })
    }
}

impl Forms {
    /// The file's bytes.
    pub fn to_file_bytes(&self) -> Vec<u8> {
        let payload = [
            self.query.as_bytes().as_slice(),
            self.key.as_bytes(),
            &self.forms,
        ]
        .concat();
        frame::encode(FrameKind::Forms, VERSION, self.parameter_set, &payload)
    }

    /// Reads a file of exactly these bytes. The ciphertexts are not looked at.
    ///
    /// # Errors
    /// Bytes that are no reply.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self, TrainingError> {
        let (kind, limit) = (FrameKind::Forms, (REPLY_HEAD + MAX_FORMS) as u64);
        let frame = frame::decode(bytes, kind, &[VERSION], limit)?;
        let split = || {
            let (query, rest) = frame.payload.split_first_chunk()?;
            let (key, forms) = rest.split_first_chunk()?;
            Some((*query, *key, forms))
        };
        let length = frame.payload.len();
        let parts = split().ok_or_else(|| TrainingError::short(kind, length, REPLY_HEAD))?;
        let (query, key, forms) = parts;
        Ok(Self {
            query: Hash::from_bytes(query),
            key: KeyId::from_bytes(key),
            parameter_set: frame.parameter_set,
            forms: forms.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Forms, FormsQuery};
    use cipherfn_protocol::frame::{HEADER_LEN, ParameterSetTag};
    use cipherfn_protocol::hash::Hash;
    use cipherfn_protocol::message::KeyId;

    /// Every field, in its place.
    #[test]
    fn messages_have_exactly_these_bytes() {
        let query = FormsQuery {
            program: Hash::from_bytes([0xaa; 32]),
            key: KeyId::from_bytes([0xbb; 16]),
            parameter_set: ParameterSetTag::NONE,
            features: 31,
            rows: 0x0102,
            batches: vec![7, 8, 9],
        };
        let bytes = query.to_file_bytes();
        let mut expected = [vec![0xaa; 32], vec![0xbb; 16]].concat();
        expected.extend([31, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 7, 8, 9]);
        assert_eq!(bytes[HEADER_LEN..], expected);
        assert_eq!(bytes[8..12], [15, 0, 1, 0]);
        assert_eq!(FormsQuery::from_file_bytes(&bytes).unwrap(), query);
        let forms = Forms {
            query: Hash::from_bytes([0xcc; 32]),
            key: query.key,
            parameter_set: ParameterSetTag::NONE,
            forms: vec![1, 2],
        };
        let bytes = forms.to_file_bytes();
        let expected = [vec![0xcc; 32], vec![0xbb; 16], vec![1, 2]].concat();
        assert_eq!(bytes[HEADER_LEN..], expected);
        assert_eq!(bytes[8..12], [16, 0, 1, 0]);
        assert_eq!(Forms::from_file_bytes(&bytes).unwrap(), forms);
        for bytes in [&bytes[..], &query.to_file_bytes()[..99], b"", b"cipherfn"] {
            assert!(FormsQuery::from_file_bytes(bytes).is_err());
        }
        let short = cipherfn_protocol::frame::encode(
            cipherfn_protocol::frame::FrameKind::Forms,
            1,
            ParameterSetTag::NONE,
            &[0; 47],
        );
        let error = Forms::from_file_bytes(&short).unwrap_err().to_string();
        assert!(error.contains("47 bytes, fewer than 48"), "{error}");
    }
}
