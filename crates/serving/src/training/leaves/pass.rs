//! One pass over rows that came in chunks, some at a time: what is counted so far goes on elsewhere.
//!
//! A sum may have more rows than a worker has time for, so one that is not at its end is kept as it is: behind
//! the compressed ones, its ciphertexts with all their coefficients, mask and body, 8 bytes each (little
//! endian). The result has none.

use super::{LeafCounter, LeafError};
use crate::rows::{self, Reader};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{ExpandedEvaluationKey, Glwe};
use cipherfn_training::TrainingError;
use cipherfn_training::leaves::{
    LeafRowsChunk, LeafSums, LeafTraining, LeafUpload, MAX_SUMS_BYTES, leaf_rows_hash,
};

/// Rows of a step: several a thread of the largest functions, which have six, and so few that a worker ends
/// them unless a row takes most of a minute.
const STEP: usize = 16;

/// Why rows cannot be counted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeafPassError {
    /// Trees, and rows that cannot be evaluated.
    #[error(transparent)]
    Leaves(#[from] LeafError),
    /// Bytes that are no state of the pass.
    #[error(transparent)]
    State(#[from] TrainingError),
    /// A tree that is none of the program's.
    #[error("the tree before the rows: {0}; grow the tree by this program")]
    Tree(TrainingError),
    /// No rows.
    #[error("there are no chunks of rows; encrypt the rows and give all chunks")]
    NoChunks,
    /// A chunk of something else.
    #[error(
        "chunk {chunk} of the rows is of another {what}; encrypt the rows again, all for one program and under one key"
    )]
    OtherChunk {
        /// Number of the chunk, from 0.
        chunk: usize,
        /// What differs.
        what: &'static str,
    },
    /// A chunk that is not the next one.
    #[error(
        "chunk {chunk} of the rows begins with row {found} where row {expected} comes next: a chunk is missing, doubled or in another place; give all chunks once, in order"
    )]
    OutOfOrder {
        /// Number of the chunk, from 0.
        chunk: usize,
        /// Number of the row that comes next, from 0.
        expected: u64,
        /// Number that the chunk says.
        found: u64,
    },
    /// A chunk in which a sum would end.
    #[error(
        "chunk {chunk} of the rows has {rows} rows, and all but the last have a multiple of {in_sum}, which a sum takes; encrypt the rows again"
    )]
    PartOfSum {
        /// Number of the chunk, from 0.
        chunk: usize,
        /// Its rows.
        rows: u64,
        /// Rows of a sum.
        in_sum: usize,
    },
    /// A chunk of another size.
    #[error(
        "chunk {chunk} of the rows has {found} bytes of ciphertexts, which {rows} rows do not have; encrypt the rows again"
    )]
    Bytes {
        /// Number of the chunk, from 0.
        chunk: usize,
        /// Its rows.
        rows: u64,
        /// Bytes found.
        found: usize,
    },
    /// Rows that are missing at the end, or too many.
    #[error(
        "the chunks have {found} rows of {rows}: chunks are missing at the end, or too many; give all chunks once, in order"
    )]
    Rows {
        /// Rows that the chunks say there are.
        rows: u64,
        /// Rows of all chunks.
        found: u64,
    },
    /// More sums than a result has room for.
    #[error(
        "the counts of {rows} rows have more bytes than a result has room for, which are those of {most} rows; train on fewer rows, or with fewer or smaller trees"
    )]
    TooManySums {
        /// Rows.
        rows: u64,
        /// Rows whose sums have room.
        most: usize,
    },
    /// A key that the rows are not under.
    #[error("the rows are under key {expected}, not under {found}; give the part of that key")]
    OtherKey {
        /// Id of the rows' key.
        expected: KeyId,
        /// Id of the key at hand.
        found: KeyId,
    },
}

/// A pass under way.
pub struct LeafPass {
    counter: LeafCounter,
    /// Of the trees that are counted in.
    program: Hash,
    key: KeyId,
    set: &'static ParameterSet,
    chunks: Vec<LeafRowsChunk>,
    /// Of all chunks.
    rows: u64,
    /// What names them.
    name: Hash,
    /// Rows that are counted.
    done: u64,
    /// Of rows that are sums, compressed.
    sums: Vec<u8>,
    /// Of the rows behind them.
    open: Vec<Glwe>,
}

impl LeafPass {
    /// From what was uploaded: all chunks of rows, in order, and of a tree that is grown the tree so far.
    ///
    /// # Errors
    /// Chunks of another program or key, missing, doubled, in another order or of another size; more rows
    /// than a result has room for; trees that no circuit has room for.
    pub fn new(
        training: &LeafTraining,
        key: &ExpandedEvaluationKey,
        upload: LeafUpload,
    ) -> Result<Self, LeafPassError> {
        let LeafUpload { tree, chunks } = upload;
        let level = tree.map(|tree| {
            if tree.program != training.hash() {
                return Err(TrainingError::OtherState { what: "program" });
            }
            training.level(tree.tree)
        });
        let level = level.transpose().map_err(LeafPassError::Tree)?;
        let level = level.as_ref().unwrap_or(training);
        let set = key.parameter_set();
        let counter = LeafCounter::new(level, set)?;
        let rows = require_all((training, &counter), (key.id(), set), &chunks)?;
        let room = MAX_SUMS_BYTES.saturating_sub(counter.open_bytes(set));
        let most = room / counter.sum_bytes() * counter.rows;
        if rows > most as u64 {
            return Err(LeafPassError::TooManySums { rows, most });
        }
        Ok(Self {
            program: level.hash(),
            key: key.id(),
            set,
            name: leaf_rows_hash(chunks.iter().map(|chunk| chunk.group.as_slice())),
            counter,
            chunks,
            rows,
            done: 0,
            sums: Vec::new(),
            open: Vec::new(),
        })
    }

    /// Rows that are counted, and all of them.
    pub const fn progress(&self) -> (u64, u64) {
        (self.done, self.rows)
    }

    /// Counts the next rows, at most 16, and those of one sum. Whether there were any.
    ///
    /// # Errors
    /// Another key; rows that cannot be evaluated. Nothing was counted then.
    pub fn step(&mut self, key: &ExpandedEvaluationKey) -> Result<bool, LeafPassError> {
        let is_left = |chunk: &&LeafRowsChunk| chunk.first + chunk.count > self.done;
        let Some(chunk) = self.chunks.iter().find(is_left) else {
            return Ok(false);
        };
        if key.id() != self.key {
            return Err(LeafPassError::OtherKey {
                expected: self.key,
                found: key.id(),
            });
        }
        let (first, count) = ((self.done - chunk.first) as usize, chunk.count as usize);
        // All chunks but the last are of whole sums.
        let in_sum = self.counter.rows;
        let end = count.min(first - first % in_sum + in_sum);
        let range = first..end.min(first + STEP);
        let (counted, is_sum) = (range.len() as u64, range.end == end);
        // What an error leaves is no sum of rows.
        let mut open = self.open.clone();
        let added = self
            .counter
            .count(key, (&chunk.group, count), range, &mut open);
        added.map_err(|error| match error {
            LeafError::Row { row, source } => LeafError::Row {
                row: row + chunk.first as usize,
                source,
            },
            other => other,
        })?;
        if is_sum {
            self.sums.extend(self.counter.compress(&open)?.concat());
            open.clear();
        }
        self.open = open;
        self.done += counted;
        Ok(true)
    }

    /// What is counted, as the bytes of a file.
    pub fn state(&self) -> Vec<u8> {
        let mut sums = self.sums.clone();
        rows::write_ciphertexts(&mut sums, &self.open);
        let state = LeafSums {
            program: self.program,
            key: self.key,
            parameter_set: self.set.tag(),
            rows: self.name,
            done: self.done,
            sums,
        };
        state.to_file_bytes()
    }

    /// Goes on from what was counted of the same rows in the same trees.
    ///
    /// # Errors
    /// Bytes that are no such state. Nothing is changed then.
    pub fn resume(&mut self, state: &[u8]) -> Result<(), LeafPassError> {
        let state = LeafSums::from_file_bytes(state)?;
        state.require((self.program, self.name), (self.key, self.set.tag()))?;
        let unlike = || TrainingError::OtherState {
            what: "number of rows",
        };
        let (done, in_sum) = (state.done, self.counter.rows as u64);
        if done > self.rows {
            return Err(unlike().into());
        }
        let whole = if done == self.rows {
            done.div_ceil(in_sum)
        } else {
            done / in_sum
        };
        // No more than a result has room for: there are no more rows.
        let compressed = whole as usize * self.counter.sum_bytes();
        let split = state.sums.split_at_checked(compressed);
        let (sums, open) = split.ok_or_else(unlike)?;
        let is_open = whole * in_sum < done;
        let count = if is_open {
            self.counter.outputs().count()
        } else {
            0
        };
        let dimensions = (self.set.mask_len(), self.set.ring.polynomial_size);
        let open = Reader(open).ciphertexts(count, dimensions);
        let open = open.map_err(|_| unlike())?;
        (self.done, self.sums, self.open) = (done, sums.to_vec(), open);
        Ok(())
    }
}

/// That chunks are all of an upload for this program, in order and of whole sums; how many rows they have.
fn require_all(
    (training, counter): (&LeafTraining, &LeafCounter),
    (key, set): (KeyId, &'static ParameterSet),
    chunks: &[LeafRowsChunk],
) -> Result<u64, LeafPassError> {
    let rows = chunks.first().ok_or(LeafPassError::NoChunks)?.rows;
    let in_sum = counter.rows;
    let mut next: u64 = 0;
    for (number, chunk) in chunks.iter().enumerate() {
        for (what, same) in [
            ("program", chunk.program == training.hash()),
            ("key", chunk.key == key),
            ("parameter set", chunk.parameter_set == set.tag()),
            ("number of rows than chunk 0", chunk.rows == rows),
        ] {
            if !same {
                return Err(LeafPassError::OtherChunk {
                    chunk: number,
                    what,
                });
            }
        }
        if chunk.first != next {
            return Err(LeafPassError::OutOfOrder {
                chunk: number,
                expected: next,
                found: chunk.first,
            });
        }
        let is_last = number + 1 == chunks.len();
        if chunk.count == 0 || !(is_last || chunk.count.is_multiple_of(in_sum as u64)) {
            return Err(LeafPassError::PartOfSum {
                chunk: number,
                rows: chunk.count,
                in_sum,
            });
        }
        // More rows than bytes there are not, whatever a head says.
        let found = chunk.group.len();
        let count = usize::try_from(chunk.count).ok();
        let count = count.filter(|count| *count <= found);
        let expected = count.map(|count| counter.group_bytes(count)).transpose()?;
        if expected != Some(found) {
            return Err(LeafPassError::Bytes {
                chunk: number,
                rows: chunk.count,
                found,
            });
        }
        next += chunk.count;
    }
    if next == rows {
        return Ok(rows);
    }
    Err(LeafPassError::Rows { rows, found: next })
}
