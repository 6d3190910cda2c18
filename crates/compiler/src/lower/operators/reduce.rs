//! Reductions along axes.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, standard};
use cipherfn_program::ReduceFunction as F;

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    standard("ReduceL1", 1, |node| reduce(node, F::L1)),
    standard("ReduceL2", 1, |node| reduce(node, F::L2)),
    standard("ReduceLogSumExp", 1, |node| reduce(node, F::LogSumExp)),
    standard("ReduceMax", 1, |node| reduce(node, F::Max)),
    standard("ReduceMean", 1, |node| reduce(node, F::Mean)),
    standard("ReduceMin", 1, |node| reduce(node, F::Min)),
    standard("ReduceProd", 1, |node| reduce(node, F::Product)),
    standard("ReduceSum", 1, |node| reduce(node, F::Sum)),
    standard("ReduceSumSquare", 1, |node| reduce(node, F::SumSquare)),
];

fn reduce(emitter: &mut Emitter<'_>, function: F) -> Result<Vec<Operand>, CompileError> {
    let argument = emitter.input(0)?;
    let axes = emitter.integers(1, "axes")?.unwrap_or_default();
    if axes.is_empty() && emitter.node.int("noop_with_empty_axes", 0)? != 0 {
        return Ok(vec![argument]);
    }
    let axes = axes
        .iter()
        .map(|&axis| emitter.axis(axis, argument.shape.len()))
        .collect::<Result<Vec<_>, _>>()?;
    let keep = emitter.node.int("keepdims", 1)? != 0;
    if let Some(value) = emitter.over_nearest(function, &argument, &axes, keep)? {
        return Ok(vec![value]);
    }
    Ok(vec![emitter.reduce(function, &argument, &axes, keep)?])
}
