//! The form of each feature by counting: what its bits cost, and the multiplexers that its
//! questions take in each form.
//!
//! The count is that of trees evaluated one by one. Trees also share multiplexers, which only a
//! lowered circuit shows; but no form shares so much more than another that the order of large
//! differences changes.

use super::{Blocks, Form, index_bits};
use crate::families::trees::binned::{BinnedEnsemble, BinnedNode};
use crate::families::trees::bins::BinSet;
use crate::families::trees::diagram::Diagram;
use std::collections::{BTreeMap, HashMap};

/// Microseconds (or what stands for them) that a form's parts cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Prices {
    /// An encrypted bit: its expansion and its bytes.
    pub selector: f64,
    /// A CMUX between ciphertexts.
    pub cmux: f64,
    /// A choice between constants.
    pub scalar: f64,
}

/// The questions of an ensemble, by feature.
pub(crate) struct Rule<'a> {
    ensemble: &'a BinnedEnsemble,
    hides_use: bool,
    features: Vec<Vec<EqualQuestions<'a>>>,
    /// What forms of each feature were found to take.
    counts: Vec<HashMap<Form, Count>>,
}

/// Equal questions of the trees.
struct EqualQuestions<'a> {
    set: &'a BinSet,
    allowed: &'a BinSet,
    /// Whether both answers lead to leaves.
    at_leaves: bool,
    times: u32,
}

/// What a form takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Count {
    selectors: u32,
    cmuxes: u32,
    scalars: u32,
}

impl Count {
    fn price(self, prices: Prices) -> f64 {
        f64::from(self.selectors) * prices.selector
            + f64::from(self.cmuxes) * prices.cmux
            + f64::from(self.scalars) * prices.scalar
    }
}

impl<'a> Rule<'a> {
    /// Collects the questions. `hides_use`: no form may show which split points the trees use.
    pub(crate) fn new(ensemble: &'a BinnedEnsemble, hides_use: bool) -> Self {
        let mut features: Vec<BTreeMap<_, u32>> = vec![BTreeMap::new(); ensemble.bins.len()];
        for tree in &ensemble.trees {
            let is_leaf = |node: u32| matches!(tree.nodes[node as usize], BinnedNode::Leaf(_));
            for node in &tree.nodes {
                let BinnedNode::Split {
                    predicate,
                    allowed,
                    clear,
                    set,
                } = node
                else {
                    continue;
                };
                let predicate = &ensemble.predicates[*predicate as usize];
                let at_leaves = is_leaf(*clear) && is_leaf(*set);
                *features[predicate.quantiser as usize]
                    .entry((&predicate.set, allowed, at_leaves))
                    .or_default() += 1;
            }
        }
        let questions = |counts: BTreeMap<_, u32>| {
            let question = |((set, allowed, at_leaves), times)| EqualQuestions {
                set,
                allowed,
                at_leaves,
                times,
            };
            counts.into_iter().map(question).collect()
        };
        Self {
            ensemble,
            hides_use,
            counts: vec![HashMap::new(); features.len()],
            features: features.into_iter().map(questions).collect(),
        }
    }

    /// For each feature its forms that may be the cheapest, the one that looks cheapest first: the
    /// cheapest blocks, and what needs no choice.
    pub(crate) fn forms(&mut self, prices: Prices) -> Vec<Vec<Form>> {
        (0..self.features.len())
            .map(|feature| self.forms_of(feature, prices))
            .collect()
    }

    /// Multiplexers of the trees, one by one, with these forms: an upper bound on what a lowered
    /// circuit has.
    pub(crate) fn multiplexers(&mut self, forms: &[Form]) -> u64 {
        let count = |(feature, form): (usize, &Form)| {
            let count = self.count(feature, form);
            u64::from(count.cmuxes) + u64::from(count.scalars)
        };
        forms.iter().enumerate().map(count).sum()
    }

    fn forms_of(&mut self, feature: usize, prices: Prices) -> Vec<Form> {
        let bins = self.ensemble.bins[feature];
        let plain = if self.hides_use {
            Form::Blocks(Blocks::uniform(bins, 1, self.ensemble.missing[feature]))
        } else {
            Form::Thermometer
        };
        let plain_bits = self.count(feature, &plain).selectors;
        let blocks: Vec<Blocks> = lengths(bins)
            .map(|longest| self.blocks(feature, longest, prices))
            .filter(|blocks| blocks.bits() < plain_bits)
            .collect();
        let mut priced = |form: Form| (self.count(feature, &form).price(prices), form);
        let mut forms = vec![priced(Form::Index), priced(plain)];
        let blocks = blocks.into_iter().map(Form::Blocks).map(priced);
        forms.extend(blocks.min_by(|a, b| a.0.total_cmp(&b.0)));
        forms.sort_by(|a, b| a.0.total_cmp(&b.0));
        forms.into_iter().map(|(_, form)| form).collect()
    }

    /// The cheapest blocks of at most `longest` bins.
    fn blocks(&self, feature: usize, longest: u32, prices: Prices) -> Blocks {
        let bins = self.ensemble.bins[feature];
        if self.hides_use {
            return Blocks::uniform(bins, longest, self.ensemble.missing[feature]);
        }
        let saved = self.saved(feature, longest, prices);
        Blocks::weighted(bins, longest, &saved, prices.selector)
    }

    /// What it saves to begin a block at each bin, for blocks of at most `longest` bins: the tests
    /// whether a bin is before the block of a question's split point, or after it. They are needed
    /// where such bins may occur at the question.
    fn saved(&self, feature: usize, longest: u32, prices: Prices) -> Vec<f64> {
        let mut saved = vec![0.0; self.ensemble.bins[feature] as usize + 1];
        for question in &self.features[feature] {
            let allowed = question.allowed.ranges();
            let (Some((low, _)), Some((_, high))) = (allowed.first(), allowed.last()) else {
                continue;
            };
            // Where the block begins and ends is not known: in the mean half its length away.
            let beyond = |bins: u32| (f64::from(bins) / f64::from(longest)).min(1.0);
            let changes = question
                .set
                .ranges()
                .iter()
                .flat_map(|(from, to)| [*from, *to]);
            for change in changes.filter(|change| low < change && change < high) {
                let tests = beyond(change - low) + beyond(high - change);
                let own = if question.at_leaves {
                    (tests - 1.0).max(0.0) * prices.cmux + prices.scalar
                } else {
                    tests * prices.cmux
                };
                saved[change as usize] += f64::from(question.times) * own;
            }
        }
        saved
    }

    fn count(&mut self, feature: usize, form: &Form) -> Count {
        if let Some(count) = self.counts[feature].get(form) {
            return *count;
        }
        let count = self.counted(feature, form);
        self.counts[feature].insert(form.clone(), count);
        count
    }

    fn counted(&self, feature: usize, form: &Form) -> Count {
        let bins = self.ensemble.bins[feature];
        let questions = &self.features[feature];
        let mut count = Count {
            selectors: match form {
                Form::Index => index_bits(bins),
                Form::Thermometer => {
                    let pairs = questions.windows(2);
                    let different = pairs.filter(|pair| pair[0].set != pair[1].set);
                    different.count() as u32 + u32::from(!questions.is_empty())
                }
                Form::Blocks(blocks) => blocks.bits(),
            },
            ..Count::default()
        };
        for question in questions {
            let EqualQuestions { set, allowed, .. } = question;
            let (last, others) = match form {
                Form::Index => Diagram::new(set, allowed, index_bits(bins)).tests(),
                Form::Thermometer => (1, 0),
                Form::Blocks(blocks) => blocks.decision(set, allowed, question.at_leaves).tests(),
            };
            let (scalars, cmuxes) = if question.at_leaves {
                (last, others)
            } else {
                (0, last + others)
            };
            count.cmuxes += question.times * cmuxes;
            count.scalars += question.times * scalars;
        }
        count
    }
}

/// Lengths of blocks to try: about half a doubling apart, around the one that has as many blocks.
fn lengths(bins: u32) -> impl Iterator<Item = u32> {
    let even = f64::from(bins).sqrt();
    let length = move |factor: f64| (even * factor).round() as u32;
    let mut lengths: Vec<u32> = [0.18, 0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0]
        .map(length)
        .into_iter()
        .filter(|length| (2..bins).contains(length))
        .collect();
    lengths.dedup();
    lengths.into_iter()
}
