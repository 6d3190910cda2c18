//! `Where`.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, standard};

pub(in crate::lower) const OPERATORS: &[Operator] = &[standard("Where", 9, select)];

fn select(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (condition, yes, no) = (emitter.input(0)?, emitter.input(1)?, emitter.input(2)?);
    Ok(vec![emitter.choose(&condition, &yes, &no)?])
}
