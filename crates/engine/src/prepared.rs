//! Prepared circuits and their evaluation on encrypted rows.

use crate::error::EngineError;
use crate::run::{Executable, Expanded, Statistics, Values};
use cipherfn_circuit::circuit::{Circuit, Input, Output, SelectorForm};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::{self, GroupForm, InputShape, LinearQueryShape, SelectorQueryShape};
use cipherfn_scheme::reply::{self, PackedRows, ReplyShape};
use cipherfn_scheme::selectors::FourierSelectors;
use cipherfn_scheme::{ExpandedEvaluationKey, Glwe, SchemeError};
use rayon::prelude::*;
use std::fmt;
use std::time::{Duration, Instant};

/// Rows go to threads whole while their memory, over all threads, stays below this; larger rows are
/// evaluated one after the other on all threads, so that they share the caches.
const ROW_PARALLEL_BYTES: u64 = 512 << 20;

/// A checked circuit in the form that evaluates fast. Immutable: one serves all threads.
#[derive(Debug)]
pub struct PreparedCircuit {
    set: &'static ParameterSet,
    inputs: Vec<InputShape>,
    outputs: Vec<ReplyShape>,
    executable: Executable,
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
}

/// Memory of one evaluation at a time. It grows to what a circuit needs and is used again: keep one
/// a thread.
#[derive(Default)]
pub struct Workspace {
    inputs: Vec<Expanded>,
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
    /// Checks and prepares a circuit.
    pub fn new(circuit: &Circuit) -> Result<Self, EngineError> {
        let set = ParameterSet::by_name(&circuit.parameter_set)?;
        let dimensions = crate::dimensions(set);
        circuit.validate(dimensions)?;
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
            executable: Executable::new(circuit, dimensions)?,
        })
    }

    /// Parameter set of keys and ciphertexts.
    pub const fn parameter_set(&self) -> &'static ParameterSet {
        self.set
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
        let mut groups = self.inputs.iter().filter_map(|shape| shape.group(form));
        if form.rows > 1 && groups.clone().next().is_none() {
            return Err(EngineError::NothingShared { rows: form.rows });
        }
        groups.try_for_each(|group| group.check().map(drop))?;
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
        }
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
        self.expand(key, self.alone(row), workspace)?;
        let expanded = Instant::now();
        self.run(workspace, true);
        let evaluated = Instant::now();
        let reply = self.compress(&workspace.results)?;
        let timings = Timings {
            expand: expanded - start,
            evaluate: evaluated - expanded,
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
            && self.statistics().bytes.saturating_mul(threads as u64) <= ROW_PARALLEL_BYTES;
        let evaluate = |rows: &[QueryRow<'_>], parallel: bool| {
            let mut workspace = Workspace::default();
            let mut one = |row: &QueryRow<'_>| {
                self.expand(key, *row, &mut workspace)?;
                self.run(&mut workspace, parallel);
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

    fn run(&self, workspace: &mut Workspace, parallel: bool) {
        let Workspace {
            inputs,
            values,
            results,
        } = workspace;
        self.executable.evaluate(inputs, values, results, parallel);
    }

    /// Query row to ciphertexts.
    fn expand(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        row: QueryRow<'_>,
        workspace: &mut Workspace,
    ) -> Result<(), EngineError> {
        let QueryRow { group, form, index } = row;
        let shared = |source| match form.rows {
            1 => EngineError::Scheme(source),
            rows => EngineError::Shared { rows, source },
        };
        let expected = self.group_bytes(form)?;
        if group.len() != expected {
            return Err(shared(SchemeError::Length {
                what: "query row",
                expected,
                found: group.len(),
            }));
        }
        workspace.fit(&self.inputs);
        let mut rest = group;
        for (shape, input) in self.inputs.iter().zip(&mut workspace.inputs) {
            let (part, after) = rest.split_at(shape.group_bytes(form));
            rest = after;
            let own = || {
                let len = shape.row_bytes();
                part.get(index * len..).and_then(|part| part.get(..len))
            };
            let own = || own().unwrap_or_default();
            match (shape, input) {
                (InputShape::Selectors(selectors), Expanded::Selectors(out)) => {
                    if let Some(group) = shape.group(form) {
                        let set = self.set.name;
                        let key = key.ok_or(SchemeError::EvaluationKeyMissing { set })?;
                        query::expand_row(key, &group, part, index, out).map_err(shared)?;
                    } else {
                        query::expand_selectors(key, selectors, own(), out)?;
                    }
                }
                (InputShape::Features(shape), input) => {
                    *input = Expanded::Features(query::decode_linear(shape, own())?);
                }
                (InputShape::Selectors(_), Expanded::Features(_)) => {
                    unreachable!("memory was made for this shape")
                }
            }
        }
        Ok(())
    }

    /// Ciphertexts to reply row.
    fn compress(&self, results: &[Glwe]) -> Result<Vec<u8>, EngineError> {
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

impl Workspace {
    /// Makes room for inputs of these shapes: the selectors of the row before, if they have the same
    /// dimensions.
    fn fit(&mut self, shapes: &[InputShape]) {
        self.inputs.truncate(shapes.len());
        for (index, shape) in shapes.iter().enumerate() {
            let fits = match (shape, self.inputs.get(index)) {
                (InputShape::Selectors(shape), Some(Expanded::Selectors(selectors))) => {
                    selectors.shape() == shape.ggsw() && selectors.len() == shape.selectors
                }
                (InputShape::Features(_), Some(Expanded::Features(_))) => true,
                _ => false,
            };
            if fits {
                continue;
            }
            let fresh = match shape {
                InputShape::Selectors(shape) => {
                    Expanded::Selectors(FourierSelectors::zeroed(shape.ggsw(), shape.selectors))
                }
                InputShape::Features(_) => Expanded::Features(Vec::new()),
            };
            // What came after is of another circuit.
            self.inputs.truncate(index);
            self.inputs.push(fresh);
        }
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
            body_bits: input.body_bits,
        })),
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
