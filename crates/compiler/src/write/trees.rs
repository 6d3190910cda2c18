//! Sums and means of trees, as an operator of `ai.onnx.ml`.

use super::proto::{AttributeProto, GraphProto};
use super::{FLOAT, ML, ValueNames, class_labels, floats, info, int, ints, node, text, texts};
use cipherfn_training::FittedNode;

/// What trees add to a number, or to a chance a class.
pub(super) struct TreeValues<'a> {
    pub(super) trees: &'a [Vec<FittedNode>],
    /// What a leaf adds is this times what it says.
    pub(super) factor: f64,
    /// The number without trees.
    pub(super) base: Option<f64>,
}

/// Adds the operator and its outputs.
pub(super) fn write(
    graph: &mut GraphProto,
    names: &mut ValueNames,
    features: &str,
    values: &TreeValues<'_>,
    labels: Option<&[String]>,
) {
    let TreeValues {
        trees,
        factor,
        base,
    } = *values;
    let mut attributes = nodes(trees);
    // Of a classifier the class, of a regressor the target that a leaf's value adds to.
    let of = if labels.is_some() { "class" } else { "target" };
    let (mut tree_ids, mut node_ids, mut ids, mut weights) =
        <(Vec<_>, Vec<_>, Vec<_>, Vec<_>)>::default();
    for (tree, own) in trees.iter().enumerate() {
        for (place, node) in own.iter().enumerate() {
            let FittedNode::Leaf(values) = node else {
                continue;
            };
            // Of two classes the chance of the second one: ONNX Runtime holds it to a half then, where with
            // both it names the second whenever that has any.
            let is_pair = labels.is_some() && values.len() == 2;
            for (id, value) in values.iter().skip(usize::from(is_pair)).enumerate() {
                tree_ids.push(tree as i64);
                node_ids.push(place as i64);
                ids.push(id as i64);
                weights.push(value * factor);
            }
        }
    }
    attributes.extend([
        ints(&format!("{of}_treeids"), tree_ids),
        ints(&format!("{of}_nodeids"), node_ids),
        ints(&format!("{of}_ids"), ids),
        floats(&format!("{of}_weights"), &weights),
        text("post_transform", "NONE"),
    ]);
    let Some(labels) = labels else {
        attributes.extend([int("n_targets", 1), text("aggregate_function", "SUM")]);
        attributes.extend(base.map(|base| floats("base_values", &[base])));
        let output = names.free("variable");
        let operator = node(
            ML,
            "TreeEnsembleRegressor",
            &[features],
            &[&output],
            attributes,
        );
        graph.node.push(operator);
        graph.output.push(info(&output, FLOAT, Some(1)));
        return;
    };
    let (kind, listed) = class_labels(labels, ["classlabels_int64s", "classlabels_strings"]);
    attributes.push(listed);
    let (label, scores) = (names.free("label"), names.free("probabilities"));
    let outputs = [label.as_str(), &scores];
    let operator = node(
        ML,
        "TreeEnsembleClassifier",
        &[features],
        &outputs,
        attributes,
    );
    graph.node.push(operator);
    graph.output.push(info(&label, kind, None));
    let len = labels.len() as i64;
    graph.output.push(info(&scores, FLOAT, Some(len)));
}

/// Attributes of all nodes.
fn nodes(trees: &[Vec<FittedNode>]) -> Vec<AttributeProto> {
    let all = || {
        let trees = trees.iter().enumerate();
        trees.flat_map(|(tree, nodes)| nodes.iter().enumerate().map(move |node| (tree, node)))
    };
    let integers = |name: &str, value: fn(&FittedNode) -> i64| {
        ints(name, all().map(|(_, (_, node))| value(node)).collect())
    };
    let modes: Vec<String> = all()
        .map(|(_, (_, node))| match node {
            FittedNode::Leaf(_) => "LEAF".into(),
            FittedNode::Split { .. } => "BRANCH_GT".into(),
        })
        .collect();
    let thresholds: Vec<f64> = all()
        .map(|(_, (_, node))| match node {
            FittedNode::Leaf(_) => 0.0,
            FittedNode::Split { threshold, .. } => f64::from(*threshold),
        })
        .collect();
    vec![
        ints(
            "nodes_treeids",
            all().map(|(tree, _)| tree as i64).collect(),
        ),
        ints(
            "nodes_nodeids",
            all().map(|(_, (place, _))| place as i64).collect(),
        ),
        integers("nodes_featureids", |node| match node {
            FittedNode::Leaf(_) => 0,
            FittedNode::Split { column, .. } => i64::from(*column),
        }),
        integers("nodes_missing_value_tracks_true", |node| match node {
            FittedNode::Leaf(_) => 0,
            FittedNode::Split { missing_above, .. } => i64::from(*missing_above),
        }),
        integers("nodes_truenodeids", |node| match node {
            FittedNode::Leaf(_) => 0,
            FittedNode::Split { above, .. } => i64::from(*above),
        }),
        integers("nodes_falsenodeids", |node| match node {
            FittedNode::Leaf(_) => 0,
            FittedNode::Split { below, .. } => i64::from(*below),
        }),
        texts("nodes_modes", &modes),
        floats("nodes_values", &thresholds),
    ]
}
