//! From linked nodes, as a file gives them, to trees in arena form.

use super::features::{FeatureCollector, FeatureId, FeatureView, Vector};
use super::library::{Library, MAX_DEPTH, MAX_NODES, MAX_VALUES, NodePlace, TreePlace};
use crate::error::CompileError;
use crate::model::{Estimator, LinearTrees, Slope, Test, Tree, TreeEnsemble, TreeNode};
use std::collections::BTreeMap;

/// A node as a file gives it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FileNode {
    /// What the leaf adds to which scores, scores increasing.
    Leaf(Vec<(u32, f64)>),
    /// What the leaf adds to which scores, scores increasing, and what features add to that.
    Linear(Vec<(u32, f64)>, Vec<FileSlope>),
    /// `x > threshold`, in 64-bit arithmetic.
    Split {
        feature: FeatureId,
        threshold: f64,
        /// Whether NaN goes where values above the threshold go.
        missing_goes_above: bool,
        above: usize,
        below: usize,
    },
}

/// What a feature adds to a score in a leaf, as [`Slope`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FileSlope {
    pub(crate) score: u32,
    pub(crate) feature: FeatureId,
    pub(crate) weight: f64,
    pub(crate) range: (f64, f64),
}

impl FileNode {
    /// A split that only asks whether the column's value is missing.
    pub(crate) fn missing(
        features: &mut FeatureCollector,
        column: u32,
        missing: usize,
        present: usize,
    ) -> Self {
        Self::Split {
            feature: features.feature(column, FeatureView::IsMissing),
            threshold: 0.5,
            missing_goes_above: false,
            above: missing,
            below: present,
        }
    }
}

/// Collects the trees of one file within the bounds of [`super::library`].
#[derive(Debug)]
pub(crate) struct Forest {
    library: Library,
    trees: Vec<Vec<FileNode>>,
    nodes: usize,
    values: usize,
}

impl Forest {
    pub(crate) const fn new(library: Library) -> Self {
        Self {
            library,
            trees: Vec::new(),
            nodes: 0,
            values: 0,
        }
    }

    /// Adds a tree whose root is node 0. Nodes that it does not reach are left out.
    ///
    /// # Errors
    /// A child that is none of the nodes, a node that is reached twice (a cycle is a case of it), a
    /// leaf or threshold that is not finite, and trees that are too deep or too large.
    pub(crate) fn add(
        &mut self,
        features: &mut FeatureCollector,
        nodes: Vec<FileNode>,
    ) -> Result<(), CompileError> {
        let tree = self.trees.len();
        let library = self.library;
        self.nodes += nodes.len().max(1);
        library.count(TreePlace(tree), self.nodes, MAX_NODES, "nodes up to here")?;
        if nodes.is_empty() {
            return Err(library.invalid(TreePlace(tree), "it has no node"));
        }
        let mut slots: Vec<Option<FileNode>> = nodes.into_iter().map(Some).collect();
        let mut ordered = Vec::new();
        // Where each parent's link to the node stands: its place among the ordered, and the side.
        let mut open = vec![(0, 0, None)];
        while let Some((at, depth, link)) = open.pop() {
            let place = NodePlace { tree, node: at };
            if depth > MAX_DEPTH {
                return Err(
                    library.invalid(place, format!("it lies deeper than {MAX_DEPTH} levels"))
                );
            }
            let mut node = match slots.get_mut(at) {
                Some(slot) => slot.take().ok_or_else(|| {
                    library.invalid(place, "two branches lead to it, or one leads back to it")
                })?,
                None => {
                    return Err(library.invalid(
                        TreePlace(tree),
                        format!("a branch leads to node {at} of {}", slots.len()),
                    ));
                }
            };
            let own = ordered.len();
            match &mut node {
                FileNode::Leaf(values) => self.leaf(place, values, &[])?,
                FileNode::Linear(values, slopes) => self.leaf(place, values, slopes)?,
                FileNode::Split {
                    feature,
                    threshold,
                    above,
                    below,
                    ..
                } => {
                    if !threshold.is_finite() {
                        return Err(library.invalid(place, format!("its threshold is {threshold}")));
                    }
                    features.compare(*feature, *threshold);
                    open.push((*below, depth + 1, Some((own, false))));
                    open.push((*above, depth + 1, Some((own, true))));
                }
            }
            ordered.push(node);
            if let Some((parent, is_above)) = link
                && let Some(FileNode::Split { above, below, .. }) = ordered.get_mut(parent)
            {
                *(if is_above { above } else { below }) = own;
            }
        }
        self.trees.push(ordered);
        Ok(())
    }

    /// Counts and checks the numbers of a leaf.
    fn leaf(
        &mut self,
        place: NodePlace,
        values: &[(u32, f64)],
        slopes: &[FileSlope],
    ) -> Result<(), CompileError> {
        self.values += values.len() + slopes.len();
        self.library
            .count(place, self.values, MAX_VALUES, "leaf values up to here")?;
        let values = values.iter().map(|&(_, value)| ("value", value));
        let weights = slopes.iter().map(|slope| ("coefficient", slope.weight));
        match values.chain(weights).find(|(_, value)| !value.is_finite()) {
            Some((what, value)) => Err(self
                .library
                .invalid(place, format!("its {what} is {value}"))),
            None => Ok(()),
        }
    }

    /// The estimator over the finished feature vector.
    pub(crate) fn finish(self, base: Vec<f64>, vector: &Vector) -> Estimator {
        let slopes: Vec<BTreeMap<u32, Vec<Slope>>> = self
            .trees
            .iter()
            .map(|nodes| slopes(nodes, vector))
            .collect();
        let node = |node| match node {
            FileNode::Leaf(values) | FileNode::Linear(values, _) => TreeNode::Leaf(values),
            FileNode::Split {
                feature,
                threshold,
                missing_goes_above,
                above,
                below,
            } => {
                let (feature, threshold) = vector.place(feature, threshold);
                TreeNode::Split {
                    feature,
                    test: Test::Greater(threshold),
                    missing_goes_yes: missing_goes_above,
                    yes: above as u32,
                    no: below as u32,
                }
            }
        };
        let tree = |nodes: Vec<FileNode>| Tree {
            nodes: nodes.into_iter().map(node).collect(),
        };
        let constants = TreeEnsemble {
            scores: base.len(),
            base,
            trees: self.trees.into_iter().map(tree).collect(),
        };
        if slopes.iter().all(BTreeMap::is_empty) {
            return Estimator::Trees(constants);
        }
        Estimator::LinearTrees(LinearTrees {
            constants,
            slopes,
            inputs: vector.amounts(),
        })
    }
}

/// The slopes of a tree's leaves.
fn slopes(nodes: &[FileNode], vector: &Vector) -> BTreeMap<u32, Vec<Slope>> {
    let slope = |slope: &FileSlope| Slope {
        score: slope.score,
        feature: vector.amount(slope.feature),
        weight: slope.weight,
        range: slope.range,
    };
    let of_node = |(node, own): (u32, &FileNode)| match own {
        FileNode::Linear(_, slopes) if !slopes.is_empty() => {
            Some((node, slopes.iter().map(slope).collect()))
        }
        _ => None,
    };
    (0..).zip(nodes).filter_map(of_node).collect()
}
