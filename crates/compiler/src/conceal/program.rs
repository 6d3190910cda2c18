//! The program in front of the estimators, taken apart and put together anew.

use super::sets::AskedSets;
use super::{ConcealedForm, Wide};
use crate::error::CompileError;
use cipherfn_program::{
    BinaryFunction, EntryKind, Op, ProgramBuilder, ProgramStep, ReduceFunction, RowProgram, Tensor,
    ValueId,
};
use std::collections::BTreeMap;

/// A program that is taken apart.
pub(super) struct ProgramCopy<'a> {
    original: &'a RowProgram,
    pub(super) builder: ProgramBuilder,
    /// The program's values, in the builder.
    pub(super) ids: Vec<ValueId>,
}

impl<'a> ProgramCopy<'a> {
    pub(super) fn new(original: &'a RowProgram) -> Result<Self, CompileError> {
        let builder = ProgramBuilder::new(original.inputs().to_vec())?;
        let mut program = Self {
            original,
            ids: (0..original.inputs().len())
                .map(|at| builder.input(at))
                .collect(),
            builder,
        };
        for step in original.steps() {
            program.push(step)?;
        }
        Ok(program)
    }

    fn push(&mut self, step: &ProgramStep) -> Result<(), CompileError> {
        let mut op = step.op.clone();
        op.rename(|id| self.ids[id.index()]);
        let id = self.builder.push(&step.node, op)?;
        self.ids.push(id);
        Ok(())
    }

    pub(super) fn op(&self, id: ValueId) -> Option<&Op> {
        let index = id.index().checked_sub(self.original.inputs().len())?;
        Some(&self.original.steps().get(index)?.op)
    }

    pub(super) fn len(&self, id: ValueId) -> usize {
        self.builder.tensor_type(self.ids[id.index()]).len
    }

    /// The wide entries of the feature vector, in its order.
    pub(super) fn wide(&self, features: usize) -> Vec<Wide> {
        let entries = (0..features).filter_map(|feature| Some((feature, self.trace(feature)?)));
        let wide = entries.filter_map(|(feature, (made, entry))| {
            let (argument, splits, is_rank) = match self.op(made)? {
                Op::Narrow { argument, splits } => (*argument, splits.get(entry)?.clone(), false),
                Op::Where { no, .. } => {
                    let (argument, splits) = self.rank(*no)?;
                    (argument, splits, true)
                }
                _ => return None,
            };
            Some(Wide {
                feature,
                made,
                entry,
                argument,
                splits,
                is_rank,
            })
        });
        wide.collect()
    }

    /// Follows an entry of the feature vector to the value that it is an entry of.
    pub(super) fn trace(&self, feature: usize) -> Option<(ValueId, usize)> {
        let [vector] = self.original.output_ids() else {
            return None;
        };
        let (mut value, mut entry) = (*vector, feature);
        loop {
            match self.op(value)? {
                Op::Concat(parts) => {
                    let mut parts = parts.iter();
                    value = *parts.find(|part| {
                        let len = self.len(**part);
                        let is_here = entry < len;
                        entry -= if is_here { 0 } else { len };
                        is_here
                    })?;
                }
                Op::Select { source, entries } => {
                    (value, entry) = (*source, *entries.get(entry)? as usize);
                }
                _ => return Some((value, entry)),
            }
        }
    }

    /// The value of which this is the number of split points that it exceeds, and these.
    fn rank(&self, count: ValueId) -> Option<(ValueId, Vec<f64>)> {
        let Op::Cast { source, .. } = self.op(count)? else {
            return None;
        };
        let Op::Reduce {
            function: ReduceFunction::Sum,
            argument,
            ..
        } = self.op(*source)?
        else {
            return None;
        };
        let Op::Binary {
            function: BinaryFunction::Greater,
            left,
            right,
        } = self.op(*argument)?
        else {
            return None;
        };
        match self.op(*right)? {
            Op::Constant(Tensor::F64(splits)) => Some((*left, splits.clone())),
            _ => None,
        }
    }

    /// For each wide feature, its finite values in the rows, sorted.
    pub(super) fn values(
        &self,
        wide: &[Wide],
        rows: &[Vec<Tensor>],
    ) -> Result<Vec<Vec<f64>>, CompileError> {
        let mut arguments: Vec<ValueId> = wide.iter().map(|own| own.argument).collect();
        arguments.sort_unstable();
        arguments.dedup();
        let ids: Vec<ValueId> = arguments.iter().map(|id| self.ids[id.index()]).collect();
        let program = self.builder.finish(&ids)?;
        let mut values = vec![Vec::with_capacity(rows.len()); wide.len()];
        for row in rows {
            let found = program.run(row.clone())?;
            for (own, values) in wide.iter().zip(&mut values) {
                let place = arguments.binary_search(&own.argument);
                let found = place.ok().and_then(|place| found.get(place));
                if let Some(Tensor::F64(found)) = found {
                    let value = found.get(own.entry).copied();
                    values.extend(value.filter(|value| value.is_finite()));
                }
            }
        }
        for values in &mut values {
            values.sort_unstable_by(f64::total_cmp);
        }
        Ok(values)
    }

    /// The program with wide features of other forms, and categories in place of members.
    pub(super) fn with(
        &self,
        wide: &[Wide],
        forms: &[ConcealedForm],
        known: &[AskedSets],
    ) -> Result<RowProgram, CompileError> {
        let mut of_value: BTreeMap<ValueId, BTreeMap<usize, (&Wide, &ConcealedForm)>> =
            BTreeMap::new();
        for (own, form) in wide.iter().zip(forms) {
            of_value
                .entry(own.made)
                .or_default()
                .insert(own.entry, (own, form));
        }
        let mut program = Self {
            original: self.original,
            builder: ProgramBuilder::new(self.original.inputs().to_vec())?,
            ids: self.ids[..self.original.inputs().len()].to_vec(),
        };
        for step in self.original.steps() {
            let value = ValueId(program.ids.len() as u32);
            match of_value.get(&value) {
                None => match known.iter().find(|known| known.replaces(value)) {
                    None => program.push(step)?,
                    Some(known) => {
                        let made = program.category(&step.node, known)?;
                        program.ids.push(made);
                    }
                },
                Some(entries) => {
                    let made = program.made(&step.node, value, entries)?;
                    program.ids.push(made);
                }
            }
        }
        let outputs = self
            .original
            .output_ids()
            .iter()
            .map(|id| program.ids[id.index()]);
        Ok(program.builder.finish(&outputs.collect::<Vec<_>>())?)
    }

    /// A value of another form.
    fn made(
        &mut self,
        node: &str,
        value: ValueId,
        entries: &BTreeMap<usize, (&Wide, &ConcealedForm)>,
    ) -> Result<ValueId, CompileError> {
        let Some((first, form)) = entries.values().next().copied() else {
            return Ok(value);
        };
        let argument = self.ids[first.argument.index()];
        let kind = EntryKind::F32;
        match form {
            ConcealedForm::Rounded(centre) => {
                let mut source = argument;
                if *centre != 0.0 {
                    let right = self.builder.constant(node, Tensor::F64(vec![*centre]))?;
                    let less = Op::Binary {
                        function: BinaryFunction::Sub,
                        left: argument,
                        right,
                    };
                    source = self.builder.push(node, less)?;
                }
                Ok(self.builder.push(node, Op::Cast { source, kind })?)
            }
            ConcealedForm::Mixed(all) if first.is_rank => self.ranks(node, value, argument, all),
            ConcealedForm::Mixed(_) => {
                let splits = (0..self.builder.tensor_type(argument).len).map(|entry| match entries
                    .get(&entry)
                {
                    Some((_, ConcealedForm::Mixed(all))) => all.clone(),
                    _ => Vec::new(),
                });
                let splits = splits.collect();
                Ok(self.builder.push(node, Op::Narrow { argument, splits })?)
            }
        }
    }

    /// The number of these split points that the argument exceeds, missing where it was.
    fn ranks(
        &mut self,
        node: &str,
        value: ValueId,
        left: ValueId,
        splits: &[f64],
    ) -> Result<ValueId, CompileError> {
        let group = splits.len();
        let right = self.builder.constant(node, Tensor::F64(splits.to_vec()))?;
        let function = BinaryFunction::Greater;
        let argument = self.builder.push(
            node,
            Op::Binary {
                function,
                left,
                right,
            },
        )?;
        let function = ReduceFunction::Sum;
        let source = self.builder.push(
            node,
            Op::Reduce {
                function,
                argument,
                group,
            },
        )?;
        let kind = EntryKind::F32;
        let no = self.builder.push(node, Op::Cast { source, kind })?;
        let Some(Op::Where { condition, yes, .. }) = self.op(value) else {
            return Ok(no);
        };
        let (condition, yes) = (self.ids[condition.index()], self.ids[yes.index()]);
        Ok(self.builder.push(node, Op::Where { condition, yes, no })?)
    }
}
