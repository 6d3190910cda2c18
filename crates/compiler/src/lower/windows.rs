//! Windows that slide over the spatial axes of a value: those of convolutions and pools.

use crate::error::CompileError;
use crate::lower::emitter::Emitter;

/// Most entries of all windows.
const MAX_ENTRIES: usize = cipherfn_program::MAX_LEN;

/// Windows over a value of shape `[1, channels, spatial ...]`.
pub(super) struct Windows {
    /// Lengths of the value's spatial axes.
    input: Vec<usize>,
    /// Lengths of a window.
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    /// Places before the first entry of each axis.
    before: Vec<usize>,
    /// Numbers of windows along the axes.
    pub(super) output: Vec<usize>,
}

impl Windows {
    /// The windows that a node's attributes describe, for lengths of a window.
    pub(super) fn of(
        emitter: &Emitter<'_>,
        input: &[usize],
        kernel: Vec<usize>,
    ) -> Result<Self, CompileError> {
        let (node, axes) = (emitter.node, input.len());
        let each = |name: &str, default: usize, count: usize| {
            let given = node.ints(name)?;
            if given.is_empty() {
                return Ok(vec![default; count]);
            }
            let sizes = given.iter().map(|&size| usize::try_from(size).ok());
            let sizes: Option<Vec<usize>> = sizes.collect();
            sizes.filter(|sizes| sizes.len() == count).ok_or_else(|| {
                node.invalid(format!("\"{name}\" is {given:?} for {axes} spatial axes"))
            })
        };
        let strides = each("strides", 1, axes)?;
        let dilations = each("dilations", 1, axes)?;
        let sizes = [&kernel, &strides, &dilations];
        if kernel.len() != axes || sizes.iter().any(|sizes| sizes.contains(&0)) {
            let problem = format!("windows of {kernel:?} over {axes} spatial axes");
            return Err(node.invalid(problem));
        }
        let reach = |axis: usize| {
            let steps = (kernel[axis] - 1).checked_mul(dilations[axis]);
            steps.and_then(|steps| steps.checked_add(1))
        };
        let (before, after) = match node.text("auto_pad", "NOTSET")?.as_str() {
            "NOTSET" => {
                let pads = each("pads", 0, 2 * axes)?;
                (pads[..axes].to_vec(), pads[axes..].to_vec())
            }
            "VALID" => (vec![0; axes], vec![0; axes]),
            same @ ("SAME_UPPER" | "SAME_LOWER") => {
                let total = |axis: usize| {
                    let windows = input[axis].div_ceil(strides[axis]);
                    let whole = (windows.max(1) - 1) * strides[axis] + reach(axis).unwrap_or(0);
                    whole.saturating_sub(input[axis])
                };
                let less: Vec<usize> = (0..axes).map(|axis| total(axis) / 2).collect();
                let more = (0..axes).map(|axis| total(axis).div_ceil(2)).collect();
                if same == "SAME_UPPER" {
                    (less, more)
                } else {
                    (more, less)
                }
            }
            other => return Err(node.invalid(format!("\"auto_pad\" is \"{other}\""))),
        };
        // Places behind the first window.
        let room = |axis: usize| {
            let whole = input[axis]
                .checked_add(before[axis])?
                .checked_add(after[axis])?;
            whole.checked_sub(reach(axis)?)
        };
        let is_even = |axis: usize| room(axis).is_none_or(|room| room % strides[axis] == 0);
        if node.int("ceil_mode", 0)? != 0 && !(0..axes).all(is_even) {
            let inside = "windows that lie inside (ceil_mode 0, or lengths that strides divide)";
            return Err(node.unsupported("\"ceil_mode\"", inside));
        }
        let count = |axis: usize| Some(room(axis)? / strides[axis] + 1);
        let output: Option<Vec<usize>> = (0..axes).map(count).collect();
        let output = output.ok_or_else(|| {
            node.invalid(format!("windows of {kernel:?} do not fit into {input:?}"))
        })?;
        let mut entries = output.iter().chain(&kernel);
        let entries = entries.try_fold(1_usize, |all, &size| all.checked_mul(size));
        if entries.is_none_or(|entries| entries > MAX_ENTRIES) {
            let problem = format!("its windows have more than {MAX_ENTRIES} entries");
            return Err(node.invalid(problem));
        }
        Ok(Self {
            input: input.to_vec(),
            kernel,
            strides,
            dilations,
            before,
            output,
        })
    }

    /// Number of windows.
    pub(super) fn count(&self) -> usize {
        self.output.iter().product()
    }

    /// Entries of a window.
    pub(super) fn len(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Places of every window's entries among those of one channel, window by window; `None` for
    /// padding.
    pub(super) fn places(&self) -> Vec<Option<usize>> {
        let mut places = Vec::with_capacity(self.count() * self.len());
        for window in 0..self.count() {
            let start = indices(window, &self.output);
            for entry in 0..self.len() {
                let within = indices(entry, &self.kernel);
                places.push(self.place(&start, &within));
            }
        }
        places
    }

    fn place(&self, window: &[usize], entry: &[usize]) -> Option<usize> {
        let mut place = 0;
        for axis in 0..self.input.len() {
            let at = window[axis] * self.strides[axis] + entry[axis] * self.dilations[axis];
            let at = at.checked_sub(self.before[axis])?;
            if at >= self.input[axis] {
                return None;
            }
            place = place * self.input[axis] + at;
        }
        Some(place)
    }
}

/// An entry's index along each axis.
fn indices(mut entry: usize, shape: &[usize]) -> Vec<usize> {
    let mut indices = vec![0; shape.len()];
    for (index, &size) in indices.iter_mut().zip(shape).rev() {
        *index = entry % size;
        entry /= size;
    }
    indices
}
