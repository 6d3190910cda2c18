//! A query chunk to its reply chunk.

use crate::estimate::{Clock, Untimed};
use crate::{Key, Model};
use cipherfn_engine::{EngineError, QueryRow};
use cipherfn_protocol::message::{ChunkHead, Outcome, QueryChunk, ReplyChunk};
use cipherfn_scheme::reply::PackedRows;
use cipherfn_scheme::{ExpandedEvaluationKey, Glwe, SchemeError};
use std::mem;

/// The results of a row, or why it has none, until its block is packed.
pub(crate) type Waiting = Result<Vec<Glwe>, String>;

impl Model {
    /// Answers a chunk, rows in parallel on the current rayon pool: one outcome a row, in their
    /// order.
    pub fn answer(&self, key: Option<&Key>, chunk: &QueryChunk) -> ReplyChunk {
        let mut reply = self.begin(chunk);
        match self.go_on(key, chunk, (&mut reply, &mut Vec::new()), &mut Untimed) {
            Ok(()) => reply,
            Err(never) => match never {},
        }
    }

    /// The reply to a chunk before any row of it is answered.
    pub(crate) fn begin(&self, chunk: &QueryChunk) -> ReplyChunk {
        ReplyChunk {
            head: ChunkHead {
                row_len: self.reply_row_bytes() as u32,
                group: None,
                packed: self.packed().is_some() && chunk.head.packed,
                ..chunk.head
            },
            outcomes: Vec::new(),
            packed: Vec::new(),
        }
    }

    /// Answers the rows of a chunk that are not answered yet, with an eye on the clock. What there is
    /// when the clock ends it is what the next one goes on from: outcomes, and where results are
    /// packed those of the next block, which wait until it is whole.
    pub(crate) fn go_on<C: Clock>(
        &self,
        key: Option<&Key>,
        chunk: &QueryChunk,
        (reply, waiting): (&mut ReplyChunk, &mut Vec<Waiting>),
        clock: &mut C,
    ) -> Result<(), C::Late> {
        assert!(self.part().is_none(), "a part of a model answers nothing");
        let key = self.expanded(key);
        let rows: Vec<_> = self.rows(chunk).skip(reply.outcomes.len()).collect();
        match self.packed().filter(|_| reply.head.packed) {
            None => {
                let evaluate = |wave: &_| explained(self.circuit().evaluate_rows(key, wave));
                waves(&rows, clock, evaluate, &mut reply.outcomes)
            }
            // A block's results are in memory together, 32 KB each, and twice while they are packed:
            // 134 MB an output at most.
            Some(packed) => {
                for block in rows.chunks(packed.rows_a_block()) {
                    let left = block.get(waiting.len()..).unwrap_or_default();
                    let evaluate = |wave: &_| explained(self.circuit().results_of_rows(key, wave));
                    waves(left, clock, evaluate, waiting)?;
                    clock.block(packed.key_switches(block.len()).sum())?;
                    let rows = mem::take(waiting);
                    let (outcomes, bytes) = self.block(key, packed, rows, clock)?;
                    reply.outcomes.extend(outcomes);
                    reply.packed.extend(bytes);
                }
                Ok(())
            }
        }
    }

    /// The results of all rows of a chunk, one ciphertext an output, before anything is rounded.
    pub(crate) fn results<C: Clock>(
        &self,
        key: Option<&Key>,
        chunk: &QueryChunk,
        clock: &mut C,
    ) -> Result<Vec<Waiting>, C::Late> {
        let key = self.expanded(key);
        let rows: Vec<_> = self.rows(chunk).collect();
        let evaluate = |wave: &_| explained(self.circuit().results_of_rows(key, wave));
        let mut results = Vec::with_capacity(rows.len());
        waves(&rows, clock, evaluate, &mut results)?;
        Ok(results)
    }

    /// The reply to a chunk, of whose rows these are the results.
    pub(crate) fn reply_of<C: Clock>(
        &self,
        key: Option<&Key>,
        chunk: &QueryChunk,
        mut results: Vec<Waiting>,
        clock: &mut C,
    ) -> Result<ReplyChunk, C::Late> {
        let mut reply = self.begin(chunk);
        let Some(packed) = self.packed().filter(|_| reply.head.packed) else {
            let compress = |result: Vec<Glwe>| self.circuit().compress(&result);
            let results = results.into_iter();
            reply.outcomes = results
                .map(|result| compress(result?).map_err(|error| error.to_string()))
                .collect();
            return Ok(reply);
        };
        while !results.is_empty() {
            let rest = results.split_off(results.len().min(packed.rows_a_block()));
            let (outcomes, bytes) = self.block(self.expanded(key), packed, results, clock)?;
            reply.outcomes.extend(outcomes);
            reply.packed.extend(bytes);
            results = rest;
        }
        Ok(reply)
    }

    fn expanded<'a>(&self, key: Option<&'a Key>) -> Option<&'a ExpandedEvaluationKey> {
        key.filter(|_| self.needs_key()).map(Key::expanded)
    }

    fn rows<'a>(&self, chunk: &'a QueryChunk) -> impl Iterator<Item = QueryRow<'a>> {
        chunk.groups.iter().flat_map(|group| {
            let form = self.form(&chunk.head, group.rows);
            (0..group.rows).map(move |index| QueryRow {
                group: &group.bytes,
                form,
                index,
                tables: None,
            })
        })
    }

    /// Packs the results of a block.
    fn block<C: Clock>(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        packed: PackedRows<'_>,
        rows: Vec<Waiting>,
        clock: &mut C,
    ) -> Result<(Vec<Outcome>, Vec<u8>), C::Late> {
        let count = rows.len();
        let mut results = Vec::with_capacity(count);
        let mut outcomes = Vec::with_capacity(count);
        for row in rows {
            let (result, outcome) = match row {
                Ok(result) => (Some(result), Ok(Vec::new())),
                Err(why) => (None, Err(why)),
            };
            results.push(result);
            outcomes.push(outcome);
        }
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
    done: &mut Vec<T>,
) -> Result<(), C::Late> {
    while !rows.is_empty() {
        let (wave, rest) = rows.split_at(clock.wave().min(rows.len()));
        done.extend(clock.rows(wave.len(), || evaluate(wave))?);
        rows = rest;
    }
    Ok(())
}

fn explained<T>(outcomes: Vec<Result<T, EngineError>>) -> Vec<Result<T, String>> {
    let outcomes = outcomes.into_iter();
    let explained = outcomes.map(|outcome| outcome.map_err(|error| error.to_string()));
    explained.collect()
}
