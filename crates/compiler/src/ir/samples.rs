//! Small models for the tests of passes.

use super::{Ensemble, Function, Ir, Output};
use crate::model::{Column, Test, Tree, TreeNode};
use cipherfn_program::{BinaryFunction, EntryKind, Op, Tensor, ValueId};
use cipherfn_protocol::specs::ColumnKind;

impl Ir {
    /// One column of two 32-bit floats, which is value 0.
    pub(crate) fn sample() -> Self {
        let column = Column {
            name: "x".into(),
            kind: ColumnKind::Float32,
            width: 2,
            missing: false,
        };
        Self::new(vec![column], vec![EntryKind::F32]).unwrap()
    }

    pub(crate) fn add(&mut self, op: Op) -> ValueId {
        self.program.push("node", op).unwrap()
    }

    pub(crate) fn binary(
        &mut self,
        function: BinaryFunction,
        left: ValueId,
        right: ValueId,
    ) -> ValueId {
        self.add(Op::Binary {
            function,
            left,
            right,
        })
    }

    pub(crate) fn numbers(&mut self, numbers: &[f32]) -> ValueId {
        self.add(Op::Constant(Tensor::F32(numbers.to_vec())))
    }

    /// A tree that asks whether `x[0] > 0.5`, with one target an entry, as 32-bit floats.
    pub(crate) fn stump(&mut self, yes: &[f64], no: &[f64]) -> ValueId {
        let leaf = |values: &[f64]| TreeNode::Leaf((0..).zip(values.iter().copied()).collect());
        let split = TreeNode::Split {
            feature: 0,
            test: Test::Greater(0.5),
            missing_goes_yes: false,
            yes: 1,
            no: 2,
        };
        let nodes = vec![split, leaf(yes), leaf(no)];
        let ensemble = Ensemble {
            trees: vec![Tree { nodes }],
            targets: yes.len(),
            average: false,
            missing: false,
            splits: Vec::new(),
        };
        let trees = Function::Trees(ensemble);
        let source = self.estimate("stump", ValueId(0), trees).unwrap();
        let kind = EntryKind::F32;
        self.add(Op::Cast { source, kind })
    }

    /// Makes a value the model's only output.
    pub(crate) fn giving(mut self, value: ValueId) -> Self {
        self.outputs = vec![Output {
            name: "y".into(),
            value,
            node: None,
        }];
        self
    }
}
