//! Look-ups by place: `Gather` and `ArrayFeatureExtractor`. Constant places select entries;
//! computed ones pick from a table.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand, reshaped};
use crate::lower::registry::{Operator, ml, standard};
use crate::lower::shapes::{View, along, permuted};
use crate::read::onnx::tensor::entries;
use cipherfn_program::{MAX_LEN, Tensor};

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    ml("ArrayFeatureExtractor", 1, array_feature_extractor),
    standard("Gather", 1, gather),
];

fn gather(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (data, index) = (emitter.input(0)?, emitter.input(1)?);
    let axis = emitter.axis(emitter.node.int("axis", 0)?, data.shape.len())?;
    if let Some(places) = places(emitter, &index, data.shape[axis])? {
        return selected(emitter, &data, axis, &places, &index.shape);
    }
    picked(emitter, &data, axis, &index, &index.shape)
}

/// Along the last axis; the result has at least two dimensions.
fn array_feature_extractor(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (data, index) = (emitter.input(0)?, emitter.input(1)?);
    let rank = data.shape.len();
    let axis = emitter.axis(-1, rank)?;
    let count = [1, index.len()];
    let own = &count[usize::from(rank > 1)..];
    match places(emitter, &index, data.shape[axis])? {
        Some(places) => selected(emitter, &data, axis, &places, own),
        None => match emitter.interpolated(&data, &index)? {
            Some(value) => Ok(vec![reshaped(&value, own.to_vec())]),
            None => picked(emitter, &data, axis, &index, own),
        },
    }
}

/// Places among `size` that are constant.
fn places(
    emitter: &Emitter<'_>,
    index: &Operand,
    size: usize,
) -> Result<Option<Vec<usize>>, CompileError> {
    let places = match emitter.constant_value(index) {
        None => return Ok(None),
        Some(Tensor::I64(places)) => places,
        Some(_) => return Err(emitter.node.invalid("its places are no integers")),
    };
    let inside = places.iter().map(|&place| emitter.place(place, size));
    match inside.collect() {
        Some(inside) => Ok(Some(inside)),
        None => Err(emitter
            .node
            .invalid(format!("it takes places {places:?} of {size}"))),
    }
}

/// The places along an axis, which becomes axes of shape `own`.
fn selected(
    emitter: &mut Emitter<'_>,
    data: &Operand,
    axis: usize,
    places: &[usize],
    own: &[usize],
) -> Result<Vec<Operand>, CompileError> {
    let (head, tail) = (&data.shape[..axis], &data.shape[axis + 1..]);
    let shape = [head, own, tail].concat();
    if entries(&shape).is_none() {
        let problem = format!("it makes more than {MAX_LEN} entries");
        return Err(emitter.node.invalid(problem));
    }
    let view = View {
        shape,
        entries: along(&data.shape, axis, places),
    };
    Ok(vec![emitter.select(data, view)?])
}

/// The same with computed places: blocks of the value with that axis first, and the axis moved back.
fn picked(
    emitter: &mut Emitter<'_>,
    data: &Operand,
    axis: usize,
    index: &Operand,
    own: &[usize],
) -> Result<Vec<Operand>, CompileError> {
    let rank = data.shape.len();
    if data.len() == 0 {
        return Err(emitter.node.invalid("its table is empty"));
    }
    let inner = data.len() / data.shape[axis];
    let others = (0..rank).filter(|&other| other != axis);
    let order: Vec<usize> = std::iter::once(axis).chain(others).collect();
    let table = emitter.select(data, permuted(&data.shape, &order))?;
    let mut shape = table.shape.clone();
    shape[0] = index.len();
    if entries(&shape).is_none() {
        let problem = format!("it makes more than {MAX_LEN} entries");
        return Err(emitter.node.invalid(problem));
    }
    let picked = emitter.pick(&table, index, inner, shape)?;
    let back: Vec<usize> = (1..=axis).chain([0]).chain(axis + 1..rank).collect();
    let result = emitter.select(&picked, permuted(&picked.shape, &back))?;
    let (head, tail) = (&data.shape[..axis], &data.shape[axis + 1..]);
    Ok(vec![reshaped(&result, [head, own, tail].concat())])
}
