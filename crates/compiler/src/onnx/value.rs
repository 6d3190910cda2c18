//! Values of the graph during partial evaluation.

use super::range::Range;
use super::scores::Scores;
use crate::error::NodeName;
use crate::read::onnx::tensor::Element;
use cipherfn_program::ValueId;
use std::rc::Rc;

/// A value of the graph.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) element: Element,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Data,
    pub(crate) facts: Facts,
}

/// Where a value lies with respect to the estimator.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    /// Computed from the row alone.
    Before(ValueId),
    /// Affine in the estimator's sums.
    Scores(Rc<Scores>),
    /// Computed from the scores.
    After(ValueId),
    /// A sequence of maps from class to value, which only an output can be.
    Map(Box<Value>),
}

/// What is known of a value by construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Every entry lies in it.
    pub(crate) range: Range,
    /// It is the predicted class.
    pub(crate) label: bool,
    /// Names of the classes, one an entry.
    pub(crate) classes: Option<Vec<String>>,
    /// It is the sum of this value's entries, or that plus an indicator that the sum is zero.
    pub(crate) sum_of: Option<ValueId>,
    /// It indicates that the sum of this value's entries is zero.
    pub(crate) guard_of: Option<ValueId>,
    /// It is this value plus an indicator that the value's sum is zero.
    pub(crate) alias: Option<ValueId>,
    /// The node that first left the affine domain on the way here.
    pub(crate) nonlinear: Option<NodeName>,
}
