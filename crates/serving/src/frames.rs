//! Queries on encrypted frames: passes over their rows.
//!
//! A pass is a circuit that every row of a frame goes through, beside tables that all rows share.
//! Rows are expanded, evaluated and forgotten a few at a time; their results are packed, 64 rows
//! together, or added up. Both are sums of ciphertexts, so it makes no difference who evaluates which
//! rows, in what order and on how many threads.

mod demand;
mod heads;
mod noise;
mod owners;
mod partial;
mod query;
mod read;
mod scores;
mod sent;
mod share;
mod stages;
mod steps;
mod stored;

pub use demand::{Demand, FrameQueryError, SumRows};
pub use heads::leading;
pub use noise::{
    ColumnPrecision, OutputPrecision, PassNoise, columns, pass_noise, precisions, seconds,
};
pub use owners::{FrameTotal, FrameTotalError};
pub use partial::{PartialError, PartialResults};
pub use query::{PassFigures, PreparedQuery, choices};
pub use read::ReadError;
pub use scores::{BundleScoreError, score_of_bundle};
pub use stages::{PreparedStage, prepare_query, prepare_stages};
pub use steps::StepCost;
pub use stored::{StoredColumns, StoredFrame, StoredRows};

use cipherfn_circuit::circuit::{Circuit, Output};
use cipherfn_engine::{EngineError, PreparedCircuit, QueryRow, SharedTables};
use cipherfn_frame::pass::{Collect, Pass, TableSource};
use cipherfn_scheme::parameters::{Depth, ParameterSet};
use cipherfn_scheme::query::{Encryption, GroupForm};
use cipherfn_scheme::reply::{self, BlockShape, CollectedShape, Collection, RUN, ReplyShape};
use cipherfn_scheme::{ExpandedEvaluationKey, Glwe, SchemeError};
use std::collections::BTreeMap;
use std::ops::Range;

/// Why a query cannot be evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame has no such column part.
    #[error(
        "frame {frame:?} has no {what}, which the plan reads; encrypt it with the schema that the plan is for"
    )]
    Missing {
        /// The frame.
        frame: String,
        /// What it lacks.
        what: String,
    },
    /// A frame that has not what its schema says.
    #[error("frame {frame:?} has {found} {what}, its schema says {expected}; encrypt it again")]
    Count {
        /// The frame.
        frame: String,
        /// What is counted.
        what: String,
        /// Number that the schema says.
        expected: usize,
        /// Number found.
        found: usize,
    },
    /// Columns that somebody added, whose rows share ciphertexts otherwise than the frame's.
    #[error(
        "rows {first} to {last} lie otherwise in {columns} than in the frame, as in frames that were put together from files (concat); encrypt the frame whole, or revoke the grant with what came by it (--drop-rows)"
    )]
    Columns {
        /// What they came by.
        columns: String,
        /// The first row, from 1.
        first: u64,
        /// The last one.
        last: u64,
    },
    /// A row that cannot be evaluated.
    #[error("row {row} of frame {frame:?}: {source}")]
    Row {
        /// The frame.
        frame: String,
        /// The row, from 1.
        row: usize,
        /// Cause.
        source: EngineError,
    },
    /// A pass whose circuit breaks a rule.
    #[error("pass {pass}: {source}")]
    Pass {
        /// The pass, from 1.
        pass: usize,
        /// Cause.
        source: EngineError,
    },
    /// A pass that was made without the cells that it depends on.
    #[error(
        "pass {pass} was made without the cells of table {table:?}, by which it chooses; give the table to whoever evaluates"
    )]
    Assumed {
        /// The pass, from 1.
        pass: usize,
        /// The table.
        table: String,
    },
    /// A pass that was made without the weights that it takes.
    #[error(
        "pass {pass} was made without the weights of a published model; give its bundle to whoever evaluates"
    )]
    AssumedWeights {
        /// The pass, from 1.
        pass: usize,
    },
    /// Results that cannot be packed.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
}

/// A pass on its way over rows: results so far.
pub struct PassRun<'a> {
    key: &'a ExpandedEvaluationKey,
    frame: &'a StoredFrame,
    circuit: PreparedCircuit,
    collect: Collection,
    tables: SharedTables,
    chunks: Vec<Chunk>,
    /// What results have the same place are added.
    results: BTreeMap<usize, Glwe>,
}

/// The rows of a chunk.
struct Chunk {
    first: usize,
    rows: usize,
    group: Vec<u8>,
}

/// What became of all rows of a pass.
#[derive(Clone, Debug)]
pub struct PassResults {
    /// Rows of its frame.
    pub rows: usize,
    /// Blocks of results, or the sums of each output, then those of the next rows.
    pub ciphertexts: Vec<Glwe>,
}

impl<'a> PassRun<'a> {
    /// Prepares the pass after those of which `earlier` are the results.
    pub fn new(
        key: &'a ExpandedEvaluationKey,
        passes: &[Pass],
        frames: &[&'a StoredFrame],
        earlier: &[PassResults],
    ) -> Result<Self, FrameError> {
        let number = earlier.len();
        let pass = &passes[number];
        let frame = frames[pass.over];
        if let Some(table) = pass.assumed.first() {
            return Err(FrameError::Assumed {
                pass: number + 1,
                table: frames[*table].schema.name().into(),
            });
        }
        if pass.assumed_weights {
            return Err(FrameError::AssumedWeights { pass: number + 1 });
        }
        let in_pass = |source| FrameError::Pass {
            pass: number + 1,
            source,
        };
        let circuit = PreparedCircuit::new(&pass.circuit).map_err(in_pass)?;
        let set = circuit.parameter_set();
        let tables = pass
            .tables
            .iter()
            .map(|source| table(set, source, frames, (passes, earlier)));
        let tables = tables.collect::<Result<Vec<_>, _>>()?;
        let tables = if tables.is_empty() {
            Vec::new()
        } else {
            vec![tables]
        };
        let tables = circuit.share(&tables).map_err(in_pass)?;
        let mut chunks = Vec::new();
        let mut first = 0;
        for chunk in &frame.chunks {
            let mut group = Vec::new();
            for input in &pass.inputs {
                group.extend(frame.input(chunk, *input)?);
            }
            let rows = chunk.rows;
            chunks.push(Chunk { first, rows, group });
            first += rows;
        }
        Ok(Self {
            key,
            frame,
            circuit,
            collect: collection(pass),
            tables,
            chunks,
            results: BTreeMap::new(),
        })
    }

    /// Rows of the frame.
    pub fn rows(&self) -> usize {
        self.chunks
            .last()
            .map_or(0, |chunk| chunk.first + chunk.rows)
    }

    /// Evaluates some of the rows, on all threads of the current pool. What is evaluated together
    /// begins at a multiple of [`RUN`]; `range` must, and end at one or with the rows.
    pub fn evaluate(&mut self, range: Range<usize>) -> Result<(), FrameError> {
        assert!(
            range.start.is_multiple_of(RUN)
                && (range.end.is_multiple_of(RUN) || range.end == self.rows()),
            "whole runs of rows"
        );
        for first in range.clone().step_by(RUN) {
            let rows = first..(first + RUN).min(range.end);
            let queries: Vec<_> = rows.clone().map(|row| self.query(row)).collect();
            let results = self.circuit.results_of_rows(Some(self.key), &queries);
            let results = rows.zip(results).map(|(row, result)| {
                result.map_err(|source| FrameError::Row {
                    frame: self.frame.schema.name().into(),
                    row: row + 1,
                    source,
                })
            });
            let results = results.collect::<Result<Vec<_>, _>>()?;
            match self.collect {
                Collection::Blocks => self.pack(first, &results)?,
                Collection::Sums { rows: most } => {
                    for (row, outputs) in (first..).zip(results) {
                        let place = row / most.max(1) * outputs.len();
                        for (output, result) in outputs.into_iter().enumerate() {
                            self.add(place + output, result)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds the results of other rows of the same pass.
    pub fn join(&mut self, other: Self) -> Result<(), FrameError> {
        for (place, result) in other.results {
            self.add(place, result)?;
        }
        Ok(())
    }

    /// The results of all rows.
    pub fn finish(self) -> PassResults {
        PassResults {
            rows: self.rows(),
            ciphertexts: self.results.into_values().collect(),
        }
    }

    fn query(&self, row: usize) -> QueryRow<'_> {
        let after = self.chunks.partition_point(|chunk| chunk.first <= row);
        let chunk = &self.chunks[after - 1];
        QueryRow {
            group: &chunk.group,
            form: form(chunk.rows),
            index: row - chunk.first,
            tables: Some(&self.tables),
        }
    }

    /// Packs the results of some rows, as many runs as rows have results.
    fn pack(&mut self, first: usize, rows: &[Vec<Glwe>]) -> Result<(), FrameError> {
        let outputs = self.circuit.outputs().to_vec();
        let of_all = self.rows();
        let items: Vec<Option<Glwe>> = rows.iter().flatten().cloned().map(Some).collect();
        let runs = (first * outputs.len() / RUN..).zip(items.chunks(RUN));
        for (run, items) in runs {
            let a_block = BlockShape::most_rows(self.circuit.parameter_set()) / RUN;
            let shape = self.collect.shape(&outputs, of_all, run / a_block);
            if let Some(CollectedShape::Block(shape)) = shape {
                let packed = reply::pack_run(self.key, &shape, run % a_block, items)?;
                self.add(run / a_block, packed)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, place: usize, result: Glwe) -> Result<(), SchemeError> {
        if let Some(sum) = self.results.get_mut(&place) {
            return sum.add(&result);
        }
        self.results.insert(place, result);
        Ok(())
    }
}

/// How the rows of a chunk lie together.
pub const fn form(rows: usize) -> GroupForm {
    GroupForm {
        depth: Depth::new(11),
        rows,
        encryption: Encryption::Secret,
    }
}

/// How a pass collects results.
const fn collection(pass: &Pass) -> Collection {
    match pass.collect {
        Collect::Rows => Collection::Blocks,
        Collect::Sum { rows } => Collection::Sums {
            rows: rows as usize,
        },
    }
}

fn table(
    set: &ParameterSet,
    source: &TableSource,
    frames: &[&StoredFrame],
    (passes, earlier): (&[Pass], &[PassResults]),
) -> Result<Glwe, FrameError> {
    match source {
        TableSource::Stored {
            frame,
            lookup,
            part,
            block,
            ..
        } => frames[*frame].table(*lookup, *part, *block),
        TableSource::Summed { pass, output } => {
            let (pass, results) = (&passes[*pass], &earlier[*pass]);
            let outputs = pass.circuit.outputs.len();
            let mut sums = results
                .ciphertexts
                .iter()
                .skip(*output)
                .step_by(outputs.max(1));
            let mut total = sums.next().cloned().unwrap_or_default();
            for sum in sums {
                total.add(sum)?;
            }
            if total.body.is_empty() {
                // A frame without rows.
                total.mask.resize(set.mask_len(), 0);
                total.body.resize(set.ring.polynomial_size, 0);
            }
            Ok(total)
        }
    }
}

/// Evaluates all passes, one after the other.
pub fn evaluate(
    key: &ExpandedEvaluationKey,
    passes: &[Pass],
    frames: &[&StoredFrame],
) -> Result<Vec<PassResults>, FrameError> {
    let mut results = Vec::with_capacity(passes.len());
    for _ in passes {
        let mut run = PassRun::new(key, passes, frames, &results)?;
        run.evaluate(0..run.rows())?;
        results.push(run.finish());
    }
    Ok(results)
}

/// The ciphertexts of a pass as they travel.
pub fn compress(pass: &Pass, results: &PassResults) -> Result<Vec<Vec<u8>>, FrameError> {
    let outputs = outputs(&pass.circuit)?;
    let shapes = collection(pass).shapes(&outputs, results.rows);
    let ciphertexts = shapes.zip(&results.ciphertexts);
    let compressed = ciphertexts.map(|(shape, glwe)| Ok(shape.compress(glwe)?));
    compressed.collect()
}

/// Ciphertexts of a pass's results over so many rows.
pub fn results(pass: &Pass, rows: usize) -> Result<usize, FrameError> {
    Ok(collection(pass).count(&outputs(&pass.circuit)?, rows))
}

/// Bytes of a pass's results over so many rows.
pub fn result_bytes(pass: &Pass, rows: usize) -> Result<usize, FrameError> {
    Ok(collection(pass).bytes(&outputs(&pass.circuit)?, rows))
}

/// What travels of each output of a row.
fn outputs(circuit: &Circuit) -> Result<Vec<ReplyShape>, SchemeError> {
    let set = ParameterSet::by_name(&circuit.parameter_set)?;
    let shape = |output: &Output| ReplyShape {
        set,
        coefficients: output.coefficients as usize,
        stride: output.stride as usize,
        bits: output.reply_bits,
    };
    Ok(circuit.outputs.iter().map(shape).collect())
}
