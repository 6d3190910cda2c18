//! Functions of linear forms before the features have their places.

use super::Combination;
use crate::model::PointDistance;
use cipherfn_program::RowProgram;

/// Functions of one linear form of the row each.
#[derive(Clone, Debug)]
pub(crate) struct Lookups {
    /// The step that gives them, for errors.
    pub(crate) node: String,
    /// One form a function.
    pub(crate) forms: Vec<Combination>,
    /// For each function, the distance that its form is of, where it is one.
    pub(crate) distances: Vec<Option<PointDistance>>,
    /// From the forms (one `f64` input) to the functions (one `f64` output), entry by entry.
    pub(crate) functions: RowProgram,
}
