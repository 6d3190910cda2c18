//! Look-ups by place: `Gather`, `GatherND` and `ArrayFeatureExtractor`. Constant places select
//! entries; computed ones pick from a table.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand, reshaped};
use crate::lower::registry::{Operator, ml, standard};
use crate::lower::shapes::{View, along, permuted};
use crate::read::onnx::tensor::entries;
use cipherfn_program::{MAX_LEN, Tensor};

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    ml("ArrayFeatureExtractor", 1, array_feature_extractor),
    standard("Gather", 1, gather),
    standard("GatherND", 11, gather_nd),
];

/// Most places that one node looks up: each takes steps of its own.
const MAX_PLACES: usize = 1024;

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

/// Each tuple along the index's last axis is a place in the first dimensions of the data: the first
/// number picks a block of it, the second one a block of that block.
fn gather_nd(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (data, index) = (emitter.input(0)?, emitter.input(1)?);
    if emitter.node.int("batch_dims", 0)? != 0 {
        let problem = "it has \"batch_dims\"";
        return Err(emitter.node.unsupported(problem, "batch_dims = 0"));
    }
    let (outer, depth) = match index.shape.split_last() {
        Some((&depth, outer)) if (1..=data.shape.len()).contains(&depth) => (outer, depth),
        _ => {
            let problem = format!(
                "places of shape {:?} in data of shape {:?}",
                index.shape, data.shape
            );
            return Err(emitter.node.invalid(problem));
        }
    };
    if data.len() == 0 {
        return Err(emitter.node.invalid("its table is empty"));
    }
    let tuples = index.len() / depth;
    if tuples == 0 || tuples * depth > MAX_PLACES {
        let problem = format!("it looks up {tuples} places of a row");
        let supported = format!("1 to {MAX_PLACES} numbers of places");
        return Err(emitter.node.unsupported(problem, supported));
    }
    let mut blocks = Vec::with_capacity(tuples);
    for tuple in 0..tuples {
        let mut block = reshaped(&data, vec![data.len()]);
        for axis in 0..depth {
            let inner: usize = data.shape[axis + 1..].iter().product();
            let entries = vec![(tuple * depth + axis) as u32];
            let shape = vec![1];
            let place = emitter.select(&index, View { shape, entries })?;
            block = emitter.pick(&block, &place, inner, vec![inner])?;
        }
        blocks.push(block);
    }
    let shape = [outer, &data.shape[depth..]].concat();
    let joined = emitter.join(&blocks)?;
    Ok(vec![reshaped(&joined, shape)])
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
