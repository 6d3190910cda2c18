//! Symmetric trees: one multiplexer a level, all leaves in one polynomial.
//!
//! The table `T(X) = sum over leaves i of leaf_i * X^(i * width)` is rotated by every answer: `v <-
//! answer ? X^(-width * 2^j) v : v`. The leaf that the answers select ends at the constant
//! coefficient. Levels may be taken in any order, and rotation is linear: trees whose outer levels
//! agree share their multiplexers, so the levels form a trie, with the most frequent question
//! outermost.

use crate::families::trees::binned::{BinnedEnsemble, PredicateId, SymmetricTree};
use crate::families::trees::diagram::Diagram;
use crate::families::trees::expression::LeafUnits;
use crate::families::trees::forms::Selectors;
use crate::families::trees::graph::{Addend, GraphBuilder, Polynomial, Sum, Value};
use std::collections::BTreeMap;

/// Trees of fewer levels are not cheaper in this form.
const FEWEST_LEVELS: usize = 3;

/// Whether a tree's table fits a polynomial, with room for all coefficients of a leaf.
pub(crate) fn fits(tree: &SymmetricTree, coefficients: usize, polynomial_size: u32) -> bool {
    tree.levels.len() >= FEWEST_LEVELS
        && tree.leaves.len() * coefficients <= polynomial_size as usize
}

/// Lowers trees, one addend for each number of levels that occurs.
pub(crate) fn lower(
    builder: &mut GraphBuilder,
    ensemble: &BinnedEnsemble,
    selectors: &Selectors<'_>,
    trees: &[&SymmetricTree],
    units: &impl Fn(&[f64]) -> LeafUnits,
    polynomial_size: u32,
) -> Vec<Addend> {
    let mut by_levels: BTreeMap<usize, Vec<Open>> = BTreeMap::new();
    let mut ranges: BTreeMap<usize, Vec<(i64, i64)>> = BTreeMap::new();
    for tree in trees {
        let leaves: Vec<LeafUnits> = tree.leaves.iter().map(|leaf| units(leaf)).collect();
        let levels = tree.levels.len();
        let total = ranges
            .entry(levels)
            .or_insert_with(|| vec![(0, 0); ensemble.coefficients]);
        for (coefficient, range) in total.iter_mut().enumerate() {
            let values = || leaves.iter().map(|leaf| leaf[coefficient]);
            *range = (
                range.0 + values().min().unwrap_or(0),
                range.1 + values().max().unwrap_or(0),
            );
        }
        let rest = tree
            .levels
            .iter()
            .enumerate()
            .map(|(level, predicate)| (*predicate, (levels - 1 - level) as u32))
            .collect();
        by_levels.entry(levels).or_default().push(Open {
            leaves,
            rest,
            order: Vec::new(),
        });
    }
    let mut trie = Trie {
        builder,
        ensemble,
        selectors,
        polynomial_size,
    };
    let total = by_levels
        .into_iter()
        .map(|(levels, open)| trie.sum(open, levels as u32));
    total
        .zip(ranges.into_values())
        .map(|(value, ranges)| Addend { value, ranges })
        .collect()
}

/// A tree some of whose levels have been taken.
struct Open {
    leaves: Vec<LeafUnits>,
    /// Levels left: question, and its bit in the index of a leaf.
    rest: Vec<(PredicateId, u32)>,
    /// Leaf-index bits of the levels taken, outermost first.
    order: Vec<u32>,
}

impl Open {
    /// The table with the outermost level's answer as the most significant bit of the index.
    fn table(&self, width: usize) -> Polynomial {
        let levels = self.order.len();
        let mut table = Polynomial::new();
        for index in 0..self.leaves.len() {
            let leaf: usize = (0..levels)
                .map(|level| (index >> (levels - 1 - level) & 1) << self.order[level])
                .sum();
            for (coefficient, value) in self.leaves[leaf]
                .iter()
                .enumerate()
                .filter(|(_, value)| **value != 0)
            {
                table.insert((index * width + coefficient) as u32, *value);
            }
        }
        table
    }
}

struct Trie<'a> {
    builder: &'a mut GraphBuilder,
    ensemble: &'a BinnedEnsemble,
    selectors: &'a Selectors<'a>,
    polynomial_size: u32,
}

impl Trie<'_> {
    /// The sum of trees that have `levels` levels left each.
    fn sum(&mut self, mut open: Vec<Open>, levels: u32) -> Value {
        let mut sum = Sum::default();
        if levels == 0 {
            for tree in &open {
                GraphBuilder::add(
                    &mut sum,
                    &Value::Constant(tree.table(self.ensemble.coefficients)),
                );
            }
            return self.builder.value(sum);
        }
        let rotation =
            2 * self.polynomial_size - self.ensemble.coefficients as u32 * (1 << (levels - 1));
        while let Some(question) = most_frequent(&open) {
            let (mut taken, rest): (Vec<Open>, Vec<Open>) = open
                .into_iter()
                .partition(|tree| tree.rest.iter().any(|level| level.0 == question));
            open = rest;
            for tree in &mut taken {
                let at = tree
                    .rest
                    .iter()
                    .position(|level| level.0 == question)
                    .expect("it asks the question");
                let (_, bit) = tree.rest.remove(at);
                tree.order.push(bit);
            }
            let no = self.sum(taken, levels - 1);
            let yes = self.builder.rotate(&no, rotation);
            let predicate = &self.ensemble.predicates[question as usize];
            match self.selectors.decision_anywhere(predicate) {
                Diagram::Answer(answer) => {
                    GraphBuilder::add(&mut sum, if answer { &yes } else { &no });
                }
                Diagram::Bit { bit, clear, set } => {
                    let (clear, set) =
                        (self.decide(&clear, &no, &yes), self.decide(&set, &no, &yes));
                    self.builder.add_select(&mut sum, bit, &clear, &set);
                }
            }
        }
        self.builder.value(sum)
    }

    fn decide(&mut self, decision: &Diagram, no: &Value, yes: &Value) -> Value {
        match decision {
            Diagram::Answer(answer) => {
                if *answer {
                    yes.clone()
                } else {
                    no.clone()
                }
            }
            Diagram::Bit { bit, clear, set } => {
                let (clear, set) = (self.decide(clear, no, yes), self.decide(set, no, yes));
                let mut sum = Sum::default();
                self.builder.add_select(&mut sum, *bit, &clear, &set);
                self.builder.value(sum)
            }
        }
    }
}

/// The question that most trees still have to ask, the first of several.
fn most_frequent(open: &[Open]) -> Option<PredicateId> {
    let mut counts: BTreeMap<PredicateId, usize> = BTreeMap::new();
    for tree in open {
        let mut questions: Vec<PredicateId> = tree.rest.iter().map(|level| level.0).collect();
        questions.sort_unstable();
        questions.dedup();
        for question in questions {
            *counts.entry(question).or_default() += 1;
        }
    }
    counts
        .into_iter()
        .max_by_key(|(question, count)| (*count, std::cmp::Reverse(*question)))
        .map(|(question, _)| question)
}
