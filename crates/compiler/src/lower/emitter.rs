//! What the lowering of one node works with.

mod inputs;
mod steps;

use crate::ir::Ir;
use crate::read::onnx::node::Node;
use crate::read::onnx::tensor::Element;
use cipherfn_program::ValueId;

/// A value of the program that is being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operand {
    pub(crate) id: ValueId,
    pub(crate) element: Element,
    pub(crate) shape: Vec<usize>,
}

impl Operand {
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Entries along the last axis.
    pub(crate) fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }
}

/// Lowers one node.
pub(crate) struct Emitter<'a> {
    pub(crate) ir: &'a mut Ir,
    pub(crate) node: &'a Node<'a>,
    /// Version of the operator set of the node's domain.
    pub(crate) version: i64,
    /// `None` for one that is left out.
    pub(crate) inputs: &'a [Option<Operand>],
    /// Set where the outputs are sequences, which no other node can take.
    pub(crate) gives_sequences: bool,
}

/// The same entries in another shape.
pub(crate) fn reshaped(operand: &Operand, shape: Vec<usize>) -> Operand {
    Operand {
        shape,
        ..operand.clone()
    }
}
