//! The program behind the estimators: from raw scores to outputs, on the client.

use super::combiner::NodeSteps;
use super::outputs::AnswerColumns;
use super::scores::{Placed, RawScores};
use crate::analyse::place::Place;
use crate::error::{CompileError, NodeName};
use crate::ir::{AtomKind, Function, Ir};
use cipherfn_program::{
    BinaryFunction, EntryKind, Op, ProgramBuilder, RowProgram, Tensor, TensorType, ValueId,
};
use std::collections::HashMap;

/// The program from raw scores, one 64-bit input, to the answers.
pub(crate) fn program(
    ir: &Ir,
    places: &[Place],
    scores: &RawScores,
    answers: &[AnswerColumns],
) -> Result<RowProgram, CompileError> {
    let input = TensorType {
        kind: EntryKind::F64,
        len: scores.len(),
    };
    let mut program = AnswerProgram {
        ir,
        scores,
        builder: ProgramBuilder::new(vec![input])?,
        values: HashMap::new(),
    };
    for (index, place) in places.iter().enumerate() {
        if matches!(place, Place::Behind { .. }) {
            program.copy(ValueId(index as u32))?;
        }
    }
    let outputs = answers.iter().map(|answer| program.answer(answer));
    let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
    Ok(program.builder.finish(&outputs)?)
}

/// The nodes that are estimators over others' results.
pub(crate) fn combiners(ir: &Ir, places: &[Place]) -> Vec<NodeName> {
    let behind = places
        .iter()
        .zip(0..)
        .filter_map(|(place, id)| match place {
            Place::Behind { .. } => ir.step(ValueId(id)),
            _ => None,
        });
    let combines = |op: &Op| matches!(op, Op::Select { source, .. } if *source == ir.results());
    behind
        .filter(|step| combines(&step.op))
        .filter_map(|step| ir.nodes.get(&step.node).cloned())
        .collect()
}

struct AnswerProgram<'a> {
    ir: &'a Ir,
    scores: &'a RawScores,
    builder: ProgramBuilder,
    /// Values of the whole model, in the program.
    values: HashMap<ValueId, ValueId>,
}

impl AnswerProgram<'_> {
    /// Copies the step of a value behind the estimators; its arguments are known or on the
    /// boundary.
    fn copy(&mut self, id: ValueId) -> Result<(), CompileError> {
        let ir = self.ir;
        let Some(step) = ir.step(id) else {
            return Ok(());
        };
        let value = match &step.op {
            Op::Select { source, entries } if *source == ir.results() => {
                self.results(id, &step.node, entries)?
            }
            op => {
                for argument in op.arguments() {
                    self.value(argument)?;
                }
                let mut op = op.clone();
                op.rename(|id| self.values.get(&id).copied().unwrap_or(id));
                self.builder.push(&step.node, op)?
            }
        };
        self.values.insert(id, value);
        Ok(())
    }

    fn answer(&mut self, answer: &AnswerColumns) -> Result<ValueId, CompileError> {
        let source = self.value(answer.value)?;
        let Some(entry) = answer.entry else {
            return Ok(source);
        };
        let node = self.ir.step(answer.value).map_or("", |step| &step.node);
        let entries = vec![entry];
        Ok(self.builder.push(node, Op::Select { source, entries })?)
    }

    fn value(&mut self, id: ValueId) -> Result<ValueId, CompileError> {
        if let Some(&value) = self.values.get(&id) {
            return Ok(value);
        }
        let node = self.ir.step(id).map_or("", |step| &step.node);
        let value = if let Some(placed) = self.scores.placed(id) {
            let value = self.sums(node, placed)?;
            let kind = self.ir.program.tensor_type(id).kind;
            self.steps(node).cast(value, kind)?
        } else if let Some(constant) = self.ir.program.constant_value(id) {
            self.builder.constant(node, constant.clone())?
        } else {
            return Err(self.ir.invalid(id, "its value is not behind the estimator"));
        };
        self.values.insert(id, value);
        Ok(value)
    }

    /// Steps that turn raw scores into the values of combinations.
    fn sums(&mut self, node: &str, placed: &[Placed]) -> Result<ValueId, CompileError> {
        if placed.is_empty() {
            return Ok(self.builder.constant(node, Tensor::F64(Vec::new()))?);
        }
        let offsets = placed.iter().map(|own| own.offset).collect();
        let mut sum = None;
        for kind in AtomKind::ALL {
            let first = self.scores.first(kind);
            let of_kind = |own: &Placed| {
                let (raw, factor) = own.parts[kind as usize]?;
                Some((first + raw, factor))
            };
            let family: Vec<Option<(usize, f64)>> = placed.iter().map(of_kind).collect();
            if family.iter().all(Option::is_none) {
                continue;
            }
            let part = |own: &Option<(usize, f64)>| own.unwrap_or((0, 0.0));
            let entries = family.iter().map(|own| part(own).0 as u32).collect();
            let source = self.builder.input(0);
            let own = self.builder.push(node, Op::Select { source, entries })?;
            let factors = family.iter().map(|own| part(own).1).collect();
            let own = self.with(node, BinaryFunction::Mul, own, factors, 1.0)?;
            sum = Some(match sum {
                None => own,
                Some(left) => self.steps(node).binary(BinaryFunction::Add, left, own)?,
            });
        }
        match sum {
            Some(sum) => self.with(node, BinaryFunction::Add, sum, offsets, 0.0),
            None => Ok(self.builder.constant(node, Tensor::F64(offsets))?),
        }
    }

    /// Results of an estimator over values behind others.
    fn results(
        &mut self,
        id: ValueId,
        node: &str,
        entries: &[u32],
    ) -> Result<ValueId, CompileError> {
        let ir = self.ir;
        let Some(&first) = entries.first() else {
            return Err(ir.invalid(id, "it has no results"));
        };
        let estimator = &ir.estimators[ir.estimator(first).0];
        let argument = self.value(estimator.argument)?;
        let mut steps = self.steps(node);
        let argument = steps.cast(argument, EntryKind::F32)?;
        let results = match &estimator.function {
            Function::Linear(map) => steps.linear(argument, map)?,
            Function::Trees(ensemble) => steps.trees(argument, ensemble)?,
            Function::Lookups(_) | Function::Nearest(_) | Function::Stacked(_) => {
                return Err(ir.invalid(id, "it has no results"));
            }
        };
        steps.cast(results, EntryKind::F64)
    }

    fn steps<'b>(&'b mut self, node: &'b str) -> NodeSteps<'b> {
        let builder = &mut self.builder;
        NodeSteps { builder, node }
    }

    /// A function with constants, unless they are all neutral.
    fn with(
        &mut self,
        node: &str,
        function: BinaryFunction,
        left: ValueId,
        numbers: Vec<f64>,
        neutral: f64,
    ) -> Result<ValueId, CompileError> {
        if numbers.iter().all(|x| x.to_bits() == neutral.to_bits()) {
            return Ok(left);
        }
        let right = self.builder.constant(node, Tensor::F64(numbers))?;
        self.steps(node).binary(function, left, right)
    }
}
