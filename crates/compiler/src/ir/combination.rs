//! Affine forms in features and in the estimators' results.

use cipherfn_program::ValueId;

/// What a combination is a sum of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Atom {
    /// A target of a tree ensemble.
    Target { estimator: u32, target: u32 },
    /// A function of a linear form.
    LookUp { estimator: u32, entry: u32 },
    /// Whether a point is among the nearest of the row.
    Vote { estimator: u32, point: u32 },
    /// A target of trees over what the server computes.
    Chosen { estimator: u32, target: u32 },
    /// An entry of a value that is computed from the row.
    Feature { value: ValueId, entry: u32 },
}

impl Atom {
    /// The kind of estimator that evaluates it.
    pub(crate) const fn kind(self) -> AtomKind {
        match self {
            Self::Target { .. } => AtomKind::Trees,
            Self::LookUp { .. } => AtomKind::Lookups,
            Self::Vote { .. } => AtomKind::Votes,
            Self::Chosen { .. } => AtomKind::Choices,
            Self::Feature { .. } => AtomKind::Linear,
        }
    }
}

/// Kinds of estimators, in the order of their atoms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum AtomKind {
    Trees,
    Lookups,
    Votes,
    Choices,
    Linear,
}

impl AtomKind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Trees,
        Self::Lookups,
        Self::Votes,
        Self::Choices,
        Self::Linear,
    ];
}

/// `constant + sum of factor * atom`; atoms increase, factors are not zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Combination {
    pub(crate) constant: f64,
    pub(crate) terms: Vec<(Atom, f64)>,
}

impl Combination {
    pub(crate) fn of_constant(constant: f64) -> Self {
        Self {
            constant,
            terms: Vec::new(),
        }
    }

    pub(crate) fn of_atom(atom: Atom, factor: f64) -> Self {
        Self::of_terms(0.0, vec![(atom, factor)])
    }

    pub(crate) fn of_look_up(estimator: u32, entry: u32) -> Self {
        Self::of_atom(Atom::LookUp { estimator, entry }, 1.0)
    }

    /// A combination of terms in any order.
    pub(crate) fn of_terms(constant: f64, mut terms: Vec<(Atom, f64)>) -> Self {
        terms.sort_by_key(|&(atom, _)| atom);
        let mut merged: Vec<(Atom, f64)> = Vec::with_capacity(terms.len());
        for (atom, factor) in terms {
            match merged.last_mut() {
                Some((last, sum)) if *last == atom => *sum += factor,
                _ => merged.push((atom, factor)),
            }
        }
        merged.retain(|&(_, factor)| factor != 0.0);
        Self {
            constant,
            terms: merged,
        }
    }

    pub(crate) fn scaled(&self, factor: f64) -> Self {
        Self::sum([(self, factor)])
    }

    /// Sum of combinations with factors.
    pub(crate) fn sum<'a>(parts: impl IntoIterator<Item = (&'a Self, f64)>) -> Self {
        let mut constant = 0.0;
        let mut terms = Vec::new();
        for (part, factor) in parts {
            constant += part.constant * factor;
            terms.extend(part.terms.iter().map(|&(atom, own)| (atom, own * factor)));
        }
        Self::of_terms(constant, terms)
    }

    pub(crate) fn as_constant(&self) -> Option<f64> {
        self.terms.is_empty().then_some(self.constant)
    }

    /// Terms and constant: what working on it costs.
    pub(crate) fn size(&self) -> usize {
        self.terms.len() + 1
    }
}
