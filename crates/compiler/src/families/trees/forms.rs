//! In what form a feature is encrypted: which bits of its bin index, and how they answer the
//! trees' questions.

use crate::families::trees::binned::{BinnedEnsemble, Predicate};
use crate::families::trees::bins::BinSet;
use crate::families::trees::diagram::Diagram;
use cipherfn_protocol::specs::{Predicate as SelectorPredicate, Selector};
use std::collections::BTreeSet;
use std::ops::Range;

mod blocks;
mod rule;

pub(crate) use blocks::Blocks;
pub(crate) use rule::{Prices, Rule};

/// In what form a feature is encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// The bits of the bin index; a comparison is a chain of multiplexers.
    Index,
    /// One bit a predicate of the trees; a comparison is one multiplexer. The bits show which
    /// predicates there are.
    Thermometer,
    /// The bin index in two digits, one thermometer each.
    Blocks(Blocks),
}

impl Form {
    /// The word in reports.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Thermometer => "thermometer",
            Self::Blocks(blocks) if blocks.is_thermometer() => "thermometer",
            Self::Blocks(_) => "blocks",
        }
    }
}

/// Encrypted bits and what they decide.
pub(crate) struct Selectors<'a> {
    list: Vec<Selector>,
    features: Vec<FeatureBits<'a>>,
}

/// A feature's bits.
struct FeatureBits<'a> {
    form: &'a Form,
    bins: u32,
    /// Its first bit.
    first: u32,
    /// Sets of the trees' predicates, sorted.
    used: Vec<&'a BinSet>,
}

impl<'a> Selectors<'a> {
    /// The bits for features in `forms`.
    pub(crate) fn new(ensemble: &'a BinnedEnsemble, forms: &'a [Form]) -> Self {
        let mut used: Vec<BTreeSet<&BinSet>> = vec![BTreeSet::new(); forms.len()];
        for predicate in ensemble.predicates.iter().filter(|own| !own.set.is_empty()) {
            used[predicate.quantiser as usize].insert(&predicate.set);
        }
        let mut list = Vec::new();
        let mut features = Vec::new();
        for (quantiser, (form, used)) in (0..).zip(forms.iter().zip(used)) {
            let feature = FeatureBits {
                form,
                bins: ensemble.bins[quantiser as usize],
                first: list.len() as u32,
                used: used.into_iter().collect(),
            };
            list.extend(feature.predicates().into_iter().map(|predicate| Selector {
                quantiser,
                predicate,
            }));
            features.push(feature);
        }
        Self { list, features }
    }

    /// The bits in order.
    pub(crate) fn list(&self) -> &[Selector] {
        &self.list
    }

    /// The bits of a feature's bin index, the least significant first, where they are encrypted.
    pub(crate) fn index(&self, quantiser: u32) -> Option<Range<u32>> {
        let feature = &self.features[quantiser as usize];
        let bits = index_bits(feature.bins);
        matches!(feature.form, Form::Index).then_some(feature.first..feature.first + bits)
    }

    /// How the bits answer a predicate, for bins in `allowed`; other bins may be answered either
    /// way. `at_leaves` says that both answers lead to constants. The diagram's tests name
    /// selectors.
    pub(crate) fn decision(
        &self,
        predicate: &Predicate,
        allowed: &BinSet,
        at_leaves: bool,
    ) -> Diagram {
        let feature = &self.features[predicate.quantiser as usize];
        let mut decision = feature.decision(&predicate.set, allowed, at_leaves);
        decision.shift(feature.first);
        decision
    }

    /// The same where any bin of the feature may occur.
    pub(crate) fn decision_anywhere(&self, predicate: &Predicate) -> Diagram {
        let bins = self.features[predicate.quantiser as usize].bins;
        self.decision(predicate, &BinSet::range(0, bins), false)
    }
}

impl FeatureBits<'_> {
    fn predicates(&self) -> Vec<SelectorPredicate> {
        let within = |set: &BinSet| SelectorPredicate::Within(set.ranges().to_vec());
        match self.form {
            Form::Index => (0..index_bits(self.bins))
                .map(SelectorPredicate::Bit)
                .collect(),
            Form::Thermometer => self.used.iter().map(|set| within(set)).collect(),
            Form::Blocks(blocks) => blocks.sets().iter().map(within).collect(),
        }
    }

    fn decision(&self, set: &BinSet, allowed: &BinSet, at_leaves: bool) -> Diagram {
        match self.form {
            Form::Index => Diagram::new(set, allowed, index_bits(self.bins)),
            Form::Thermometer if set.is_empty() => Diagram::Answer(false),
            Form::Thermometer => {
                let bit = self.used.binary_search(&set);
                Diagram::test(bit.expect("the set of a predicate") as u32)
            }
            Form::Blocks(blocks) => blocks.decision(set, allowed, at_leaves),
        }
    }
}

/// Bits of an index of `bins` bins.
pub(crate) const fn index_bits(bins: u32) -> u32 {
    u32::BITS - (bins - 1).leading_zeros()
}
