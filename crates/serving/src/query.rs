//! A whole query from its bytes, and its reply.

use crate::estimate::{Clock, Paced, Stretch, Timed};
use crate::{CheckpointError, Estimate, Key, Model, OutOfTime, Progress, QueryError, Work};
use cipherfn_protocol::frame::{FrameKind, HEADER_LEN, ParameterSetTag};
use cipherfn_protocol::message::{
    Chunk, ChunkHead, Chunks, HEAD_LEN, MAX_FAILURE, MessageError, OUTCOME_OVERHEAD, QueryChunk,
    write_chunk,
};
use std::time::Instant;

/// Bytes of a chunk beside its outcomes.
const CHUNK_OVERHEAD: usize = HEADER_LEN + HEAD_LEN;

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
            kind: FrameKind::Query,
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

    /// Parameter set of its rows.
    pub const fn tag(&self) -> ParameterSetTag {
        self.tag
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.chunks.iter().map(Chunk::len).sum()
    }

    /// Checks that the rows are for this model and key.
    pub fn check(&self, model: &Model, key: Option<&Key>) -> Result<(), QueryError> {
        let mut chunks = self.chunks.iter();
        chunks.try_for_each(|chunk| model.check(self.tag, chunk, key))
    }

    /// Checks that the answers fit into a reply of `limit` bytes, whatever becomes of the rows.
    pub fn check_reply(&self, model: &Model, limit: usize) -> Result<(), ReplyTooLarge> {
        let row = model.reply_row_bytes();
        let packed = self.head().packed.then(|| model.packed());
        let bytes = |rows: usize| match packed.flatten() {
            // A further chunk costs a further mask at most.
            Some(packed) => packed.bytes(rows) + (self.chunks.len() - 1) * row + rows * MAX_FAILURE,
            None => rows * (OUTCOME_OVERHEAD + row).max(MAX_FAILURE),
        };
        let fits = |rows| self.chunks.len() * CHUNK_OVERHEAD + bytes(rows) <= limit;
        let rows = self.rows();
        if fits(rows) {
            return Ok(());
        }
        // The most that fit, between two bounds.
        let (mut most, mut too_many) = (0, rows);
        while too_many - most > 1 {
            let middle = most.midpoint(too_many);
            if fits(middle) {
                most = middle;
            } else {
                too_many = middle;
            }
        }
        Err(ReplyTooLarge { rows, most })
    }

    /// What answering it takes.
    pub fn work(&self, model: &Model) -> Work {
        let packed = self.head().packed.then(|| model.packed());
        let packed = packed.flatten();
        let key_switches = |chunk: &QueryChunk| match packed {
            Some(packed) => packed.key_switches(chunk.len()).sum(),
            None => 0,
        };
        Work {
            rows: self.rows(),
            key_switches: self.chunks.iter().map(key_switches).sum(),
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
        let mut progress = Progress::default();
        let mut clock = Timed {
            estimate,
            deadline,
            rows: self.rows(),
            left: self.work(model),
        };
        self.answer_rest((model, key), &mut progress, &mut clock)?;
        Ok(self.reply(&progress))
    }

    /// Goes on with an answer as far as a stretch reaches; the reply where that is all of it. The
    /// bits do not depend on where it was interrupted.
    pub fn go_on(
        &self,
        model: &Model,
        key: Option<&Key>,
        progress: &mut Progress,
        (estimate, stretch): (&Estimate, Stretch),
    ) -> Result<Option<Reply>, CheckpointError> {
        progress.check(&self.chunks, model)?;
        let mut clock = Paced {
            estimate,
            stretch,
            moved: false,
        };
        let whole = self.answer_rest((model, key), progress, &mut clock);
        Ok(whole.ok().map(|()| self.reply(progress)))
    }

    fn answer_rest<C: Clock>(
        &self,
        (model, key): (&Model, Option<&Key>),
        progress: &mut Progress,
        clock: &mut C,
    ) -> Result<(), C::Late> {
        self.chunks
            .iter()
            .enumerate()
            .try_for_each(|(number, chunk)| {
                let part = progress.part(number, || model.begin(chunk));
                model.go_on(key, chunk, part, clock)
            })
    }

    fn reply(&self, progress: &Progress) -> Reply {
        let mut reply = Reply {
            bytes: Vec::new(),
            failed: 0,
        };
        for chunk in progress.replies() {
            let failed = chunk.outcomes.iter().filter(|outcome| outcome.is_err());
            reply.failed += failed.count();
            write_chunk(&mut reply.bytes, self.tag, chunk).expect("memory takes all");
        }
        reply
    }
}
