//! `TreeEnsemble` (`ai.onnx.ml` 5): splits and leaves in separate lists.

use super::arena::{Mode, RawNode, RawSplit, TreeBuilder};
use super::{Described, TreeInput};
use crate::error::CompileError;
use crate::ir::Ensemble;
use crate::lower::transform::Transform;
use crate::read::onnx::node::Node;
use cipherfn_program::Tensor;

/// Reads a `TreeEnsemble`.
pub(crate) fn ensemble(node: &Node, input: &TreeInput) -> Result<Described, CompileError> {
    let average = match node.int("aggregate_function", 1)? {
        0 => true,
        1 => false,
        other => {
            return Err(node.unsupported(
                format!("its trees are combined by function {other}"),
                "SUM (1) and AVERAGE (0)",
            ));
        }
    };
    let transform = match node.int("post_transform", 0)? {
        0 => Transform::None,
        1 => Transform::Softmax,
        2 => Transform::Logistic,
        3 => Transform::SoftmaxZero,
        4 => Transform::Probit,
        other => return Err(node.invalid(format!("post_transform {other} is not one of 0 to 4"))),
    };
    let targets = usize::try_from(node.int("n_targets", 1)?)
        .ok()
        .filter(|targets| (1..=65_536).contains(targets));
    let targets = targets.ok_or_else(|| node.invalid("n_targets is not a count"))?;
    let raw = raw(node, input.features, targets)?;
    let mut builder = TreeBuilder::new(node, input);
    let splits = node.ints("nodes_featureids")?.len();
    let trees = node
        .ints("tree_roots")?
        .iter()
        .map(|&root| match usize::try_from(root) {
            Ok(root) if root < splits => builder.tree(&raw, root),
            _ => Err(node.invalid(format!("tree root {root} is not one of {splits} nodes"))),
        })
        .collect::<Result<Vec<_>, _>>()?;
    if trees.is_empty() {
        return Err(node.invalid("it has no \"tree_roots\""));
    }
    let missing = node.ints("nodes_missing_value_tracks_true")?.contains(&1);
    Ok(Described {
        ensemble: Ensemble {
            trees,
            targets,
            average,
            missing,
            splits: builder.splits(),
        },
        base: Vec::new(),
        transform,
    })
}

fn required(node: &Node, name: &str) -> Result<Tensor, CompileError> {
    Ok(node
        .tensor(name)?
        .ok_or_else(|| node.invalid(format!("\"{name}\" is missing")))?
        .value)
}

/// All splits, then all leaves.
fn raw(node: &Node, features: usize, targets: usize) -> Result<Vec<RawNode>, CompileError> {
    let feature_ids = node.ints("nodes_featureids")?;
    let count = feature_ids.len();
    let modes = required(node, "nodes_modes")?;
    let Tensor::I64(modes) = modes else {
        return Err(node.invalid("\"nodes_modes\" holds no integers"));
    };
    let values = node.as_numbers("nodes_splits", &required(node, "nodes_splits")?)?;
    let [on_true, on_false] = [
        node.ints("nodes_truenodeids")?,
        node.ints("nodes_falsenodeids")?,
    ];
    let [true_leafs, false_leafs] = [
        node.ints("nodes_trueleafs")?,
        node.ints("nodes_falseleafs")?,
    ];
    let missing = node.ints("nodes_missing_value_tracks_true")?;
    let lengths = [
        modes.len(),
        values.len(),
        on_true.len(),
        on_false.len(),
        true_leafs.len(),
        false_leafs.len(),
    ];
    if count == 0
        || lengths.iter().any(|&len| len != count)
        || !(missing.is_empty() || missing.len() == count)
    {
        return Err(node.invalid(format!(
            "its \"nodes_*\" attributes have different lengths: {count} feature ids, others {lengths:?}"
        )));
    }
    let leaf_targets = node.ints("leaf_targetids")?;
    let leaf_weights = node.finite(
        "leaf_weights",
        node.as_numbers("leaf_weights", &required(node, "leaf_weights")?)?,
    )?;
    if leaf_targets.len() != leaf_weights.len() {
        return Err(node.invalid(format!(
            "it has {} leaf targets and {} leaf weights",
            leaf_targets.len(),
            leaf_weights.len()
        )));
    }
    let child = |at: usize, id: i64, leaf: i64| {
        let (len, offset) = if leaf == 0 {
            (count, 0)
        } else {
            (leaf_weights.len(), count)
        };
        let place = usize::try_from(id)
            .ok()
            .filter(|&place| place < len)
            .map(|place| place + offset);
        place.ok_or_else(|| {
            node.invalid(format!(
                "a branch of node {at} leads to {} {id} of {len}",
                if leaf == 0 { "node" } else { "leaf" }
            ))
        })
    };
    let mut sets = member_sets(node)?.into_iter();
    let mut raw = Vec::with_capacity(count + leaf_weights.len());
    for at in 0..count {
        let feature = u32::try_from(feature_ids[at])
            .ok()
            .filter(|&feature| (feature as usize) < features);
        let feature = feature.ok_or_else(|| {
            node.invalid(format!(
                "node {at} asks for feature {} of {features}",
                feature_ids[at]
            ))
        })?;
        let mode = mode(modes[at])
            .ok_or_else(|| node.unsupported(format!("node mode {}", modes[at]), "modes 0 to 6"))?;
        let members = if mode == Mode::Member {
            sets.next().ok_or_else(|| {
                node.invalid(
                    "\"membership_values\" has fewer sets than there are BRANCH_MEMBER nodes",
                )
            })?
        } else {
            Vec::new()
        };
        raw.push(RawNode::Split(RawSplit {
            feature,
            mode,
            value: values[at],
            members,
            missing_is_true: missing.get(at) == Some(&1),
            on_true: child(at, on_true[at], true_leafs[at])?,
            on_false: child(at, on_false[at], false_leafs[at])?,
        }));
    }
    for (&target, &weight) in leaf_targets.iter().zip(&leaf_weights) {
        let target = u32::try_from(target)
            .ok()
            .filter(|&target| (target as usize) < targets);
        let target = target.ok_or_else(|| {
            node.invalid(format!("a leaf adds to a target that is none of {targets}"))
        })?;
        raw.push(RawNode::Leaf(vec![(target, weight)]));
    }
    Ok(raw)
}

/// Sets of numbers, each ended by NaN.
fn member_sets(node: &Node) -> Result<Vec<Vec<f64>>, CompileError> {
    let Some(tensor) = node.tensor("membership_values")? else {
        return Ok(Vec::new());
    };
    let values = node.as_numbers("membership_values", &tensor.value)?;
    Ok(values.split(|x| x.is_nan()).map(<[f64]>::to_vec).collect())
}

fn mode(code: i64) -> Option<Mode> {
    Some(match code {
        0 => Mode::LessOrEqual,
        1 => Mode::Less,
        2 => Mode::GreaterOrEqual,
        3 => Mode::Greater,
        4 => Mode::Equal,
        5 => Mode::NotEqual,
        6 => Mode::Member,
        _ => return None,
    })
}
