//! Values side by side: `Concat` and `FeatureVectorizer`.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand, reshaped};
use crate::lower::registry::{Operator, ml, standard};
use crate::lower::shapes::View;
use crate::read::onnx::tensor::{Element, entries};
use cipherfn_program::MAX_LEN;

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    standard("Concat", 1, concat),
    ml("FeatureVectorizer", 1, feature_vectorizer),
];

fn concat(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let parts = emitter.all_inputs()?;
    let first = emitter.input(0)?.shape;
    let axis = emitter.axis(emitter.node.int("axis", 1)?, first.len())?;
    let fits = |shape: &[usize]| {
        shape.len() == first.len() && (0..first.len()).all(|k| k == axis || shape[k] == first[k])
    };
    if let Some(part) = parts.iter().find(|part| !fits(&part.shape)) {
        return Err(emitter.node.invalid(format!(
            "shapes {first:?} and {:?} cannot be joined along axis {axis}",
            part.shape
        )));
    }
    let outer: usize = first[..axis].iter().product();
    let mut shape = first;
    shape[axis] = parts.iter().map(|part| part.shape[axis]).sum();
    if entries(&shape).is_none() {
        let problem = format!("it makes more than {MAX_LEN} entries");
        return Err(emitter.node.invalid(problem));
    }
    let mut blocks = Vec::new();
    let mut start = 0;
    for part in &parts {
        let block: usize = part.shape[axis..].iter().product();
        blocks.push((start, block));
        start += outer * block;
    }
    let places = (0..outer).flat_map(|o| {
        blocks.iter().flat_map(move |&(start, block)| {
            (start + o * block..start + (o + 1) * block).map(|place| place as u32)
        })
    });
    let view = View {
        entries: places.collect(),
        shape,
    };
    let joined = emitter.join(&parts)?;
    Ok(vec![emitter.select(&joined, view)?])
}

/// All inputs side by side as 32-bit floats; `inputdimensions` says how many columns each one has.
fn feature_vectorizer(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let parts = emitter.all_inputs()?;
    let widths: Vec<usize> = parts.iter().map(Operand::len).collect();
    let declared = emitter.node.ints("inputdimensions")?;
    let as_declared = declared.iter().map(|&width| usize::try_from(width).ok());
    if !declared.is_empty() && !as_declared.eq(widths.iter().copied().map(Some)) {
        return Err(emitter.node.invalid(format!(
            "inputs of {widths:?} columns are declared as {declared:?}"
        )));
    }
    let parts = parts
        .iter()
        .map(|part| emitter.cast(part, Element::F32))
        .collect::<Result<Vec<_>, _>>()?;
    let joined = emitter.join(&parts)?;
    Ok(vec![reshaped(&joined, vec![1, joined.len()])])
}
