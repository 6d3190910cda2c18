//! What is counted of rows, and how it lies in ciphertexts.

use super::{LeafRow, LeafTraining, LeafTree};
use std::ops::Range;

/// What rows left in the leaves of a tree, by the number of the leaf; of a tree that is grown what they
/// left in the bins of a column, by the number of the leaf, all leaves of the first bin first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeafCounts {
    /// Rows.
    pub rows: Vec<u64>,
    /// For each bit of a label the rows that have it.
    pub labels: Vec<Vec<u64>>,
}

impl LeafCounts {
    /// Of no rows, in so many places and with labels of so many bits.
    pub fn new(places: usize, bits: usize) -> Self {
        Self {
            rows: vec![0; places],
            labels: vec![vec![0; places]; bits],
        }
    }

    /// Those of rows in the clear.
    pub fn of(training: &LeafTraining, rows: &[LeafRow]) -> Vec<Self> {
        let (trees, bits) = (training.trees(), training.target().bits());
        let numbers: Vec<Vec<usize>> = trees.iter().map(LeafTree::numbers).collect();
        let leaf = |tree: usize, row: &LeafRow| numbers[tree][trees[tree].reach(&row.bins)];
        let count = |(index, places): (usize, usize)| {
            let mut counts = Self::new(places, bits);
            for row in rows {
                let place = match training.growth() {
                    Some(_) => row.bins[index] as usize * trees[0].leaves() + leaf(0, row),
                    None => leaf(index, row),
                };
                counts.rows[place] += 1;
                for (own, bit) in counts.labels.iter_mut().zip(training.label_bits(row.label)) {
                    own[place] += u64::from(bit);
                }
            }
            counts
        };
        training
            .counted()
            .into_iter()
            .enumerate()
            .map(count)
            .collect()
    }

    /// Adds what `other` has in the place `from`.
    pub(super) fn take(&mut self, place: usize, other: &Self, from: usize) {
        self.rows[place] += other.rows[from];
        for (own, other) in self.labels.iter_mut().zip(&other.labels) {
            own[place] += other[from];
        }
    }
}

impl LeafTraining {
    /// In how many places the rows of each tree are counted: its leaves; of a tree that is grown in how
    /// many those of each column are: the bins of each leaf.
    pub fn counted(&self) -> Vec<usize> {
        if self.growth().is_none() {
            return self.trees().iter().map(LeafTree::leaves).collect();
        }
        let leaves = self.trees()[0].leaves();
        let bins = self.cuts().iter().map(|cuts| cuts.len() + 1);
        bins.map(|bins| bins * leaves).collect()
    }

    /// What is counted by itself, for people: `tree 1`, or a column.
    pub fn counted_name(&self, index: usize) -> String {
        match self.columns().nth(index) {
            Some(column) if self.growth().is_some() => format!("column {column:?}"),
            _ => format!("tree {}", index + 1),
        }
    }

    /// Which of what is [counted](Self::counted) shares ciphertexts of so many coefficients, in order.
    pub fn blocks(&self, size: usize) -> Vec<Range<usize>> {
        share(&self.counted(), size)
    }
}

/// Runs of `places` that share ciphertexts of `size`, each as long as can be; one that does not fit alone.
pub fn share(places: &[usize], size: usize) -> Vec<Range<usize>> {
    let mut blocks: Vec<Range<usize>> = Vec::new();
    let mut room = 0;
    for (index, places) in places.iter().enumerate() {
        match blocks.last_mut() {
            Some(block) if *places <= room => block.end = index + 1,
            _ => {
                blocks.push(index..index + 1);
                room = size;
            }
        }
        room = room.saturating_sub(*places);
    }
    blocks
}
