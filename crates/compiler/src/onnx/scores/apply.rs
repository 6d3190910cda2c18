//! The operators that keep scores affine.

use super::{Combination, MAX_TERMS, Scores};
use crate::error::CompileError;
use crate::onnx::views::{self, Known, broadcast, broadcast_shape, permuted};
use crate::read::onnx::node::Node;
use cipherfn_program::Tensor;
use std::borrow::Cow;

/// The operators of this module, beside those that only move entries.
pub(crate) const OPERATORS: &[&str] = &[
    "Add",
    "Cast",
    "Div",
    "Gemm",
    "MatMul",
    "Mean",
    "Mul",
    "Neg",
    "ReduceMean",
    "ReduceSum",
    "Sub",
    "Sum",
];

/// One input of a node that works on scores: scores, or a constant (numbers, or integers that say
/// how to move entries).
pub(crate) enum Argument<'a> {
    Scores(&'a Scores),
    Constant {
        shape: &'a [usize],
        value: &'a Tensor,
    },
}

impl Argument<'_> {
    fn scores(&self) -> Option<Cow<'_, Scores>> {
        match self {
            Self::Scores(scores) => Some(Cow::Borrowed(scores)),
            Self::Constant { shape, value } => Scores::of_constant(shape, value).map(Cow::Owned),
        }
    }

    fn known(&self) -> Known<'_> {
        match self {
            Self::Scores(scores) => Known {
                shape: &scores.shape,
                constant: None,
            },
            Self::Constant { shape, value } => Known {
                shape,
                constant: Some(value),
            },
        }
    }
}

/// The node's outputs as scores; `None` if the node is not affine in its scores.
pub(crate) fn apply(
    node: &Node,
    inputs: &[Option<Argument<'_>>],
) -> Result<Option<Vec<Scores>>, CompileError> {
    let moved = moved(node, inputs)?;
    if moved.is_some() {
        return Ok(moved);
    }
    let Some(operator) = node
        .standard()
        .filter(|operator| OPERATORS.contains(operator))
    else {
        return Ok(None);
    };
    let numeric: Vec<Option<Cow<'_, Scores>>> = inputs
        .iter()
        .map(|input| input.as_ref().and_then(Argument::scores))
        .collect();
    let get = |index: usize| numeric.get(index).and_then(Option::as_deref);
    let Some(first) = get(0) else {
        return Ok(None);
    };
    let result = match (operator, get(1)) {
        ("Neg", _) => Some(first.map(|x| x.scaled(-1.0))),
        ("Cast", _) if matches!(node.int("to", 0)?, 1 | 11) => Some(first.clone()),
        ("Add", Some(second)) => Some(sum(node, first, second, 1.0)?),
        ("Sub", Some(second)) => Some(sum(node, first, second, -1.0)?),
        ("Mul", Some(second)) => product(node, first, second, false)?,
        ("Div", Some(second)) => product(node, first, second, true)?,
        ("Sum" | "Mean", _) => {
            let Some(parts) = (1..numeric.len()).map(get).collect::<Option<Vec<_>>>() else {
                return Ok(None);
            };
            let total = parts
                .iter()
                .try_fold(first.clone(), |total, part| sum(node, &total, part, 1.0))?;
            let factor = if operator == "Mean" {
                1.0 / numeric.len() as f64
            } else {
                1.0
            };
            Some(total.map(|x| x.scaled(factor)))
        }
        ("MatMul", Some(second)) => mat_mul(node, first, second)?,
        ("Gemm", Some(second)) => gemm(node, first, second, get(2))?,
        ("ReduceSum" | "ReduceMean", axes) => reduced(node, first, axes, operator == "ReduceMean")?,
        _ => None,
    };
    Ok(result.map(|scores| vec![scores]))
}

fn moved(
    node: &Node,
    inputs: &[Option<Argument<'_>>],
) -> Result<Option<Vec<Scores>>, CompileError> {
    let known: Vec<Option<Known<'_>>> = inputs
        .iter()
        .map(|input| input.as_ref().map(Argument::known))
        .collect();
    let Some(views) = views::views(node, &known)? else {
        return Ok(None);
    };
    let data = views::data_inputs(node, inputs.len());
    let parts = inputs[..data]
        .iter()
        .map(|input| input.as_ref().and_then(Argument::scores))
        .collect::<Option<Vec<_>>>();
    let joined = match parts.as_deref() {
        None => return Ok(None),
        Some([only]) => Cow::Borrowed(only.as_ref()),
        Some(parts) => Cow::Owned(Scores {
            shape: Vec::new(),
            entries: parts
                .iter()
                .flat_map(|part| part.entries.iter().cloned())
                .collect(),
        }),
    };
    views
        .into_iter()
        .map(|view| joined.take(node, view.shape, &view.entries))
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
}

fn together(node: &Node, left: &Scores, right: &Scores) -> Result<(Scores, Scores), CompileError> {
    let shape = broadcast_shape(&left.shape, &right.shape).ok_or_else(|| {
        node.invalid(format!(
            "shapes {:?} and {:?} do not fit together",
            left.shape, right.shape
        ))
    })?;
    let spread =
        |scores: &Scores| scores.take(node, shape.clone(), &broadcast(&scores.shape, &shape));
    Ok((spread(left)?, spread(right)?))
}

fn sum(node: &Node, left: &Scores, right: &Scores, factor: f64) -> Result<Scores, CompileError> {
    let (left, right) = together(node, left, right)?;
    let entries = left
        .entries
        .iter()
        .zip(&right.entries)
        .map(|(l, r)| l.plus(&r.scaled(factor)))
        .collect();
    Ok(Scores {
        shape: left.shape,
        entries,
    })
}

/// Product with, or quotient by, a constant.
fn product(
    node: &Node,
    left: &Scores,
    right: &Scores,
    quotient: bool,
) -> Result<Option<Scores>, CompileError> {
    let (left, right) = together(node, left, right)?;
    let (scores, factors) = match (right.constants(), left.constants()) {
        (Some(factors), _) => (&left, factors),
        (None, Some(factors)) if !quotient => (&right, factors),
        _ => return Ok(None),
    };
    let factors: Vec<f64> = factors
        .into_iter()
        .map(|x| if quotient { 1.0 / x } else { x })
        .collect();
    let factors = node.finite("factor", factors)?;
    let entries = scores
        .entries
        .iter()
        .zip(factors)
        .map(|(x, factor)| x.scaled(factor))
        .collect();
    Ok(Some(Scores {
        shape: left.shape,
        entries,
    }))
}

/// Product of scores and a constant matrix.
fn mat_mul(node: &Node, left: &Scores, right: &Scores) -> Result<Option<Scores>, CompileError> {
    let Some(weights) = right.constants() else {
        return Ok(None);
    };
    let (inner, columns, tail) = match right.shape.as_slice() {
        &[inner] => (inner, 1, None),
        &[inner, columns] => (inner, columns, Some(columns)),
        shape => {
            return Err(node.unsupported(
                format!("its second factor has shape {shape:?}"),
                "vectors and matrices",
            ));
        }
    };
    let Some((_, head)) = left.shape.split_last().filter(|(last, _)| **last == inner) else {
        return Err(node.invalid(format!(
            "shapes {:?} and {:?} cannot be multiplied",
            left.shape, right.shape
        )));
    };
    let weights = node.finite("weights", weights)?;
    if left.size().saturating_mul(columns) > MAX_TERMS {
        return Err(node.invalid(format!("its product has more than {MAX_TERMS} weights")));
    }
    let shape: Vec<usize> = head.iter().copied().chain(tail).collect();
    let rows = left
        .entries
        .chunks(inner.max(1))
        .take(head.iter().product());
    let entry = |row: &[Combination], column: usize| {
        Combination::sum(
            row.iter()
                .enumerate()
                .map(|(k, x)| (x, weights[k * columns + column])),
        )
    };
    let entries = rows
        .flat_map(|row| {
            (0..columns)
                .map(|column| entry(row, column))
                .collect::<Vec<_>>()
        })
        .collect();
    Ok(Some(Scores { shape, entries }))
}

fn gemm(
    node: &Node,
    left: &Scores,
    right: &Scores,
    offset: Option<&Scores>,
) -> Result<Option<Scores>, CompileError> {
    let oriented = |scores: &Scores, name: &str| -> Result<Scores, CompileError> {
        if scores.shape.len() != 2 {
            return Err(node.invalid(format!("its factor has shape {:?}", scores.shape)));
        }
        let order = if node.int(name, 0)? == 0 {
            [0, 1]
        } else {
            [1, 0]
        };
        let view = permuted(&scores.shape, &order);
        scores.take(node, view.shape, &view.entries)
    };
    let Some(result) = mat_mul(
        node,
        &oriented(left, "transA")?,
        &oriented(right, "transB")?,
    )?
    else {
        return Ok(None);
    };
    let (alpha, beta) = (
        f64::from(node.float("alpha", 1.0)?),
        f64::from(node.float("beta", 1.0)?),
    );
    let result = result.map(|x| x.scaled(alpha));
    match offset {
        Some(offset) => sum(node, &result, offset, beta).map(Some),
        None => Ok(Some(result)),
    }
}

/// Sum or mean along axes; none means all.
fn reduced(
    node: &Node,
    scores: &Scores,
    axes: Option<&Scores>,
    mean: bool,
) -> Result<Option<Scores>, CompileError> {
    let rank = scores.shape.len();
    let axes: Vec<i64> = match axes {
        Some(axes) => axes
            .constants()
            .unwrap_or_default()
            .into_iter()
            .map(|axis| axis as i64)
            .collect(),
        None => node.ints("axes")?.to_vec(),
    };
    if axes.is_empty() && node.int("noop_with_empty_axes", 0)? != 0 {
        return Ok(Some(scores.clone()));
    }
    let dropped = |axis: usize| {
        axes.is_empty()
            || axes
                .iter()
                .any(|&k| k == axis as i64 || k + rank as i64 == axis as i64)
    };
    let (kept, reduced): (Vec<usize>, Vec<usize>) = (0..rank).partition(|&axis| !dropped(axis));
    if !axes.is_empty() && reduced.len() != axes.len() {
        return Err(node.invalid(format!("axes {axes:?} do not fit rank {rank}")));
    }
    let group: usize = reduced.iter().map(|&axis| scores.shape[axis]).product();
    if group == 0 {
        return Ok(None);
    }
    let view = permuted(
        &scores.shape,
        &kept.iter().chain(&reduced).copied().collect::<Vec<_>>(),
    );
    let moved = scores.take(node, view.shape, &view.entries)?;
    let keep = node.int("keepdims", 1)? != 0;
    let shape = (0..rank)
        .filter(|&axis| keep || !dropped(axis))
        .map(|axis| if dropped(axis) { 1 } else { scores.shape[axis] })
        .collect();
    let factor = if mean { 1.0 / group as f64 } else { 1.0 };
    let entries = moved
        .entries
        .chunks(group)
        .map(|group| Combination::sum(group.iter().map(|x| (x, factor))))
        .collect();
    Ok(Some(Scores { shape, entries }))
}
