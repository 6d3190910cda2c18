//! Entrywise functions of one value.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, standard};
use cipherfn_program::UnaryFunction as F;

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    standard("Abs", 6, |node| unary(node, F::Abs)),
    standard("Ceil", 6, |node| unary(node, F::Ceil)),
    standard("Cos", 7, |node| unary(node, F::Cos)),
    standard("Erf", 9, |node| unary(node, F::Erf)),
    standard("Exp", 6, |node| unary(node, F::Exp)),
    standard("Floor", 6, |node| unary(node, F::Floor)),
    standard("IsInf", 10, |node| unary(node, F::IsInf)),
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

fn unary(emitter: &mut Emitter<'_>, function: F) -> Result<Vec<Operand>, CompileError> {
    let argument = emitter.input(0)?;
    Ok(vec![emitter.unary(function, &argument)?])
}
