//! The same entries in another shape: `Reshape`, `Flatten`, `Squeeze`, `Unsqueeze`, and what
//! leaves a value as it is in inference, `Identity` and `Dropout`.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand, reshaped};
use crate::lower::registry::{Operator, standard};
use crate::read::onnx::tensor::entries;
use cipherfn_program::Tensor;

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    standard("Dropout", 7, dropout),
    standard("Flatten", 1, flatten),
    standard("Identity", 1, |node| Ok(vec![node.input(0)?])),
    standard("Reshape", 1, reshape),
    standard("Squeeze", 1, squeeze),
    standard("Unsqueeze", 1, unsqueeze),
];

/// In training (an input since version 12) it drops entries at random.
fn dropout(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    if let Some(training) = emitter.optional(2)
        && emitter.constant_value(&training) != Some(&Tensor::I64(vec![0]))
    {
        let supported = "models exported for inference";
        return Err(emitter
            .node
            .unsupported("it is in training mode", supported));
    }
    Ok(vec![emitter.input(0)?])
}

fn flatten(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let data = emitter.input(0)?;
    let axis = emitter.axis_or_end(emitter.node.int("axis", 1)?, data.shape.len())?;
    let (head, tail) = data.shape.split_at(axis);
    let shape = vec![head.iter().product(), tail.iter().product()];
    Ok(vec![reshaped(&data, shape)])
}

fn reshape(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let data = emitter.input(0)?;
    let wanted = emitter.required_integers(1, "shape")?;
    let total = data.len();
    let keep_zero = emitter.node.int("allowzero", 0)? != 0;
    let mut shape = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (axis, &dim) in wanted.iter().enumerate() {
        shape.push(match dim {
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            0 if !keep_zero => data.shape.get(axis).copied().unwrap_or(usize::MAX),
            _ => usize::try_from(dim).unwrap_or(usize::MAX),
        });
    }
    let known = entries(&shape).filter(|&known| known > 0);
    if let (Some(axis), Some(known)) = (open, known) {
        shape[axis] = total / known;
    }
    if entries(&shape) != Some(total) {
        return Err(emitter.node.invalid(format!(
            "shape {:?} cannot become {wanted:?} for one row",
            data.shape
        )));
    }
    Ok(vec![reshaped(&data, shape)])
}

fn squeeze(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let data = emitter.input(0)?;
    let rank = data.shape.len();
    let dropped = match emitter.integers(1, "axes")? {
        Some(axes) => axes
            .iter()
            .map(|&axis| emitter.axis(axis, rank))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).filter(|&axis| data.shape[axis] == 1).collect(),
    };
    if let Some(axis) = dropped.iter().find(|&&axis| data.shape[axis] != 1) {
        return Err(emitter.node.invalid(format!(
            "axis {axis} of shape {:?} cannot be dropped",
            data.shape
        )));
    }
    let kept = (0..rank).filter(|axis| !dropped.contains(axis));
    let shape = kept.map(|axis| data.shape[axis]).collect();
    Ok(vec![reshaped(&data, shape)])
}

fn unsqueeze(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let data = emitter.input(0)?;
    let axes = emitter.required_integers(1, "axes")?;
    let rank = data.shape.len() + axes.len();
    let added = axes
        .iter()
        .map(|&axis| emitter.axis(axis, rank))
        .collect::<Result<Vec<_>, _>>()?;
    let mut rest = data.shape.iter();
    let mut dim = |axis: usize| {
        let own = if added.contains(&axis) {
            None
        } else {
            rest.next()
        };
        own.copied().unwrap_or(1)
    };
    let shape: Vec<usize> = (0..rank).map(&mut dim).collect();
    if rest.next().is_some() {
        let problem = format!("axes {axes:?} repeat");
        return Err(emitter.node.invalid(problem));
    }
    Ok(vec![reshaped(&data, shape)])
}
