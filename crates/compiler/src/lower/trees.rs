//! Tree ensembles: from ONNX attributes to checked trees.

mod arena;
mod classic;
mod flat;

pub(crate) use arena::SourceKind;
pub(crate) use classic::{classifier, regressor};
pub(crate) use flat::ensemble;

use super::transform::Transform;
use crate::ir::Ensemble;

/// Most nodes of all trees of a model, shared subtrees counted as often as they are reached.
pub(crate) const MAX_NODES: usize = 1 << 21;
/// Deepest tree.
const MAX_DEPTH: usize = 1024;

/// What trees are built on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TreeInput {
    pub(crate) kind: SourceKind,
    pub(crate) features: usize,
    /// Nodes that may still be made.
    pub(crate) room: usize,
}

/// A tree ensemble as a node describes it.
pub(crate) struct Described {
    pub(crate) ensemble: Ensemble,
    /// One entry a target, or of another number.
    pub(crate) base: Vec<f64>,
    pub(crate) transform: Transform,
}
