//! Entrywise functions of one value.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, standard};
use cipherfn_program::{BinaryFunction, UnaryFunction as F};

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    standard("Abs", 6, |node| unary(node, F::Abs)),
    standard("Ceil", 6, |node| unary(node, F::Ceil)),
    standard("Cos", 7, |node| unary(node, F::Cos)),
    standard("Erf", 9, |node| unary(node, F::Erf)),
    standard("Exp", 6, |node| unary(node, F::Exp)),
    standard("Floor", 6, |node| unary(node, F::Floor)),
    standard("IsInf", 10, is_infinite),
    standard("IsNaN", 9, |node| unary(node, F::IsNan)),
    standard("Log", 6, |node| unary(node, F::Log)),
    standard("Neg", 6, |node| unary(node, F::Neg)),
    standard("Not", 1, |node| unary(node, F::Not)),
    standard("Reciprocal", 6, |node| unary(node, F::Reciprocal)),
    standard("Round", 11, |node| unary(node, F::Round)),
    standard("Sigmoid", 6, |node| unary(node, F::Sigmoid)),
    standard("Sign", 9, |node| unary(node, F::Sign)),
    standard("Sin", 7, |node| unary(node, F::Sin)),
    standard("Softplus", 1, |node| unary(node, F::Softplus)),
    standard("Sqrt", 6, |node| unary(node, F::Sqrt)),
    standard("Tanh", 6, |node| unary(node, F::Tanh)),
];

/// Of one sign alone, if an attribute says so.
fn is_infinite(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let argument = emitter.input(0)?;
    let infinite = emitter.unary(F::IsInf, &argument)?;
    let wanted = |name| Ok::<_, CompileError>(emitter.node.int(name, 1)? != 0);
    let sign = match (wanted("detect_negative")?, wanted("detect_positive")?) {
        (true, true) => return Ok(vec![infinite]),
        (true, false) => emitter.against(BinaryFunction::Less, &argument, 0.0)?,
        (false, true) => emitter.against(BinaryFunction::Greater, &argument, 0.0)?,
        // Neither infinity: of no value.
        (false, false) => emitter.against(BinaryFunction::NotEqual, &infinite, 1.0)?,
    };
    Ok(vec![emitter.binary(
        BinaryFunction::And,
        &infinite,
        &sign,
    )?])
}

fn unary(emitter: &mut Emitter<'_>, function: F) -> Result<Vec<Operand>, CompileError> {
    let argument = emitter.input(0)?;
    Ok(vec![emitter.unary(function, &argument)?])
}
