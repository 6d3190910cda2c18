//! Making a row program step by step.

use super::check::{self, Budget};
use super::{
    EntryKind, Op, ProgramError, ProgramParts, ProgramStep, RowProgram, Tensor, TensorType,
    ValueId, evaluate,
};
use blake3::Hash;
use std::collections::HashMap;

/// Builds a [`RowProgram`]. Equal steps are made once, and steps whose arguments are constants are
/// carried out at once.
#[derive(Clone, Debug)]
pub struct ProgramBuilder {
    inputs: Vec<TensorType>,
    steps: Vec<ProgramStep>,
    types: Vec<TensorType>,
    known: HashMap<Hash, ValueId>,
    budget: Budget,
}

impl ProgramBuilder {
    /// A program with these inputs and no steps.
    pub fn new(inputs: Vec<TensorType>) -> Result<Self, ProgramError> {
        let types = check::types(&inputs, &[])?;
        Ok(Self {
            inputs,
            steps: Vec::new(),
            types,
            known: HashMap::new(),
            budget: Budget::default(),
        })
    }

    /// Input `index`.
    pub fn input(&self, index: usize) -> ValueId {
        debug_assert!(index < self.inputs.len());
        ValueId(index as u32)
    }

    /// Adds a constant.
    pub fn constant(&mut self, node: &str, value: Tensor) -> Result<ValueId, ProgramError> {
        self.push(node, Op::Constant(value))
    }

    /// A value as one of this kind; itself, if it is.
    pub fn cast(
        &mut self,
        node: &str,
        source: ValueId,
        kind: EntryKind,
    ) -> Result<ValueId, ProgramError> {
        if self.tensor_type(source).kind == kind {
            return Ok(source);
        }
        self.push(node, Op::Cast { source, kind })
    }

    /// Adds a step of the ONNX node `node`.
    pub fn push(&mut self, node: &str, op: Op) -> Result<ValueId, ProgramError> {
        let mut result = check::result_type(node, &op, &self.types, &mut self.budget)?;
        let mut op = op;
        if let Some(value) = self.fold(node, &op)? {
            result = value.tensor_type();
            op = Op::Constant(value);
        }
        let key = blake3::hash(
            &serde_json::to_vec(&op)
                .map_err(|error| ProgramError::invalid(node, error.to_string()))?,
        );
        if let Some(&id) = self.known.get(&key) {
            return Ok(id);
        }
        let id = ValueId(self.types.len() as u32);
        self.types.push(result);
        self.steps.push(ProgramStep {
            node: node.to_owned(),
            op,
        });
        self.known.insert(key, id);
        Ok(id)
    }

    /// The steps so far, in order; the first one's value comes after the inputs.
    pub fn steps(&self) -> &[ProgramStep] {
        &self.steps
    }

    /// Kind and length of a value.
    pub fn tensor_type(&self, id: ValueId) -> TensorType {
        self.types[id.index()]
    }

    /// The value, if it is a constant.
    pub fn constant_value(&self, id: ValueId) -> Option<&Tensor> {
        match &self
            .steps
            .get(id.index().checked_sub(self.inputs.len())?)?
            .op
        {
            Op::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// The program that returns `outputs`, without the steps that they do not need.
    pub fn finish(&self, outputs: &[ValueId]) -> Result<RowProgram, ProgramError> {
        let inputs = self.inputs.len();
        let mut needed = vec![false; self.types.len()];
        for id in outputs {
            *needed
                .get_mut(id.index())
                .ok_or_else(|| ProgramError::undefined("output", *id))? = true;
        }
        for (position, step) in self.steps.iter().enumerate().rev() {
            if needed[inputs + position] {
                for id in step.op.arguments() {
                    needed[id.index()] = true;
                }
            }
        }
        let mut new: Vec<ValueId> = (0..self.types.len() as u32).map(ValueId).collect();
        let mut steps = Vec::new();
        for (position, step) in self
            .steps
            .iter()
            .enumerate()
            .filter(|(position, _)| needed[inputs + position])
        {
            new[inputs + position] = ValueId((inputs + steps.len()) as u32);
            let mut step = step.clone();
            step.op.rename(|id| new[id.index()]);
            steps.push(step);
        }
        let outputs = outputs.iter().map(|id| new[id.index()]).collect();
        RowProgram::try_from(ProgramParts {
            inputs: self.inputs.clone(),
            steps,
            outputs,
        })
    }

    fn fold(&self, node: &str, op: &Op) -> Result<Option<Tensor>, ProgramError> {
        let arguments = op.arguments();
        if arguments.is_empty() {
            return Ok(None);
        }
        let Some(values) = arguments
            .iter()
            .map(|&id| self.constant_value(id))
            .collect::<Option<Vec<_>>>()
        else {
            return Ok(None);
        };
        evaluate::apply(node, op, &values).map(Some)
    }
}
