//! Operators that only move entries: each output is a list of places in its data inputs. They are
//! the same before the estimator, on its scores and behind it.

mod places;
mod slices;

pub(crate) use places::{along, broadcast, broadcast_shape, permuted};

use crate::error::CompileError;
use crate::read::onnx::node::Node;
use crate::read::onnx::tensor::entries;
use cipherfn_program::{MAX_LEN, Tensor};
use places::with;

/// The operators of this module.
pub(crate) const OPERATORS: &[&str] = &[
    "ArrayFeatureExtractor",
    "Concat",
    "Dropout",
    "Expand",
    "FeatureVectorizer",
    "Flatten",
    "Gather",
    "Identity",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
];

/// What is known of an input.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) shape: &'a [usize],
    pub(crate) constant: Option<&'a Tensor>,
}

/// One output: its shape, and for each entry its place among the entries of all data inputs, one
/// input after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) shape: Vec<usize>,
    pub(crate) entries: Vec<u32>,
}

/// How many leading inputs are data.
pub(crate) fn data_inputs(node: &Node, inputs: usize) -> usize {
    match node.name.operator.as_str() {
        "Concat" | "FeatureVectorizer" => inputs,
        _ => inputs.min(1),
    }
}

/// The outputs of a moving operator; `None` if the node is none, or looks up places that are not
/// constant.
pub(crate) fn views(
    node: &Node,
    inputs: &[Option<Known<'_>>],
) -> Result<Option<Vec<View>>, CompileError> {
    let operator = node.standard().or_else(|| {
        node.ml()
            .filter(|op| matches!(*op, "ArrayFeatureExtractor" | "FeatureVectorizer"))
    });
    let Some(operator) = operator.filter(|operator| OPERATORS.contains(operator)) else {
        return Ok(None);
    };
    let reader = Reader { node, inputs };
    let data = reader.input(0)?;
    let all = || (0..data.shape.iter().product::<usize>() as u32).collect::<Vec<_>>();
    let reshaped = |shape: Vec<usize>| {
        Ok(vec![View {
            shape,
            entries: all(),
        }])
    };
    let views = match operator {
        "Reshape" => reshaped(reader.reshape(data)?),
        "Flatten" => {
            let axis = reader.axis_up_to(node.int("axis", 1)?, data.shape.len())?;
            reshaped(vec![
                data.shape[..axis].iter().product(),
                data.shape[axis..].iter().product(),
            ])
        }
        "Squeeze" => reshaped(reader.squeeze(data)?),
        "Unsqueeze" => reshaped(reader.unsqueeze(data)?),
        "Transpose" => reader.transpose(data).map(|view| vec![view]),
        "Concat" => reader.concat().map(|view| vec![view]),
        "FeatureVectorizer" => reader.feature_vectorizer().map(|view| vec![view]),
        "Slice" => reader.slice(data).map(|view| vec![view]),
        "Split" => reader.split(data),
        "Expand" | "Tile" => reader
            .repeat(data, operator == "Tile")
            .map(|view| vec![view]),
        "Gather" | "ArrayFeatureExtractor" => match reader.places(1)? {
            Some(places) => reader
                .gather(data, &places, operator == "Gather")
                .map(|view| vec![view]),
            None => return Ok(None),
        },
        _ => reshaped(data.shape.to_vec()),
    }?;
    match views.iter().find(|view| entries(&view.shape).is_none()) {
        Some(view) => Err(node.invalid(format!(
            "its output of shape {:?} has more than {MAX_LEN} entries",
            view.shape
        ))),
        None => Ok(Some(views)),
    }
}

/// Constant places, with their shape.
struct Places {
    shape: Vec<usize>,
    entries: Vec<i64>,
}

struct Reader<'a> {
    node: &'a Node,
    inputs: &'a [Option<Known<'a>>],
}

impl<'a> Reader<'a> {
    fn input(&self, index: usize) -> Result<Known<'a>, CompileError> {
        self.inputs
            .get(index)
            .copied()
            .flatten()
            .ok_or_else(|| self.node.invalid(format!("input {index} is missing")))
    }

    /// Integers from input `index` or, in old operator sets, from an attribute; `None` if neither
    /// is there.
    fn integers(&self, index: usize, attribute: &str) -> Result<Option<Vec<i64>>, CompileError> {
        if self.node.has(attribute) {
            return Ok(Some(self.node.ints(attribute)?.to_vec()));
        }
        let Some(input) = self.inputs.get(index).copied().flatten() else {
            return Ok(None);
        };
        match input.constant {
            Some(Tensor::I64(integers)) => Ok(Some(integers.clone())),
            _ => Err(self.node.unsupported(
                format!("its input {index} (\"{attribute}\") is computed from the row"),
                "constants there",
            )),
        }
    }

    fn required(&self, index: usize, attribute: &str) -> Result<Vec<i64>, CompileError> {
        self.integers(index, attribute)?
            .ok_or_else(|| self.node.invalid(format!("\"{attribute}\" is missing")))
    }

    fn axis_up_to(&self, axis: i64, rank: usize) -> Result<usize, CompileError> {
        let resolved = if axis < 0 {
            axis.saturating_add(rank as i64)
        } else {
            axis
        };
        usize::try_from(resolved)
            .ok()
            .filter(|&axis| axis <= rank)
            .ok_or_else(|| {
                self.node
                    .invalid(format!("axis {axis} is outside rank {rank}"))
            })
    }

    fn axis(&self, axis: i64, rank: usize) -> Result<usize, CompileError> {
        self.axis_up_to(axis, rank)
            .ok()
            .filter(|&axis| axis < rank)
            .ok_or_else(|| {
                self.node
                    .invalid(format!("axis {axis} is outside rank {rank}"))
            })
    }

    fn reshape(&self, data: Known<'_>) -> Result<Vec<usize>, CompileError> {
        let wanted = self.required(1, "shape")?;
        let total: usize = data.shape.iter().product();
        let keep_zero = self.node.int("allowzero", 0)? != 0;
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
        let known = entries(&shape).filter(|&known| known > 0 || total == 0);
        if let (Some(axis), Some(known)) = (open, known.filter(|&known| known > 0)) {
            shape[axis] = total / known;
        }
        if entries(&shape) != Some(total) {
            return Err(self.node.invalid(format!(
                "shape {:?} cannot become {wanted:?} for one row",
                data.shape
            )));
        }
        Ok(shape)
    }

    fn squeeze(&self, data: Known<'_>) -> Result<Vec<usize>, CompileError> {
        let rank = data.shape.len();
        let dropped = match self.integers(1, "axes")? {
            Some(axes) => axes
                .iter()
                .map(|&axis| self.axis(axis, rank))
                .collect::<Result<Vec<_>, _>>()?,
            None => (0..rank).filter(|&axis| data.shape[axis] == 1).collect(),
        };
        if let Some(axis) = dropped.iter().find(|&&axis| data.shape[axis] != 1) {
            return Err(self.node.invalid(format!(
                "axis {axis} of shape {:?} cannot be dropped",
                data.shape
            )));
        }
        Ok((0..rank)
            .filter(|axis| !dropped.contains(axis))
            .map(|axis| data.shape[axis])
            .collect())
    }

    fn unsqueeze(&self, data: Known<'_>) -> Result<Vec<usize>, CompileError> {
        let axes = self.required(1, "axes")?;
        let rank = data.shape.len() + axes.len();
        let added = axes
            .iter()
            .map(|&axis| self.axis(axis, rank))
            .collect::<Result<Vec<_>, _>>()?;
        let mut rest = data.shape.iter();
        let shape: Vec<usize> = (0..rank)
            .map(|axis| {
                if added.contains(&axis) {
                    Some(1)
                } else {
                    rest.next().copied()
                }
            })
            .map(|dim| dim.unwrap_or(1))
            .collect();
        if rest.next().is_some() {
            return Err(self.node.invalid(format!("axes {axes:?} repeat")));
        }
        Ok(shape)
    }

    fn transpose(&self, data: Known<'_>) -> Result<View, CompileError> {
        let rank = data.shape.len();
        let order = if self.node.has("perm") {
            self.node
                .ints("perm")?
                .iter()
                .map(|&axis| self.axis(axis, rank))
                .collect::<Result<Vec<_>, _>>()?
        } else {
            (0..rank).rev().collect()
        };
        if (0..rank).any(|axis| !order.contains(&axis)) || order.len() != rank {
            return Err(self
                .node
                .invalid(format!("{order:?} is no order of {rank} axes")));
        }
        Ok(permuted(data.shape, &order))
    }

    fn concat(&self) -> Result<View, CompileError> {
        let parts = (0..self.inputs.len())
            .map(|index| self.input(index))
            .collect::<Result<Vec<_>, _>>()?;
        let first = parts[0].shape;
        let axis = self.axis(self.node.int("axis", 1)?, first.len())?;
        let fits = |shape: &[usize]| {
            shape.len() == first.len()
                && (0..first.len()).all(|k| k == axis || shape[k] == first[k])
        };
        if let Some(part) = parts.iter().find(|part| !fits(part.shape)) {
            return Err(self.node.invalid(format!(
                "shapes {first:?} and {:?} cannot be joined along axis {axis}",
                part.shape
            )));
        }
        let outer: usize = first[..axis].iter().product();
        let mut shape = first.to_vec();
        shape[axis] = parts.iter().map(|part| part.shape[axis]).sum();
        if entries(&shape).is_none() {
            return Err(self
                .node
                .invalid(format!("it makes more than {MAX_LEN} entries")));
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
        Ok(View {
            shape,
            entries: places.collect(),
        })
    }

    /// All inputs side by side; `inputdimensions` says how many columns each one has.
    fn feature_vectorizer(&self) -> Result<View, CompileError> {
        let widths: Vec<usize> = (0..self.inputs.len())
            .map(|index| self.input(index).map(|input| input.shape.iter().product()))
            .collect::<Result<Vec<_>, _>>()?;
        let declared = self.node.ints("inputdimensions")?;
        if !declared.is_empty()
            && !declared
                .iter()
                .map(|&width| usize::try_from(width).ok())
                .eq(widths.iter().map(|&width| Some(width)))
        {
            return Err(self.node.invalid(format!(
                "inputs of {widths:?} columns are declared as {declared:?}"
            )));
        }
        let total: usize = widths.iter().sum();
        Ok(View {
            shape: vec![1, total],
            entries: (0..total as u32).collect(),
        })
    }

    fn repeat(&self, data: Known<'_>, tile: bool) -> Result<View, CompileError> {
        let counts: Vec<usize> = self
            .required(1, "shape")?
            .iter()
            .map(|&dim| usize::try_from(dim).unwrap_or(usize::MAX))
            .collect();
        let too_large = || {
            self.node
                .invalid(format!("{:?} cannot be repeated to {counts:?}", data.shape))
        };
        if !tile {
            let shape = broadcast_shape(data.shape, &counts).ok_or_else(too_large)?;
            return Ok(View {
                entries: broadcast(data.shape, &shape),
                shape,
            });
        }
        if counts.len() != data.shape.len() {
            return Err(too_large());
        }
        let mut view = View {
            shape: data.shape.to_vec(),
            entries: (0..data.shape.iter().product::<usize>() as u32).collect(),
        };
        for (axis, &count) in counts.iter().enumerate() {
            let size = view.shape[axis];
            let shape = with(&view.shape, axis, size.saturating_mul(count));
            entries(&shape).ok_or_else(too_large)?;
            let picked: Vec<usize> = (0..count).flat_map(|_| 0..size).collect();
            view = View {
                entries: along(&view.shape, axis, &picked)
                    .into_iter()
                    .map(|place| view.entries[place as usize])
                    .collect(),
                shape,
            };
        }
        Ok(view)
    }

    /// Constant places in input `index`, with their shape.
    fn places(&self, index: usize) -> Result<Option<Places>, CompileError> {
        let input = self.input(index)?;
        match input.constant {
            Some(Tensor::I64(places)) => Ok(Some(Places {
                shape: input.shape.to_vec(),
                entries: places.clone(),
            })),
            Some(_) => Err(self.node.invalid("its places are no integers")),
            None => Ok(None),
        }
    }

    fn gather(
        &self,
        data: Known<'_>,
        places: &Places,
        standard: bool,
    ) -> Result<View, CompileError> {
        let rank = data.shape.len();
        let axis = if standard {
            self.axis(self.node.int("axis", 0)?, rank)?
        } else {
            self.axis(-1, rank)?
        };
        let size = data.shape[axis];
        let picked = places
            .entries
            .iter()
            .map(|&place| {
                let resolved = if place < 0 {
                    place.saturating_add(size as i64)
                } else {
                    place
                };
                usize::try_from(resolved).ok().filter(|&place| place < size)
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| {
                self.node
                    .invalid(format!("it takes places {:?} of {size}", places.entries))
            })?;
        let mut shape = data.shape[..axis].to_vec();
        if standard {
            shape.extend(&places.shape);
        } else {
            if rank == 1 {
                shape.push(1);
            }
            shape.push(picked.len());
        }
        shape.extend(&data.shape[axis + 1..]);
        if entries(&shape).is_none() {
            return Err(self
                .node
                .invalid(format!("it makes more than {MAX_LEN} entries")));
        }
        Ok(View {
            shape,
            entries: along(data.shape, axis, &picked),
        })
    }
}
