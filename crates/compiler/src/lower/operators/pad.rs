//! `Pad` by a constant.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand, reshaped};
use crate::lower::registry::{Operator, standard};
use crate::lower::shapes::View;
use crate::read::onnx::tensor::entries;
use cipherfn_program::MAX_LEN;

/// Until version 10 the widths were an attribute.
pub(in crate::lower) const OPERATORS: &[Operator] = &[standard("Pad", 2, pad)];

fn pad(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let data = emitter.input(0)?;
    let mode = emitter.node.text("mode", "constant")?;
    if mode != "constant" {
        let problem = format!("its mode is \"{mode}\"");
        return Err(emitter.node.unsupported(problem, "\"constant\""));
    }
    let rank = data.shape.len();
    let axes: Vec<usize> = match emitter.integers(3, "axes")? {
        Some(axes) => axes
            .iter()
            .map(|&axis| emitter.axis(axis, rank))
            .collect::<Result<_, _>>()?,
        None => (0..rank).collect(),
    };
    let widths = emitter.required_integers(1, "pads")?;
    if widths.len() != 2 * axes.len() {
        let problem = format!("\"pads\" is {widths:?} for {} axes", axes.len());
        return Err(emitter.node.invalid(problem));
    }
    let mut before = vec![0; rank];
    let mut shape = data.shape.clone();
    for (place, &axis) in axes.iter().enumerate() {
        before[axis] = widths[place];
        let size = (data.shape[axis] as i64)
            .checked_add(widths[place])
            .and_then(|size| size.checked_add(widths[place + axes.len()]));
        shape[axis] = usize::try_from(size.unwrap_or(-1)).unwrap_or(usize::MAX);
    }
    let Some(total) = entries(&shape) else {
        let problem = format!("its result of shape {shape:?} has more than {MAX_LEN} entries");
        return Err(emitter.node.invalid(problem));
    };
    let value = if let Some(value) = emitter.optional(2) {
        emitter.cast(&reshaped(&value, vec![1]), data.element)?
    } else {
        let value = emitter.node.float("value", 0.0)?;
        let value = emitter.number(data.element, value.into())?;
        reshaped(&value, vec![1])
    };
    let outside = data.len() as u32;
    let place = |mut entry: usize| {
        let (mut place, mut stride) = (0, 1);
        for axis in (0..rank).rev() {
            let at = (entry % shape[axis]) as i64 - before[axis];
            entry /= shape[axis];
            match usize::try_from(at) {
                Ok(at) if at < data.shape[axis] => place += at * stride,
                _ => return outside,
            }
            stride *= data.shape[axis];
        }
        place as u32
    };
    let view = View {
        entries: (0..total).map(place).collect(),
        shape: shape.clone(),
    };
    let flat = reshaped(&data, vec![data.len()]);
    let source = emitter.join(&[flat, value])?;
    Ok(vec![emitter.select(&source, view)?])
}
