//! `Slice`.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, standard};
use crate::lower::shapes::View;

pub(in crate::lower) const OPERATORS: &[Operator] = &[standard("Slice", 1, slice)];

fn slice(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let data = emitter.input(0)?;
    let starts = emitter.required_integers(1, "starts")?;
    let ends = emitter.required_integers(2, "ends")?;
    let axes = emitter.integers(3, "axes")?;
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = emitter.integers(4, "steps")?;
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        let problem = "starts, ends, axes and steps have different lengths";
        return Err(emitter.node.invalid(problem));
    }
    let mut view = View::whole(&data.shape);
    for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let axis = emitter.axis(axis, data.shape.len())?;
        if step == 0 {
            return Err(emitter.node.invalid("step 0"));
        }
        let picked = places(start, end, step, view.shape[axis]);
        view = view.along(axis, &picked);
    }
    Ok(vec![emitter.select(&data, view)?])
}

/// Places of `start..end` in steps among `size`, by the rules of `numpy`.
fn places(start: i64, end: i64, step: i64, size: usize) -> Vec<usize> {
    let size = size as i64;
    let resolve = |place: i64| {
        if place < 0 {
            place.saturating_add(size)
        } else {
            place
        }
    };
    let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let start = resolve(start).clamp(low.max(0), high.max(0));
    let end = resolve(end).clamp(low, high);
    let mut picked = Vec::new();
    let mut place = start;
    while place >= 0 && place < size && (if step > 0 { place < end } else { place > end }) {
        picked.push(place as usize);
        place = place.saturating_add(step);
    }
    picked
}
