//! Conversions to another element type: `Cast`, `CastLike`.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, standard};
use crate::read::onnx::tensor::{ELEMENTS, Element};
use cipherfn_program::BinaryFunction;

/// Until version 5 the type of `Cast` was a name.
pub(in crate::lower) const OPERATORS: &[Operator] = &[
    standard("Cast", 6, cast),
    standard("CastLike", 15, cast_like),
];

fn cast(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let code = emitter.node.int("to", 0)?;
    let element = Element::from_onnx(code).ok_or_else(|| {
        let problem = format!("it converts to element type {code}");
        emitter.node.unsupported(problem, ELEMENTS)
    })?;
    let argument = emitter.input(0)?;
    let value = emitter.cast(&argument, element)?;
    Ok(vec![match narrow(code) {
        Some((least, size)) if argument.element != Element::Bool => {
            let from_least = emitter.against(BinaryFunction::Sub, &value, least)?;
            let wrapped = emitter.against(BinaryFunction::Mod, &from_least, size)?;
            emitter.against(BinaryFunction::Add, &wrapped, least)?
        }
        _ => value,
    }])
}

/// To the element type of the second input, which is one of 64 bits if it is an integer's: exporters convert to a
/// column's type, and columns of integers are 64 bits wide.
fn cast_like(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (argument, target) = (emitter.input(0)?, emitter.input(1)?);
    Ok(vec![emitter.cast(&argument, target.element)?])
}

/// Least value and number of values of an integer type of 8 or 16 bits, which 64 bits do not stand for: values
/// go around.
const fn narrow(code: i64) -> Option<(f64, f64)> {
    match code {
        2 => Some((0.0, 256.0)),
        3 => Some((-128.0, 256.0)),
        4 => Some((0.0, 65_536.0)),
        5 => Some((-32_768.0, 65_536.0)),
        _ => None,
    }
}
