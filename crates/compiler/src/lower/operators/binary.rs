//! Entrywise functions of two values, broadcast together.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, standard};
use cipherfn_program::BinaryFunction as F;

/// Until version 6 operands were broadcast by an attribute.
const BROADCAST: i64 = 7;

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    standard("Add", BROADCAST, |node| binary(node, F::Add)),
    standard("And", BROADCAST, |node| binary(node, F::And)),
    standard("Div", BROADCAST, |node| binary(node, F::Div)),
    standard("Equal", BROADCAST, |node| binary(node, F::Equal)),
    standard("Greater", BROADCAST, |node| binary(node, F::Greater)),
    standard("GreaterOrEqual", 12, |node| binary(node, F::GreaterOrEqual)),
    standard("Less", BROADCAST, |node| binary(node, F::Less)),
    standard("LessOrEqual", 12, |node| binary(node, F::LessOrEqual)),
    standard("Mod", 10, |node| binary(node, F::Mod)),
    standard("Mul", BROADCAST, |node| binary(node, F::Mul)),
    standard("Or", BROADCAST, |node| binary(node, F::Or)),
    standard("Pow", BROADCAST, pow),
    standard("Sub", BROADCAST, |node| binary(node, F::Sub)),
    standard("Xor", BROADCAST, |node| binary(node, F::Xor)),
];

fn binary(emitter: &mut Emitter<'_>, function: F) -> Result<Vec<Operand>, CompileError> {
    let (left, right) = (emitter.input(0)?, emitter.input(1)?);
    Ok(vec![emitter.binary(function, &left, &right)?])
}

/// The exponent may have a type of its own.
fn pow(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (left, right) = (emitter.input(0)?, emitter.input(1)?);
    let right = emitter.cast(&right, left.element)?;
    Ok(vec![emitter.binary(F::Pow, &left, &right)?])
}
