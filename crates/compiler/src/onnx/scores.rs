//! Values that are affine in the estimator's sums.

mod apply;

pub(crate) use apply::{Argument, OPERATORS, apply};

use crate::error::CompileError;
use crate::read::onnx::node::Node;
use cipherfn_program::{Tensor, ValueId};

/// Most terms of all combinations of one value.
const MAX_TERMS: usize = 1 << 21;

/// What a score is a sum of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Atom {
    /// An entry of a value before the estimator.
    Feature { value: ValueId, entry: u32 },
    /// A target of a tree ensemble.
    Target { ensemble: u32, target: u32 },
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

    pub(crate) fn of_atom(atom: Atom) -> Self {
        Self {
            constant: 0.0,
            terms: vec![(atom, 1.0)],
        }
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
        Self::of_terms(
            self.constant * factor,
            self.terms
                .iter()
                .map(|&(atom, own)| (atom, own * factor))
                .collect(),
        )
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self::of_terms(
            self.constant + other.constant,
            self.terms.iter().chain(&other.terms).copied().collect(),
        )
    }

    fn sum<'a>(parts: impl Iterator<Item = (&'a Self, f64)>) -> Self {
        let mut constant = 0.0;
        let mut terms = Vec::new();
        for (part, factor) in parts {
            constant += part.constant * factor;
            terms.extend(part.terms.iter().map(|&(atom, own)| (atom, own * factor)));
        }
        Self::of_terms(constant, terms)
    }

    /// Whether it adds features and targets of trees.
    pub(crate) fn is_mixed(&self) -> bool {
        // Atoms increase, and features come first.
        let ends = self.terms.first().zip(self.terms.last());
        matches!(
            ends,
            Some(((Atom::Feature { .. }, _), (Atom::Target { .. }, _)))
        )
    }

    pub(crate) fn as_constant(&self) -> Option<f64> {
        self.terms.is_empty().then_some(self.constant)
    }
}

/// A tensor of combinations.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scores {
    pub(crate) shape: Vec<usize>,
    pub(crate) entries: Vec<Combination>,
}

impl Scores {
    pub(crate) fn of_constant(shape: &[usize], value: &Tensor) -> Option<Self> {
        let entries = value
            .to_f64()?
            .into_iter()
            .map(Combination::of_constant)
            .collect();
        Some(Self {
            shape: shape.to_vec(),
            entries,
        })
    }

    /// Terms and constants of all entries: what working on them costs.
    pub(crate) fn size(&self) -> usize {
        self.entries.iter().map(|entry| entry.terms.len() + 1).sum()
    }

    fn map(&self, f: impl Fn(&Combination) -> Combination) -> Self {
        Self {
            shape: self.shape.clone(),
            entries: self.entries.iter().map(f).collect(),
        }
    }

    fn constants(&self) -> Option<Vec<f64>> {
        self.entries.iter().map(Combination::as_constant).collect()
    }

    /// The entries at these places.
    fn take(&self, node: &Node, shape: Vec<usize>, places: &[u32]) -> Result<Self, CompileError> {
        let terms: usize = places
            .iter()
            .map(|&place| self.entries[place as usize].terms.len())
            .sum();
        if terms > MAX_TERMS {
            return Err(node.invalid(format!("its result has more than {MAX_TERMS} weights")));
        }
        Ok(Self {
            shape,
            entries: places
                .iter()
                .map(|&place| self.entries[place as usize].clone())
                .collect(),
        })
    }
}
