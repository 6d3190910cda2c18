//! `Clip`: bounds are inputs or, until version 10, attributes.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, standard};
use cipherfn_program::BinaryFunction;

pub(in crate::lower) const OPERATORS: &[Operator] = &[standard("Clip", 6, clip)];

fn clip(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let mut result = emitter.input(0)?;
    for (index, name, function) in [
        (1, "min", BinaryFunction::Max),
        (2, "max", BinaryFunction::Min),
    ] {
        let bound = match emitter.optional(index) {
            Some(bound) => bound,
            None if emitter.node.has(name) => {
                let bound = emitter.node.float(name, 0.0)?;
                emitter.number(result.element, bound.into())?
            }
            None => continue,
        };
        result = emitter.binary(function, &result, &bound)?;
    }
    Ok(vec![result])
}
