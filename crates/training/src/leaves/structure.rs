//! Structures as they come from model files: trees over the features' own numbers.

use serde::{Deserialize, Serialize};

/// Trees whose leaves are to be refitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Structure {
    /// Number of features.
    pub features: usize,
    /// Their names, where the model has names of its own.
    pub names: Option<Vec<String>>,
    /// The trees, arenas as those of [`super::LeafTree`].
    pub trees: Vec<Vec<StructureNode>>,
    /// What their leaves say, where that is not left out.
    pub sum: Option<TreeSum>,
}

/// A number that trees add up to, as those of boosting do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeSum {
    /// What it is without trees.
    pub base: f64,
    /// For each tree what its leaves add, in the order of nodes.
    pub leaves: Vec<Vec<f64>>,
}

/// A node of a tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StructureNode {
    /// Where rows end.
    Leaf,
    /// Asks whether a feature is above a threshold, as 32-bit floats.
    Split {
        /// The feature.
        feature: u32,
        /// The threshold, finite.
        threshold: f32,
        /// Node of values above it.
        above: u32,
        /// Node of the others.
        below: u32,
        /// Whether missing values go where larger ones do.
        missing_above: bool,
    },
}
