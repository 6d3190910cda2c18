//! Entrywise functions of two values, broadcast together.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, standard};
use crate::read::onnx::tensor::Element;
use cipherfn_program::BinaryFunction as F;

/// Until version 6 operands were broadcast by an attribute.
const BROADCAST: i64 = 7;

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    standard("Add", BROADCAST, |node| binary(node, F::Add)),
    standard("And", BROADCAST, |node| binary(node, F::And)),
    standard("Div", BROADCAST, |node| binary(node, F::Div)),
    standard("Equal", BROADCAST, |node| binary(node, F::Equal)),
    standard("Greater", BROADCAST, |node| compared(node, F::Greater)),
    standard("GreaterOrEqual", 12, |node| {
        compared(node, F::GreaterOrEqual)
    }),
    standard("Less", BROADCAST, |node| compared(node, F::Less)),
    standard("LessOrEqual", 12, |node| compared(node, F::LessOrEqual)),
    standard("Mod", 10, modulo),
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

/// Distances from points of the training data are compared with a radius by neighbours within it: the client would
/// decrypt all of them, from which points follow, and find their labels in the specs.
fn compared(emitter: &mut Emitter<'_>, function: F) -> Result<Vec<Operand>, CompileError> {
    let (left, right) = (emitter.input(0)?, emitter.input(1)?);
    if [&left, &right]
        .into_iter()
        .any(|own| emitter.follows_from_distances(own))
    {
        return Err(emitter.node.unsupported(
            "it compares distances of the row from stored points (neighbours within a radius), each of which \
             the client would see",
            "the k nearest neighbours, which the server ranks",
        ));
    }
    Ok(vec![emitter.binary(function, &left, &right)?])
}

/// The exponent may have a type of its own: a root of an integer is computed in floats, and cut off.
fn pow(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (left, right) = (emitter.input(0)?, emitter.input(1)?);
    if left.element.is_float() || !right.element.is_float() {
        let right = emitter.cast(&right, left.element)?;
        return Ok(vec![emitter.binary(F::Pow, &left, &right)?]);
    }
    let base = emitter.cast(&left, Element::F64)?;
    let exponent = emitter.cast(&right, Element::F64)?;
    let power = emitter.binary(F::Pow, &base, &exponent)?;
    Ok(vec![emitter.cast(&power, left.element)?])
}

/// Of integers the divisor's sign, and with `fmod` the dividend's, as C's remainder has it.
fn modulo(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (left, right) = (emitter.input(0)?, emitter.input(1)?);
    if left.element.is_float() || emitter.node.int("fmod", 0)? == 0 {
        return Ok(vec![emitter.binary(F::Mod, &left, &right)?]);
    }
    let quotient = emitter.binary(F::Div, &left, &right)?;
    let whole = emitter.binary(F::Mul, &quotient, &right)?;
    Ok(vec![emitter.binary(F::Sub, &left, &whole)?])
}
