//! `Slice` and `Split`.

use super::places::{along, with};
use super::{Known, Reader, View};
use crate::error::CompileError;

impl Reader<'_> {
    pub(super) fn slice(&self, data: Known<'_>) -> Result<View, CompileError> {
        let (starts, ends) = (self.required(1, "starts")?, self.required(2, "ends")?);
        let axes = self
            .integers(3, "axes")?
            .unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = self
            .integers(4, "steps")?
            .unwrap_or_else(|| vec![1; starts.len()]);
        if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
            return Err(self
                .node
                .invalid("starts, ends, axes and steps have different lengths"));
        }
        let mut view = View {
            shape: data.shape.to_vec(),
            entries: (0..data.shape.iter().product::<usize>() as u32).collect(),
        };
        for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
            let axis = self.axis(axis, data.shape.len())?;
            let size = view.shape[axis] as i64;
            if step == 0 {
                return Err(self.node.invalid("step 0"));
            }
            let resolve = |place: i64| {
                if place < 0 {
                    place.saturating_add(size)
                } else {
                    place
                }
            };
            let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
            let (start, end) = (
                resolve(start).clamp(low.max(0), high.max(0)),
                resolve(end).clamp(low, high),
            );
            let mut picked = Vec::new();
            let mut place = start;
            while place >= 0 && place < size && (if step > 0 { place < end } else { place > end }) {
                picked.push(place as usize);
                place = place.saturating_add(step);
            }
            view = View {
                entries: along(&view.shape, axis, &picked)
                    .into_iter()
                    .map(|place| view.entries[place as usize])
                    .collect(),
                shape: with(&view.shape, axis, picked.len()),
            };
        }
        Ok(view)
    }

    pub(super) fn split(&self, data: Known<'_>) -> Result<Vec<View>, CompileError> {
        let axis = self.axis(self.node.int("axis", 0)?, data.shape.len())?;
        let size = data.shape[axis];
        let parts = self.node.outputs.len().max(1);
        let sizes: Vec<usize> = if let Some(sizes) = self.integers(1, "split")? {
            sizes
                .iter()
                .map(|&size| usize::try_from(size).unwrap_or(usize::MAX))
                .collect()
        } else {
            let each = size.div_ceil(parts);
            (0..parts)
                .map(|part| each.min(size.saturating_sub(part * each)))
                .collect()
        };
        if sizes
            .iter()
            .try_fold(0_usize, |sum, &size| sum.checked_add(size))
            != Some(size)
            || sizes.len() != parts
        {
            return Err(self.node.invalid(format!(
                "{size} columns cannot be split into {parts} parts of {sizes:?}"
            )));
        }
        let mut start = 0;
        Ok(sizes
            .into_iter()
            .map(|size| {
                let picked: Vec<usize> = (start..start + size).collect();
                start += size;
                View {
                    shape: with(data.shape, axis, size),
                    entries: along(data.shape, axis, &picked),
                }
            })
            .collect())
    }
}
