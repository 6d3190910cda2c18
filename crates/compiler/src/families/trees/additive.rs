//! Trees over one feature each: all of a feature's trees are one table of its bins.
//!
//! Whatever boosted stumps or other trees of one feature add up to is a function of its bin. The
//! table `T(X) = sum over bins b of value_b * X^(b * width)` is turned by the bits of the bin index:
//! `v <- bit j ? X^(-width * 2^j) v : v`, one multiplexer a bit however many trees and split points
//! there are, the first of them a choice between constants. The row's bin ends at coefficient 0.

use crate::families::trees::binned::{BinnedEnsemble, BinnedNode, BinnedTree};
use crate::families::trees::bins::BinSet;
use crate::families::trees::expression::LeafUnits;
use crate::families::trees::forms::Selectors;
use crate::families::trees::graph::{Addend, GraphBuilder, Polynomial, Ranges, Sum, Value};
use std::collections::BTreeMap;

/// Whether every tree asks about one feature, or nothing, and leaves are constants.
pub(crate) fn is_additive(ensemble: &BinnedEnsemble) -> bool {
    let mut trees = ensemble.trees.iter();
    !ensemble.layout.is_linear() && trees.all(|tree| is_of_one(ensemble, tree))
}

/// Whether a tree asks about one feature, or nothing.
pub(crate) fn is_of_one(ensemble: &BinnedEnsemble, tree: &BinnedTree) -> bool {
    let mut features = features(ensemble, tree);
    let first = features.next();
    features.all(|other| Some(other) == first)
}

/// The feature whose table a tree belongs to: the only one that it asks about, if the index of its
/// bin is encrypted and a polynomial has room for all of its bins.
pub(crate) fn feature(
    ensemble: &BinnedEnsemble,
    tree: &BinnedTree,
    selectors: &Selectors<'_>,
    polynomial_size: u32,
) -> Option<u32> {
    let mut features = features(ensemble, tree);
    let first = features.next()?;
    let bins = ensemble.bins[first as usize] as usize;
    let fits = bins * ensemble.coefficients <= polynomial_size as usize;
    let is_table = fits
        && !ensemble.layout.is_linear()
        && selectors.index(first).is_some()
        && features.all(|other| other == first);
    is_table.then_some(first)
}

/// Lowers trees, each with its [`feature`]: one addend a feature.
pub(crate) fn lower(
    builder: &mut GraphBuilder,
    ensemble: &BinnedEnsemble,
    selectors: &Selectors<'_>,
    trees: &[(u32, &BinnedTree)],
    units: &impl Fn(&[f64]) -> LeafUnits,
    polynomial_size: u32,
) -> Vec<Addend> {
    let mut tables: BTreeMap<u32, Table> = BTreeMap::new();
    for (feature, tree) in trees {
        let bins = ensemble.bins[*feature as usize];
        let table = tables
            .entry(*feature)
            .or_insert_with(|| Table::new(bins, ensemble.coefficients));
        let root = tree.nodes.len() - 1;
        table.add(ensemble, tree, root, &BinSet::range(0, bins), units);
    }
    let tables = tables.into_iter().filter_map(|(feature, table)| {
        let bits = selectors.index(feature)?;
        let values = table.values();
        let width = ensemble.coefficients as u32;
        let mut value = Value::Constant(polynomial(&values));
        for (place, bit) in bits.enumerate() {
            let turned = builder.rotate(&value, 2 * polynomial_size - (width << place));
            let mut sum = Sum::default();
            builder.add_select(&mut sum, bit, &value, &turned);
            value = builder.value(sum);
        }
        Some(Addend {
            value,
            ranges: ranges(&values, ensemble.coefficients),
        })
    });
    tables.collect()
}

/// The features of a tree's questions.
pub(crate) fn features<'a>(
    ensemble: &'a BinnedEnsemble,
    tree: &'a BinnedTree,
) -> impl Iterator<Item = u32> + 'a {
    tree.nodes.iter().filter_map(move |node| match node {
        BinnedNode::Leaf(_) => None,
        BinnedNode::Split { predicate, .. } => {
            Some(ensemble.predicates[*predicate as usize].quantiser)
        }
    })
}

/// By how much each number changes from a bin to the next: a leaf changes two entries, whatever
/// the number of bins between them. Tables are made anew for every shape that a search looks at.
struct Table {
    bins: u32,
    changes: Vec<LeafUnits>,
}

impl Table {
    fn new(bins: u32, coefficients: usize) -> Self {
        Self {
            bins,
            changes: vec![vec![0; coefficients]; bins as usize + 1],
        }
    }

    /// Adds the sub-tree at `node`, which `reaching` bins lead to.
    fn add(
        &mut self,
        ensemble: &BinnedEnsemble,
        tree: &BinnedTree,
        node: usize,
        reaching: &BinSet,
        units: &impl Fn(&[f64]) -> LeafUnits,
    ) {
        match &tree.nodes[node] {
            BinnedNode::Leaf(values) => {
                let values = units(values);
                for (from, to) in reaching.ranges() {
                    for (coefficient, value) in values.iter().enumerate() {
                        self.changes[*from as usize][coefficient] += value;
                        self.changes[*to as usize][coefficient] -= value;
                    }
                }
            }
            BinnedNode::Split {
                predicate,
                clear,
                set,
                ..
            } => {
                let inside = &ensemble.predicates[*predicate as usize].set;
                let outside = inside.complement(self.bins);
                for (child, bins) in [(*clear, &outside), (*set, inside)] {
                    let reaching = reaching.intersection(bins);
                    self.add(ensemble, tree, child as usize, &reaching, units);
                }
            }
        }
    }

    /// The numbers of each bin.
    fn values(self) -> Vec<LeafUnits> {
        let mut values = self.changes;
        values.truncate(self.bins as usize);
        for bin in 1..values.len() {
            let (before, from) = values.split_at_mut(bin);
            for (value, before) in from[0].iter_mut().zip(&before[bin - 1]) {
                *value += before;
            }
        }
        values
    }
}

/// The numbers of a bin side by side, bin after bin.
pub(crate) fn polynomial(values: &[LeafUnits]) -> Polynomial {
    let values = (0..).zip(values.iter().flatten());
    values
        .filter(|(_, value)| **value != 0)
        .map(|(position, value)| (position, *value))
        .collect()
}

/// Smallest and largest number of any bin.
fn ranges(values: &[LeafUnits], coefficients: usize) -> Ranges {
    let of = |coefficient: usize| {
        let own = || values.iter().map(|bin| bin[coefficient]);
        (own().min().unwrap_or(0), own().max().unwrap_or(0))
    };
    (0..coefficients).map(of).collect()
}
