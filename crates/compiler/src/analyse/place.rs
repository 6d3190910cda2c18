//! Where a value lies with respect to the encrypted estimators.

use crate::ir::Combination;
use cipherfn_program::ValueId;
use std::rc::Rc;

/// Where a value lies.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// No output depends on it.
    Unused,
    Constant,
    /// Computed from the columns.
    Before,
    /// One combination of features and targets an entry.
    Affine(Rc<[Combination]>),
    /// Computed from estimators' results.
    Behind {
        /// The first value on the way here that left the affine domain.
        nonlinear: Option<ValueId>,
    },
    /// The row's own values beside estimators' results, as they are: trees that the server evaluates take
    /// both, and nothing else.
    Joined,
}

impl Place {
    pub(super) const fn is_before(&self) -> bool {
        matches!(self, Self::Before)
    }

    /// Whether it is known before any estimator is evaluated.
    pub(super) const fn is_known(&self) -> bool {
        matches!(self, Self::Before | Self::Constant)
    }
}
