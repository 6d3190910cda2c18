//! Votes of nearest points in terms of the whole model: features of the one vector, raw scores.

use super::features::{FeaturePlaces, MAX_WEIGHTS};
use super::lookups::linear_form;
use crate::analyse::place::Place;
use crate::error::CompileError;
use crate::ir::{Atom, AtomKind, Combination, Function, Ir, NearestPoints};
use crate::model::{Estimator, NeighbourModel};
use std::rc::Rc;

/// The points of one ranking, whose votes raw scores are sums of.
pub(super) struct UsedPoints<'s> {
    nearest: NearestPoints,
    scores: &'s [Combination],
    /// One a point: its distance.
    distances: Rc<[Combination]>,
}

impl<'s> UsedPoints<'s> {
    /// Of these scores, one a ranking. Scores have votes of one ranking each, as the lowering sees to, and
    /// those of one ranking are side by side.
    pub(super) fn of(
        ir: &Ir,
        places: &[Place],
        scores: &'s [Combination],
    ) -> Result<Vec<Self>, CompileError> {
        let rankings = scores.chunk_by(|one, other| ranking(one) == ranking(other));
        let own = |scores| Self::of_ranking(ir, places, scores);
        rankings.map(own).collect()
    }

    fn of_ranking(
        ir: &Ir,
        places: &[Place],
        scores: &'s [Combination],
    ) -> Result<Self, CompileError> {
        let mut rankings = scores.iter().filter_map(ranking);
        let call = rankings.next().map(|own| &ir.estimators[own as usize]);
        let call =
            call.ok_or_else(|| CompileError::invalid("the graph", "a score has no votes"))?;
        let Function::Nearest(nearest) = &call.function else {
            return Err(ir.invalid(call.argument, "its votes are of no points"));
        };
        let of_row = |own: &Combination| {
            let mut atoms = own.terms.iter();
            atoms.all(|(atom, _)| atom.kind() == AtomKind::Linear)
        };
        match &places[call.argument.index()] {
            Place::Affine(distances) if distances.iter().all(of_row) => Ok(Self {
                nearest: nearest.clone(),
                scores,
                distances: Rc::clone(distances),
            }),
            _ => Err(ir.unsupported_step(
                &nearest.node,
                "it ranks what is no squared distance of the row from constant points",
                "squared distances of numbers that are computed from the row alone",
            )),
        }
    }

    /// One a point.
    pub(super) fn distances(&self) -> impl Iterator<Item = &Combination> {
        self.distances.iter()
    }

    pub(super) fn placed(&self, places: &FeaturePlaces) -> Result<Estimator, CompileError> {
        let (points, scores) = (self.nearest.points, self.scores);
        let terms: usize = self.distances().map(Combination::size).sum();
        if points.saturating_mul(scores.len()).max(terms) > MAX_WEIGHTS {
            let problem = format!("its points have more than {MAX_WEIGHTS} numbers");
            return Err(CompileError::invalid(&self.nearest.node, problem));
        }
        let weights = |score: &Combination| {
            let mut row = vec![0.0; points];
            for (atom, factor) in &score.terms {
                if let Atom::Vote { point, .. } = atom {
                    row[*point as usize] = *factor;
                }
            }
            row
        };
        Ok(Estimator::Neighbours(NeighbourModel {
            node: self.nearest.node.clone(),
            distances: self
                .distances()
                .map(|form| linear_form(form, places))
                .collect(),
            kept: self.nearest.kept,
            weights: scores.iter().map(weights).collect(),
            bias: scores.iter().map(|score| score.constant).collect(),
        }))
    }
}

/// The estimator whose votes a score is a sum of.
pub(super) fn ranking(score: &Combination) -> Option<u32> {
    score.terms.iter().find_map(|(atom, _)| match atom {
        Atom::Vote { estimator, .. } => Some(*estimator),
        _ => None,
    })
}
