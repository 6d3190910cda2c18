//! Tree ensembles: from ONNX attributes to checked trees.

mod arena;
mod classic;
mod flat;

pub(crate) use arena::SourceKind;
pub(crate) use classic::{classifier, regressor};
pub(crate) use flat::ensemble;

use super::range::Range;
use crate::error::CompileError;
use crate::model::{Tree, TreeNode};
use crate::read::onnx::node::Node;

/// Most nodes of all trees of a model, shared subtrees counted as often as they are reached.
pub(crate) const MAX_NODES: usize = 1 << 21;
/// Deepest tree.
pub(crate) const MAX_DEPTH: usize = 1024;

/// What trees are built on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TreeInput {
    pub(crate) kind: SourceKind,
    pub(crate) features: usize,
    /// Nodes that may still be made.
    pub(crate) room: usize,
}

/// Trees whose leaves add to targets; feature indices are entries of the node's input.
#[derive(Clone, Debug)]
pub(crate) struct Ensemble {
    pub(crate) trees: Vec<Tree>,
    pub(crate) targets: usize,
    /// Whether the targets are divided by the number of trees.
    pub(crate) average: bool,
    /// One entry a target, or empty.
    pub(crate) base: Vec<f64>,
    pub(crate) transform: Transform,
    /// Whether some node says where a missing value goes.
    pub(crate) missing: bool,
    /// Split points of each 64-bit feature, where the input is 64-bit floats.
    pub(crate) splits: Vec<(u32, Vec<f64>)>,
}

impl Ensemble {
    /// Smallest and largest sum over the trees of what `weigh` makes of a leaf.
    pub(crate) fn bounds(&self, weigh: impl Fn(&[(u32, f64)]) -> f64) -> Range {
        let of_tree = |tree: &Tree| {
            let leaves = tree.nodes.iter().filter_map(|node| {
                if let TreeNode::Leaf(values) = node {
                    Some(Range::of(weigh(values)))
                } else {
                    None
                }
            });
            leaves.reduce(Range::or).unwrap_or(Range::ALL)
        };
        self.trees
            .iter()
            .map(of_tree)
            .reduce(Range::add)
            .unwrap_or(Range::ALL)
    }
}

/// What is applied to the scores at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transform {
    None,
    Logistic,
    Softmax,
    SoftmaxZero,
    Probit,
}

impl Transform {
    pub(crate) fn of(node: &Node) -> Result<Self, CompileError> {
        match node.text("post_transform", "NONE")?.as_str() {
            "NONE" => Ok(Self::None),
            "LOGISTIC" => Ok(Self::Logistic),
            "SOFTMAX" => Ok(Self::Softmax),
            "SOFTMAX_ZERO" => Ok(Self::SoftmaxZero),
            "PROBIT" => Ok(Self::Probit),
            other => Err(node.invalid(format!(
                "post_transform \"{other}\" is none of NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO, PROBIT"
            ))),
        }
    }
}
