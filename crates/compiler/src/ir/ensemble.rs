//! Tree ensembles before their targets are placed among a model's raw scores.

use super::Range;
use crate::model::{Tree, TreeNode};

/// Trees whose leaves add to targets; feature indices are entries of the estimator's argument.
#[derive(Clone, Debug)]
pub(crate) struct Ensemble {
    pub(crate) trees: Vec<Tree>,
    pub(crate) targets: usize,
    /// Whether the targets are divided by the number of trees.
    pub(crate) average: bool,
    /// Whether some node says where a missing value goes.
    pub(crate) missing: bool,
    /// Split points of each 64-bit feature, where the input is 64-bit floats.
    pub(crate) splits: Vec<(u32, Vec<f64>)>,
}

impl Ensemble {
    /// Nodes of all trees.
    pub(crate) fn nodes(&self) -> usize {
        self.trees.iter().map(|tree| tree.nodes.len()).sum()
    }

    /// What leaves are multiplied with.
    pub(crate) fn factor(&self) -> f64 {
        if self.average {
            1.0 / self.trees.len() as f64
        } else {
            1.0
        }
    }

    /// All leaves: the targets that they add to, with values.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = &[(u32, f64)]> {
        let nodes = self.trees.iter().flat_map(|tree| &tree.nodes);
        nodes.filter_map(TreeNode::as_leaf)
    }

    /// Smallest and largest sum over the trees of what `weigh` makes of a leaf.
    pub(crate) fn bounds(&self, weigh: impl Fn(&[(u32, f64)]) -> f64) -> Range {
        let of_tree = |tree: &Tree| {
            let leaves = tree.nodes.iter().filter_map(TreeNode::as_leaf);
            let weights = leaves.map(|values| Range::of(weigh(values)));
            weights.reduce(Range::or).unwrap_or(Range::ALL)
        };
        self.trees
            .iter()
            .map(of_tree)
            .reduce(Range::add)
            .unwrap_or(Range::ALL)
    }
}
