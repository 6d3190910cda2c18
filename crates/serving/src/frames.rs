//! Queries on encrypted frames: passes over their rows.
//!
//! A pass is a circuit that every row of a frame goes through, beside tables that all rows share.
//! Rows are expanded, evaluated and forgotten a few at a time; their results are packed, 64 rows
//! together, or added up. Both are sums of ciphertexts, so it makes no difference who evaluates which
//! rows, in what order and on how many threads.

mod noise;

pub use noise::{OutputPrecision, PassNoise, pass_noise, precisions};

use cipherfn_circuit::circuit::{Circuit, Output};
use cipherfn_engine::{EngineError, PreparedCircuit, QueryRow, SharedTables};
use cipherfn_frame::pass::{Collect, Pass, TableSource};
use cipherfn_frame::schema::{RowInput, Schema, TablePart};
use cipherfn_scheme::parameters::{Depth, ParameterSet};
use cipherfn_scheme::query::{GroupForm, TableShape, decode_tables};
use cipherfn_scheme::reply::{self, BlockShape, Collection, RUN, ReplyShape};
use cipherfn_scheme::{ExpandedEvaluationKey, Glwe, SchemeError};
use std::collections::BTreeMap;
use std::ops::Range;

/// An encrypted frame, as whoever evaluates has it.
pub struct StoredFrame {
    schema: Schema,
    inputs: Vec<RowInput>,
    chunks: Vec<StoredRows>,
    /// Of each look-up.
    tables: Vec<(TableShape, Vec<Glwe>)>,
}

/// Rows whose ciphertexts lie together.
#[derive(Clone, Debug)]
pub struct StoredRows {
    /// Number of rows.
    pub rows: usize,
    /// Ciphertexts of each of the schema's row inputs.
    pub inputs: Vec<Vec<u8>>,
}

impl StoredFrame {
    /// Of a schema, chunks of rows, and the tables of its look-ups, in its order.
    pub fn new(
        set: &'static ParameterSet,
        schema: Schema,
        chunks: Vec<StoredRows>,
        tables: &[impl AsRef<[u8]>],
    ) -> Result<Self, FrameError> {
        let inputs = schema.row_inputs();
        let count = |what: &str, expected: usize, found: usize| {
            if expected == found {
                return Ok(());
            }
            Err(FrameError::Count {
                frame: schema.name().into(),
                what: what.into(),
                expected,
                found,
            })
        };
        count("look-ups", schema.lookups().len(), tables.len())?;
        for chunk in &chunks {
            count(
                "inputs of a chunk of rows",
                inputs.len(),
                chunk.inputs.len(),
            )?;
        }
        let tables = schema.lookups().iter().zip(tables).map(|(lookup, bytes)| {
            let size = schema.lookup_size(lookup) as usize;
            let shape = TableShape::in_blocks(set, schema.tables(lookup).len(), size);
            Ok((shape, decode_tables(&shape, bytes.as_ref())?))
        });
        Ok(Self {
            tables: tables.collect::<Result<_, SchemeError>>()?,
            inputs,
            schema,
            chunks,
        })
    }

    /// What is public of it.
    pub const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Number of its rows.
    pub fn rows(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.rows).sum()
    }

    /// Bytes of its ciphertexts.
    pub fn bytes(&self) -> usize {
        let inputs = self.chunks.iter().flat_map(|chunk| &chunk.inputs);
        let tables = self.tables.iter().map(|(shape, _)| shape.bytes());
        inputs.map(Vec::len).sum::<usize>() + tables.sum::<usize>()
    }

    fn input(&self, chunk: &'_ StoredRows, input: RowInput) -> Result<Vec<u8>, FrameError> {
        let place = self.inputs.iter().position(|own| *own == input);
        let bytes = place.map(|place| chunk.inputs[place].clone());
        bytes.ok_or_else(|| self.missing(format!("{input:?}")))
    }

    fn table(&self, lookup: usize, part: TablePart, block: u32) -> Result<Glwe, FrameError> {
        let missing = || self.missing(format!("table {part:?} of look-up {}", lookup + 1));
        let index = self.schema.lookups().get(lookup).ok_or_else(missing)?;
        let size = self.schema.lookup_size(index) as usize;
        let parts = self.schema.tables(index);
        let place = parts
            .iter()
            .position(|own| *own == part)
            .ok_or_else(missing)?;
        let (shape, tables) = &self.tables[lookup];
        let table = tables.get(shape.block(place, size, block as usize));
        table.cloned().ok_or_else(missing)
    }

    fn missing(&self, what: String) -> FrameError {
        FrameError::Missing {
            frame: self.schema.name().into(),
            what,
        }
    }
}

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
    /// By output, and number of the block or sum.
    results: BTreeMap<(usize, usize), Glwe>,
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
    /// By output: the ciphertexts of its blocks or sums, one after the other.
    pub outputs: Vec<Vec<Glwe>>,
}

impl<'a> PassRun<'a> {
    /// Prepares pass `number`; `earlier` are the results of those before.
    pub fn new(
        key: &'a ExpandedEvaluationKey,
        (number, pass): (usize, &Pass),
        frames: &[&'a StoredFrame],
        earlier: &[PassResults],
    ) -> Result<Self, FrameError> {
        let frame = frames[pass.over];
        let in_pass = |source| FrameError::Pass {
            pass: number + 1,
            source,
        };
        let circuit = PreparedCircuit::new(&pass.circuit).map_err(in_pass)?;
        let set = circuit.parameter_set();
        let tables = pass
            .tables
            .iter()
            .map(|source| table(set, source, frames, earlier));
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
                Collection::Sums { .. } => {
                    for (row, outputs) in (first..).zip(results) {
                        for (output, result) in outputs.into_iter().enumerate() {
                            self.add((output, self.collect.place(row, 1)), result)?;
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
        let rows = self.rows();
        let mut outputs = vec![Vec::new(); self.circuit.outputs().len()];
        for ((output, _), result) in self.results {
            outputs[output].push(result);
        }
        PassResults { rows, outputs }
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

    /// Packs a run of rows into its block.
    fn pack(&mut self, first: usize, rows: &[Vec<Glwe>]) -> Result<(), FrameError> {
        for output in 0..self.circuit.outputs().len() {
            let row = self.circuit.outputs()[output];
            let most = BlockShape::most_rows(row.set);
            let number = first / most;
            let shape = BlockShape {
                set: row.set,
                rows: most.min(self.rows() - number * most),
                bits: row.bits,
            };
            let results: Vec<_> = rows.iter().map(|row| row.get(output).cloned()).collect();
            let packed = reply::pack_run(self.key, &shape, first % most / RUN, &results)?;
            self.add((output, number), packed)?;
        }
        Ok(())
    }

    fn add(&mut self, place: (usize, usize), result: Glwe) -> Result<(), SchemeError> {
        match self.results.get_mut(&place) {
            Some(sum) => sum.add(&result),
            None => {
                self.results.insert(place, result);
                Ok(())
            }
        }
    }
}

/// How the rows of a chunk lie together.
pub const fn form(rows: usize) -> GroupForm {
    GroupForm {
        depth: Depth::new(11),
        rows,
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
    earlier: &[PassResults],
) -> Result<Glwe, FrameError> {
    match source {
        TableSource::Stored {
            frame,
            lookup,
            part,
            block,
        } => frames[*frame].table(*lookup, *part, *block),
        TableSource::Summed { pass, output } => {
            let mut sums = earlier[*pass].outputs[*output].iter();
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
    for pass in passes.iter().enumerate() {
        let mut run = PassRun::new(key, pass, frames, &results)?;
        run.evaluate(0..run.rows())?;
        results.push(run.finish());
    }
    Ok(results)
}

/// The ciphertexts of a pass as they travel, output by output.
pub fn compress(pass: &Pass, results: &PassResults) -> Result<Vec<Vec<u8>>, FrameError> {
    let shapes = outputs(&pass.circuit)?;
    let mut ciphertexts = Vec::new();
    for (row, glwes) in shapes.into_iter().zip(&results.outputs) {
        let shapes = collection(pass).shapes(row, results.rows);
        for (shape, glwe) in shapes.zip(glwes) {
            ciphertexts.push(shape.compress(glwe)?);
        }
    }
    Ok(ciphertexts)
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
