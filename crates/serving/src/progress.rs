//! A reply under way: what there is of it, as a file from which another server goes on.
//!
//! The file is a [`frame`] of kind `Checkpoint`, then the replies to the
//! query's first chunks as they will travel, the last of which may lack rows. Where results are
//! packed, those of a block that is not whole are in the first frame's payload (integers little
//! endian):
//!
//! ```text
//! offset  size  field
//!      0    32  SHA-256 of the query
//!     32     4  rows that wait to be packed, n
//!     36     4  ciphertexts a row, c
//!     40     4  words of a ciphertext's mask, m
//!     44     4  words of its body, b
//!     48     -  rows, as `rows` writes them
//! ```

use crate::Model;
use crate::answer::Waiting;
use crate::rows::{self, Malformed, Reader};
use cipherfn_protocol::frame::{self, FrameError, FrameKind, ParameterSetTag};
use cipherfn_protocol::hash::Sha256;
use cipherfn_protocol::message::{self, Chunk, MessageError, QueryChunk, ReplyChunk, frame_of};

/// Formats that are read; the last one is written.
const VERSIONS: &[u16] = &[1];
/// Largest payload that is read: 2,048 rows of a dozen outputs, and more than a function's memory
/// has room for.
const MAX_PAYLOAD: u64 = 1 << 30;

/// A reply under way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Replies to the query's first chunks, of which the last one may lack rows.
    replies: Vec<ReplyChunk>,
    /// Results of the next rows, until their block is whole.
    waiting: Vec<Waiting>,
}

/// Why a file is not the reply under way that it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The container.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The replies in it.
    #[error(transparent)]
    Reply(#[from] MessageError),
    /// Made from another query.
    #[error("the checkpoint was made from another query")]
    OtherQuery,
    /// Not the documented layout.
    #[error("the checkpoint is malformed: {0}")]
    Malformed(&'static str),
    /// Not what this query and this model give.
    #[error("the checkpoint is not one of this query and this model")]
    Foreign,
}

impl From<Malformed> for CheckpointError {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error.0)
    }
}

impl Progress {
    /// Rows that are done with, but for packing.
    pub fn rows(&self) -> usize {
        self.replies.iter().map(Chunk::len).sum::<usize>() + self.waiting.len()
    }

    /// All replies so far.
    pub(crate) fn replies(&self) -> &[ReplyChunk] {
        &self.replies
    }

    /// What there is of the reply to chunk `number`, which the ones before it are there of.
    pub(crate) fn part(
        &mut self,
        number: usize,
        begin: impl FnOnce() -> ReplyChunk,
    ) -> (&mut ReplyChunk, &mut Vec<Waiting>) {
        if self.replies.len() <= number {
            self.replies.push(begin());
        }
        (&mut self.replies[number], &mut self.waiting)
    }

    /// Checks that it is what this model makes of the first rows of these chunks, as far as lengths
    /// and heads tell.
    pub(crate) fn check(
        &self,
        chunks: &[QueryChunk],
        model: &Model,
    ) -> Result<(), CheckpointError> {
        let packed = model.packed();
        let mut left = chunks.iter().map(Chunk::len).sum::<usize>();
        let mut open = chunks.first().map_or(0, Chunk::len);
        for (index, reply) in self.replies.iter().enumerate() {
            let chunk = chunks.get(index).ok_or(CheckpointError::Foreign)?;
            let (rows, done) = (chunk.len(), reply.len());
            let is_last = index + 1 == self.replies.len();
            let expected = match packed.filter(|_| reply.head.packed) {
                Some(packed) if done < rows && done % packed.rows_a_block() != 0 => None,
                Some(packed) => Some(packed.bytes(done)),
                None => Some(0),
            };
            let sound = reply.head == model.begin(chunk).head
                && (done == rows || (is_last && done < rows))
                && expected == Some(reply.packed.len());
            if !sound {
                return Err(CheckpointError::Foreign);
            }
            left -= done;
            open = if done < rows {
                rows - done
            } else {
                chunks.get(index + 1).map_or(0, Chunk::len)
            };
        }
        let packs = chunks.first().is_some_and(|chunk| chunk.head.packed);
        let block = packed.filter(|_| packs);
        let most = block.map_or(0, |packed| packed.rows_a_block());
        let is_row = |row: &Waiting| match (row, block) {
            (Ok(row), Some(packed)) => packed.are_results(row),
            (Err(_), packed) => packed.is_some(),
            (Ok(_), None) => false,
        };
        if self.waiting.len() <= most.min(open).min(left) && self.waiting.iter().all(is_row) {
            Ok(())
        } else {
            Err(CheckpointError::Foreign)
        }
    }

    /// As a file, for a query with this checksum and of this parameter set.
    pub fn to_file_bytes(&self, query: Sha256, set: ParameterSetTag) -> Vec<u8> {
        let first = self.waiting.iter().find_map(|row| row.as_ref().ok());
        let (count, mask, body) = first.map_or((0, 0, 0), |row| {
            let glwe = row.first();
            let lens = glwe.map_or((0, 0), |glwe| (glwe.mask.len(), glwe.body.len()));
            (row.len(), lens.0, lens.1)
        });
        let bytes = self.waiting.len() * (1 + 8 * count * (mask + body));
        let mut payload = Vec::with_capacity(48 + bytes);
        payload.extend_from_slice(query.as_bytes());
        for number in [self.waiting.len(), count, mask, body] {
            payload.extend_from_slice(&(number as u32).to_le_bytes());
        }
        for row in &self.waiting {
            rows::write(&mut payload, row);
        }
        let newest = VERSIONS[VERSIONS.len() - 1];
        let mut file = frame::encode(FrameKind::Checkpoint, newest, set, &payload);
        for reply in self.replies.iter().filter(|reply| !reply.is_empty()) {
            file.extend_from_slice(&frame_of(set, reply));
        }
        file
    }

    /// Reads a file that was written for a query with this checksum and of this parameter set.
    pub fn from_file_bytes(
        bytes: &[u8],
        query: Sha256,
        set: ParameterSetTag,
    ) -> Result<Self, CheckpointError> {
        let mut rest = bytes;
        let head = frame::read(&mut rest, FrameKind::Checkpoint, VERSIONS, MAX_PAYLOAD)?;
        let head = head.ok_or(CheckpointError::Malformed("it is empty"))?;
        let mut reader = Reader(&head.payload);
        if reader.array()? != *query.as_bytes() || head.parameter_set != set {
            return Err(CheckpointError::OtherQuery);
        }
        let [rows, count, mask, body] = [
            reader.number()?,
            reader.number()?,
            reader.number()?,
            reader.number()?,
        ];
        let len = (mask as usize, body as usize);
        let waiting = reader.rows(rows, count as usize, len)?;
        let mut replies = Vec::new();
        let known = message::VERSIONS;
        while let Some(frame) = frame::read(&mut rest, FrameKind::Reply, known, message::MAX_CHUNK)?
        {
            if frame.parameter_set != set {
                return Err(CheckpointError::OtherQuery);
            }
            replies.push(ReplyChunk::from_payload(frame.version, &frame.payload)?);
        }
        Ok(Self { replies, waiting })
    }
}

#[cfg(test)]
mod tests;
