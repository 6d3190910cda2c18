//! `Pad`: by a constant, or by entries of the data.

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
    let Some(mode) = Padding::named(&mode) else {
        let problem = format!("its mode is \"{mode}\"");
        let supported = "\"constant\", \"edge\", \"reflect\" and \"wrap\"";
        return Err(emitter.node.unsupported(problem, supported));
    };
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
        let width = widths[place].max(widths[place + axes.len()]);
        if width > mode.widest(data.shape[axis]) {
            let problem = format!("it pads an axis of {} by {width}", data.shape[axis]);
            return Err(emitter.node.invalid(problem));
        }
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
            match mode.source(at, data.shape[axis]) {
                Some(at) => place += at * stride,
                None => return outside,
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

/// What stands beside the data.
#[derive(Clone, Copy)]
enum Padding {
    Constant,
    /// The outermost entry.
    Edge,
    /// The entries from the outermost one inwards, without it.
    Reflect,
    /// The entries from the other end on.
    Wrap,
}

impl Padding {
    fn named(name: &str) -> Option<Self> {
        match name {
            "constant" => Some(Self::Constant),
            "edge" => Some(Self::Edge),
            "reflect" => Some(Self::Reflect),
            "wrap" => Some(Self::Wrap),
            _ => None,
        }
    }

    /// The widest padding of an axis of `size` entries.
    fn widest(self, size: usize) -> i64 {
        let size = size as i64;
        match self {
            Self::Constant => i64::MAX,
            Self::Edge if size > 0 => i64::MAX,
            Self::Edge => 0,
            Self::Reflect => (size - 1).max(0),
            Self::Wrap => size,
        }
    }

    /// The entry of an axis of `size` entries that stands at `at`; `None` for the constant.
    fn source(self, at: i64, size: usize) -> Option<usize> {
        let last = size as i64 - 1;
        let at = match self {
            Self::Constant if at < 0 || at > last => return None,
            Self::Edge => at.clamp(0, last),
            Self::Reflect if at < 0 => -at,
            Self::Reflect if at > last => 2 * last - at,
            Self::Constant | Self::Reflect => at,
            Self::Wrap => at.rem_euclid(size as i64),
        };
        usize::try_from(at).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Padding;

    /// What `numpy.pad([0, 1, 2], 2, mode)` gives.
    #[test]
    fn pads_like_numpy() {
        for (name, expected) in [
            ("edge", [0, 0, 0, 1, 2, 2, 2]),
            ("reflect", [2, 1, 0, 1, 2, 1, 0]),
            ("wrap", [1, 2, 0, 1, 2, 0, 1]),
        ] {
            let mode = Padding::named(name).unwrap();
            let found: Vec<_> = (-2..5).map(|at| mode.source(at, 3).unwrap()).collect();
            assert_eq!(found, expected, "{name}");
        }
        let constant: Vec<_> = (-1..4).map(|at| Padding::Constant.source(at, 3)).collect();
        assert_eq!(constant, [None, Some(0), Some(1), Some(2), None]);
        assert!(Padding::named("symmetric").is_none());
        assert_eq!(
            (Padding::Reflect.widest(3), Padding::Wrap.widest(3)),
            (2, 3)
        );
    }
}
