//! Prepared circuits and their evaluation on encrypted rows.

use crate::error::EngineError;
use crate::run::{
    BootstrapInput, Executable, Expanded, Frames, KeyWork, RowMemory, SharedTables, Statistics,
    Values,
};
use cipherfn_circuit::circuit::{Circuit, Input, Node, Output, SelectorForm};
use cipherfn_scheme::bootstrap::Table;
use cipherfn_scheme::carriers::FourierCarriers;
use cipherfn_scheme::operations::pack::{self, pack_multiples};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::{
    self, Cursor, GroupForm, InputShape, LinearQueryShape, SelectorQueryShape, ValueShape,
};
use cipherfn_scheme::reply::{self, PackedRows, ReplyShape};
use cipherfn_scheme::selectors::FourierSelectors;
use cipherfn_scheme::{ExpandedEvaluationKey, Glwe, SchemeError};
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
        let dimensions = crate::dimensions(set, circuit);
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
        let inputs = inputs.map(|(index, input)| input_shape(set, index, input));
        Ok(Self {
            set,
            inputs: inputs.collect::<Result<_, _>>()?,
            outputs: circuit
                .outputs
                .iter()
                .map(|output| reply_shape(set, output))
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
        if form.rows > 1 && !self.inputs.iter().any(InputShape::is_shared) {
            return Err(EngineError::NothingShared { rows: form.rows });
        }
        for shape in &self.inputs {
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

    /// Evaluates an expanded row; says how long it expanded selectors meanwhile.
    fn run(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        row: QueryRow<'_>,
        workspace: &mut Workspace,
        parallel: bool,
    ) -> Result<Duration, EngineError> {
        let Workspace {
            inputs,
            frames,
            values,
            results,
            ..
        } = workspace;
        let memory = RowMemory {
            frames,
            values,
            results,
        };
        let key = RowKey {
            circuit: self,
            key,
            row,
        };
        let none = SharedTables::default();
        let tables = row.tables.unwrap_or(&none);
        self.executable
            .evaluate(inputs, tables, memory, parallel, &key)
    }

    /// Selectors of an input of a row whose length is checked, from `first` on, as many as `out` has
    /// room for.
    fn expand_selectors(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        row: QueryRow<'_>,
        (input, cursor): (usize, Option<&mut Cursor>),
        first: usize,
        out: &mut FourierSelectors,
    ) -> Result<(), EngineError> {
        let InputShape::Selectors(selectors) = &self.inputs[input] else {
            unreachable!("selectors are of a group")
        };
        let part = self.part(row, input);
        let Some(group) = self.inputs[input].group(row.form) else {
            let own = self.own(row, input);
            return Ok(query::expand_part_of_selectors(
                key, selectors, own, first, out,
            )?);
        };
        let set = self.set.name;
        let key = key.ok_or(SchemeError::EvaluationKeyMissing { set })?;
        query::expand_part_of_row(key, cursor, &group, part, row.index, first, out)
            .map_err(|source| shared(row.form, source))
    }

    /// The bytes of an input, of all rows of the group.
    fn part<'a>(&self, row: QueryRow<'a>, input: usize) -> &'a [u8] {
        let bytes = |shape: &InputShape| shape.group_bytes(row.form);
        let start = self.inputs[..input].iter().map(bytes).sum();
        let len = bytes(&self.inputs[input]);
        row.group
            .get(start..)
            .and_then(|rest| rest.get(..len))
            .unwrap_or_default()
    }

    /// The row's own bytes of an input whose rows share no ciphertexts.
    fn own<'a>(&self, row: QueryRow<'a>, input: usize) -> &'a [u8] {
        let (part, len) = (self.part(row, input), self.inputs[input].row_bytes());
        part.get(row.index * len..)
            .and_then(|part| part.get(..len))
            .unwrap_or_default()
    }

    /// Query row to ciphertexts: in parallel, or going on from the row before.
    fn expand(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        row: QueryRow<'_>,
        workspace: &mut Workspace,
        parallel: bool,
    ) -> Result<(), EngineError> {
        let expected = self.group_bytes(row.form)?;
        if row.group.len() != expected {
            let source = SchemeError::Length {
                what: "query row",
                expected,
                found: row.group.len(),
            };
            return Err(shared(row.form, source));
        }
        let tables = self.inputs.iter();
        let tables = tables.filter(|shape| matches!(shape, InputShape::Tables(_)));
        let given = row.tables.map_or(0, |tables| tables.0.len());
        if tables.clone().count() != given {
            return Err(EngineError::NoTables);
        }
        workspace.fit(self.set, &self.inputs, self.executable.is_streaming());
        let Workspace {
            inputs, cursors, ..
        } = workspace;
        cursors.resize_with(inputs.len(), Cursor::default);
        for (index, (input, cursor)) in inputs.iter_mut().zip(cursors).enumerate() {
            let cursor = (!parallel).then_some(cursor);
            match (&self.inputs[index], input) {
                (InputShape::Selectors(_), Expanded::Selectors(out)) => {
                    self.expand_selectors(key, row, (index, cursor), 0, out)?;
                }
                (InputShape::Selectors(_), Expanded::Streamed)
                | (InputShape::Tables(_), Expanded::Tables(_)) => {}
                (InputShape::Features(shape), input) => {
                    let own = self.own(row, index);
                    let ciphertexts = query::decode_linear(shape, own)?;
                    *input =
                        Expanded::Features(self.executable.carriers(&self.set.ring, &ciphertexts));
                }
                (InputShape::Values(shape), Expanded::Values(out)) => {
                    let set = self.set.name;
                    let key = key.ok_or(SchemeError::EvaluationKeyMissing { set })?;
                    let part = self.part(row, index);
                    query::expand_values(key, cursor, shape, row.form, part, row.index, out)
                        .map_err(|source| shared(row.form, source))?;
                }
                _ => unreachable!("memory was made for this shape"),
            }
        }
        Ok(())
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

/// The evaluation key, for one row.
struct RowKey<'a> {
    circuit: &'a PreparedCircuit,
    key: Option<&'a ExpandedEvaluationKey>,
    row: QueryRow<'a>,
}

impl RowKey<'_> {
    fn key(&self) -> Result<&ExpandedEvaluationKey, EngineError> {
        let set = self.circuit.set.name;
        Ok(self.key.ok_or(SchemeError::EvaluationKeyMissing { set })?)
    }
}

impl KeyWork for RowKey<'_> {
    type Error = EngineError;

    fn expand(
        &self,
        input: usize,
        first: usize,
        out: &mut FourierSelectors,
    ) -> Result<(), EngineError> {
        self.circuit
            .expand_selectors(self.key, self.row, (input, None), first, out)
    }

    fn bootstrap(&self, numbers: &[BootstrapInput<'_>]) -> Result<Vec<Glwe>, EngineError> {
        let part = self.circuit.bootstrap;
        let key = self.key()?.bootstrap(part.unwrap_or_default())?;
        let with_table = |(number, table): &BootstrapInput<'_>| {
            let table = Table::of_entries(key.parameters(), table)?;
            Ok::<_, SchemeError>((number.clone(), table))
        };
        let numbers = numbers
            .iter()
            .map(with_table)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(key.evaluate(&numbers)?)
    }

    fn pack(&self, levels: u32, items: &[Option<Glwe>]) -> Result<Glwe, EngineError> {
        Ok(pack_multiples(
            self.key()?,
            self.circuit.set,
            levels,
            items,
        )?)
    }
}

impl Workspace {
    /// Makes room for inputs of these shapes: the selectors of the row before, if they have the same
    /// dimensions; none where they are expanded as they are needed.
    fn fit(&mut self, set: &ParameterSet, shapes: &[InputShape], streaming: bool) {
        self.inputs.truncate(shapes.len());
        let mut tables = 0;
        for (index, shape) in shapes.iter().enumerate() {
            let number = tables;
            tables += usize::from(matches!(shape, InputShape::Tables(_)));
            let fits = match (shape, self.inputs.get(index)) {
                (InputShape::Selectors(_), Some(Expanded::Streamed)) => streaming,
                (InputShape::Selectors(shape), Some(Expanded::Selectors(selectors))) => {
                    !streaming
                        && selectors.shape() == shape.ggsw()
                        && selectors.len() == shape.selectors
                }
                (InputShape::Features(_), Some(Expanded::Features(_))) => true,
                (InputShape::Values(shape), Some(Expanded::Values(carriers))) => {
                    carriers.len() == shape.values
                }
                (InputShape::Tables(_), Some(Expanded::Tables(place))) => *place == number,
                _ => false,
            };
            if fits {
                continue;
            }
            let fresh = match shape {
                InputShape::Selectors(_) if streaming => Expanded::Streamed,
                InputShape::Selectors(shape) => {
                    Expanded::Selectors(FourierSelectors::zeroed(shape.ggsw(), shape.selectors))
                }
                InputShape::Features(_) => {
                    Expanded::Features(FourierCarriers::zeroed(&set.ring, 0))
                }
                InputShape::Values(shape) => {
                    Expanded::Values(FourierCarriers::zeroed(&set.ring, shape.values))
                }
                InputShape::Tables(_) => Expanded::Tables(number),
            };
            // What came after is of another circuit.
            self.inputs.truncate(index);
            self.inputs.push(fresh);
        }
    }
}

/// An error of what rows share.
fn shared(form: GroupForm, source: SchemeError) -> EngineError {
    match form.rows {
        1 => EngineError::Scheme(source),
        rows => EngineError::Shared { rows, source },
    }
}

fn input_shape(
    set: &'static ParameterSet,
    index: usize,
    input: &Input,
) -> Result<InputShape, EngineError> {
    match input {
        Input::Selectors(group) => match group.form {
            SelectorForm::Bits => Ok(InputShape::Selectors(SelectorQueryShape {
                set,
                selectors: group.count as usize,
                gadget: group.gadget,
                transport: group.transport,
            })),
            SelectorForm::Digits { .. } => Err(EngineError::Digits { input: index }),
        },
        Input::Features(input) => Ok(InputShape::Features(LinearQueryShape {
            set,
            features: input.features as usize,
            block: input.block as usize,
            stride: input.stride as usize,
            form: input.form,
            body_bits: input.body_bits,
        })),
        Input::Values(input) => {
            pack::require(set)?;
            Ok(InputShape::Values(ValueShape {
                set,
                values: input.count as usize,
            }))
        }
        Input::Tables(input) => Ok(InputShape::Tables(input.count as usize)),
    }
}

fn reply_shape(set: &'static ParameterSet, output: &Output) -> ReplyShape {
    ReplyShape {
        set,
        coefficients: output.coefficients as usize,
        stride: output.stride as usize,
        bits: output.reply_bits,
    }
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace").finish_non_exhaustive()
    }
}
