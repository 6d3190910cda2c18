//! Trees that tell the cells of a table apart.

use crate::model::{Test, Tree, TreeNode};

/// A feature of a table.
pub(super) struct TreeFeature {
    /// Its place in the estimator's argument.
    pub(super) feature: u32,
    /// Where its bins end; increasing.
    pub(super) thresholds: Vec<f32>,
    /// Whether missing values have a bin, the last one.
    pub(super) missing: bool,
}

impl TreeFeature {
    fn bins(&self) -> usize {
        self.thresholds.len() + 1 + usize::from(self.missing)
    }
}

/// A balanced tree whose leaves add the cells' entries to the targets from `first` on. What two
/// halves have in common is one leaf.
pub(super) fn of(features: &[&TreeFeature], cells: &[Vec<f64>], first: u32) -> Tree {
    let mut builder = CellTree {
        features,
        cells,
        first,
        nodes: Vec::new(),
    };
    builder.feature(0, 0);
    Tree {
        nodes: builder.nodes,
    }
}

struct CellTree<'a> {
    features: &'a [&'a TreeFeature],
    cells: &'a [Vec<f64>],
    first: u32,
    nodes: Vec<TreeNode>,
}

impl CellTree<'_> {
    /// Asks for the bin of feature `at` and those behind it; `cell` counts the bins before it.
    fn feature(&mut self, at: usize, cell: usize) -> u32 {
        let Some(feature) = self.features.get(at) else {
            let values = (self.first..).zip(self.cells[cell].iter().copied());
            self.nodes.push(TreeNode::Leaf(values.collect()));
            return self.nodes.len() as u32 - 1;
        };
        let last = feature.thresholds.len();
        if !feature.missing {
            return self.bins(at, cell, (0, last + 1));
        }
        // Missing values go with the largest ones, and away from them at the same question, asked
        // again: no value is on both sides.
        let threshold = feature.thresholds.last().copied().unwrap_or(0.0);
        let own = cell * feature.bins();
        self.split(
            (feature.feature, threshold, true),
            |builder| {
                builder.split(
                    (feature.feature, threshold, false),
                    |builder| builder.feature(at + 1, own + last),
                    |builder| builder.feature(at + 1, own + last + 1),
                )
            },
            |builder| builder.bins(at, cell, (0, last.max(1))),
        )
    }

    /// Asks which of some ordinary bins of feature `at` it is.
    fn bins(&mut self, at: usize, cell: usize, (start, end): (usize, usize)) -> u32 {
        let feature = self.features[at];
        if end - start == 1 {
            return self.feature(at + 1, cell * feature.bins() + start);
        }
        let middle = start.midpoint(end);
        self.split(
            (feature.feature, feature.thresholds[middle - 1], false),
            |builder| builder.bins(at, cell, (middle, end)),
            |builder| builder.bins(at, cell, (start, middle)),
        )
    }

    fn split(
        &mut self,
        (feature, threshold, missing_goes_yes): (u32, f32, bool),
        yes: impl FnOnce(&mut Self) -> u32,
        no: impl FnOnce(&mut Self) -> u32,
    ) -> u32 {
        let at = self.nodes.len();
        self.nodes.push(TreeNode::Leaf(Vec::new()));
        let (yes, no) = (yes(self), no(self));
        let leaf = |node: u32| self.nodes[node as usize].as_leaf();
        if leaf(yes).is_some() && leaf(yes) == leaf(no) {
            let leaf = self.nodes.swap_remove(yes as usize);
            self.nodes.truncate(at);
            self.nodes.push(leaf);
        } else {
            self.nodes[at] = TreeNode::Split {
                feature,
                test: Test::Greater(threshold),
                missing_goes_yes,
                yes,
                no,
            };
        }
        at as u32
    }
}
