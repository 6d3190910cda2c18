//! Encrypted rows that are counted elsewhere, the tree that they are counted in where it is grown, and the
//! counts, as files.
//!
//! Payload of a frame of kind [`FrameKind::LeafRows`], version 1 (integers little endian):
//!
//! ```text
//! offset  size  field
//!      0    32  hash of the program
//!     32    16  id of the secret key
//!     48     8  rows of the whole upload
//!     56     8  number of the chunk's first row, from 0; a multiple of the rows of a sum
//!     64     8  rows of the chunk
//!   then     -  the rows, which share ciphertexts
//! ```
//!
//! Payload of a frame of kind [`FrameKind::LeafSums`], version 1:
//!
//! ```text
//! offset  size  field
//!      0    32  hash of the program; of a tree that is grown that of the level
//!     32    16  id of the secret key
//!     48    32  hash of the rows
//!     80     8  rows that were counted
//!   then     -  their sums, one behind the other; under way that of the rows behind them, with all coefficients
//! ```
//!
//! Payload of a frame of kind [`FrameKind::LeafTree`], version 1: the hash of the program (32 bytes), then the tree
//! as JSON, as in a program.

use super::LeafTree;
use crate::descent::rows_hash;
use crate::error::TrainingError;
use crate::work::{self, WorkHead};
use cipherfn_protocol::api::job::MAX_CHUNK;
use cipherfn_protocol::frame::{self, FrameKind, HEADER_LEN, ParameterSetTag};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;

const VERSION: u16 = 1;
/// Bytes before the rows.
const ROWS_HEAD: usize = 72;
/// Bytes before a tree.
const TREE_HEAD: usize = 32;
/// Most bytes of a tree: some hundred a node, and a level of a thousand leaves is the last one.
const MAX_TREE: u64 = 1 << 20;
/// Most bytes of rows in a chunk that a service takes.
pub const MAX_ROWS_BYTES: usize = MAX_CHUNK as usize - HEADER_LEN - ROWS_HEAD;
/// Most bytes of sums: they are a result, and these are no larger than a chunk.
pub const MAX_SUMS_BYTES: usize = MAX_CHUNK as usize - HEADER_LEN - work::HEAD;

/// Some of the encrypted rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafRowsChunk {
    /// Hash of the program.
    pub program: Hash,
    /// Id of the secret key.
    pub key: KeyId,
    /// Parameter set of the ciphertexts.
    pub parameter_set: ParameterSetTag,
    /// Rows of the whole upload.
    pub rows: u64,
    /// Number of the first row.
    pub first: u64,
    /// Rows of the chunk.
    pub count: u64,
    /// The ciphertexts.
    pub group: Vec<u8>,
}

/// Encrypted sums, and what they are sums of: under way a checkpoint, of all rows the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafSums {
    /// Hash of the program.
    pub program: Hash,
    /// Id of the secret key.
    pub key: KeyId,
    /// Parameter set of the ciphertexts.
    pub parameter_set: ParameterSetTag,
    /// What names the rows: [`leaf_rows_hash`].
    pub rows: Hash,
    /// Rows that were counted.
    pub done: u64,
    /// The sums.
    pub sums: Vec<u8>,
}

/// A tree that is grown, before the next level is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrownTree {
    /// Hash of the program, whose tree it is in place of.
    pub program: Hash,
    /// The tree.
    pub tree: LeafTree,
}

/// What names an upload: the ciphertexts of its chunks, in order.
pub fn leaf_rows_hash<'a>(groups: impl IntoIterator<Item = &'a [u8]>) -> Hash {
    rows_hash(groups.into_iter().map(Hash::of))
}

impl LeafRowsChunk {
    /// The file's bytes.
    pub fn to_file_bytes(&self) -> Vec<u8> {
        let payload = [
            self.program.as_bytes().as_slice(),
            self.key.as_bytes(),
            &self.rows.to_le_bytes(),
            &self.first.to_le_bytes(),
            &self.count.to_le_bytes(),
            &self.group,
        ]
        .concat();
        frame::encode(FrameKind::LeafRows, VERSION, self.parameter_set, &payload)
    }

    /// Reads a file of exactly these bytes. The ciphertexts are not looked at.
    ///
    /// # Errors
    /// Bytes that are no chunk of rows, or more than a service takes.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self, TrainingError> {
        let (kind, limit) = (FrameKind::LeafRows, (ROWS_HEAD + MAX_ROWS_BYTES) as u64);
        let frame = frame::decode(bytes, kind, &[VERSION], limit)?;
        let split = || {
            let (program, rest) = frame.payload.split_first_chunk()?;
            let (key, rest) = rest.split_first_chunk()?;
            let (rows, rest) = rest.split_first_chunk()?;
            let (first, rest) = rest.split_first_chunk()?;
            let (count, group) = rest.split_first_chunk()?;
            Some((*program, *key, [*rows, *first, *count], group))
        };
        let length = frame.payload.len();
        let parts = split().ok_or_else(|| TrainingError::short(kind, length, ROWS_HEAD))?;
        let (program, key, numbers, group) = parts;
        let [rows, first, count] = numbers.map(u64::from_le_bytes);
        Ok(Self {
            program: Hash::from_bytes(program),
            key: KeyId::from_bytes(key),
            parameter_set: frame.parameter_set,
            rows,
            first,
            count,
            group: group.to_vec(),
        })
    }
}

impl LeafSums {
    const fn head(&self) -> WorkHead {
        WorkHead {
            program: self.program,
            key: self.key,
            parameter_set: self.parameter_set,
            rows: self.rows,
            done: self.done,
        }
    }

    /// The file's bytes.
    pub fn to_file_bytes(&self) -> Vec<u8> {
        self.head()
            .to_file_bytes((FrameKind::LeafSums, VERSION), &self.sums)
    }

    /// Reads a file of exactly these bytes. The sums are not looked at.
    ///
    /// # Errors
    /// Bytes that are no sums.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self, TrainingError> {
        let kind = (FrameKind::LeafSums, [VERSION].as_slice());
        let (head, _, sums) = WorkHead::read(kind, bytes)?;
        Ok(Self {
            program: head.program,
            key: head.key,
            parameter_set: head.parameter_set,
            rows: head.rows,
            done: head.done,
            sums,
        })
    }

    /// That they are of this program, key, parameter set and rows.
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

impl GrownTree {
    /// The file's bytes: of a tree always the same.
    ///
    /// # Errors
    /// None that a tree has.
    pub fn to_file_bytes(&self) -> Result<Vec<u8>, TrainingError> {
        let tree = serde_json::to_vec(&self.tree).map_err(TrainingError::Tree)?;
        let payload = [self.program.as_bytes().as_slice(), &tree].concat();
        let (kind, set) = (FrameKind::LeafTree, ParameterSetTag::NONE);
        Ok(frame::encode(kind, VERSION, set, &payload))
    }

    /// Reads a file of exactly these bytes. Whether the tree is one of the program's is not looked at.
    ///
    /// # Errors
    /// Bytes that are no nodes.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self, TrainingError> {
        let frame = frame::decode(bytes, FrameKind::LeafTree, &[VERSION], MAX_TREE)?;
        let length = frame.payload.len();
        let split = frame.payload.split_first_chunk::<TREE_HEAD>();
        let (program, tree) =
            split.ok_or_else(|| TrainingError::short(FrameKind::LeafTree, length, TREE_HEAD))?;
        Ok(Self {
            program: Hash::from_bytes(*program),
            tree: serde_json::from_slice(tree).map_err(TrainingError::Tree)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{GrownTree, LeafRowsChunk, LeafSums, leaf_rows_hash};
    use crate::leaves::LeafTree;
    use cipherfn_protocol::frame::{HEADER_LEN, ParameterSetTag};
    use cipherfn_protocol::hash::Hash;
    use cipherfn_protocol::message::KeyId;

    /// Every field, in its place.
    #[test]
    fn files_have_exactly_these_bytes() {
        let chunk = LeafRowsChunk {
            program: Hash::from_bytes([0xaa; 32]),
            key: KeyId::from_bytes([0xbb; 16]),
            parameter_set: ParameterSetTag::NONE,
            rows: 0x0102,
            first: 30,
            count: 5,
            group: vec![7, 8, 9],
        };
        let bytes = chunk.to_file_bytes();
        let mut expected = [vec![0xaa; 32], vec![0xbb; 16]].concat();
        expected.extend([2, 1, 0, 0, 0, 0, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([5, 0, 0, 0, 0, 0, 0, 0, 7, 8, 9]);
        assert_eq!(bytes[HEADER_LEN..], expected);
        assert_eq!(bytes[8..12], [17, 0, 1, 0]);
        assert_eq!(LeafRowsChunk::from_file_bytes(&bytes).unwrap(), chunk);
        let sums = LeafSums {
            program: chunk.program,
            key: chunk.key,
            parameter_set: ParameterSetTag::NONE,
            rows: Hash::from_bytes([0xcc; 32]),
            done: 31,
            sums: vec![1, 2],
        };
        let bytes = sums.to_file_bytes();
        let mut expected = [vec![0xaa; 32], vec![0xbb; 16], vec![0xcc; 32]].concat();
        expected.extend([31, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(bytes[HEADER_LEN..], expected);
        assert_eq!(bytes[8..12], [18, 0, 1, 0]);
        assert_eq!(LeafSums::from_file_bytes(&bytes).unwrap(), sums);
        for bytes in [&bytes[..], &chunk.to_file_bytes()[..99], b"", b"cipherfn"] {
            assert!(LeafRowsChunk::from_file_bytes(bytes).is_err());
        }
        let own = (sums.key, ParameterSetTag::NONE);
        sums.require((sums.program, sums.rows), own).unwrap();
        let error = sums.require((sums.program, sums.program), own);
        assert!(error.unwrap_err().to_string().contains("upload of rows"));
        assert_ne!(
            leaf_rows_hash([&b"ab"[..]]),
            leaf_rows_hash([&b"a"[..], b"b"])
        );
        let tree = GrownTree {
            program: chunk.program,
            tree: LeafTree::seed(),
        };
        let bytes = tree.to_file_bytes().unwrap();
        let expected = [&[0xaa; 32][..], b"{\"nodes\":[\"leaf\"]}"].concat();
        assert_eq!(bytes[HEADER_LEN..], expected);
        assert_eq!(bytes[8..12], [19, 0, 1, 0]);
        assert_eq!(GrownTree::from_file_bytes(&bytes).unwrap(), tree);
        let error = GrownTree::from_file_bytes(&chunk.to_file_bytes()).unwrap_err();
        assert!(
            error.to_string().contains("a tree of a training"),
            "{error}"
        );
    }
}
