//! Prepared circuits and their evaluation on encrypted rows.

mod expand;
mod run;
mod shapes;

use crate::error::EngineError;
use crate::run::{Executable, Expanded, Frames, SharedTables, Statistics, Values};
use cipherfn_circuit::circuit::{Circuit, Node};
use cipherfn_scheme::carriers::FourierCarriers;
use cipherfn_scheme::operations::pack;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::{Cursor, Encryption, GroupForm, InputShape};
use cipherfn_scheme::reply::{self, PackedRows, ReplyShape};
use cipherfn_scheme::{ExpandedEvaluationKey, Glwe};
use rayon::prelude::*;
use std::fmt;
use std::time::{Duration, Instant};

/// Rows go to threads whole while their memory, over all threads, stays below this; larger rows are
/// evaluated one after the other on all threads, so that they share the caches.
const ROW_PARALLEL_BYTES: u64 = 512 << 20;
/// Memory for a row's selectors and values, unless another limit is given.
const ROW_BYTES: u64 = 8 << 30;

/// Prepared models may fill this part of a server's memory, keys another one as large; the rest is
/// for the rows under evaluation.
pub const CACHE_PART: u64 = 4;

/// What rows under evaluation may take of a server's `memory`, in bytes.
pub const fn row_memory(memory: u64) -> u64 {
    memory - 2 * (memory / CACHE_PART)
}

/// The memory that a server needs so that rows under evaluation may take `rows` bytes.
pub const fn server_memory(rows: u64) -> u64 {
    rows.div_ceil(CACHE_PART - 2).saturating_mul(CACHE_PART)
}

/// A checked circuit in the form that evaluates fast. Immutable: one serves all threads.
#[derive(Debug)]
pub struct PreparedCircuit {
    set: &'static ParameterSet,
    inputs: Vec<InputShape>,
    outputs: Vec<ReplyShape>,
    executable: Executable,
    /// Name of the key part that bootstraps take, if there are any.
    bootstrap: Option<&'static str>,
    /// What rows under evaluation may take, in bytes.
    memory: u64,
}

/// A row of a query: a group of rows, and which one of it.
#[derive(Clone, Copy, Debug)]
pub struct QueryRow<'a> {
    /// Bytes of the group.
    pub group: &'a [u8],
    /// How its rows lie together.
    pub form: GroupForm,
    /// The row's place in the group, from 0.
    pub index: usize,
    /// What it shares with rows of all groups, where the circuit has inputs of tables.
    pub tables: Option<&'a SharedTables>,
}

/// Memory of one evaluation at a time. It grows to what a circuit needs and is used again: keep one
/// a thread.
#[derive(Default)]
pub struct Workspace {
    inputs: Vec<Expanded>,
    /// One an input: how far the rows of its group are expanded.
    cursors: Vec<Cursor>,
    frames: Frames,
    values: Values,
    results: Vec<Glwe>,
}

/// Where the time of a row went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Query row to ciphertexts.
    pub expand: Duration,
    /// Circuit.
    pub evaluate: Duration,
    /// Ciphertexts to reply row.
    pub compress: Duration,
}

impl PreparedCircuit {
    /// Checks and prepares a circuit; a row's selectors and values take 8 GiB at most, if they can.
    pub fn new(circuit: &Circuit) -> Result<Self, EngineError> {
        Self::with_memory(circuit, ROW_BYTES)
    }

    /// Checks and prepares a circuit. Where a row's selectors and values would take more than
    /// `memory` bytes, selectors are expanded anew each time that they are needed: the same results
    /// in more time. What any one step needs is the least ([`Statistics::bytes`] says what it is).
    /// Rows are evaluated side by side only where all of them keep to it.
    pub fn with_memory(circuit: &Circuit, memory: u64) -> Result<Self, EngineError> {
        let set = ParameterSet::by_name(&circuit.parameter_set)?;
        let dimensions = crate::dimensions::dimensions(set, circuit);
        circuit.validate(dimensions)?;
        for node in &circuit.nodes {
            if let Node::Pack(pack) = node {
                let spacing = pack.spacing(set.ring.polynomial_size as u32);
                pack::require_spaced(set, spacing.ilog2())?;
            }
        }
        let part = circuit.bootstrap.as_ref().map(|part| set.part(part));
        let part = part.transpose()?.map(|part| part.name);
        let inputs = circuit.inputs.iter().enumerate();
        let inputs = inputs.map(|(index, input)| shapes::input_shape(set, index, input));
        Ok(Self {
            set,
            inputs: inputs.collect::<Result<_, _>>()?,
            outputs: circuit
                .outputs
                .iter()
                .map(|output| shapes::reply_shape(set, output))
                .collect(),
            executable: Executable::new(circuit, dimensions, memory)?,
            bootstrap: part,
            memory,
        })
    }

    /// Parameter set of keys and ciphertexts.
    pub const fn parameter_set(&self) -> &'static ParameterSet {
        self.set
    }

    /// Name of the key part that bootstraps take, if there are any.
    pub const fn bootstrap_part(&self) -> Option<&'static str> {
        self.bootstrap
    }

    /// Dimensions of a query row's parts, one an input.
    pub fn inputs(&self) -> &[InputShape] {
        &self.inputs
    }

    /// Dimensions of a reply row's parts, one an output.
    pub fn outputs(&self) -> &[ReplyShape] {
        &self.outputs
    }

    /// Bytes of a query row.
    pub fn query_row_bytes(&self) -> usize {
        self.inputs.iter().map(InputShape::row_bytes).sum()
    }

    /// Bytes of the rows of a group; an error if they cannot lie together like that: no input of
    /// the circuit shares ciphertexts, or not at this depth.
    pub fn group_bytes(&self, form: GroupForm) -> Result<usize, EngineError> {
        let is_shared = |shape: &InputShape| shape.is_shared(form.encryption);
        if form.rows > 1 && !self.inputs.iter().any(is_shared) {
            return Err(EngineError::NothingShared { rows: form.rows });
        }
        for shape in &self.inputs {
            if form.encryption == Encryption::Public {
                shape.check_public()?;
            }
            if let Some(group) = shape.group(form) {
                group.check()?;
            } else if let InputShape::Values(shape) = shape {
                shape.check(form)?;
            }
        }
        let parts = self.inputs.iter().map(|shape| shape.group_bytes(form));
        Ok(parts.fold(0, usize::saturating_add))
    }

    /// How the results of many rows are packed, where the parameter set can.
    pub fn packed(&self) -> Option<PackedRows<'_>> {
        PackedRows::of(&self.outputs)
    }

    /// Bytes of a reply row.
    pub fn reply_row_bytes(&self) -> usize {
        self.outputs.iter().map(ReplyShape::row_bytes).sum()
    }

    /// What an evaluation consists of.
    pub const fn statistics(&self) -> Statistics {
        self.executable.statistics()
    }

    /// What rows under evaluation may take, as it was given. A row that cannot keep to it takes
    /// more: [`Statistics::bytes`].
    pub const fn memory_limit(&self) -> u64 {
        self.memory
    }

    /// Bytes of memory that it takes, about.
    pub fn memory_len(&self) -> usize {
        self.executable.memory_len()
    }

    /// A row that travels alone.
    pub const fn alone<'a>(&self, row: &'a [u8]) -> QueryRow<'a> {
        QueryRow {
            group: row,
            form: GroupForm::single(self.set),
            index: 0,
            tables: None,
        }
    }

    /// Prepares tables for all rows: the ciphertexts of each input of tables, in order.
    pub fn share(&self, tables: &[Vec<Glwe>]) -> Result<SharedTables, EngineError> {
        let ring = &self.set.ring;
        let counts = self.inputs.iter().filter_map(|shape| match shape {
            InputShape::Tables(count) => Some(*count),
            _ => None,
        });
        let counts: Vec<usize> = counts.collect();
        let given: Vec<usize> = tables.iter().map(Vec::len).collect();
        if counts != given {
            return Err(EngineError::Tables {
                expected: counts,
                found: given,
            });
        }
        let dimensions = |glwe: &Glwe| (glwe.mask.len(), glwe.body.len());
        let expected = (self.set.mask_len(), ring.polynomial_size);
        if tables
            .iter()
            .flatten()
            .any(|glwe| dimensions(glwe) != expected)
        {
            let set = self.set.name;
            return Err(EngineError::OtherTables { set });
        }
        let prepared = tables.iter().map(|glwes| FourierCarriers::of(ring, glwes));
        Ok(SharedTables(prepared.collect()))
    }

    /// Evaluates one row that travels alone, on all threads of the current rayon pool.
    pub fn evaluate_row(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        row: &[u8],
        workspace: &mut Workspace,
    ) -> Result<Vec<u8>, EngineError> {
        self.evaluate_row_timed(key, row, workspace)
            .map(|(reply, _)| reply)
    }

    /// [`Self::evaluate_row`] that also says where the time went.
    pub fn evaluate_row_timed(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        row: &[u8],
        workspace: &mut Workspace,
    ) -> Result<(Vec<u8>, Timings), EngineError> {
        let start = Instant::now();
        self.expand(key, self.alone(row), workspace, true)?;
        let expanded = Instant::now();
        let expanding = self.run(key, self.alone(row), workspace, true)?;
        let evaluated = Instant::now();
        let reply = self.compress(&workspace.results)?;
        let timings = Timings {
            expand: expanded - start + expanding,
            evaluate: (evaluated - expanded).saturating_sub(expanding),
            compress: evaluated.elapsed(),
        };
        Ok((reply, timings))
    }

    /// Evaluates rows, on all threads of the current rayon pool: one outcome a row.
    pub fn evaluate_rows(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        rows: &[QueryRow<'_>],
    ) -> Vec<Result<Vec<u8>, EngineError>> {
        self.each(key, rows, |results| self.compress(results))
    }

    /// The same before compression: a ciphertext an output, to be packed ([`Self::packed`]).
    pub fn results_of_rows(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        rows: &[QueryRow<'_>],
    ) -> Vec<Result<Vec<Glwe>, EngineError>> {
        self.each(key, rows, |results| Ok(std::mem::take(results)))
    }

    fn each<T: Send>(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        rows: &[QueryRow<'_>],
        finish: impl Fn(&mut Vec<Glwe>) -> Result<T, EngineError> + Sync,
    ) -> Vec<Result<T, EngineError>> {
        let threads = rayon::current_num_threads();
        let whole = threads > 1
            && rows.len() >= threads
            && self.statistics().bytes.saturating_mul(threads as u64)
                <= ROW_PARALLEL_BYTES.min(self.memory);
        let evaluate = |rows: &[QueryRow<'_>], parallel: bool| {
            let mut workspace = Workspace::default();
            let mut one = |row: &QueryRow<'_>| {
                self.expand(key, *row, &mut workspace, parallel && threads > 1)?;
                self.run(key, *row, &mut workspace, parallel)?;
                finish(&mut workspace.results)
            };
            rows.iter().map(&mut one).collect::<Vec<_>>()
        };
        if whole {
            rows.par_chunks(rows.len().div_ceil(threads))
                .flat_map_iter(|rows| evaluate(rows, false))
                .collect()
        } else {
            evaluate(rows, true)
        }
    }

    /// Ciphertexts, one an output, to reply row.
    pub fn compress(&self, results: &[Glwe]) -> Result<Vec<u8>, EngineError> {
        let mut row = Vec::new();
        for (shape, result) in self.outputs.iter().zip(results) {
            let part = reply::compress(shape, &result.mask, &result.body)?;
            if row.is_empty() {
                row = part;
            } else {
                row.extend(part);
            }
        }
        Ok(row)
    }
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace").finish_non_exhaustive()
    }
}
