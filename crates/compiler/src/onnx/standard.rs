//! Operators of the default domain as steps of a row program.

mod table;

pub(crate) use table::OPERATORS;

use super::emitter::{Emitter, Operand};
use crate::error::CompileError;
use crate::read::onnx::tensor::{Constant, ELEMENTS, Element};
use cipherfn_program::{
    BinaryFunction, Norm, Op, ReduceFunction, SoftmaxKind, Tensor, UnaryFunction,
};

/// Inputs of a node; `None` for one that is left out.
pub(crate) type Inputs<'a> = &'a [Option<Operand>];

/// Adds the steps of a node; `None` if its operator is not one of this module.
pub(crate) fn apply(
    emitter: &mut Emitter<'_>,
    inputs: Inputs<'_>,
) -> Result<Option<Operand>, CompileError> {
    let Some(operator) = emitter.node.standard().map(str::to_owned) else {
        return Ok(None);
    };
    if let Some(function) = table::unary(&operator) {
        let argument = required(emitter, inputs, 0)?;
        return emitter.unary(function, &argument).map(Some);
    }
    if let Some(function) = table::binary(&operator) {
        let (left, right) = (required(emitter, inputs, 0)?, required(emitter, inputs, 1)?);
        let right = if function == BinaryFunction::Pow {
            emitter.cast(&right, left.element)?
        } else {
            right
        };
        return emitter.binary(function, &left, &right).map(Some);
    }
    if let Some(function) = table::reduction(&operator) {
        return reduce(emitter, inputs, function).map(Some);
    }
    match operator.as_str() {
        "Sum" | "Mean" | "Max" | "Min" => variadic(emitter, inputs, &operator),
        "Cast" => {
            let code = emitter.node.int("to", 0)?;
            let element = Element::from_onnx(code).ok_or_else(|| {
                emitter
                    .node
                    .unsupported(format!("it converts to element type {code}"), ELEMENTS)
            })?;
            let argument = required(emitter, inputs, 0)?;
            emitter.cast(&argument, element)
        }
        "Relu" => {
            let argument = required(emitter, inputs, 0)?;
            let zero = emitter.number(argument.element, 0.0)?;
            emitter.binary(BinaryFunction::Max, &argument, &zero)
        }
        "Clip" => clip(emitter, inputs),
        "Where" => {
            let [condition, yes, no] = [
                required(emitter, inputs, 0)?,
                required(emitter, inputs, 1)?,
                required(emitter, inputs, 2)?,
            ];
            emitter.choose(&condition, &yes, &no)
        }
        "Constant" => {
            let constant = constant(emitter)?;
            emitter.constant(constant)
        }
        "ConstantOfShape" => constant_of_shape(emitter, inputs),
        "Shape" => {
            let argument = required(emitter, inputs, 0)?;
            emitter.constant(Constant::of_integers(
                argument.shape.iter().map(|&dim| dim as i64).collect(),
            ))
        }
        "ArgMax" | "ArgMin" => arg_max(emitter, inputs, operator == "ArgMin"),
        "Softmax" => softmax(emitter, inputs, SoftmaxKind::Softmax),
        "LogSoftmax" => softmax(emitter, inputs, SoftmaxKind::LogSoftmax),
        "LpNormalization" => lp_normalization(emitter, inputs),
        "MatMul" => {
            let (left, right) = (required(emitter, inputs, 0)?, required(emitter, inputs, 1)?);
            mat_mul(emitter, &left, &right)
        }
        "Gemm" => gemm(emitter, inputs),
        "Gather" => gather(emitter, inputs),
        _ => return Ok(None),
    }
    .map(Some)
}

/// Input `index`, which must be there.
pub(crate) fn required(
    emitter: &Emitter<'_>,
    inputs: Inputs<'_>,
    index: usize,
) -> Result<Operand, CompileError> {
    inputs
        .get(index)
        .cloned()
        .flatten()
        .ok_or_else(|| emitter.node.invalid(format!("input {index} is missing")))
}

fn axis(emitter: &Emitter<'_>, axis: i64, rank: usize) -> Result<usize, CompileError> {
    let resolved = if axis < 0 {
        axis.saturating_add(rank as i64)
    } else {
        axis
    };
    usize::try_from(resolved)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| {
            emitter
                .node
                .invalid(format!("axis {axis} is outside rank {rank}"))
        })
}

fn reduce(
    emitter: &mut Emitter<'_>,
    inputs: Inputs<'_>,
    function: ReduceFunction,
) -> Result<Operand, CompileError> {
    let argument = required(emitter, inputs, 0)?;
    let axes = match inputs.get(1).and_then(Option::as_ref) {
        Some(axes) => match emitter.constant_value(axes) {
            Some(Tensor::I64(axes)) => axes.clone(),
            _ => {
                return Err(emitter
                    .node
                    .unsupported("its axes are computed from the row", "constant axes"));
            }
        },
        None => emitter.node.ints("axes")?.to_vec(),
    };
    if axes.is_empty() && emitter.node.int("noop_with_empty_axes", 0)? != 0 {
        return Ok(argument);
    }
    let axes = axes
        .iter()
        .map(|&k| axis(emitter, k, argument.shape.len()))
        .collect::<Result<Vec<_>, _>>()?;
    let keep = emitter.node.int("keepdims", 1)? != 0;
    emitter.reduce(function, &argument, &axes, keep)
}

fn variadic(
    emitter: &mut Emitter<'_>,
    inputs: Inputs<'_>,
    operator: &str,
) -> Result<Operand, CompileError> {
    let function = match operator {
        "Max" => BinaryFunction::Max,
        "Min" => BinaryFunction::Min,
        _ => BinaryFunction::Add,
    };
    let mut result = required(emitter, inputs, 0)?;
    for index in 1..inputs.len() {
        let next = required(emitter, inputs, index)?;
        result = emitter.binary(function, &result, &next)?;
    }
    if operator == "Mean" {
        let count = emitter.number(result.element, inputs.len() as f64)?;
        result = emitter.binary(BinaryFunction::Div, &result, &count)?;
    }
    Ok(result)
}

fn clip(emitter: &mut Emitter<'_>, inputs: Inputs<'_>) -> Result<Operand, CompileError> {
    let mut result = required(emitter, inputs, 0)?;
    for (index, name, function) in [
        (1, "min", BinaryFunction::Max),
        (2, "max", BinaryFunction::Min),
    ] {
        let bound = match inputs.get(index).cloned().flatten() {
            Some(bound) => bound,
            None if emitter.node.has(name) => {
                let bound = emitter.node.float(name, 0.0)?;
                emitter.number(result.element, bound.into())?
            }
            None => continue,
        };
        result = emitter.binary(function, &result, &bound)?;
    }
    Ok(result)
}

fn constant(emitter: &Emitter<'_>) -> Result<Constant, CompileError> {
    let node = emitter.node;
    if let Some(constant) = node.tensor("value")? {
        return Ok(constant);
    }
    let (element, value, scalar) = if node.has("value_float") {
        (
            Element::F32,
            Tensor::F32(vec![node.float("value_float", 0.0)?]),
            true,
        )
    } else if node.has("value_floats") {
        (
            Element::F32,
            Tensor::F32(node.floats("value_floats")?.to_vec()),
            false,
        )
    } else if node.has("value_int") {
        (
            Element::Int,
            Tensor::I64(vec![node.int("value_int", 0)?]),
            true,
        )
    } else if node.has("value_ints") {
        (
            Element::Int,
            Tensor::I64(node.ints("value_ints")?.to_vec()),
            false,
        )
    } else if node.has("value_string") {
        (
            Element::Text,
            Tensor::Text(vec![node.text("value_string", "")?]),
            true,
        )
    } else if node.has("value_strings") {
        (
            Element::Text,
            Tensor::Text(node.texts("value_strings")?),
            false,
        )
    } else {
        return Err(node.unsupported("it has no dense value", ELEMENTS));
    };
    Ok(Constant {
        element,
        shape: if scalar {
            Vec::new()
        } else {
            vec![value.len()]
        },
        value,
    })
}

fn constant_of_shape(
    emitter: &mut Emitter<'_>,
    inputs: Inputs<'_>,
) -> Result<Operand, CompileError> {
    let shape = required(emitter, inputs, 0)?;
    let Some(Tensor::I64(dims)) = emitter.constant_value(&shape) else {
        return Err(emitter
            .node
            .unsupported("its shape is computed from the row", "a constant shape"));
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
    if crate::read::onnx::tensor::entries(&shape).is_none() {
        return Err(emitter
            .node
            .invalid(format!("its shape {shape:?} is too large")));
    }
    emitter.spread(&value, &shape)
}

fn arg_max(
    emitter: &mut Emitter<'_>,
    inputs: Inputs<'_>,
    least: bool,
) -> Result<Operand, CompileError> {
    let mut argument = required(emitter, inputs, 0)?;
    if least {
        argument = emitter.unary(UnaryFunction::Neg, &argument)?;
    }
    let axis = axis(emitter, emitter.node.int("axis", 0)?, argument.shape.len())?;
    let keep = emitter.node.int("keepdims", 1)? != 0;
    let last = emitter.node.int("select_last_index", 0)? != 0;
    let (moved, group, shape) = emitter.grouped(&argument, &[axis], keep)?;
    emitter.push(
        Op::ArgMax {
            argument: moved.id,
            group,
            last,
        },
        Element::Int,
        shape,
    )
}

fn softmax(
    emitter: &mut Emitter<'_>,
    inputs: Inputs<'_>,
    variant: SoftmaxKind,
) -> Result<Operand, CompileError> {
    let argument = required(emitter, inputs, 0)?;
    // Until operator set 12 all axes from `axis` on were one group.
    let old = emitter.opset < 13;
    let rank = argument.shape.len();
    let axis = axis(
        emitter,
        emitter.node.int("axis", if old { 1 } else { -1 })?,
        rank,
    )?;
    if !old && axis + 1 != rank {
        return Err(emitter.node.unsupported(
            format!("it works along axis {axis} of {rank}"),
            "softmax along the last axis",
        ));
    }
    let group = argument.shape[axis..].iter().product();
    emitter.push(
        Op::Softmax {
            variant,
            argument: argument.id,
            group,
        },
        argument.element,
        argument.shape,
    )
}

fn lp_normalization(
    emitter: &mut Emitter<'_>,
    inputs: Inputs<'_>,
) -> Result<Operand, CompileError> {
    let argument = required(emitter, inputs, 0)?;
    let norm = match emitter.node.int("p", 2)? {
        1 => Norm::L1,
        2 => Norm::L2,
        other => {
            return Err(emitter
                .node
                .invalid(format!("norm {other} is neither 1 nor 2")));
        }
    };
    let axis = axis(emitter, emitter.node.int("axis", -1)?, argument.shape.len())?;
    let group = argument.shape[axis];
    if axis + 1 != argument.shape.len() {
        return Err(emitter.node.unsupported(
            format!("it works along axis {axis}"),
            "normalisation along the last axis",
        ));
    }
    emitter.push(
        Op::Normalize {
            norm,
            argument: argument.id,
            group,
        },
        argument.element,
        argument.shape,
    )
}

/// Matrix product by the rules of `numpy.matmul`, with a right factor of at most two dimensions.
pub(crate) fn mat_mul(
    emitter: &mut Emitter<'_>,
    left: &Operand,
    right: &Operand,
) -> Result<Operand, CompileError> {
    let (inner, columns, tail) = match right.shape.as_slice() {
        &[inner] => (inner, 1, None),
        &[inner, columns] => (inner, columns, Some(columns)),
        shape => {
            return Err(emitter.node.unsupported(
                format!("its second factor has shape {shape:?}"),
                "vectors and matrices",
            ));
        }
    };
    let Some((&last, head)) = left.shape.split_last().filter(|(last, _)| **last == inner) else {
        return Err(emitter.node.invalid(format!(
            "shapes {:?} and {:?} cannot be multiplied",
            left.shape, right.shape
        )));
    };
    let rows = head.iter().product();
    let shape = head.iter().copied().chain(tail).collect();
    emitter.push(
        Op::MatMul {
            left: left.id,
            right: right.id,
            rows,
            inner: last,
            columns,
        },
        left.element,
        shape,
    )
}

fn gemm(emitter: &mut Emitter<'_>, inputs: Inputs<'_>) -> Result<Operand, CompileError> {
    let mut sides = [required(emitter, inputs, 0)?, required(emitter, inputs, 1)?];
    for (side, name) in sides.iter_mut().zip(["transA", "transB"]) {
        if side.shape.len() != 2 {
            return Err(emitter
                .node
                .invalid(format!("its factor has shape {:?}", side.shape)));
        }
        if emitter.node.int(name, 0)? != 0 {
            *side = emitter.select(side, super::views::permuted(&side.shape, &[1, 0]))?;
        }
    }
    let [left, right] = sides;
    let mut result = mat_mul(emitter, &left, &right)?;
    let alpha = emitter.node.float("alpha", 1.0)?;
    let beta = emitter.node.float("beta", 1.0)?;
    result = scaled(emitter, &result, alpha)?;
    if let Some(offset) = inputs.get(2).cloned().flatten() {
        let offset = scaled(emitter, &offset, beta)?;
        result = emitter.binary(BinaryFunction::Add, &result, &offset)?;
    }
    Ok(result)
}

fn scaled(
    emitter: &mut Emitter<'_>,
    operand: &Operand,
    factor: f32,
) -> Result<Operand, CompileError> {
    if factor.to_bits() == 1.0_f32.to_bits() {
        return Ok(operand.clone());
    }
    let factor = emitter.number(operand.element, factor.into())?;
    emitter.binary(BinaryFunction::Mul, operand, &factor)
}

/// Look-up of computed places in the first axis.
fn gather(emitter: &mut Emitter<'_>, inputs: Inputs<'_>) -> Result<Operand, CompileError> {
    let (table, index) = (required(emitter, inputs, 0)?, required(emitter, inputs, 1)?);
    let rank = table.shape.len();
    if axis(emitter, emitter.node.int("axis", 0)?, rank)? != 0 {
        return Err(emitter.node.unsupported(
            "it looks up computed places along another axis than the first",
            "axis 0, or constant places",
        ));
    }
    let inner: usize = table.shape[1..].iter().product();
    if inner == 0 {
        return Err(emitter.node.invalid("its table is empty"));
    }
    let shape = index
        .shape
        .iter()
        .chain(&table.shape[1..])
        .copied()
        .collect();
    emitter.push(
        Op::Pick {
            table: table.id,
            index: index.id,
            inner,
        },
        table.element,
        shape,
    )
}
