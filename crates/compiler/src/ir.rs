//! The compiler's own representation of a model, before it is cut: one row program over the row
//! and the estimators' results.
//!
//! Every operator of every file format is lowered to the few operations of
//! [`cipherfn_program::Op`] once, wherever it stands; what lies before the encrypted
//! estimators, in them and behind them is found afterwards, by passes over these operations
//! (`analyse`).
//!
//! ```text
//! columns --\                                             /--> outputs
//!            >-- steps: constant, select, unary, binary, ..
//! results --/        | argument                           \--> argument of an estimator
//!    ^               v
//!    '------- trees, linear maps
//! ```

mod combination;
mod distances;
mod ensemble;
mod lookups;
mod neighbours;
mod range;
#[cfg(test)]
mod samples;
mod stacked;

pub(crate) use combination::{Atom, AtomKind, Combination};
pub(crate) use distances::SquaredDistances;
pub(crate) use ensemble::Ensemble;
pub(crate) use lookups::Lookups;
pub(crate) use neighbours::{NearestPoints, RankedPoints};
pub(crate) use range::Range;
pub(crate) use stacked::StackedTrees;

use crate::error::{CompileError, NodeName};
use crate::model::Column;
use crate::options::Combiner;
use cipherfn_program::{EntryKind, MAX_LEN, Op, ProgramBuilder, ProgramStep, TensorType, ValueId};
use std::collections::HashMap;

/// What can be compiled, for errors.
pub(crate) const SUPPORTED: &str = "tree ensembles (TreeEnsembleClassifier, \
    TreeEnsembleRegressor, TreeEnsemble), linear models (LinearClassifier, LinearRegressor, \
    SVMClassifier and SVMRegressor, MatMul, Gemm, Conv) and networks of layers of functions of single \
    numbers and of maxima, nearest neighbours (TopK of squared distances from constant points), with preparation of the row before them and link functions, normalisation and \
    labels behind them";

/// A model as operations.
pub(crate) struct Ir {
    /// Its inputs are the columns and, last, the results of the estimators, one after the other.
    pub(crate) program: ProgramBuilder,
    pub(crate) columns: Vec<Column>,
    pub(crate) estimators: Vec<EstimatorCall>,
    pub(crate) outputs: Vec<Output>,
    /// Class names of values that hold one number a class.
    pub(crate) classes: HashMap<ValueId, Vec<String>>,
    /// The nodes that steps come from, by name.
    pub(crate) nodes: HashMap<String, NodeName>,
    /// What was decided where the file leaves a choice, for people.
    pub(crate) notes: Vec<String>,
    /// Who evaluates trees over other estimators' results.
    pub(crate) combiner: Combiner,
    /// Rankings of points whose places among all points are asked for.
    pub(crate) rankings: Vec<RankedPoints>,
    /// Squared distances, computed as sums that cancel.
    pub(crate) distances: Vec<SquaredDistances>,
}

/// Functions of a value that can be evaluated under encryption.
pub(crate) struct EstimatorCall {
    pub(crate) argument: ValueId,
    /// Place of its first result among all results.
    pub(crate) first: usize,
    pub(crate) function: Function,
}

/// What an estimator computes.
pub(crate) enum Function {
    /// One result a target.
    Trees(Ensemble),
    /// One result a row of weights.
    Linear(LinearMap),
    /// One result a form. No file has such an estimator: it is made of entrywise operations.
    Lookups(Lookups),
    /// One result a point: 1 if it is among the nearest, else 0.
    Nearest(NearestPoints),
    /// One result a target. No file has such an estimator: it is made of trees over other
    /// estimators' results.
    Stacked(StackedTrees),
}

/// Weights of linear functions: `functions x features` and one intercept a function.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LinearMap {
    pub(crate) weights: Vec<Vec<f64>>,
    pub(crate) intercepts: Vec<f64>,
}

/// An output of the model.
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) value: ValueId,
    /// The node that gives it.
    pub(crate) node: Option<NodeName>,
}

impl Function {
    fn results(&self) -> usize {
        match self {
            Self::Trees(ensemble) => ensemble.targets,
            Self::Linear(map) => map.intercepts.len(),
            Self::Lookups(lookups) => lookups.forms.len(),
            Self::Nearest(nearest) => nearest.points,
            Self::Stacked(stacked) => stacked.targets,
        }
    }
}

impl Ir {
    /// A model of these columns, without steps.
    pub(crate) fn new(columns: Vec<Column>, kinds: Vec<EntryKind>) -> Result<Self, CompileError> {
        let of_column = |(column, kind): (&Column, EntryKind)| TensorType {
            kind,
            len: column.width,
        };
        // The number of results is known at the end.
        let results = TensorType {
            kind: EntryKind::F64,
            len: MAX_LEN,
        };
        let inputs = columns.iter().zip(kinds).map(of_column);
        Ok(Self {
            program: ProgramBuilder::new(inputs.chain([results]).collect())?,
            columns,
            estimators: Vec::new(),
            outputs: Vec::new(),
            classes: HashMap::new(),
            nodes: HashMap::new(),
            notes: Vec::new(),
            combiner: Combiner::Auto,
            rankings: Vec::new(),
            distances: Vec::new(),
        })
    }

    /// A model of the same columns, without steps.
    pub(crate) fn without_steps(&self) -> Result<Self, CompileError> {
        let columns = 0..self.columns.len() as u32;
        let kinds = columns.map(|at| self.program.tensor_type(ValueId(at)).kind);
        Self::new(self.columns.clone(), kinds.collect())
    }

    /// The steps and estimators of `made` with the outputs of this model, and all that is known of
    /// it: `moved` says where each of its values is by now.
    pub(crate) fn around(self, mut made: Self, moved: &[ValueId]) -> Self {
        made.outputs = self.outputs;
        for output in &mut made.outputs {
            output.value = moved[output.value.index()];
        }
        let classes = self.classes.into_iter();
        made.classes = classes
            .map(|(id, names)| (moved[id.index()], names))
            .collect();
        let distances = self.distances.into_iter();
        let moved = distances.map(|own| SquaredDistances {
            value: moved[own.value.index()],
            row: moved[own.row.index()],
        });
        made.distances = moved.collect();
        made.nodes = self.nodes;
        made.notes = self.notes;
        made.combiner = self.combiner;
        made
    }

    /// The results of all estimators.
    pub(crate) fn results(&self) -> ValueId {
        ValueId(self.columns.len() as u32)
    }

    /// Adds an estimator. Gives its results, 64-bit floats, as a step of `node`.
    pub(crate) fn estimate(
        &mut self,
        node: &str,
        argument: ValueId,
        function: Function,
    ) -> Result<ValueId, CompileError> {
        let first = self.estimators.last().map_or(0, EstimatorCall::end);
        let estimator = EstimatorCall {
            argument,
            first,
            function,
        };
        let end = estimator.end();
        if end > MAX_LEN {
            return Err(CompileError::invalid(
                "the graph",
                format!("its estimators have more than {MAX_LEN} results"),
            ));
        }
        self.estimators.push(estimator);
        let entries = (first as u32..end as u32).collect();
        let source = self.results();
        Ok(self.program.push(node, Op::Select { source, entries })?)
    }

    /// The estimator that gives this entry of [`Self::results`], and which of its results it is.
    pub(crate) fn estimator(&self, entry: u32) -> (usize, usize) {
        let after = |own: &EstimatorCall| own.first <= entry as usize;
        let index = self.estimators.partition_point(after).saturating_sub(1);
        (index, entry as usize - self.estimators[index].first)
    }

    /// All tree ensembles.
    pub(crate) fn ensembles(&self) -> impl Iterator<Item = &Ensemble> {
        self.estimators
            .iter()
            .filter_map(|own| match &own.function {
                Function::Trees(ensemble) => Some(ensemble),
                Function::Linear(_)
                | Function::Lookups(_)
                | Function::Nearest(_)
                | Function::Stacked(_) => None,
            })
    }

    /// Id of the first step's value.
    pub(crate) fn first_step(&self) -> usize {
        self.columns.len() + 1
    }

    /// The step that gives a value; `None` for an input.
    pub(crate) fn step(&self, id: ValueId) -> Option<&ProgramStep> {
        let place = id.index().checked_sub(self.first_step())?;
        self.program.steps().get(place)
    }

    /// Where an entry of a value was taken from by steps that move entries.
    pub(crate) fn source(&self, mut value: ValueId, mut entry: u32) -> (ValueId, u32) {
        while let Some(source) = self.moved_from(value, entry) {
            (value, entry) = source;
        }
        (value, entry)
    }

    /// Where an entry was taken from by one such step; `None` if the value's step computes.
    pub(crate) fn moved_from(&self, value: ValueId, mut entry: u32) -> Option<(ValueId, u32)> {
        match &self.step(value)?.op {
            Op::Select { source, entries } => Some((*source, entries[entry as usize])),
            Op::Concat(parts) => {
                for &part in parts {
                    let len = self.program.tensor_type(part).len as u32;
                    if entry < len {
                        return Some((part, entry));
                    }
                    entry -= len;
                }
                None
            }
            _ => None,
        }
    }

    /// Values that a value is computed from; for results of an estimator, its argument.
    pub(crate) fn arguments(&self, id: ValueId) -> Vec<ValueId> {
        match self.step(id).map(|step| &step.op) {
            None => Vec::new(),
            Some(Op::Select { source, entries }) if *source == self.results() => {
                let mut arguments: Vec<ValueId> = entries
                    .iter()
                    .map(|&entry| self.estimators[self.estimator(entry).0].argument)
                    .collect();
                arguments.dedup();
                arguments
            }
            Some(op) => op.arguments(),
        }
    }

    /// Which values these ones are computed from, themselves included, by id.
    pub(crate) fn ancestors(&self, of: impl IntoIterator<Item = ValueId>) -> Vec<bool> {
        let mut needed = vec![false; self.first_step() + self.program.steps().len()];
        for id in of {
            needed[id.index()] = true;
        }
        // Steps, and the arguments of estimators, come before what is computed from them.
        for index in (0..needed.len()).rev() {
            if needed[index] {
                for argument in self.arguments(ValueId(index as u32)) {
                    needed[argument.index()] = true;
                }
            }
        }
        needed
    }

    /// Which values are computed from these ones, themselves included, by id.
    pub(crate) fn descendants(&self, of: impl IntoIterator<Item = ValueId>) -> Vec<bool> {
        let mut follows = vec![false; self.first_step() + self.program.steps().len()];
        for id in of {
            follows[id.index()] = true;
        }
        for index in self.first_step()..follows.len() {
            let arguments = self.arguments(ValueId(index as u32));
            follows[index] |= arguments.iter().any(|argument| follows[argument.index()]);
        }
        follows
    }

    /// An error of the node that a value's step comes from.
    pub(crate) fn unsupported(
        &self,
        id: ValueId,
        problem: impl Into<String>,
        supported: &str,
    ) -> CompileError {
        let name = self.step(id).map_or("", |step| &step.node);
        self.unsupported_step(name, problem, supported)
    }

    /// An error of the node that steps of this name come from.
    pub(crate) fn unsupported_step(
        &self,
        name: &str,
        problem: impl Into<String>,
        supported: &str,
    ) -> CompileError {
        unsupported(self.nodes.get(name), problem.into(), supported)
    }

    /// An error about the form of the node that a value's step comes from.
    pub(crate) fn invalid(&self, id: ValueId, problem: impl Into<String>) -> CompileError {
        let name = self.step(id).map_or("the model", |step| &step.node);
        match self.nodes.get(name) {
            Some(node) => CompileError::invalid(node, problem),
            None => CompileError::invalid(name, problem),
        }
    }
}

impl EstimatorCall {
    fn end(&self) -> usize {
        self.first + self.function.results()
    }
}

/// An error that names the node, if there is one.
pub(crate) fn unsupported(
    node: Option<&NodeName>,
    problem: String,
    supported: &str,
) -> CompileError {
    let supported = supported.to_owned();
    match node.cloned() {
        Some(node) => CompileError::Unsupported {
            node,
            problem,
            supported,
        },
        None => CompileError::UnsupportedModel { problem, supported },
    }
}
