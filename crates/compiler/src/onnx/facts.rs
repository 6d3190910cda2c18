//! What is known of values by construction: ranges, labels, class names.

use super::emitter::Operand;
use super::range::Range;
use super::value::{Data, Facts, Value};
use crate::read::onnx::node::Node;
use crate::read::onnx::tensor::Element;
use cipherfn_program::{ProgramBuilder, Tensor, ValueId};

/// Facts of a node's result. `inputs` are its inputs as the graph has them, `placed` the same on
/// the side of the estimator where the node is evaluated; `moved` says that the node only moves
/// entries.
pub(crate) fn of(
    node: &Node,
    inputs: &[Option<Value>],
    placed: &[Option<Value>],
    result: &Operand,
    moved: bool,
    builder: &ProgramBuilder,
    classes: &mut Vec<Vec<String>>,
) -> Facts {
    let known: Vec<Known<'_>> = placed
        .iter()
        .flatten()
        .map(|value| Known::of(value, builder))
        .collect();
    let data = if moved {
        &known[..super::views::data_inputs(node, known.len())]
    } else {
        &known[..]
    };
    let label = is_label(node, data, &known, moved);
    if label {
        remember_classes(placed, builder, classes);
    }
    let behind = placed
        .iter()
        .flatten()
        .any(|value| matches!(value.data, Data::After(_)));
    let nonlinear = inputs
        .iter()
        .flatten()
        .find_map(|value| value.facts.nonlinear.clone())
        .or_else(|| (behind && !moved && node.name.operator != "Cast").then(|| node.name.clone()));
    let classes = placed
        .iter()
        .flatten()
        .find_map(|value| value.facts.classes.clone())
        .filter(|classes| classes.len() == result.len());
    let Sums {
        sum_of,
        guard_of,
        alias,
    } = Sums::of(node, data, moved);
    Facts {
        range: range(node, data, result, moved),
        label,
        classes,
        sum_of,
        guard_of,
        alias,
        nonlinear,
    }
}

/// Range of the result's entries.
fn range(node: &Node, data: &[Known<'_>], result: &Operand, moved: bool) -> Range {
    let of = |index: usize| data.get(index).map_or(Range::ALL, |known| known.range);
    let union = |ranges: &[Known<'_>]| {
        ranges
            .iter()
            .map(|known| known.range)
            .reduce(Range::or)
            .unwrap_or(Range::ALL)
    };
    if moved {
        return union(data);
    }
    if let [part, sum] = data
        && node.name.operator == "Div"
        && part.range.low >= 0.0
        && sum.facts.sum_of.is_some()
        && (sum.facts.sum_of == part.id || sum.facts.sum_of == part.facts.alias)
    {
        return Range::UNIT;
    }
    match node.name.operator.as_str() {
        "Exp" | "Softplus" | "Sqrt" | "ReduceL1" | "ReduceL2" | "ReduceSumSquare" => {
            Range::NONNEGATIVE
        }
        "Abs" => of(0).abs(),
        "Relu" => of(0).max(Range::of(0.0)),
        "Neg" => Range::of(0.0).sub(of(0)),
        "Cast" if result.element == Element::Bool => Range::UNIT,
        "Cast" | "ReduceMean" | "ReduceMax" | "ReduceMin" => of(0),
        "ReduceSum" => data
            .first()
            .map_or(Range::ALL, |known| of(0).times(known.len as f64)),
        "Add" => of(0).add(of(1)),
        "Sub" => of(0).sub(of(1)),
        "Mul" => of(0).mul(of(1)),
        "Div" => of(0).div(of(1)),
        "Reciprocal" => Range::of(1.0).div(of(0)),
        "Sum" => data
            .iter()
            .map(|known| known.range)
            .reduce(Range::add)
            .unwrap_or(Range::ALL),
        "Mean" | "Max" | "Min" => union(data),
        "Clip" => match data {
            [x, low, high] => x.range.max(low.range).min(high.range),
            _ => of(0),
        },
        "Where" => union(data.get(1..).unwrap_or_default()),
        "LpNormalization" if of(0).low >= 0.0 => Range::UNIT,
        "Normalizer"
            if of(0).low >= 0.0 && node.text("norm", "MAX").is_ok_and(|norm| norm != "MAX") =>
        {
            Range::UNIT
        }
        "Sigmoid" | "Softmax" | "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual"
        | "Not" | "And" | "Or" | "Xor" | "IsNaN" | "IsInf" => Range::UNIT,
        _ => Range::ALL,
    }
}

fn is_label(node: &Node, data: &[Known<'_>], all: &[Known<'_>], moved: bool) -> bool {
    let first = |known: &[Known<'_>]| known.first().is_some_and(|known| known.facts.label);
    match node.name.operator.as_str() {
        "ArgMax" => true,
        "Cast" | "LabelEncoder" => first(data),
        "Gather" | "ArrayFeatureExtractor" if !moved => {
            all.get(1).is_some_and(|index| index.facts.label)
        }
        _ => moved && !data.is_empty() && data.iter().all(|known| known.facts.label),
    }
}

/// A look-up of labels by a predicted index names the classes.
fn remember_classes(
    placed: &[Option<Value>],
    builder: &ProgramBuilder,
    classes: &mut Vec<Vec<String>>,
) {
    if let [
        Some(Value {
            data: Data::After(table),
            ..
        }),
        Some(Value {
            facts: Facts { label: true, .. },
            ..
        }),
        ..,
    ] = placed
        && let Some(table) = builder.constant_value(*table)
    {
        classes.push(table.to_texts());
    }
}

/// How a value relates to the sum of another one. Exporters divide by a sum after adding an
/// indicator that the sum is zero, to the sum and sometimes to the parts.
#[derive(Default)]
struct Sums {
    sum_of: Option<ValueId>,
    guard_of: Option<ValueId>,
    alias: Option<ValueId>,
}

impl Sums {
    fn of(node: &Node, data: &[Known<'_>], moved: bool) -> Self {
        let Some(first) = data.first() else {
            return Self::default();
        };
        let own = || Self {
            sum_of: first.facts.sum_of,
            guard_of: first.facts.guard_of,
            alias: first.facts.alias,
        };
        match (node.name.operator.as_str(), data) {
            ("ReduceSum" | "ReduceL1", _) => Self {
                sum_of: first.id,
                ..Self::default()
            },
            // A truth value made a number is no sum any more; a sum made a truth value is a test
            // for not being zero.
            ("Cast", _) if first.is_bool => Self {
                sum_of: None,
                ..own()
            },
            ("Cast", _) => own(),
            ("Not", _) if first.is_bool && first.facts.guard_of.is_none() => Self {
                guard_of: first.facts.sum_of,
                ..Self::default()
            },
            ("Equal", [sum, zero]) if zero.range == Range::of(0.0) => Self {
                guard_of: sum.facts.sum_of,
                ..Self::default()
            },
            ("Mul", [guard, factor])
                if guard.facts.guard_of.is_some() && factor.range.low >= 0.0 =>
            {
                own()
            }
            ("Add", [left, right]) => {
                let (value, guard) = if right.indicates().is_some() {
                    (left, right)
                } else {
                    (right, left)
                };
                match guard.indicates() {
                    Some(parts) if value.id == Some(parts) => Self {
                        alias: Some(parts),
                        ..Self::default()
                    },
                    Some(parts) if value.facts.sum_of == Some(parts) => Self {
                        sum_of: Some(parts),
                        ..Self::default()
                    },
                    _ => Self::default(),
                }
            }
            _ if moved => own(),
            _ => Self::default(),
        }
    }
}

/// What is known of one input.
struct Known<'a> {
    id: Option<ValueId>,
    len: usize,
    is_bool: bool,
    range: Range,
    facts: &'a Facts,
}

impl<'a> Known<'a> {
    fn of(value: &'a Value, builder: &ProgramBuilder) -> Self {
        let id = match value.data {
            Data::Before(id) | Data::After(id) => Some(id),
            Data::Scores(_) | Data::Map(_) => None,
        };
        let entries = id
            .and_then(|id| builder.constant_value(id))
            .and_then(Tensor::to_f64);
        let range = entries
            .and_then(|entries| Range::around(&entries))
            .unwrap_or(value.facts.range);
        Self {
            id,
            len: value.shape.iter().product(),
            is_bool: value.element == Element::Bool,
            range,
            facts: &value.facts,
        }
    }

    /// The value whose sum this one indicates to be zero.
    fn indicates(&self) -> Option<ValueId> {
        self.facts.guard_of
    }
}
