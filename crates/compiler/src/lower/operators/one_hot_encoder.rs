//! `OneHotEncoder`.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, ml};
use crate::read::onnx::tensor::Element;
use cipherfn_program::{Op, Tensor};

pub(in crate::lower) const OPERATORS: &[Operator] = &[ml("OneHotEncoder", 1, one_hot_encoder)];

fn one_hot_encoder(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let mut argument = emitter.input(0)?;
    let categories = if argument.element == Element::Text {
        Tensor::Text(emitter.node.texts("cats_strings")?)
    } else {
        argument = emitter.cast(&argument, Element::Int)?;
        Tensor::I64(emitter.node.ints("cats_int64s")?)
    };
    if categories.is_empty() {
        let problem = "it has no categories for its input's type";
        return Err(emitter.node.invalid(problem));
    }
    let mut shape = argument.shape;
    shape.push(categories.len());
    let op = Op::OneHot {
        argument: argument.id,
        categories,
        unknown: emitter.node.int("zeros", 1)? != 0,
    };
    Ok(vec![emitter.push(op, Element::F32, shape)?])
}
