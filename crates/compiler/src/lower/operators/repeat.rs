//! `Expand` and `Tile`.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, standard};
use crate::lower::shapes::{View, broadcast_shape, with};
use crate::read::onnx::tensor::entries;

pub(in crate::lower) const OPERATORS: &[Operator] =
    &[standard("Expand", 8, expand), standard("Tile", 6, tile)];

fn expand(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let data = emitter.input(0)?;
    let counts = counts(emitter, "shape")?;
    let shape = broadcast_shape(&data.shape, &counts);
    let shape = shape.ok_or_else(|| refused(emitter, &data, &counts))?;
    Ok(vec![emitter.spread(&data, &shape)?])
}

fn tile(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let data = emitter.input(0)?;
    let counts = counts(emitter, "repeats")?;
    if counts.len() != data.shape.len() {
        return Err(refused(emitter, &data, &counts));
    }
    let mut view = View::whole(&data.shape);
    for (axis, &count) in counts.iter().enumerate() {
        let size = view.shape[axis];
        let shape = with(&view.shape, axis, size.saturating_mul(count));
        entries(&shape).ok_or_else(|| refused(emitter, &data, &counts))?;
        let picked: Vec<usize> = (0..count).flat_map(|_| 0..size).collect();
        view = view.along(axis, &picked);
    }
    Ok(vec![emitter.select(&data, view)?])
}

fn counts(emitter: &Emitter<'_>, name: &str) -> Result<Vec<usize>, CompileError> {
    let dims = emitter.required_integers(1, name)?;
    let count = |&dim: &i64| usize::try_from(dim).unwrap_or(usize::MAX);
    Ok(dims.iter().map(count).collect())
}

fn refused(emitter: &Emitter<'_>, data: &Operand, counts: &[usize]) -> CompileError {
    let shape = &data.shape;
    emitter
        .node
        .invalid(format!("{shape:?} cannot be repeated to {counts:?}"))
}
