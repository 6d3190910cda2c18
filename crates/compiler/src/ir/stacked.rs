//! Trees over numbers that the server computes, before the features have their places.

use super::Combination;
use crate::model::{NumberComparison, Tree};

/// Trees that ask whether numbers are above thresholds.
#[derive(Clone, Debug)]
pub(crate) struct StackedTrees {
    /// The step that gives them, for errors.
    pub(crate) node: String,
    /// What is compared: each of features alone, or of functions alone.
    pub(crate) numbers: Vec<Combination>,
    /// What is asked.
    pub(crate) comparisons: Vec<NumberComparison>,
    /// Trees whose feature `i` is 1 where comparison `i` holds, else 0.
    pub(crate) trees: Vec<Tree>,
    /// Number of results.
    pub(crate) targets: usize,
}
