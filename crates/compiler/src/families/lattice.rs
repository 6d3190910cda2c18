//! Scores that are multiples of one number.
//!
//! A forest of trees that were grown to the end votes: every leaf adds 0 or 1/100. Where the error
//! of a result is below half of that, rounding to a vote removes all of it, and a tie is a tie
//! again, which its label depends on.

use crate::model::{Estimator, TreeEnsemble, TreeNode};
use cipherfn_protocol::specs::{ScoreDecoding, ScoreUnits};

#[cfg(test)]
mod tests;

/// The numbers whose multiples all values of a score are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lattice {
    /// Distance of two of them.
    pub spacing: f64,
    /// How far from them a score may be, in score units: the leaves' rounding to float32.
    pub drift: f64,
    /// Difference of the largest and the smallest score.
    pub range: f64,
}

/// Largest distance of a leaf from a multiple, in parts of the leaf: float32 rounding, nothing more.
const TOLERANCE: f64 = 1.0 / (1 << 20) as f64;

/// Parts of the smallest leaf that the spacing is looked for among.
const MOST_PARTS: u32 = 12;

/// Error of a result before it is rounded, as a part of its precision ([`ScoreDecoding`]'s step is
/// this error, and the precision one and a half of it).
const UNROUNDED: f64 = 2.0 / 3.0;

impl Lattice {
    /// Of each score of an estimator: one spacing for all of them, so that a tie of two classes is
    /// the same number twice.
    pub(crate) fn of(estimator: &Estimator) -> Vec<Option<Self>> {
        let found = match estimator {
            Estimator::Trees(trees) => spacing(trees).map(|spacing| {
                let scores = drifts(trees, spacing).into_iter().zip(trees.ranges());
                let lattice = |(drift, range)| Self {
                    spacing,
                    drift,
                    range,
                };
                scores.map(lattice).map(Some).collect()
            }),
            Estimator::Linear(_)
            | Estimator::LinearTrees(_)
            | Estimator::Lookups(_)
            | Estimator::Layers(_)
            | Estimator::Neighbours(_)
            | Estimator::Stacked(_) => None,
        };
        found.unwrap_or_else(|| vec![None; estimator.scores()])
    }

    /// Bits of the range with which rounding to the lattice gives the score itself.
    pub(crate) fn bits(&self) -> f64 {
        // A twentieth more, for the rounding of leaves on the way.
        (self.range * UNROUNDED / (self.spacing / 2.0)).log2() + 0.05
    }

    /// Rounds to the lattice, if that gives the score itself and tells no more than before.
    pub(crate) fn snap(&self, score: &mut ScoreDecoding) -> bool {
        let (step, precision) = (score.step.get(), score.precision.get());
        let error = precision - step / 2.0 + self.drift;
        let is_finer = step > 0.0 && step <= self.spacing;
        let snaps = is_finer && error < self.spacing / 2.0;
        if snaps {
            score.step = ScoreUnits::new(self.spacing);
            score.precision = ScoreUnits::new(self.drift + self.range * TOLERANCE);
        }
        snaps
    }
}

/// The number whose multiples all leaves and bases are.
fn spacing(trees: &TreeEnsemble) -> Option<f64> {
    let leaves = || {
        let nodes = trees.trees.iter().flat_map(|tree| &tree.nodes);
        let values = nodes.filter_map(TreeNode::as_leaf).flatten();
        values
            .map(|(_, value)| *value)
            .filter(|value| *value != 0.0)
    };
    let smallest = leaves().map(f64::abs).min_by(f64::total_cmp)?;
    let fits = |spacing: f64| {
        let mut values = leaves().chain(trees.base.iter().copied());
        values.all(|value| distance(value, spacing) <= TOLERANCE * value.abs())
    };
    (1..=MOST_PARTS)
        .map(|parts| simple(smallest / f64::from(parts)))
        .find(|spacing| fits(*spacing))
}

/// How far each score may be from a multiple.
fn drifts(trees: &TreeEnsemble, spacing: f64) -> Vec<f64> {
    let bases = trees.base.iter();
    let mut drifts: Vec<f64> = bases.map(|base| distance(*base, spacing)).collect();
    for tree in &trees.trees {
        let mut own = vec![0.0_f64; trees.scores];
        for (score, value) in tree.nodes.iter().filter_map(TreeNode::as_leaf).flatten() {
            let own = &mut own[*score as usize];
            *own = own.max(distance(*value, spacing));
        }
        for (drift, own) in drifts.iter_mut().zip(own) {
            *drift += own;
        }
    }
    drifts
}

/// From the next multiple of `spacing`.
fn distance(value: f64, spacing: f64) -> f64 {
    (value - (value / spacing).round() * spacing).abs()
}

/// 1/100 for the float32 next to it: what is a tie in the library has to be one here.
fn simple(spacing: f64) -> f64 {
    let parts = (1.0 / spacing).round();
    let simple = 1.0 / parts;
    if parts >= 1.0 && (simple - spacing).abs() <= TOLERANCE * spacing {
        simple
    } else {
        spacing
    }
}
