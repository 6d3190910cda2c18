//! A query from its body, and its reply.

use crate::estimate::Estimate;
use cipherfn_protocol::api::{MAX_REPLY, Problem, ProblemType};
use cipherfn_protocol::frame::{HEADER_LEN, ParameterSetTag};
use cipherfn_protocol::message::{ChunkHead, Chunks, MAX_EXPLANATION, QueryChunk, write_chunk};
use cipherfn_service::Failure;
use cipherfn_serving::{Key, Model, QueryError};
use std::time::Instant;

/// Rows that are evaluated before the clock is looked at again.
const WAVE: usize = 32;
/// Bytes of a chunk beside its outcomes, with room to spare.
const CHUNK_OVERHEAD: usize = HEADER_LEN + 128;
/// Bytes of an outcome beside its row.
const OUTCOME_OVERHEAD: usize = 1;

/// A whole query.
#[derive(Debug)]
pub(crate) struct Query {
    tag: ParameterSetTag,
    chunks: Vec<QueryChunk>,
}

/// A whole reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) bytes: Vec<u8>,
    /// Rows without an answer.
    pub(crate) failed: usize,
}

impl Query {
    /// Parses a body: all chunks, to the last one.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let chunks = Chunks::<_, QueryChunk>::new(body).collect::<Result<Vec<_>, _>>();
        let chunks =
            chunks.map_err(|error| Problem::new(ProblemType::MalformedQuery, error.to_string()))?;
        let tag = chunks.first().map(|(tag, _)| *tag);
        Ok(Self {
            tag: tag.ok_or_else(|| {
                Problem::new(
                    ProblemType::MalformedQuery,
                    "the body is empty; send a query",
                )
            })?,
            chunks: chunks.into_iter().map(|(_, chunk)| chunk).collect(),
        })
    }

    /// What all chunks have in common.
    pub(crate) fn head(&self) -> &ChunkHead {
        &self.chunks[0].head
    }

    pub(crate) fn rows(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.rows.len()).sum()
    }

    /// Checks that the rows are for this model and key, and that all answers fit into one reply.
    pub(crate) fn check(&self, model: &Model, key: Option<&Key>) -> Result<(), Problem> {
        model.check(self.tag, self.head(), key).map_err(|error| {
            let kind = match error {
                QueryError::KeySet { .. } => ProblemType::WrongParameterSet,
                QueryError::NoKey => ProblemType::UnknownKey,
                _ => ProblemType::MalformedQuery,
            };
            Problem::new(kind, error.to_string())
        })?;
        let outcome = OUTCOME_OVERHEAD + model.reply_row_bytes().max(4 + MAX_EXPLANATION);
        let most = MAX_REPLY.saturating_sub(self.chunks.len() * CHUNK_OVERHEAD) / outcome;
        if self.rows() <= most {
            return Ok(());
        }
        let mut problem = Problem::new(
            ProblemType::TooManyRows,
            format!(
                "the answers to {} rows do not fit into one reply; send at most {most} at a time",
                self.rows()
            ),
        );
        problem.most_rows = Some(most as u64);
        Err(problem)
    }

    /// Evaluates all rows, in waves: between two of them the clock decides whether the rest can be
    /// done in time.
    pub(crate) fn answer(
        &self,
        model: &Model,
        key: Option<&Key>,
        estimate: &Estimate,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
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
            write_chunk(
                &mut reply.bytes,
                self.tag,
                &model.reply(&chunk.head, outcomes),
            )
            .map_err(|error| Failure::Internal(error.to_string()))?;
        }
        Ok(reply)
    }
}
