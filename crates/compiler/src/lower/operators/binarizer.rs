//! `Binarizer`: 1 above a threshold, else 0.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, ml};
use cipherfn_program::BinaryFunction;

pub(in crate::lower) const OPERATORS: &[Operator] = &[ml("Binarizer", 1, binarizer)];

fn binarizer(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let argument = emitter.input(0)?;
    let threshold = emitter.node.float("threshold", 0.0)?;
    let threshold = emitter.number(argument.element, threshold.into())?;
    let exceeds = emitter.binary(BinaryFunction::Greater, &argument, &threshold)?;
    Ok(vec![emitter.cast(&exceeds, argument.element)?])
}
