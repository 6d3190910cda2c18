//! `ArgMax` and `ArgMin`.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, standard};
use crate::read::onnx::tensor::Element;
use cipherfn_program::{Op, UnaryFunction};

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    standard("ArgMax", 1, |node| {
        let argument = node.input(0)?;
        arg_max(node, &argument)
    }),
    standard("ArgMin", 1, |node| {
        let argument = node.input(0)?;
        let negated = node.unary(UnaryFunction::Neg, &argument)?;
        arg_max(node, &negated)
    }),
];

fn arg_max(emitter: &mut Emitter<'_>, argument: &Operand) -> Result<Vec<Operand>, CompileError> {
    let axis = emitter.axis(emitter.node.int("axis", 0)?, argument.shape.len())?;
    let keep = emitter.node.int("keepdims", 1)? != 0;
    let last = emitter.node.int("select_last_index", 0)? != 0;
    let (moved, group, shape) = emitter.grouped(argument, &[axis], keep)?;
    let op = Op::ArgMax {
        argument: moved.id,
        group,
        last,
    };
    Ok(vec![emitter.push(op, Element::Int, shape)?])
}
