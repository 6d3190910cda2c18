//! Look-ups by place: `Gather` and `ArrayFeatureExtractor`. Constant places select entries;
//! computed ones pick from a table.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, ml, standard};
use crate::lower::shapes::{View, along};
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
    if axis != 0 {
        return Err(emitter.node.unsupported(
            "it looks up computed places along another axis than the first",
            "axis 0, or constant places",
        ));
    }
    let inner: usize = data.shape[1..].iter().product();
    if inner == 0 {
        return Err(emitter.node.invalid("its table is empty"));
    }
    let shape = index.shape.iter().chain(&data.shape[1..]).copied();
    let shape = shape.collect();
    Ok(vec![emitter.pick(&data, &index, inner, shape)?])
}

/// Along the last axis; the result has at least two dimensions.
fn array_feature_extractor(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (data, index) = (emitter.input(0)?, emitter.input(1)?);
    let rank = data.shape.len();
    let axis = emitter.axis(-1, rank)?;
    if let Some(places) = places(emitter, &index, data.shape[axis])? {
        let count = [1, places.len()];
        let own = &count[usize::from(rank > 1)..];
        return selected(emitter, &data, axis, &places, own);
    }
    if data.columns() != data.len() || data.len() == 0 {
        return Err(emitter.node.unsupported(
            format!(
                "it looks up computed places in a table of shape {:?}",
                data.shape
            ),
            "computed places in one row, or constant places",
        ));
    }
    let shape = (1..rank.max(2)).map(|_| 1).chain([index.len()]).collect();
    Ok(vec![emitter.pick(&data, &index, 1, shape)?])
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
