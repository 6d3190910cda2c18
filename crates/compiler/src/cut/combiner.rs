//! Estimators over other estimators' results, as steps that the client carries out in 32 bits, as
//! ONNX Runtime has it.

use crate::error::CompileError;
use crate::ir::{Ensemble, LinearMap};
use crate::model::{Test, Tree, TreeNode};
use cipherfn_program::{BinaryFunction, EntryKind, Op, ProgramBuilder, Tensor, ValueId};

/// Adds steps of one node.
pub(super) struct NodeSteps<'a> {
    pub(super) builder: &'a mut ProgramBuilder,
    pub(super) node: &'a str,
}

impl NodeSteps<'_> {
    /// One entry a function.
    pub(super) fn linear(
        &mut self,
        left: ValueId,
        map: &LinearMap,
    ) -> Result<ValueId, CompileError> {
        let (inner, columns) = (self.builder.tensor_type(left).len, map.weights.len());
        let entry = |k: usize, column: usize| map.weights[column][k] as f32;
        let weights = (0..inner).flat_map(|k| (0..columns).map(move |column| entry(k, column)));
        let right = self.constant(weights.collect())?;
        let product = self.push(Op::MatMul {
            left,
            right,
            rows: 1,
            inner,
            columns,
        })?;
        let intercepts = self.constant(map.intercepts.iter().map(|&x| x as f32).collect())?;
        self.binary(BinaryFunction::Add, product, intercepts)
    }

    /// One entry a target.
    pub(super) fn trees(
        &mut self,
        argument: ValueId,
        ensemble: &Ensemble,
    ) -> Result<ValueId, CompileError> {
        let mut sum = self.constant(vec![0.0; ensemble.targets])?;
        for tree in &ensemble.trees {
            let own = self.tree(argument, tree, ensemble.targets)?;
            sum = self.binary(BinaryFunction::Add, sum, own)?;
        }
        if ensemble.average {
            let count = self.constant(vec![ensemble.trees.len() as f32])?;
            sum = self.binary(BinaryFunction::Div, sum, count)?;
        }
        Ok(sum)
    }

    /// Every node chooses between its children, which come behind it in the arena.
    fn tree(
        &mut self,
        argument: ValueId,
        tree: &Tree,
        targets: usize,
    ) -> Result<ValueId, CompileError> {
        let mut values: Vec<Option<ValueId>> = vec![None; tree.nodes.len()];
        for (at, node) in tree.nodes.iter().enumerate().rev() {
            values[at] = Some(match node {
                TreeNode::Leaf(leaf) => {
                    let mut entries = vec![0.0; targets];
                    for &(target, value) in leaf {
                        entries[target as usize] = value as f32;
                    }
                    self.constant(entries)?
                }
                TreeNode::Split {
                    feature,
                    test,
                    yes,
                    no,
                    ..
                } => {
                    let condition = self.condition(argument, *feature, *test, targets)?;
                    match (values[*yes as usize], values[*no as usize]) {
                        (Some(yes), Some(no)) => self.push(Op::Where { condition, yes, no })?,
                        _ => return Err(self.broken()),
                    }
                }
            });
        }
        values
            .first()
            .copied()
            .flatten()
            .ok_or_else(|| self.broken())
    }

    /// Whether a feature passes a test, once a target. Results of estimators are never missing.
    fn condition(
        &mut self,
        source: ValueId,
        feature: u32,
        test: Test,
        targets: usize,
    ) -> Result<ValueId, CompileError> {
        let entries = vec![feature; targets];
        let feature = self.push(Op::Select { source, entries })?;
        let (function, bound) = match test {
            Test::Greater(threshold) => (BinaryFunction::Greater, threshold),
            Test::Equal(value) => (BinaryFunction::Equal, value),
        };
        let bound = self.constant(vec![bound])?;
        self.binary(function, feature, bound)
    }

    fn broken(&self) -> CompileError {
        CompileError::invalid(format!("node \"{}\"", self.node), "a tree lacks a node")
    }

    fn constant(&mut self, values: Vec<f32>) -> Result<ValueId, CompileError> {
        Ok(self.builder.constant(self.node, Tensor::F32(values))?)
    }

    pub(super) fn binary(
        &mut self,
        function: BinaryFunction,
        left: ValueId,
        right: ValueId,
    ) -> Result<ValueId, CompileError> {
        self.push(Op::Binary {
            function,
            left,
            right,
        })
    }

    pub(super) fn cast(
        &mut self,
        source: ValueId,
        kind: EntryKind,
    ) -> Result<ValueId, CompileError> {
        Ok(self.builder.cast(self.node, source, kind)?)
    }

    pub(super) fn push(&mut self, op: Op) -> Result<ValueId, CompileError> {
        Ok(self.builder.push(self.node, op)?)
    }
}
