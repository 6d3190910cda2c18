//! Which sums the estimators evaluate: the affine values that something behind them asks for.

use super::neighbours::ranking;
use crate::analyse::place::Place;
use crate::ir::{Atom, AtomKind, Combination, Ir};
use cipherfn_program::ValueId;
use std::collections::HashMap;

/// Raw scores, those of one kind of estimators after the other, and how the boundary follows from
/// them.
#[derive(Default)]
pub(crate) struct RawScores {
    /// By kind.
    scores: [Vec<Combination>; AtomKind::ALL.len()],
    /// Raw scores by their terms, divided by the first factor.
    known: HashMap<Vec<(Atom, u64)>, usize>,
    /// Affine values that outputs or values behind the estimators are computed from.
    placed: HashMap<ValueId, Vec<Placed>>,
}

/// A number as `offset` plus raw scores times factors; of each kind at most one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Placed {
    pub(crate) offset: f64,
    /// By kind: which of its raw scores, and the factor.
    pub(crate) parts: [Option<(usize, f64)>; AtomKind::ALL.len()],
}

impl RawScores {
    /// The scores that are asked for.
    pub(crate) fn of(ir: &Ir, places: &[Place]) -> Self {
        let mut scores = Self::default();
        for (index, place) in places.iter().enumerate() {
            if matches!(place, Place::Behind { .. }) {
                for argument in ir.arguments(ValueId(index as u32)) {
                    scores.ask_for(argument, places);
                }
            }
        }
        for output in &ir.outputs {
            scores.ask_for(output.value, places);
        }
        scores.group_votes();
        // A constant model has a score that nothing reads: a reply carries one at least.
        if scores.len() == 0 {
            scores.scores[AtomKind::Linear as usize].push(Combination::of_constant(0.0));
        }
        scores
    }

    /// Puts scores of one ranking's votes side by side, as its estimator has them.
    fn group_votes(&mut self) {
        let kind = AtomKind::Votes as usize;
        let scores = std::mem::take(&mut self.scores[kind]);
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by_key(|score| ranking(&scores[*score]));
        let mut moved = vec![0; scores.len()];
        for (to, from) in order.iter().enumerate() {
            moved[*from] = to;
        }
        self.scores[kind] = order.iter().map(|from| scores[*from].clone()).collect();
        for placed in self.placed.values_mut().flatten() {
            if let Some((score, _)) = &mut placed.parts[kind] {
                *score = moved[*score];
            }
        }
    }

    /// The scores of one kind of estimators.
    pub(crate) fn of_kind(&self, kind: AtomKind) -> &[Combination] {
        &self.scores[kind as usize]
    }

    /// How the entries of an affine value on the boundary follow from the raw scores.
    pub(crate) fn placed(&self, id: ValueId) -> Option<&[Placed]> {
        self.placed.get(&id).map(Vec::as_slice)
    }

    /// Place of a kind's first score among all raw scores.
    pub(crate) fn first(&self, kind: AtomKind) -> usize {
        self.scores[..kind as usize].iter().map(Vec::len).sum()
    }

    /// Number of raw scores.
    pub(crate) fn len(&self) -> usize {
        self.scores.iter().map(Vec::len).sum()
    }

    fn ask_for(&mut self, id: ValueId, places: &[Place]) {
        if let Place::Affine(entries) = &places[id.index()]
            && !self.placed.contains_key(&id)
        {
            let placed = entries.iter().map(|entry| self.place(entry)).collect();
            self.placed.insert(id, placed);
        }
    }

    /// The server evaluates what differs by factor and offset alone once. What sums results of
    /// several kinds of estimators is as many scores: each has precision and encoding of its own.
    fn place(&mut self, combination: &Combination) -> Placed {
        let mut placed = Placed {
            offset: combination.constant,
            ..Placed::default()
        };
        let mut rest = combination.terms.as_slice();
        for kind in AtomKind::ALL {
            let own;
            (own, rest) = rest.split_at(rest.partition_point(|(atom, _)| atom.kind() <= kind));
            placed.parts[kind as usize] = self.raw(kind, own, &mut placed.offset);
        }
        placed
    }

    /// The raw score of these terms among those of their kind, which takes the offset along, and
    /// the factor to it.
    fn raw(
        &mut self,
        kind: AtomKind,
        terms: &[(Atom, f64)],
        offset: &mut f64,
    ) -> Option<(usize, f64)> {
        let &(_, factor) = terms.first()?;
        let scores = &mut self.scores[kind as usize];
        let ratio = |&(atom, own): &(Atom, f64)| (atom, (own / factor).to_bits());
        let next = scores.len();
        let raw = *self
            .known
            .entry(terms.iter().map(ratio).collect())
            .or_insert(next);
        if raw == next {
            scores.push(Combination {
                constant: *offset,
                terms: terms.to_vec(),
            });
        }
        let own = &scores[raw];
        let factor = factor / own.terms.first().map_or(1.0, |&(_, first)| first);
        *offset -= factor * own.constant;
        Some((raw, factor))
    }
}
