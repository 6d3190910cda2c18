//! `Softmax` and `LogSoftmax`.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, standard};
use cipherfn_program::{Op, SoftmaxKind};

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    standard("LogSoftmax", 1, |node| {
        softmax(node, SoftmaxKind::LogSoftmax)
    }),
    standard("Softmax", 1, |node| softmax(node, SoftmaxKind::Softmax)),
];

fn softmax(emitter: &mut Emitter<'_>, variant: SoftmaxKind) -> Result<Vec<Operand>, CompileError> {
    let argument = emitter.input(0)?;
    // Until version 12 all axes from `axis` on were one group.
    let old = emitter.version < 13;
    let rank = argument.shape.len();
    let axis = emitter.node.int("axis", if old { 1 } else { -1 })?;
    let axis = emitter.axis(axis, rank)?;
    if !old && axis + 1 != rank {
        return Err(emitter.node.unsupported(
            format!("it works along axis {axis} of {rank}"),
            "softmax along the last axis",
        ));
    }
    let op = Op::Softmax {
        variant,
        argument: argument.id,
        group: argument.shape[axis..].iter().product(),
    };
    Ok(vec![emitter.push(op, argument.element, argument.shape)?])
}
