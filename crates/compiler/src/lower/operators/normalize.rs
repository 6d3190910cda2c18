//! Division by a norm: `LpNormalization` and `Normalizer`.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, ml, standard};
use crate::read::onnx::tensor::Element;
use cipherfn_program::{Norm, Op};

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    standard("LpNormalization", 1, lp_normalization),
    ml("Normalizer", 1, normalizer),
];

fn lp_normalization(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let argument = emitter.input(0)?;
    let norm = match emitter.node.int("p", 2)? {
        1 => Norm::L1,
        2 => Norm::L2,
        other => {
            let problem = format!("norm {other} is neither 1 nor 2");
            return Err(emitter.node.invalid(problem));
        }
    };
    let rank = argument.shape.len();
    let axis = emitter.axis(emitter.node.int("axis", -1)?, rank)?;
    if axis + 1 != rank {
        return Err(emitter.node.unsupported(
            format!("it works along axis {axis}"),
            "normalisation along the last axis",
        ));
    }
    normalize(emitter, norm, argument)
}

fn normalizer(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let norm = match emitter.node.text("norm", "MAX")?.as_str() {
        "MAX" => Norm::Max,
        "L1" => Norm::L1,
        "L2" => Norm::L2,
        other => {
            let problem = format!("norm \"{other}\" is none of MAX, L1, L2");
            return Err(emitter.node.invalid(problem));
        }
    };
    let argument = emitter.input(0)?;
    let argument = emitter.cast(&argument, Element::F32)?;
    normalize(emitter, norm, argument)
}

fn normalize(
    emitter: &mut Emitter<'_>,
    norm: Norm,
    argument: Operand,
) -> Result<Vec<Operand>, CompileError> {
    let op = Op::Normalize {
        norm,
        argument: argument.id,
        group: argument.columns(),
    };
    Ok(vec![emitter.push(op, argument.element, argument.shape)?])
}
