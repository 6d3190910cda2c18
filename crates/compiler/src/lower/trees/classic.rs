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
    let mut leaves = leaves(node, prefix, targets)?;
    let mut builder = TreeBuilder::new(node, input);
    let mut trees = Vec::new();
    for range in attributes.trees() {
        let raw = attributes.raw(node, range, input.features, &mut leaves)?;
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

/// Most values of all leaves that are not zero.
const MAX_VALUES: usize = 1 << 25;

fn leaves(node: &Node<'_>, prefix: &str, targets: usize) -> Result<ListedLeaves, CompileError> {
    let names = ["ids", "nodeids", "treeids", "weights"].map(|name| format!("{prefix}_{name}"));
    let [ids, node_ids, tree_ids, weights] = &names;
    let mut lists = (
        node.each_int(ids)?,
        node.each_int(node_ids)?,
        node.each_int(tree_ids)?,
        node.each_number(weights)?,
    );
    let broken = |reason| node.invalid(format!("its \"{prefix}_*\" attributes: {reason}"));
    let mut leaves = ListedLeaves::new();
    let mut counted = vec![false; targets];
    let (mut read, mut kept) = (0_usize, 0_usize);
    loop {
        let (id, node_id, tree_id, weight) = match (
            lists.0.next(),
            lists.1.next(),
            lists.2.next(),
            lists.3.next(),
        ) {
            (None, None, None, None) => break,
            (Some(id), Some(node_id), Some(tree_id), Some(weight)) => (
                id.map_err(broken)?,
                node_id.map_err(broken)?,
                tree_id.map_err(broken)?,
                weight.map_err(broken)?,
            ),
            ends => {
                let ends = [
                    ends.0.is_none(),
                    ends.1.is_none(),
                    ends.2.is_none(),
                    ends.3.is_none(),
                ];
                let shorter = names.iter().zip(ends).filter(|(_, ends)| *ends);
                let shorter: Vec<_> = shorter.map(|(name, _)| format!("\"{name}\"")).collect();
                return Err(node.invalid(format!(
                    "its \"{prefix}_*\" attributes have different lengths: {} {read} entries, \
                     others more",
                    shorter.join(", ")
                )));
            }
        };
        if !weight.is_finite() {
            return Err(node.invalid(format!(
                "entry {read} of \"{weights}\" is {weight}, not a finite number"
            )));
        }
        read += 1;
        let target = usize::try_from(id)
            .ok()
            .filter(|&target| target < targets)
            .ok_or_else(|| {
                node.invalid(format!(
                    "a leaf of tree {tree_id} adds to {prefix} {id} of {targets}"
                ))
            })?;
        // Forests write a zero for each class that a leaf has no rows of. One a class is kept: which
        // classes are there at all has a meaning.
        if weight == 0.0 && std::mem::replace(&mut counted[target], true) {
            continue;
        }
        counted[target] = true;
        kept += 1;
        if kept > MAX_VALUES {
            return Err(node.invalid(format!(
                "its leaves have more than {MAX_VALUES} values that are not zero"
            )));
        }
        let values = leaves.entry((tree_id, node_id)).or_default();
        values.push((target as u32, weight));
    }
    if read == 0 {
        return Err(node.invalid(format!("it has no \"{weights}\"")));
    }
    for values in leaves.values_mut() {
        // Stable, so that what is given for a target twice is added in the file's order.
        values.sort_by_key(|&(target, _)| target);
        values.dedup_by(|next, sum| {
            let same = next.0 == sum.0;
            if same {
                sum.1 += next.1;
            }
            same
        });
        values.shrink_to_fit();
    }
    Ok(leaves)
}

/// The `nodes_*` attributes, all of one length.
struct Attributes {
    tree_ids: Vec<i64>,
    node_ids: Vec<i64>,
    features: Vec<i64>,
    on_true: Vec<i64>,
    on_false: Vec<i64>,
    missing: Vec<i64>,
    /// None of leaves.
    modes: Vec<Option<Mode>>,
    values: Vec<f64>,
}

impl Attributes {
    fn read(node: &Node<'_>) -> Result<Self, CompileError> {
        let own = Self {
            tree_ids: node.ints("nodes_treeids")?,
            node_ids: node.ints("nodes_nodeids")?,
            features: node.ints("nodes_featureids")?,
            on_true: node.ints("nodes_truenodeids")?,
            on_false: node.ints("nodes_falsenodeids")?,
            missing: node.ints("nodes_missing_value_tracks_true")?,
            modes: node
                .each_text("nodes_modes")?
                .map(|name| mode(node, name?))
                .collect::<Result<_, _>>()?,
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
        for (&tree, &id) in own.tree_ids.iter().zip(&own.node_ids) {
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
        leaves: &mut ListedLeaves,
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
                let Some(mode) = self.modes[at] else {
                    // Each node is there once.
                    let values = leaves.remove(&(tree, self.node_ids[at]));
                    return Ok(RawNode::Leaf(values.unwrap_or_default()));
                };
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
                    mode,
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

/// The mode of this name, none of a leaf.
fn mode(node: &Node<'_>, name: &str) -> Result<Option<Mode>, CompileError> {
    Ok(Some(match name {
        "LEAF" => return Ok(None),
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
    }))
}
