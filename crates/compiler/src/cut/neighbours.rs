//! Votes of nearest points in terms of the whole model: features of the one vector, raw scores.

use super::features::{FeaturePlaces, MAX_WEIGHTS};
use super::lookups::linear_form;
use crate::analyse::place::Place;
use crate::error::CompileError;
use crate::ir::{Atom, AtomKind, Combination, Function, Ir, NearestPoints};
use crate::model::{Estimator, NeighbourModel};
use std::rc::Rc;

/// The points whose votes raw scores are sums of.
pub(super) struct UsedPoints {
    nearest: NearestPoints,
    /// One a point: its distance.
    distances: Rc<[Combination]>,
}

impl UsedPoints {
    /// Of these scores, if they have votes: of one ranking, as the lowering sees to.
    pub(super) fn of(
        ir: &Ir,
        places: &[Place],
        scores: &[Combination],
    ) -> Result<Option<Self>, CompileError> {
        let atoms = scores.iter().flat_map(|score| &score.terms);
        let mut calls = atoms.filter_map(|(atom, _)| match atom {
            Atom::Vote { estimator, .. } => Some(&ir.estimators[*estimator as usize]),
            _ => None,
        });
        let Some(call) = calls.next() else {
            return Ok(None);
        };
        let Function::Nearest(nearest) = &call.function else {
            return Err(ir.invalid(call.argument, "its votes are of no points"));
        };
        let of_row = |own: &Combination| {
            let mut atoms = own.terms.iter();
            atoms.all(|(atom, _)| atom.kind() == AtomKind::Linear)
        };
        match &places[call.argument.index()] {
            Place::Affine(distances) if distances.iter().all(of_row) => Ok(Some(Self {
                nearest: nearest.clone(),
                distances: Rc::clone(distances),
            })),
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

    pub(super) fn placed(
        &self,
        scores: &[Combination],
        places: &FeaturePlaces,
    ) -> Result<Estimator, CompileError> {
        let points = self.nearest.points;
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
