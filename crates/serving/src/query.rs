//! A whole query from its bytes, and its reply.

use crate::{Estimate, Key, Model, OutOfTime, QueryError};
use cipherfn_protocol::frame::{HEADER_LEN, Kind, ParameterSetTag};
use cipherfn_protocol::message::{
    ChunkHead, Chunks, MAX_EXPLANATION, MessageError, QueryChunk, write_chunk,
};
use std::time::Instant;

/// Rows that are evaluated before the clock is looked at again.
const WAVE: usize = 32;
/// Bytes of a chunk beside its outcomes, with room to spare.
const CHUNK_OVERHEAD: usize = HEADER_LEN + 128;
/// Bytes of an outcome beside its row.
const OUTCOME_OVERHEAD: usize = 1;

/// A whole query.
#[derive(Debug)]
pub struct Query {
    tag: ParameterSetTag,
    chunks: Vec<QueryChunk>,
}

/// A whole reply.
#[derive(Debug)]
pub struct Reply {
    /// The message.
    pub bytes: Vec<u8>,
    /// Rows without an answer.
    pub failed: usize,
}

/// Answers that do not fit into one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answers to {rows} rows do not fit into one reply; send at most {most} at a time")]
pub struct ReplyTooLarge {
    /// Rows of the query.
    pub rows: usize,
    /// Rows whose answers fit.
    pub most: usize,
}

impl Query {
    /// Parses a body: all chunks, to the last one.
    pub fn parse(body: &[u8]) -> Result<Self, MessageError> {
        let chunks = Chunks::<_, QueryChunk>::new(body).collect::<Result<Vec<_>, _>>()?;
        let (tag, _) = chunks.first().ok_or(MessageError::Unfinished {
            kind: Kind::Query,
            rows: 0,
        })?;
        Ok(Self {
            tag: *tag,
            chunks: chunks.into_iter().map(|(_, chunk)| chunk).collect(),
        })
    }

    /// What all chunks have in common.
    pub fn head(&self) -> &ChunkHead {
        &self.chunks[0].head
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.rows.len()).sum()
    }

    /// Checks that the rows are for this model and key.
    pub fn check(&self, model: &Model, key: Option<&Key>) -> Result<(), QueryError> {
        model.check(self.tag, self.head(), key)
    }

    /// Checks that the answers fit into a reply of `limit` bytes, whatever becomes of the rows.
    pub fn check_reply(&self, model: &Model, limit: usize) -> Result<(), ReplyTooLarge> {
        let outcome = OUTCOME_OVERHEAD + model.reply_row_bytes().max(4 + MAX_EXPLANATION);
        let most = limit.saturating_sub(self.chunks.len() * CHUNK_OVERHEAD) / outcome;
        let rows = self.rows();
        if rows <= most {
            Ok(())
        } else {
            Err(ReplyTooLarge { rows, most })
        }
    }

    /// Evaluates all rows, in waves: between two of them the clock decides whether the rest can be
    /// done in time.
    pub fn answer(
        &self,
        model: &Model,
        key: Option<&Key>,
        estimate: &Estimate,
        deadline: Instant,
    ) -> Result<Reply, OutOfTime> {
        let mut reply = Reply {
            bytes: Vec::with_capacity(
                self.rows() * (model.reply_row_bytes() + OUTCOME_OVERHEAD) + CHUNK_OVERHEAD,
            ),
            failed: 0,
        };
        let mut left = self.rows();
        for chunk in &self.chunks {
            let mut outcomes = Vec::with_capacity(chunk.rows.len());
            for wave in chunk.rows.chunks(WAVE) {
                estimate.check(left, deadline)?;
                let start = Instant::now();
                outcomes.extend(model.answer_rows(key, wave));
                estimate.learn(wave.len(), start.elapsed());
                left -= wave.len();
            }
            reply.failed += outcomes.iter().filter(|outcome| outcome.is_err()).count();
            let chunk = model.reply(&chunk.head, outcomes);
            write_chunk(&mut reply.bytes, self.tag, &chunk).expect("memory takes all");
        }
        Ok(reply)
    }
}
