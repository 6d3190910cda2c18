//! `TreeEnsembleClassifier` and `TreeEnsembleRegressor` (`ai.onnx.ml` 1 and 3).

use super::arena::{Mode, RawNode, RawSplit, TreeBuilder};
use super::{Described, TreeInput};
use crate::error::CompileError;
use crate::ir::Ensemble;
use crate::lower::transform::Transform;
use crate::read::onnx::node::Node;
use std::collections::{HashMap, HashSet};

/// Reads a `TreeEnsembleClassifier`: one target a class, in the order of the class labels.
pub(crate) fn classifier(
    node: &Node,
    input: &TreeInput,
    classes: usize,
) -> Result<Described, CompileError> {
    read(node, input, classes, "class")
}

/// Reads a `TreeEnsembleRegressor`.
pub(crate) fn regressor(node: &Node, input: &TreeInput) -> Result<Described, CompileError> {
    let targets = node.int("n_targets", 0)?;
    match usize::try_from(targets) {
        Ok(targets @ 1..=65_536) => read(node, input, targets, "target"),
        _ => Err(node.invalid(format!("n_targets is {targets}"))),
    }
}

fn read(
    node: &Node,
    input: &TreeInput,
    targets: usize,
    prefix: &str,
) -> Result<Described, CompileError> {
    let average = match node.text("aggregate_function", "SUM")?.as_str() {
        "SUM" => false,
        "AVERAGE" => true,
        other => {
            return Err(node.unsupported(
                format!("its trees are combined by {other}"),
                "SUM and AVERAGE",
            ));
        }
    };
    let attributes = Attributes::read(node)?;
    let leaves = leaves(node, prefix, targets)?;
    let mut builder = TreeBuilder::new(node, input);
    let mut trees = Vec::new();
    for range in attributes.trees() {
        let raw = attributes.raw(node, range, input.features, &leaves)?;
        trees.push(builder.tree(&raw, 0)?);
    }
    Ok(Described {
        ensemble: Ensemble {
            trees,
            targets,
            average,
            missing: attributes.missing.contains(&1),
            splits: builder.splits(),
        },
        base: node.numbers("base_values")?,
        transform: Transform::of(node)?,
    })
}

/// Leaf values by tree and node.
type ListedLeaves = HashMap<(i64, i64), Vec<(u32, f64)>>;

fn leaves(node: &Node, prefix: &str, targets: usize) -> Result<ListedLeaves, CompileError> {
    let ids = node.ints(&format!("{prefix}_ids"))?;
    let node_ids = node.ints(&format!("{prefix}_nodeids"))?;
    let tree_ids = node.ints(&format!("{prefix}_treeids"))?;
    let weights = node.numbers(&format!("{prefix}_weights"))?;
    if ids.len() != node_ids.len() || ids.len() != tree_ids.len() || ids.len() != weights.len() {
        let lengths = (ids.len(), node_ids.len(), tree_ids.len(), weights.len());
        return Err(node.invalid(format!(
            "its \"{prefix}_*\" attributes have different lengths {lengths:?}"
        )));
    }
    if ids.is_empty() {
        return Err(node.invalid(format!("it has no \"{prefix}_weights\"")));
    }
    let mut leaves = ListedLeaves::new();
    for (((&id, &node_id), &tree_id), &weight) in
        ids.iter().zip(node_ids).zip(tree_ids).zip(&weights)
    {
        let target = usize::try_from(id)
            .ok()
            .filter(|&target| target < targets)
            .ok_or_else(|| {
                node.invalid(format!(
                    "a leaf of tree {tree_id} adds to {prefix} {id} of {targets}"
                ))
            })?;
        let values = leaves.entry((tree_id, node_id)).or_default();
        match values.iter_mut().find(|(own, _)| *own == target as u32) {
            Some((_, sum)) => *sum += weight,
            None => values.push((target as u32, weight)),
        }
    }
    for values in leaves.values_mut() {
        values.sort_by_key(|&(target, _)| target);
    }
    Ok(leaves)
}

/// The `nodes_*` attributes, all of one length.
struct Attributes<'a> {
    tree_ids: &'a [i64],
    node_ids: &'a [i64],
    features: &'a [i64],
    on_true: &'a [i64],
    on_false: &'a [i64],
    missing: &'a [i64],
    modes: Vec<String>,
    values: Vec<f64>,
}

impl<'a> Attributes<'a> {
    fn read(node: &'a Node) -> Result<Self, CompileError> {
        let own = Self {
            tree_ids: node.ints("nodes_treeids")?,
            node_ids: node.ints("nodes_nodeids")?,
            features: node.ints("nodes_featureids")?,
            on_true: node.ints("nodes_truenodeids")?,
            on_false: node.ints("nodes_falsenodeids")?,
            missing: node.ints("nodes_missing_value_tracks_true")?,
            modes: node.texts("nodes_modes")?,
            values: node.any_numbers("nodes_values")?,
        };
        let len = own.tree_ids.len();
        let lengths = [
            own.node_ids.len(),
            own.features.len(),
            own.on_true.len(),
            own.on_false.len(),
            own.modes.len(),
            own.values.len(),
        ];
        if lengths.iter().any(|&other| other != len)
            || !(own.missing.is_empty() || own.missing.len() == len)
        {
            return Err(node.invalid(format!(
                "its \"nodes_*\" attributes have different lengths: {len} tree ids, others {lengths:?}"
            )));
        }
        if len == 0 {
            return Err(node.invalid("it has no nodes"));
        }
        let mut seen = HashSet::with_capacity(len);
        for (&tree, &id) in own.tree_ids.iter().zip(own.node_ids) {
            if !seen.insert((tree, id)) {
                return Err(node.invalid(format!("node {id} of tree {tree} is given twice")));
            }
        }
        Ok(own)
    }

    /// Runs of equal tree ids: ONNX Runtime takes the first node of each run as a root.
    fn trees(&self) -> Vec<std::ops::Range<usize>> {
        let mut ranges = Vec::new();
        let mut start = 0;
        for end in 1..=self.tree_ids.len() {
            if end == self.tree_ids.len() || self.tree_ids[end] != self.tree_ids[start] {
                ranges.push(start..end);
                start = end;
            }
        }
        ranges
    }

    fn raw(
        &self,
        node: &Node,
        range: std::ops::Range<usize>,
        features: usize,
        leaves: &ListedLeaves,
    ) -> Result<Vec<RawNode>, CompileError> {
        let tree = self.tree_ids[range.start];
        let places: HashMap<i64, usize> = range
            .clone()
            .enumerate()
            .map(|(place, at)| (self.node_ids[at], place))
            .collect();
        let child = |at: usize, id: i64| {
            let place = places.get(&id).copied();
            place.ok_or_else(|| {
                node.invalid(format!(
                    "a branch of node {} of tree {tree} leads to node {id}, which it has not",
                    self.node_ids[at]
                ))
            })
        };
        range
            .map(|at| {
                if self.modes[at] == "LEAF" {
                    return Ok(RawNode::Leaf(
                        leaves
                            .get(&(tree, self.node_ids[at]))
                            .cloned()
                            .unwrap_or_default(),
                    ));
                }
                let feature = u32::try_from(self.features[at])
                    .ok()
                    .filter(|&feature| (feature as usize) < features);
                let feature = feature.ok_or_else(|| {
                    node.invalid(format!(
                        "node {} of tree {tree} asks for feature {} of {features}",
                        self.node_ids[at], self.features[at]
                    ))
                })?;
                Ok(RawNode::Split(RawSplit {
                    feature,
                    mode: mode(node, &self.modes[at])?,
                    value: self.values[at],
                    members: Vec::new(),
                    missing_is_true: self.missing.get(at) == Some(&1),
                    on_true: child(at, self.on_true[at])?,
                    on_false: child(at, self.on_false[at])?,
                }))
            })
            .collect()
    }
}

fn mode(node: &Node, name: &str) -> Result<Mode, CompileError> {
    Ok(match name {
        "BRANCH_LEQ" => Mode::LessOrEqual,
        "BRANCH_LT" => Mode::Less,
        "BRANCH_GTE" => Mode::GreaterOrEqual,
        "BRANCH_GT" => Mode::Greater,
        "BRANCH_EQ" => Mode::Equal,
        "BRANCH_NEQ" => Mode::NotEqual,
        other => {
            let supported =
                "BRANCH_LEQ, BRANCH_LT, BRANCH_GTE, BRANCH_GT, BRANCH_EQ, BRANCH_NEQ, LEAF";
            return Err(node.unsupported(format!("node mode \"{other}\""), supported));
        }
    })
}
