//! A query chunk to its reply chunk.

use crate::estimate::{Clock, Untimed};
use crate::{Key, Model};
use cipherfn_engine::{EngineError, QueryRow};
use cipherfn_protocol::message::{Chunk, ChunkHead, Outcome, QueryChunk, ReplyChunk};
use cipherfn_scheme::reply::PackedRows;
use cipherfn_scheme::{ExpandedEvaluationKey, Glwe, SchemeError};

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
        let key = key.filter(|_| self.needs_key());
        let key = key.map(Key::expanded);
        let rows = chunk.groups.iter().flat_map(|group| {
            let form = self.form(&chunk.head, group.rows);
            (0..group.rows).map(move |index| QueryRow {
                group: &group.bytes,
                form,
                index,
            })
        });
        let rows: Vec<_> = rows.collect();
        let packed = self.packed().filter(|_| chunk.head.packed);
        let mut reply = ReplyChunk {
            head: ChunkHead {
                row_len: self.reply_row_bytes() as u32,
                group: None,
                packed: packed.is_some(),
                ..chunk.head
            },
            outcomes: Vec::with_capacity(chunk.len()),
            packed: Vec::new(),
        };
        match packed {
            None => {
                let evaluate = |wave: &_| self.circuit().evaluate_rows(key, wave);
                let outcomes = waves(&rows, clock, evaluate)?;
                reply.outcomes.extend(outcomes.into_iter().map(explained));
            }
            // A block's results are in memory together, 32 KB each, and twice while they are packed:
            // 134 MB an output at most.
            Some(packed) => {
                for block in rows.chunks(packed.rows_a_block()) {
                    let (outcomes, bytes) = self.block(key, packed, block, clock)?;
                    reply.outcomes.extend(outcomes);
                    reply.packed.extend(bytes);
                }
            }
        }
        Ok(reply)
    }

    /// Evaluates the rows of a block and packs their results.
    fn block<C: Clock>(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        packed: PackedRows<'_>,
        rows: &[QueryRow<'_>],
        clock: &mut C,
    ) -> Result<(Vec<Outcome>, Vec<u8>), C::Late> {
        let mut results = Vec::with_capacity(rows.len());
        let mut outcomes = Vec::with_capacity(rows.len());
        let evaluate = |wave: &_| self.circuit().results_of_rows(key, wave);
        for result in waves(rows, clock, evaluate)? {
            match result {
                Ok(result) => {
                    results.push(Some(result));
                    outcomes.push(Ok(Vec::new()));
                }
                Err(error) => {
                    results.push(None);
                    outcomes.push(Err(error.to_string()));
                }
            }
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
                let failed = vec![Err(error.to_string()); rows.len()];
                (failed, vec![0; packed.bytes(rows.len())])
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

fn explained(outcome: Result<Vec<u8>, EngineError>) -> Outcome {
    outcome.map_err(|error| error.to_string())
}
