//! Trees that are grown level by level: rows are counted in the bins of each column, apart for each leaf
//! of the tree so far, and whoever decrypts the counts chooses the splits of the next level.
//!
//! Splits are those of scikit-learn's `DecisionTreeClassifier` (Gini impurity) and
//! `DecisionTreeRegressor` (squared error) on the numbers of bins: after them the sum of squared distances
//! from the means of both sides is least, of classes with a 0 or 1 for each. Of several that are equal it
//! is that of the first column, at its lowest cut; scikit-learn draws the column.

use super::{LeafCounts, LeafNode, LeafRow, LeafTarget, LeafTraining, LeafTree};
use crate::error::TrainingError;

/// Most levels: with one cut a column the leaves of the last one fill a ciphertext.
const MAX_DEPTH: u32 = 11;
/// Part of a leaf's sum of squares up to which splits are equal: above what is rounded.
const EQUAL: f64 = 1e-12;

/// How a tree is grown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Levels of splits, each a round trip.
    pub depth: u32,
    /// Fewest rows of a leaf.
    pub rows_a_leaf: u64,
}

/// A tree with a level more.
#[derive(Clone, Debug, PartialEq)]
pub struct Grown {
    /// The program of the next level.
    pub training: LeafTraining,
    /// What all rows leave in the leaves.
    pub counts: LeafCounts,
    /// How many leaves were split.
    pub split: usize,
}

/// Where a leaf is split: rows of bins above a column's cut go one way.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Split {
    column: usize,
    cut: usize,
    /// By how much it lowers the sum of squares.
    gain: f64,
}

impl Grown {
    /// The next level: [`LeafTraining::grow`] by counts whose leaves have the rows and labels that the splits
    /// before them left there.
    ///
    /// # Errors
    /// As [`LeafTraining::grow`], and counts that contradict those of the level before.
    pub fn grow(&self, rows: usize, bins: &[LeafCounts]) -> Result<Self, TrainingError> {
        self.training.grow_on(rows, bins, Some(&self.counts))
    }
}

impl LeafTraining {
    /// That counts are those of rows that are at hand. Whoever decrypts counts and tells what follows from
    /// them, as the splits of a tree do, tells whoever has counted what decrypts to what; sums that were
    /// chosen to that end can be held to nothing but the rows, as parts that cancel each other leave all
    /// totals as they are.
    ///
    /// # Errors
    /// Counts of something else, by what they are counts of.
    pub fn require_counts_of(
        &self,
        rows: &[LeafRow],
        counts: &[LeafCounts],
    ) -> Result<(), TrainingError> {
        let own = LeafCounts::of(self, rows);
        if own.len() != counts.len() {
            return Err(TrainingError::impossible("there are counts of other bins"));
        }
        match own.iter().zip(counts).position(|(own, found)| own != found) {
            None => Ok(()),
            Some(index) => Err(TrainingError::impossible(format!(
                "{} has other counts than the rows leave there: they were not counted, or others were. Whoever has answered that may have chosen it to learn of the key from what happens next: nothing more is sent, and this key ring should encrypt nothing for it any more",
                self.counted_name(index)
            ))),
        }
    }

    /// Splits the leaves by the counts of `rows` rows in the bins of each column. A leaf stays one if all
    /// of its labels are the same, or if no split leaves enough rows on both sides.
    ///
    /// # Errors
    /// Counts that no such rows leave; a program whose tree is not grown.
    pub fn grow(&self, rows: usize, bins: &[LeafCounts]) -> Result<Grown, TrainingError> {
        self.grow_on(rows, bins, None)
    }

    /// The same on leaves of which it is known what they have.
    fn grow_on(
        &self,
        rows: usize,
        bins: &[LeafCounts],
        known: Option<&LeafCounts>,
    ) -> Result<Grown, TrainingError> {
        let (Some(growth), [tree]) = (self.growth(), self.trees()) else {
            return Err(TrainingError::impossible(
                "the program has no tree that is grown",
            ));
        };
        let before = self.leaf_counts(tree, rows, bins)?;
        if known.is_some_and(|known| *known != before) {
            return Err(TrainingError::impossible(
                "leaves have other counts than the splits that made them left there",
            ));
        }
        let mut nodes = tree.nodes.clone();
        let (mut kept, mut made) = (Vec::new(), Vec::new());
        for (node, number) in tree.numbers().into_iter().enumerate() {
            if tree.nodes[node] != LeafNode::Leaf {
                continue;
            }
            let Some(split) = self.best_split(growth, (&before, number), bins) else {
                kept.push(number);
                continue;
            };
            let next = nodes.len() as u32;
            nodes[node] = LeafNode::Split {
                column: split.column as u32,
                cut: split.cut as u32,
                above: next,
                below: next + 1,
                missing_above: false,
            };
            nodes.extend([LeafNode::Leaf; 2]);
            made.push((number, split));
        }
        // New leaves are the last ones, in the order in which they were made.
        let mut counts = LeafCounts::new(kept.len() + 2 * made.len(), self.target().bits());
        for (place, number) in kept.iter().enumerate() {
            counts.take(place, &before, *number);
        }
        let leaves = before.rows.len();
        for (index, (number, split)) in made.iter().enumerate() {
            let above = kept.len() + 2 * index;
            for bin in 0..=self.cuts()[split.column].len() {
                let place = above + usize::from(bin <= split.cut);
                counts.take(place, &bins[split.column], bin * leaves + number);
            }
        }
        Ok(Grown {
            training: self.with_tree(LeafTree { nodes })?,
            counts,
            split: made.len(),
        })
    }

    /// The program of the level after a tree so far.
    ///
    /// # Errors
    /// A program whose tree is not grown; no tree over its columns, or one that has all levels.
    pub fn level(&self, tree: LeafTree) -> Result<Self, TrainingError> {
        let Some(Growth { depth, .. }) = self.growth() else {
            return Err(TrainingError::field(
                "tree",
                "the program has trees of its own; leave it out",
            ));
        };
        let level = self.with_tree(tree)?;
        let levels = level.trees()[0].depth();
        if levels >= depth as usize {
            let problem =
                format!("it has {levels} levels, and the last one of {depth} is counted before");
            return Err(TrainingError::field("tree", problem));
        }
        Ok(level)
    }

    /// What rows leave in the leaves, by the bins of each column, which must say the same.
    fn leaf_counts(
        &self,
        tree: &LeafTree,
        rows: usize,
        bins: &[LeafCounts],
    ) -> Result<LeafCounts, TrainingError> {
        let (leaves, bits, places) = (tree.leaves(), self.target().bits(), self.counted());
        let is_of = |(own, places): (&LeafCounts, &usize)| {
            let mut all = std::iter::once(&own.rows).chain(&own.labels);
            own.labels.len() == bits && all.all(|own| own.len() == *places)
        };
        if bins.len() != places.len() || !bins.iter().zip(&places).all(is_of) {
            return Err(TrainingError::impossible("there are counts of other bins"));
        }
        let mut found: Option<LeafCounts> = None;
        for (index, own) in bins.iter().enumerate() {
            let mut sums = LeafCounts::new(leaves, bits);
            for place in 0..own.rows.len() {
                sums.take(place % leaves, own, place);
            }
            let is_possible = sums.rows.iter().sum::<u64>() == rows as u64
                && (0..own.rows.len()).all(|place| self.is_possible(own, place));
            if !is_possible || found.as_ref().is_some_and(|found| *found != sums) {
                return Err(TrainingError::impossible(format!(
                    "{} has counts that {rows} rows do not leave",
                    self.counted_name(index)
                )));
            }
            found = Some(sums);
        }
        found.ok_or_else(|| TrainingError::impossible("there are no columns"))
    }

    /// The split of a leaf that lowers the sum of squares most.
    fn best_split(
        &self,
        growth: Growth,
        (before, leaf): (&LeafCounts, usize),
        bins: &[LeafCounts],
    ) -> Option<Split> {
        let rows = before.rows[leaf];
        let mut labels = before.labels.iter();
        if labels.all(|bit| [0, rows].contains(&bit[leaf])) {
            return None;
        }
        let (leaves, all) = (before.rows.len(), self.label_sums(before, leaf));
        let squares = all.iter().map(|sum| sum * sum).sum::<f64>() / rows as f64;
        let mut best: Option<Split> = None;
        for (column, own) in bins.iter().enumerate() {
            let present = (0..=self.cuts()[column].len())
                .filter(|bin| own.rows[bin * leaves + leaf] > 0)
                .collect::<Vec<usize>>();
            let mut below = LeafCounts::new(1, before.labels.len());
            for pair in present.windows(2) {
                below.take(0, own, pair[0] * leaves + leaf);
                let (under, over) = (below.rows[0], rows - below.rows[0]);
                if under.min(over) < growth.rows_a_leaf {
                    continue;
                }
                let (part, other) = (under as f64 / rows as f64, over as f64 / rows as f64);
                let sums = self.label_sums(&below, 0);
                // As far as sums below are from their part of all, those above are on the other side.
                let apart = sums.iter().zip(&all).map(|(sum, all)| sum - part * all);
                let apart = apart.map(|apart| apart * apart).sum::<f64>();
                let found = Split {
                    column,
                    // In the middle of bins without rows, as scikit-learn's thresholds are.
                    cut: usize::midpoint(pair[0], pair[1]),
                    gain: apart / (rows as f64 * part * other),
                };
                let is_better = |best: Split| found.gain > best.gain + EQUAL * squares;
                if best.is_none_or(is_better) {
                    best = Some(found);
                }
            }
        }
        best
    }

    /// Sums of the labels in a place: for each class the rows that have it, or of numbers the steps.
    fn label_sums(&self, counts: &LeafCounts, place: usize) -> Vec<f64> {
        let labels = counts.labels.iter().map(|bit| bit[place]);
        match self.target() {
            LeafTarget::Classes { .. } => {
                let others: Vec<u64> = labels.collect();
                let first = counts.rows[place] - others.iter().sum::<u64>();
                let all = std::iter::once(first).chain(others);
                all.map(|count| count as f64).collect()
            }
            LeafTarget::Number { .. } => {
                let sum: u64 = labels.enumerate().map(|(bit, count)| count << bit).sum();
                vec![sum as f64]
            }
        }
    }
}

impl Growth {
    /// Places of each column in the last level, if every leaf before it is split.
    pub fn most_places(self, training: &LeafTraining) -> Vec<usize> {
        let leaves = 1 << (self.depth - 1);
        let bins = training.cuts().iter().map(|cuts| cuts.len() + 1);
        bins.map(|bins| bins * leaves).collect()
    }

    /// CMUXes that the error of a row comes from at most in any level of any tree, with `size` coefficients a
    /// ciphertext: for each column in it the column's bits and those of the questions before, times the
    /// number of columns.
    ///
    /// All columns of a ciphertext turn the same leaves, so their errors are not independent: those of the
    /// questions are the same ones at several places, and with a binary secret key neighbouring coefficients
    /// of an error go up and down together. The variance of a sum of m errors, whatever they have in common, is
    /// m times that of all of them at most. Taken as independent they were measured to be above what was
    /// expected (0.0387 of a row for 0.0353, 30 columns).
    pub fn longest_path(self, training: &LeafTraining, size: usize) -> usize {
        let columns = training.cuts().len();
        let bits = |column: usize| training.bin_bits(column) as usize;
        let widest = (0..columns).map(bits).max().unwrap_or_default();
        let mut longest = 0;
        for level in 0..self.depth as usize {
            // Trees with fewer leaves have more columns in a ciphertext; those of this depth have one more
            // than levels at least.
            let places = |column: usize| (training.cuts()[column].len() + 1) * (level + 1);
            let (mut first, mut room, mut path) = (0, size, 0);
            for column in 0..columns {
                while places(column) > room && first < column {
                    room += places(first);
                    path -= level * widest + bits(first);
                    first += 1;
                }
                room = room.saturating_sub(places(column));
                path += level * widest + bits(column);
                longest = longest.max(path * (column + 1 - first));
            }
        }
        // And one of the label's bit.
        longest + 1
    }
}

/// That levels are as many as there is room for.
pub(super) fn check_depth(
    depth: Option<u32>,
    rows_a_leaf: Option<u64>,
) -> Result<(), TrainingError> {
    let problem = match (depth, rows_a_leaf) {
        (None, _) => format!("give \"depth\", 1 to {MAX_DEPTH}: each level is a round trip"),
        (Some(depth), _) if !(1..=MAX_DEPTH).contains(&depth) => {
            format!("\"depth\" is {depth}, not 1 to {MAX_DEPTH}: each level is a round trip")
        }
        (_, Some(0)) => "\"rows_a_leaf\" is 0; a leaf has a row at least".into(),
        _ => return Ok(()),
    };
    Err(TrainingError::field("document", problem))
}
