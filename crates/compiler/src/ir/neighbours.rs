//! Nearest neighbours before the features have their places.

use cipherfn_program::ValueId;

/// Which points are nearest to the row: those with the smallest numbers, one number a point.
#[derive(Clone, Debug)]
pub(crate) struct NearestPoints {
    /// The node that ranks them, for errors.
    pub(crate) node: String,
    /// Number of points.
    pub(crate) points: usize,
    /// How many are nearest.
    pub(crate) kept: usize,
}

/// A ranking whose result, the places of the nearest points, no server gives away: what is a sum
/// over the nearest of a function of the place becomes a sum over all points of votes.
#[derive(Clone, Debug)]
pub(crate) struct RankedPoints {
    /// The node that ranks them, for errors.
    pub(crate) node: String,
    /// Number of points.
    pub(crate) points: usize,
    /// How many are nearest.
    pub(crate) kept: usize,
    /// Stands for the places of the nearest points, in any order. Nothing that depends on it is
    /// evaluated.
    pub(crate) places: ValueId,
    /// Stands for their distances.
    pub(crate) distances: ValueId,
    /// One number a point: 1 if it is among the nearest, else 0.
    pub(crate) votes: ValueId,
    /// Entries that went into functions of its points so far.
    pub(crate) work: usize,
}
