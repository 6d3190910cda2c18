//! `Cast`.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, standard};
use crate::read::onnx::tensor::{ELEMENTS, Element};

/// Until version 5 the type was a name.
pub(in crate::lower) const OPERATORS: &[Operator] = &[standard("Cast", 6, cast)];

fn cast(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let code = emitter.node.int("to", 0)?;
    let element = Element::from_onnx(code).ok_or_else(|| {
        let problem = format!("it converts to element type {code}");
        emitter.node.unsupported(problem, ELEMENTS)
    })?;
    let argument = emitter.input(0)?;
    Ok(vec![emitter.cast(&argument, element)?])
}
