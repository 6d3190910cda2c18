//! `Split`.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, standard};
use crate::lower::shapes::View;

pub(in crate::lower) const OPERATORS: &[Operator] = &[standard("Split", 1, split)];

fn split(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let data = emitter.input(0)?;
    let axis = emitter.axis(emitter.node.int("axis", 0)?, data.shape.len())?;
    let size = data.shape[axis];
    let parts = emitter.node.outputs.len().max(1);
    let sizes: Vec<usize> = if let Some(sizes) = emitter.integers(1, "split")? {
        let sizes = sizes.iter();
        sizes
            .map(|&size| usize::try_from(size).unwrap_or(usize::MAX))
            .collect()
    } else {
        let each = size.div_ceil(parts);
        (0..parts)
            .map(|part| each.min(size.saturating_sub(part * each)))
            .collect()
    };
    let total = sizes
        .iter()
        .try_fold(0_usize, |sum, &size| sum.checked_add(size));
    if total != Some(size) || sizes.len() != parts {
        return Err(emitter.node.invalid(format!(
            "{size} columns cannot be split into {parts} parts of {sizes:?}"
        )));
    }
    let whole = View::whole(&data.shape);
    let mut start = 0;
    let mut outputs = Vec::with_capacity(parts);
    for size in sizes {
        let picked: Vec<usize> = (start..start + size).collect();
        outputs.push(emitter.select(&data, whole.along(axis, &picked))?);
        start += size;
    }
    Ok(outputs)
}
