//! A query chunk to its reply chunk.

use crate::estimate::{Clock, Untimed};
use crate::{Key, Model};
use cipherfn_engine::{EngineError, QueryRow};
use cipherfn_protocol::message::{Chunk, ChunkHead, Outcome, QueryChunk, ReplyChunk};
use cipherfn_scheme::reply::PackedRows;
use cipherfn_scheme::{ExpandedEvaluationKey, Glwe, SchemeError};

/// A row's results, one ciphertext an output, or why there are none.
pub(crate) type RowResult = Result<Vec<Glwe>, String>;

impl Model {
    /// Answers a chunk, rows in parallel on the current rayon pool: one outcome a row, in their
    /// order.
    pub fn answer(&self, key: Option<&Key>, chunk: &QueryChunk) -> ReplyChunk {
        match self.answer_with(key, chunk, &mut Untimed) {
            Ok(reply) => reply,
            Err(never) => match never {},
        }
    }

    /// [`Self::answer`] with an eye on the clock.
    pub(crate) fn answer_with<C: Clock>(
        &self,
        key: Option<&Key>,
        chunk: &QueryChunk,
        clock: &mut C,
    ) -> Result<ReplyChunk, C::Late> {
        assert!(self.part().is_none(), "a part of a model answers nothing");
        let key = self.expanded(key);
        let rows = self.rows(chunk);
        let mut reply = self.empty_reply(chunk);
        match self.packed().filter(|_| chunk.head.packed) {
            None => {
                let evaluate = |wave: &_| self.circuit().evaluate_rows(key, wave);
                let outcomes = waves(&rows, clock, evaluate)?;
                reply.outcomes.extend(outcomes.into_iter().map(explained));
            }
            // A block's results are in memory together, 32 KB each, and twice while they are packed:
            // 134 MB an output at most.
            Some(packed) => {
                for block in rows.chunks(packed.rows_a_block()) {
                    let results = self.results(key, block, clock)?;
                    let (outcomes, bytes) = self.block(key, packed, results, clock)?;
                    reply.outcomes.extend(outcomes);
                    reply.packed.extend(bytes);
                }
            }
        }
        Ok(reply)
    }

    /// The results of all rows of a chunk, one ciphertext an output, before anything is rounded.
    pub(crate) fn results_with<C: Clock>(
        &self,
        key: Option<&Key>,
        chunk: &QueryChunk,
        clock: &mut C,
    ) -> Result<Vec<RowResult>, C::Late> {
        self.results(self.expanded(key), &self.rows(chunk), clock)
    }

    /// The reply to a chunk, of whose rows these are the results.
    pub(crate) fn reply_of<C: Clock>(
        &self,
        key: Option<&Key>,
        chunk: &QueryChunk,
        mut results: Vec<RowResult>,
        clock: &mut C,
    ) -> Result<ReplyChunk, C::Late> {
        let mut reply = self.empty_reply(chunk);
        match self.packed().filter(|_| chunk.head.packed) {
            None => {
                let compress = |result: Vec<Glwe>| explained(self.circuit().compress(&result));
                let outcomes = results.into_iter().map(|result| compress(result?));
                reply.outcomes.extend(outcomes);
            }
            Some(packed) => {
                while !results.is_empty() {
                    let rest = results.split_off(results.len().min(packed.rows_a_block()));
                    let key = self.expanded(key);
                    let (outcomes, bytes) = self.block(key, packed, results, clock)?;
                    reply.outcomes.extend(outcomes);
                    reply.packed.extend(bytes);
                    results = rest;
                }
            }
        }
        Ok(reply)
    }

    fn expanded<'a>(&self, key: Option<&'a Key>) -> Option<&'a ExpandedEvaluationKey> {
        key.filter(|_| self.needs_key()).map(Key::expanded)
    }

    fn rows<'a>(&self, chunk: &'a QueryChunk) -> Vec<QueryRow<'a>> {
        let rows = chunk.groups.iter().flat_map(|group| {
            let form = self.form(&chunk.head, group.rows);
            (0..group.rows).map(move |index| QueryRow {
                group: &group.bytes,
                form,
                index,
            })
        });
        rows.collect()
    }

    fn empty_reply(&self, chunk: &QueryChunk) -> ReplyChunk {
        ReplyChunk {
            head: ChunkHead {
                row_len: self.reply_row_bytes() as u32,
                group: None,
                packed: chunk.head.packed && self.packed().is_some(),
                ..chunk.head
            },
            outcomes: Vec::with_capacity(chunk.len()),
            packed: Vec::new(),
        }
    }

    fn results<C: Clock>(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        rows: &[QueryRow<'_>],
        clock: &mut C,
    ) -> Result<Vec<RowResult>, C::Late> {
        let evaluate = |wave: &_| self.circuit().results_of_rows(key, wave);
        let results = waves(rows, clock, evaluate)?;
        Ok(results.into_iter().map(explained).collect())
    }

    /// Packs the results of a block.
    fn block<C: Clock>(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        packed: PackedRows<'_>,
        rows: Vec<RowResult>,
        clock: &mut C,
    ) -> Result<(Vec<Outcome>, Vec<u8>), C::Late> {
        let mut results = Vec::with_capacity(rows.len());
        let mut outcomes = Vec::with_capacity(rows.len());
        for result in rows {
            outcomes.push(result.as_ref().map(|_| Vec::new()).map_err(String::clone));
            results.push(result.ok());
        }
        let count = outcomes.len();
        let bytes = match key {
            Some(key) => pack(key, packed, results, clock)?,
            None => Err(SchemeError::EvaluationKeyMissing {
                set: self.circuit().parameter_set().name,
            }),
        };
        Ok(bytes.map_or_else(
            // Nothing of it is a score: every row says so.
            |error| {
                let failed = vec![Err(error.to_string()); count];
                (failed, vec![0; packed.bytes(count)])
            },
            |bytes| (outcomes, bytes),
        ))
    }
}

/// Packs a block's results, one ciphertext after the other as the clock allows.
fn pack<C: Clock>(
    key: &ExpandedEvaluationKey,
    packed: PackedRows<'_>,
    results: Vec<Option<Vec<Glwe>>>,
    clock: &mut C,
) -> Result<Result<Vec<u8>, SchemeError>, C::Late> {
    let key_switches = packed.key_switches(results.len());
    let mut ciphertexts = packed.pack(key, results);
    let mut bytes = Vec::new();
    for key_switches in key_switches {
        match clock.packing(key_switches, || ciphertexts.next())? {
            Some(Ok(more)) => bytes.extend(more),
            Some(Err(error)) => return Ok(Err(error)),
            None => break,
        }
    }
    Ok(Ok(bytes))
}

/// Evaluates rows wave by wave, each as large as the clock allows at its time.
fn waves<'a, C: Clock, T>(
    mut rows: &[QueryRow<'a>],
    clock: &mut C,
    evaluate: impl Fn(&[QueryRow<'a>]) -> Vec<T>,
) -> Result<Vec<T>, C::Late> {
    let mut done = Vec::with_capacity(rows.len());
    while !rows.is_empty() {
        let (wave, rest) = rows.split_at(clock.wave().min(rows.len()));
        done.extend(clock.rows(wave.len(), || evaluate(wave))?);
        rows = rest;
    }
    Ok(done)
}

fn explained<T>(outcome: Result<T, EngineError>) -> Result<T, String> {
    outcome.map_err(|error| error.to_string())
}
