//! Entrywise functions of any number of values, broadcast together.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, standard};
use cipherfn_program::BinaryFunction as F;

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    standard("Max", 6, |node| Ok(vec![folded(node, F::Max)?])),
    standard("Mean", 6, mean),
    standard("Min", 6, |node| Ok(vec![folded(node, F::Min)?])),
    standard("Sum", 6, |node| Ok(vec![folded(node, F::Add)?])),
];

fn folded(emitter: &mut Emitter<'_>, function: F) -> Result<Operand, CompileError> {
    let mut result = emitter.input(0)?;
    for index in 1..emitter.inputs.len() {
        let next = emitter.input(index)?;
        result = emitter.binary(function, &result, &next)?;
    }
    Ok(result)
}

fn mean(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let sum = folded(emitter, F::Add)?;
    let count = emitter.number(sum.element, emitter.inputs.len() as f64)?;
    Ok(vec![emitter.binary(F::Div, &sum, &count)?])
}
