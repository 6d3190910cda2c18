//! Squared distances of a value from fixed points.

use cipherfn_program::ValueId;

/// Squared distances, as a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SquaredDistances {
    /// One entry a point.
    pub(crate) value: ValueId,
    /// What is so far away from the points: the client squares it.
    pub(crate) row: ValueId,
}
