//! `Transpose`.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, standard};
use crate::lower::shapes::permuted;

pub(in crate::lower) const OPERATORS: &[Operator] = &[standard("Transpose", 1, transpose)];

fn transpose(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let data = emitter.input(0)?;
    let rank = data.shape.len();
    let order = if emitter.node.has("perm") {
        let axes = emitter.node.ints("perm")?;
        axes.into_iter()
            .map(|axis| emitter.axis(axis, rank))
            .collect::<Result<Vec<_>, _>>()?
    } else {
        (0..rank).rev().collect()
    };
    if (0..rank).any(|axis| !order.contains(&axis)) || order.len() != rank {
        let problem = format!("{order:?} is no order of {rank} axes");
        return Err(emitter.node.invalid(problem));
    }
    Ok(vec![emitter.select(&data, permuted(&data.shape, &order))?])
}
