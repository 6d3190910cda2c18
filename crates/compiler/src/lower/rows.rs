//! Which axis of a value counts the rows of a table. A graph is lowered for one row, as rows are answered
//! alone; a node that computes along that axis gives a row another result beside others, so it is refused.

use super::emitter::{Emitter, Operand};
use crate::error::CompileError;
use std::collections::HashMap;

/// What can be done along other axes, for errors.
const SUPPORTED: &str = "what gives each row its result whatever rows are beside it";

/// Domain of operators without a prefix.
const STANDARD: &str = "ai.onnx";
/// Ends of slices beyond this are those of the axis.
const FAR: i64 = i32::MAX as i64 - 1;

/// The axes of values along which rows lie, where that is known: of a value that was reshaped otherwise it
/// is not, and nothing is refused for it.
#[derive(Default)]
pub(super) struct RowAxes<'a> {
    axes: HashMap<&'a str, usize>,
    /// Values of one entry a row, put together along the rows. Rows lie apart again where nothing but a reshape
    /// follows that gives each of them an axis of its own, as exporters stack the scores of classes.
    stacked: HashMap<&'a str, StackedRows>,
}

/// Columns that are put together along the rows.
struct StackedRows {
    count: i64,
    /// What is wrong with any node but that reshape.
    refusal: CompileError,
}

impl<'a> RowAxes<'a> {
    /// Notes a value whose first axis counts rows.
    pub(super) fn begin(&mut self, value: &'a str) {
        self.axes.insert(value, 0);
    }

    /// Refuses a node that computes along the rows, and notes those of its outputs.
    pub(super) fn follow(
        &mut self,
        emitter: &Emitter<'_>,
        inputs: &'a [String],
        outputs: impl Iterator<Item = (&'a str, Vec<usize>)>,
    ) -> Result<(), CompileError> {
        let own = inputs.iter();
        let own = own.filter_map(|name| self.stacked.remove(name.as_str()));
        let own: Vec<StackedRows> = own.collect();
        let of = |name: &String| self.axes.get(name.as_str()).copied();
        let node = RowNode {
            emitter,
            axes: inputs.iter().map(of).collect(),
        };
        if let Some(stacked) = own.into_iter().next() {
            if !node.takes_apart(stacked.count)? {
                return Err(stacked.refusal);
            }
            self.axes.extend(outputs.map(|(name, _)| (name, 1)));
            return Ok(());
        }
        if node.stacks()? {
            let count = inputs.len() as i64;
            let stacked = outputs.map(|(name, _)| {
                let refusal = node.refusal(0, 0);
                (name, StackedRows { count, refusal })
            });
            self.stacked.extend(stacked);
            return Ok(());
        }
        let axis = node.result()?;
        if let Some(axis) = axis {
            let is_one = |shape: &Vec<usize>| shape.get(axis) == Some(&1);
            let rows = outputs.filter(|(_, shape)| is_one(shape));
            self.axes.extend(rows.map(|(name, _)| (name, axis)));
        }
        Ok(())
    }
}

impl RowAxes<'_> {
    /// Refuses outputs of the graph in which rows are not apart.
    pub(super) fn end(mut self, outputs: &[String]) -> Result<(), CompileError> {
        let mut stacked = outputs.iter();
        let stacked = stacked.find_map(|name| self.stacked.remove(name.as_str()));
        stacked.map_or(Ok(()), |stacked| Err(stacked.refusal))
    }
}

/// A node with the axes of its inputs that count rows.
struct RowNode<'a> {
    emitter: &'a Emitter<'a>,
    axes: Vec<Option<usize>>,
}

impl RowNode<'_> {
    /// Whether it puts columns of one entry a row together along the rows.
    fn stacks(&self) -> Result<bool, CompileError> {
        let node = self.emitter.node;
        if (node.name.domain.as_str(), node.name.operator.as_str()) != (STANDARD, "Concat") {
            return Ok(false);
        }
        let are_rows = self.axes.len() > 1 && self.axes.iter().all(|axis| *axis == Some(0));
        Ok(are_rows
            && self.along()? == [0]
            && (0..self.axes.len()).all(|input| self.entries(input) == 1))
    }

    /// Whether it gives each of so many stacked columns an axis of its own, before that of the rows.
    fn takes_apart(&self, count: i64) -> Result<bool, CompileError> {
        let node = self.emitter.node;
        if (node.name.domain.as_str(), node.name.operator.as_str()) != (STANDARD, "Reshape") {
            return Ok(false);
        }
        Ok(self.emitter.required_integers(1, "shape")? == [count, -1])
    }

    /// The axis of the outputs, where it is known.
    fn result(&self) -> Result<Option<usize>, CompileError> {
        if self.axes.iter().all(Option::is_none) {
            return Ok(None);
        }
        let node = self.emitter.node;
        if node.name.domain != STANDARD {
            // Estimators, scalers and their like take rows by rows.
            return Ok(self.axes[0].filter(|axis| *axis == 0));
        }
        let own = self.axes[0];
        if let Some(axis) = own.filter(|_| self.rank(0) > 0) {
            for along in self.along()? {
                self.check(axis != along, axis, 0)?;
            }
        }
        let rank = self.rank(0);
        Ok(match (node.name.operator.as_str(), own) {
            ("Transpose", Some(axis)) => {
                let order = node.ints("perm")?;
                if order.is_empty() {
                    Some(rank - 1 - axis)
                } else {
                    let places = order.iter().map(|&own| self.emitter.axis(own, rank));
                    let places: Vec<usize> = places.collect::<Result<_, _>>()?;
                    places.iter().position(|own| *own == axis)
                }
            }
            ("Unsqueeze", Some(axis)) => {
                let axes = self.emitter.required_integers(1, "axes")?;
                let rank = rank + axes.len();
                let axes = axes.iter().map(|&own| self.emitter.axis(own, rank));
                let made: Vec<usize> = axes.collect::<Result<_, _>>()?;
                let mut kept = (0..rank).filter(|place| !made.contains(place));
                kept.nth(axis)
            }
            ("Squeeze", Some(axis)) => {
                let dropped = self.axes_of("axes")?;
                self.without(axis, &dropped)
            }
            (operator, Some(axis)) if is_reduction(operator) => {
                if node.int("keepdims", 1)? != 0 {
                    Some(axis)
                } else {
                    self.without(axis, &self.along()?)
                }
            }
            // Rows that become one another's columns, as those of a single column may, are not followed.
            ("Flatten", own) => {
                let first = node.int("axis", 1)?;
                own.filter(|axis| *axis == 0 && first != 0)
            }
            ("Reshape", own) => {
                let wanted = self.emitter.required_integers(1, "shape")?;
                own.filter(|axis| *axis == 0 && wanted.first() != Some(&1))
            }
            ("Gather", own) => {
                let along = self.emitter.axis(node.int("axis", 0)?, rank)?;
                match (own, self.axes.get(1).copied().flatten()) {
                    (Some(axis), None) if axis > along => Some(axis + self.rank(1) - 1),
                    (Some(axis), None) => Some(axis),
                    (None, Some(axis)) => Some(along + axis),
                    _ => None,
                }
            }
            ("MatMul" | "Gemm", _) => {
                if let Some(axis) = self.axes.get(1).copied().flatten() {
                    let summed = self.rank(1).saturating_sub(2);
                    self.check(axis != summed, axis, 1)?;
                }
                self.aligned()?
            }
            ("Scan" | "SequenceConstruct" | "GatherND" | "Shape", _) => None,
            _ => self.aligned()?,
        })
    }

    /// The axes of input 0 along which entries are put together, or taken apart.
    fn along(&self) -> Result<Vec<usize>, CompileError> {
        let (emitter, node) = (self.emitter, self.emitter.node);
        let rank = self.rank(0);
        let one = |default: i64| Ok(vec![emitter.axis(node.int("axis", default)?, rank)?]);
        match node.name.operator.as_str() {
            "Softmax" | "LogSoftmax" if emitter.version < 13 => {
                let first = emitter.axis(node.int("axis", 1)?, rank)?;
                Ok((first..rank).collect())
            }
            "Softmax" | "LogSoftmax" | "TopK" | "LpNormalization" => one(-1),
            "ArgMax" | "ArgMin" | "GatherElements" | "Gather" => one(0),
            "Concat" if self.axes.len() > 1 => one(1),
            "Split" if node.outputs.len() > 1 => one(0),
            "CumSum" => self.axes_of("axis"),
            "GatherND" => Ok(vec![0]),
            "Gemm" if node.int("transA", 0)? != 0 => Ok(vec![0]),
            "Gemm" | "MatMul" => Ok(vec![rank - 1]),
            "Slice" => {
                let starts = emitter.required_integers(1, "starts")?;
                let ends = emitter.required_integers(2, "ends")?;
                let axes = emitter.integers(3, "axes")?;
                let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
                let parts = axes.into_iter().zip(starts.into_iter().zip(ends));
                // Exporters write a whole axis as one to the largest end.
                let parts = parts.filter(|(_, (start, end))| (*start, *end > FAR) != (0, true));
                parts.map(|(axis, _)| emitter.axis(axis, rank)).collect()
            }
            "Pad" => {
                let pads = emitter.required_integers(1, "pads")?;
                let is_padded = |axis: &usize| {
                    [*axis, axis + rank]
                        .iter()
                        .any(|at| pads.get(*at).is_some_and(|own| *own != 0))
                };
                Ok((0..rank).filter(is_padded).collect())
            }
            "Tile" => {
                let repeats = emitter.required_integers(1, "repeats")?;
                let is_repeated = |axis: &usize| repeats.get(*axis).is_some_and(|own| *own != 1);
                Ok((0..rank).filter(is_repeated).collect())
            }
            operator if is_reduction(operator) => {
                let axes = self.axes_of("axes")?;
                let is_none = axes.is_empty() && node.int("noop_with_empty_axes", 0)? == 0;
                Ok(if is_none { (0..rank).collect() } else { axes })
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Axes in input 1, or in an attribute; none where there are none.
    fn axes_of(&self, name: &str) -> Result<Vec<usize>, CompileError> {
        let axes = self.emitter.integers(1, name)?.unwrap_or_default();
        let axes = axes.iter().map(|&own| self.emitter.axis(own, self.rank(0)));
        axes.collect()
    }

    /// Where an axis is without others.
    fn without(&self, axis: usize, dropped: &[usize]) -> Option<usize> {
        let mut kept = (0..self.rank(0)).filter(|own| !dropped.contains(own));
        kept.position(|own| own == axis)
    }

    /// The axis of inputs that are broadcast together: the same in all of them, from the end.
    fn aligned(&self) -> Result<Option<usize>, CompileError> {
        let ranks = (0..self.axes.len()).map(|input| self.rank(input));
        let rank = ranks.max().unwrap_or(0);
        let mut found = None;
        for (input, axis) in self.axes.iter().enumerate() {
            if let Some(axis) = axis {
                let own = axis + rank - self.rank(input);
                self.check(found.is_none_or(|found| found == own), *axis, input)?;
                found = Some(own);
            }
        }
        Ok(found)
    }

    fn check(&self, is_apart: bool, axis: usize, input: usize) -> Result<(), CompileError> {
        if is_apart {
            return Ok(());
        }
        Err(self.refusal(axis, input))
    }

    fn refusal(&self, axis: usize, input: usize) -> CompileError {
        self.emitter.node.unsupported(
            format!(
                "it works along axis {axis} of input {input}, which counts the rows: a row would get \
                 another result beside other rows"
            ),
            SUPPORTED,
        )
    }

    /// Entries of a row.
    fn entries(&self, input: usize) -> usize {
        let operand = self.emitter.optional(input);
        operand.map_or(0, |own: Operand| own.shape.iter().product())
    }

    fn rank(&self, input: usize) -> usize {
        let operand = self.emitter.optional(input);
        operand.map_or(0, |own: Operand| own.shape.len())
    }
}

fn is_reduction(operator: &str) -> bool {
    operator.starts_with("Reduce") || matches!(operator, "ArgMax" | "ArgMin")
}
