//! Values that do not depend on the row: `Constant`, `ConstantOfShape`, `Shape`.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, standard};
use crate::read::onnx::node::Node;
use crate::read::onnx::tensor::{Constant, ELEMENTS, Element, entries};
use cipherfn_program::Tensor;

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    standard("Constant", 1, constant),
    standard("ConstantOfShape", 9, constant_of_shape),
    standard("Shape", 1, shape),
];

fn constant(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let constant = match emitter.node.tensor("value")? {
        Some(constant) => constant,
        None => plain(emitter.node)?,
    };
    Ok(vec![emitter.constant(constant)?])
}

/// A number, a text or a list of them.
fn plain(node: &Node) -> Result<Constant, CompileError> {
    let (element, value, scalar) = if node.has("value_float") {
        let value = Tensor::F32(vec![node.float("value_float", 0.0)?]);
        (Element::F32, value, true)
    } else if node.has("value_floats") {
        let value = Tensor::F32(node.floats("value_floats")?);
        (Element::F32, value, false)
    } else if node.has("value_int") {
        let value = Tensor::I64(vec![node.int("value_int", 0)?]);
        (Element::Int, value, true)
    } else if node.has("value_ints") {
        let value = Tensor::I64(node.ints("value_ints")?);
        (Element::Int, value, false)
    } else if node.has("value_string") {
        let value = Tensor::Text(vec![node.text("value_string", "")?]);
        (Element::Text, value, true)
    } else if node.has("value_strings") {
        (
            Element::Text,
            Tensor::Text(node.texts("value_strings")?),
            false,
        )
    } else {
        return Err(node.unsupported("it has no dense value", ELEMENTS));
    };
    let shape = if scalar {
        Vec::new()
    } else {
        vec![value.len()]
    };
    Ok(Constant {
        element,
        shape,
        value,
    })
}

fn constant_of_shape(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let shape = emitter.input(0)?;
    let Some(Tensor::I64(dims)) = emitter.constant_value(&shape) else {
        let problem = "its shape is computed from the row";
        return Err(emitter.node.unsupported(problem, "a constant shape"));
    };
    let shape: Vec<usize> = dims
        .iter()
        .map(|&dim| usize::try_from(dim).unwrap_or(usize::MAX))
        .collect();
    let value = emitter.node.tensor("value")?.unwrap_or(Constant {
        element: Element::F32,
        shape: vec![1],
        value: Tensor::F32(vec![0.0]),
    });
    let value = emitter.constant(Constant {
        shape: Vec::new(),
        ..value
    })?;
    if entries(&shape).is_none() {
        let problem = format!("its shape {shape:?} is too large");
        return Err(emitter.node.invalid(problem));
    }
    Ok(vec![emitter.spread(&value, &shape)?])
}

/// Shapes are those of one row.
fn shape(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let argument = emitter.input(0)?;
    let dims = argument.shape.iter().map(|&dim| dim as i64).collect();
    Ok(vec![emitter.constant(Constant::of_integers(dims))?])
}
