//! Steps: values that are kept in memory.

use crate::polynomial::Sparse;
use cipherfn_circuit::circuit::{Carrier, ConstantId, NodeId, SelectorId, Turn};
use cipherfn_protocol::specs::Gadget;

/// A value that is kept.
#[derive(Debug)]
pub(crate) enum ProgramStep {
    /// Of earlier steps and selectors.
    Sum(SumStep),
    /// Of a feature vector: the node that says the weights.
    Product(NodeId),
    /// A part of a look-up.
    Turn(TurnStep),
    /// A sum of earlier steps times integers.
    Combination(CombinationStep),
    /// Coefficients of earlier steps.
    Pack(PackStep),
    /// A table at a coefficient of an earlier step.
    Bootstrap(BootstrapStep),
    /// One of two values, as a coefficient of an earlier step says.
    Choice(ChoiceStep),
    /// An encrypted value or table.
    Carrier(Carrier),
}

/// `linear + sum of externals`.
#[derive(Debug, Default)]
pub(crate) struct SumStep {
    pub(crate) linear: Form,
    pub(crate) externals: Vec<External>,
}

/// The turns of a look-up by the selectors of one group, so that all look-ups advance together over
/// few selectors.
#[derive(Debug)]
pub(crate) struct TurnStep {
    pub(crate) start: Start,
    /// In the order of selectors.
    pub(crate) turns: Vec<Turn>,
    /// Whether these are the look-up's last turns. Until then its value is in the form in which it
    /// turns.
    pub(crate) last: bool,
}

/// What is turned.
#[derive(Clone, Debug)]
pub(crate) enum Start {
    /// A table, times a monomial.
    Table(ConstantId, u32),
    /// A plaintext and an earlier step.
    Value(Sparse, Option<Term>),
    /// The step of the group before, which nothing else reads.
    Step(u32),
}

/// `sum of weight * X^rotation * step`.
#[derive(Debug)]
pub(crate) struct CombinationStep(pub(crate) Vec<Factor>);

/// An integer times a term.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factor {
    pub(crate) term: Term,
    /// Below 2^53.
    pub(crate) weight: f64,
}

/// The coefficients of each term that there is at multiples of 2^`levels`.
#[derive(Debug)]
pub(crate) struct PackStep {
    pub(crate) levels: u32,
    pub(crate) items: Vec<Option<Term>>,
}

/// The constant coefficient of a term, plus a constant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NumberTerm {
    pub(crate) of: Term,
    pub(crate) constant: u64,
}

/// The table's entry at a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BootstrapStep {
    pub(crate) number: NumberTerm,
    pub(crate) table: ConstantId,
}

/// `clear + selector (.) (difference + constant)`, with the selector of a number that is not negative.
#[derive(Debug)]
pub(crate) struct ChoiceStep {
    pub(crate) number: NumberTerm,
    pub(crate) gadget: Gadget,
    pub(crate) clear: Option<Term>,
    /// Has no rows.
    pub(crate) difference: Form,
    pub(crate) constant: Sparse,
}

/// `terms + rows`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form {
    pub(crate) terms: Vec<Term>,
    pub(crate) rows: Vec<RowTerm>,
}

/// `X^rotation * step`, rotation < 2N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) step: u32,
    pub(crate) rotation: u32,
}

/// `selector (.) plaintext`.
#[derive(Clone, Debug)]
pub(crate) struct RowTerm {
    pub(crate) selector: SelectorId,
    pub(crate) plaintext: Sparse,
}

/// The external product `selector (.) (difference + constant)`.
#[derive(Clone, Debug)]
pub(crate) struct External {
    pub(crate) selector: SelectorId,
    pub(crate) difference: Form,
    pub(crate) constant: Sparse,
}

impl ProgramStep {
    /// The forms that a step reads, those of its external products last.
    pub(crate) fn forms(&self) -> impl Iterator<Item = &Form> {
        let sum = match self {
            Self::Sum(sum) => Some(sum),
            _ => None,
        };
        sum.into_iter().flat_map(|sum| {
            std::iter::once(&sum.linear)
                .chain(sum.externals.iter().map(|external| &external.difference))
        })
    }

    /// Its external products.
    pub(crate) fn externals(&self) -> &[External] {
        match self {
            Self::Sum(sum) => &sum.externals,
            _ => &[],
        }
    }

    /// Its turns.
    pub(crate) fn turns(&self) -> &[Turn] {
        match self {
            Self::Turn(step) => &step.turns,
            _ => &[],
        }
    }

    /// The step whose value it goes on with, in the same memory.
    pub(crate) const fn continues(&self) -> Option<u32> {
        match self {
            Self::Turn(TurnStep {
                start: Start::Step(step),
                ..
            }) => Some(*step),
            _ => None,
        }
    }

    /// Values that it packs.
    pub(crate) const fn packed(&self) -> usize {
        match self {
            Self::Pack(pack) => pack.items.len(),
            _ => 0,
        }
    }

    /// The terms that it reads.
    pub(crate) fn terms(&self) -> impl Iterator<Item = Term> {
        let factors = match self {
            Self::Combination(CombinationStep(factors)) => factors.as_slice(),
            _ => &[],
        };
        let items = match self {
            Self::Pack(pack) => pack.items.as_slice(),
            _ => &[],
        };
        let other = match self {
            Self::Bootstrap(step) => Some(step.number.of),
            Self::Choice(step) => Some(step.number.of),
            Self::Turn(TurnStep {
                start: Start::Value(_, term),
                ..
            }) => *term,
            _ => None,
        };
        let (clear, difference) = match self {
            Self::Choice(step) => (step.clear, step.difference.terms.as_slice()),
            _ => (None, &[][..]),
        };
        let forms = self.forms().flat_map(|form| form.terms.iter().copied());
        forms
            .chain(clear)
            .chain(difference.iter().copied())
            .chain(self.continues().map(Term::of))
            .chain(other)
            .chain(factors.iter().map(|factor| factor.term))
            .chain(items.iter().flatten().copied())
    }
}

impl External {
    pub(super) const fn zero(selector: SelectorId) -> Self {
        Self {
            selector,
            difference: Form {
                terms: Vec::new(),
                rows: Vec::new(),
            },
            constant: Sparse::zero(),
        }
    }
}

impl Form {
    pub(crate) fn is_empty(&self) -> bool {
        self.terms.is_empty() && self.rows.is_empty()
    }
}

impl Term {
    /// A step as it is.
    pub(crate) const fn of(step: u32) -> Self {
        Self { step, rotation: 0 }
    }
}
