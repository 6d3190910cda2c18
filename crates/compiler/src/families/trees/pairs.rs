//! Trees over two features that are tables of both features' bins: interactions of explainable
//! boosting machines.
//!
//! All trees over a hub `a` and another feature `b` are one table. Its entries stand in polynomials,
//! the bins of `a` side by side for each bin of `b`:
//!
//! ```text
//! T_b(X) = sum over bins i of a, j of b of value_ij * X^((j * bins of a + i) * width)
//! ```
//!
//! Where one polynomial has no room for all bins of `b`, the highest bits of its index choose among
//! several, a choice between constants. The other bits of `b` turn the chosen one; then the sum over
//! all `b` is turned by the bits of `a`, once for them all, as turning is linear. So a table costs a
//! multiplexer a bit of one of its features, and a hub one a bit for all its tables.

use crate::families::trees::additive::{self, features, polynomial};
use crate::families::trees::binned::{BinnedEnsemble, BinnedNode, BinnedTree};
use crate::families::trees::expression::LeafUnits;
use crate::families::trees::forms::{Selectors, index_bits};
use crate::families::trees::graph::{Addend, GraphBuilder, Ranges, Sum, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Most bits of the index that choose among polynomials: 64 x 64 bins of 30 scores take all of them,
/// those of one score a single one.
const MAX_CHOICES: u32 = 6;

/// Two features, the smaller index first.
pub(crate) type Pair = (u32, u32);

/// The two features that a tree asks about, and no others, if it has too many leaves to be evaluated
/// question by question, and not too many for a table.
fn pair_of(ensemble: &BinnedEnsemble, tree: &BinnedTree, polynomial_size: u32) -> Option<Pair> {
    let asked: BTreeSet<u32> = features(ensemble, tree).collect();
    let [first, second] = asked.into_iter().collect::<Vec<u32>>()[..] else {
        return None;
    };
    let [small, large] = {
        let mut bins = [first, second].map(|feature| ensemble.bins[feature as usize]);
        bins.sort_unstable();
        bins
    };
    let row = small as usize * ensemble.coefficients;
    let room = polynomial_size as usize / row.max(1);
    let fits = room > 0 && index_bits(large) <= room.ilog2() + MAX_CHOICES;
    let leaves = tree.leaves().count() as u32;
    let is_dense = leaves > index_bits(small) + index_bits(large);
    (fits && is_dense && !ensemble.layout.is_linear()).then_some((first, second))
}

/// Whether every tree is a table of one or two features, some of two.
pub(crate) fn is_tabular(ensemble: &BinnedEnsemble, polynomial_size: u32) -> bool {
    let mut pairs = 0;
    let all = ensemble.trees.iter().all(|tree| {
        let is_pair = pair_of(ensemble, tree, polynomial_size).is_some();
        pairs += usize::from(is_pair);
        is_pair || additive::is_of_one(ensemble, tree)
    });
    all && pairs > 0
}

/// The features whose table a tree belongs to, if the indices of both bins are encrypted.
pub(crate) fn pair(
    ensemble: &BinnedEnsemble,
    tree: &BinnedTree,
    selectors: &Selectors<'_>,
    polynomial_size: u32,
) -> Option<Pair> {
    let (first, second) = pair_of(ensemble, tree, polynomial_size)?;
    let is_index = |feature| selectors.index(feature).is_some();
    (is_index(first) && is_index(second)).then_some((first, second))
}

/// Lowers trees, each with its [`pair`]: one addend a hub.
pub(crate) fn lower(
    builder: &mut GraphBuilder,
    ensemble: &BinnedEnsemble,
    selectors: &Selectors<'_>,
    trees: &[(Pair, &BinnedTree)],
    units: &impl Fn(&[f64]) -> LeafUnits,
    polynomial_size: u32,
) -> Vec<Addend> {
    let mut by_pair: BTreeMap<Pair, Vec<&BinnedTree>> = BTreeMap::new();
    for (pair, tree) in trees {
        by_pair.entry(*pair).or_default().push(tree);
    }
    let hubs = hubs(ensemble, by_pair.keys().copied().collect());
    let mut lowering = PairLowering {
        builder,
        ensemble,
        selectors,
        polynomial_size,
    };
    let hubs = hubs.into_iter().filter_map(|(hub, others)| {
        let tables = others.into_iter().map(|other| {
            let trees = &by_pair[&(hub.min(other), hub.max(other))];
            (other, PairTable::new(ensemble, (hub, other), trees, units))
        });
        lowering.hub(hub, &tables.collect::<Vec<_>>())
    });
    hubs.collect()
}

/// Hubs, each with the other features of its tables: again and again the feature that most of the
/// tables left have in common, of several the one of most bins, so that as few bits as possible turn
/// single tables.
fn hubs(ensemble: &BinnedEnsemble, mut left: Vec<Pair>) -> Vec<(u32, Vec<u32>)> {
    let mut hubs = Vec::new();
    while !left.is_empty() {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for feature in left.iter().flat_map(|(first, second)| [*first, *second]) {
            *counts.entry(feature).or_default() += 1;
        }
        let order = |(feature, count): &(u32, usize)| {
            let bins = ensemble.bins[*feature as usize];
            (*count, bins, std::cmp::Reverse(*feature))
        };
        let Some((hub, _)) = counts.into_iter().max_by_key(order) else {
            break;
        };
        let is_own = |pair: &Pair| pair.0 == hub || pair.1 == hub;
        let (own, rest): (Vec<Pair>, Vec<Pair>) = left.into_iter().partition(is_own);
        let other = |(first, second): Pair| if first == hub { second } else { first };
        hubs.push((hub, own.into_iter().map(other).collect()));
        left = rest;
    }
    hubs
}

/// All trees of a hub and another feature.
struct PairTable {
    /// The hub's bins, and the other one's.
    bins: [u32; 2],
    /// The numbers in each cell, all bins of the hub for the other one's first bin first.
    cells: Vec<LeafUnits>,
}

impl PairTable {
    fn new(
        ensemble: &BinnedEnsemble,
        (hub, other): (u32, u32),
        trees: &[&BinnedTree],
        units: &impl Fn(&[f64]) -> LeafUnits,
    ) -> Self {
        let bins = [hub, other].map(|feature| ensemble.bins[feature as usize]);
        let cells = (0..bins[1]).flat_map(|j| (0..bins[0]).map(move |i| (i, j)));
        let cell = |(i, j)| {
            let mut sum = vec![0; ensemble.coefficients];
            for tree in trees {
                let bin = |feature| if feature == hub { i } else { j };
                let leaf = units(leaf_of(ensemble, tree, bin));
                sum.iter_mut().zip(leaf).for_each(|(sum, own)| *sum += own);
            }
            sum
        };
        Self {
            bins,
            cells: cells.map(cell).collect(),
        }
    }

    /// The numbers for bin `i` of the hub and each of the other feature.
    fn column(&self, i: u32) -> impl Iterator<Item = &LeafUnits> {
        self.cells
            .iter()
            .skip(i as usize)
            .step_by(self.bins[0] as usize)
    }
}

/// The leaf that a row reaches.
fn leaf_of<'a>(
    ensemble: &BinnedEnsemble,
    tree: &'a BinnedTree,
    bin: impl Fn(u32) -> u32,
) -> &'a [f64] {
    let mut at = tree.nodes.len() - 1;
    loop {
        match &tree.nodes[at] {
            BinnedNode::Leaf(values) => return values,
            BinnedNode::Split {
                predicate,
                clear,
                set,
                ..
            } => {
                let predicate = &ensemble.predicates[*predicate as usize];
                let is_in = predicate.set.contains(bin(predicate.quantiser));
                at = if is_in { *set } else { *clear } as usize;
            }
        }
    }
}

struct PairLowering<'a> {
    builder: &'a mut GraphBuilder,
    ensemble: &'a BinnedEnsemble,
    selectors: &'a Selectors<'a>,
    polynomial_size: u32,
}

impl PairLowering<'_> {
    /// The sum of a hub's tables.
    fn hub(&mut self, hub: u32, tables: &[(u32, PairTable)]) -> Option<Addend> {
        let width = self.ensemble.coefficients as u32;
        let mut sum = Sum::default();
        for (other, table) in tables {
            let turned = self.table(*other, table)?;
            GraphBuilder::add(&mut sum, &turned);
        }
        let value = self.builder.value(sum);
        let bits = self.selectors.index(hub)?;
        Some(Addend {
            value: self.turned(value, bits, width),
            ranges: ranges(self.ensemble.bins[hub as usize], width as usize, tables),
        })
    }

    /// A table that is turned by the other feature's bin: the hub's bins from coefficient 0 on.
    fn table(&mut self, other: u32, table: &PairTable) -> Option<Value> {
        let row = table.bins[0] * self.ensemble.coefficients as u32;
        let bits = self.selectors.index(other)?;
        // As many bits as bins have room for turn a polynomial.
        let turning = (self.polynomial_size / row).ilog2().min(bits.len() as u32);
        let middle = bits.start + turning;
        let blocks = table.cells.chunks((table.bins[0] as usize) << turning);
        let blocks: Vec<Value> = blocks
            .map(|cells| Value::Constant(polynomial(cells)))
            .collect();
        let chosen = self.chosen(blocks, middle..bits.end);
        Some(self.turned(chosen, bits.start..middle, row))
    }

    /// One of several values by the bits of its index, the least significant first.
    fn chosen(&mut self, mut values: Vec<Value>, bits: std::ops::Range<u32>) -> Value {
        for bit in bits {
            let pairs = values.chunks(2).map(|pair| match pair {
                [clear, set] => {
                    let mut sum = Sum::default();
                    self.builder.add_select(&mut sum, bit, clear, set);
                    self.builder.value(sum)
                }
                // No bin has the bit set.
                only => only[0].clone(),
            });
            values = pairs.collect();
        }
        values.swap_remove(0)
    }

    /// The value with what stands at `step` times an index at coefficient 0.
    fn turned(&mut self, mut value: Value, bits: std::ops::Range<u32>, step: u32) -> Value {
        for (place, bit) in bits.enumerate() {
            // Beyond the polynomial's end nothing stands.
            let by = (u64::from(step) << place) % u64::from(2 * self.polynomial_size);
            let turned = self
                .builder
                .rotate(&value, 2 * self.polynomial_size - by as u32);
            let mut sum = Sum::default();
            self.builder.add_select(&mut sum, bit, &value, &turned);
            value = self.builder.value(sum);
        }
        value
    }
}

/// Smallest and largest sum of a hub's tables: a row is in one bin of the hub.
fn ranges(bins: u32, coefficients: usize, tables: &[(u32, PairTable)]) -> Ranges {
    let end = |coefficient: usize, i: u32, larger: bool| -> i64 {
        let of_table = |(_, table): &(u32, PairTable)| {
            let numbers = table.column(i).map(|cell| cell[coefficient]);
            let end = if larger { numbers.max() } else { numbers.min() };
            end.unwrap_or(0)
        };
        tables.iter().map(of_table).sum()
    };
    let of = |coefficient: usize| {
        let low = (0..bins).map(|i| end(coefficient, i, false)).min();
        let high = (0..bins).map(|i| end(coefficient, i, true)).max();
        (low.unwrap_or(0), high.unwrap_or(0))
    };
    (0..coefficients).map(of).collect()
}
