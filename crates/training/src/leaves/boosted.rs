//! Boosted leaves: a step on all leaves at once, from a model whose trees add up to a number.
//!
//! Labels are what the model leaves of them, r = y - f(x), which whoever has a row makes of it; so what a
//! server counts is what it counts of forests. With M trees, n rows in a leaf and R the sum of their
//! residuals, the leaf's value v becomes
//!
//! ```text
//!   v + rate / M  R / (n + penalty)
//! ```
//!
//! R is the negative gradient of half of the squared error in v, n its second derivative. With A the rows'
//! leaves of a tree as a matrix of zeros and ones, the residuals r become
//!
//! ```text
//!   (I - rate / M B) r,   B = sum over trees of A (A' A + penalty)^-1 A'
//! ```
//!
//! where B has eigenvalues from 0 to M. So with a rate of at most 2 the squared error of these rows does not
//! rise, whatever trees have in common; with a rate of 1 and no penalty the model gets what a forest of
//! these trees says of the residuals.

use super::structure::TreeSum;
use super::{LeafRow, LeafTarget, LeafTraining, LeafTree};
use crate::error::TrainingError;
use crate::model::{FittedFunction, FittedModel, FittedNode};

/// Largest rate: beyond it the error may rise.
const MAX_RATE: f64 = 2.0;
/// Above what leaves say.
const MAX_VALUE: f64 = 1e30;

/// What a program of boosted leaves has beside its trees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoostedStep<'a> {
    /// What the model says.
    pub start: &'a TreeSum,
    /// Above 0, at most 2: the part of the mean residual that all trees together add.
    pub rate: f64,
    /// Rows without a residual that each leaf has besides its own, 0 or more.
    pub penalty: f64,
}

/// What the trees of a model say of rows.
#[derive(Clone, Debug)]
pub(super) struct Said<'a> {
    trees: &'a [LeafTree],
    /// Of each tree the numbers of its leaves, by node.
    numbers: Vec<Vec<usize>>,
    sum: &'a TreeSum,
}

impl Said<'_> {
    /// Of a row of these bins.
    pub(super) fn of(&self, bins: &[u32]) -> f64 {
        let trees = self.trees.iter().zip(&self.numbers);
        let added = trees
            .zip(&self.sum.leaves)
            .map(|((tree, numbers), leaves)| leaves[numbers[tree.reach(bins)]]);
        self.sum.base + added.sum::<f64>()
    }
}

impl TreeSum {
    /// That it is of these trees.
    pub(super) fn check(&self, trees: &[LeafTree]) -> Result<(), TrainingError> {
        let place = "start";
        if self.leaves.len() != trees.len() {
            let problem = format!(
                "it has {} trees, the program {}",
                self.leaves.len(),
                trees.len()
            );
            return Err(TrainingError::field(place, problem));
        }
        for (index, (leaves, tree)) in self.leaves.iter().zip(trees).enumerate() {
            if leaves.len() != tree.leaves() {
                let problem = format!(
                    "tree {} has {} leaves, in the program {}",
                    index + 1,
                    leaves.len(),
                    tree.leaves()
                );
                return Err(TrainingError::field(place, problem));
            }
        }
        let values = self.leaves.iter().flatten().chain([&self.base]);
        // Sums of so many stay finite.
        if let Some(value) = values
            .into_iter()
            .find(|value| !value.is_finite() || value.abs() >= MAX_VALUE)
        {
            let problem =
                format!("it says {value}; values are below {MAX_VALUE:.0e} on either side");
            return Err(TrainingError::field(place, problem));
        }
        Ok(())
    }
}

impl LeafTraining {
    /// What the model says that boosted leaves begin with.
    pub(super) fn said(&self) -> Option<Said<'_>> {
        let step = self.boosted()?;
        Some(Said {
            trees: self.trees(),
            numbers: self.trees().iter().map(LeafTree::numbers).collect(),
            sum: step.start,
        })
    }

    /// Root mean squares of what the model leaves of these rows, before the step and after it; `None` of
    /// leaves that are not boosted.
    pub fn residuals(&self, rows: &[LeafRow], refitted: &FittedModel) -> Option<(f64, f64)> {
        let (LeafTarget::Number { low, step, .. }, FittedFunction::Boosted { base, trees }) =
            (self.target(), &refitted.function)
        else {
            return None;
        };
        let said = self.said()?;
        let square = |row: &LeafRow| {
            let residual = low + step * row.label as f64;
            let reached = trees.iter().zip(self.trees());
            let added = reached.map(|(nodes, tree)| match &nodes[tree.reach(&row.bins)] {
                FittedNode::Leaf(values) => values.iter().sum(),
                FittedNode::Split { .. } => 0.0,
            });
            let now = base + added.sum::<f64>();
            let after = residual + said.of(&row.bins) - now;
            (residual * residual, after * after)
        };
        let squares = rows.iter().map(square);
        let (before, after) =
            squares.fold((0.0, 0.0), |sums, own| (sums.0 + own.0, sums.1 + own.1));
        let mean = |sum: f64| (sum / rows.len() as f64).sqrt();
        Some((mean(before), mean(after)))
    }
}

/// That a step is one that does not make squared errors larger.
pub(super) fn check_step(rate: Option<f64>, penalty: Option<f64>) -> Result<(), TrainingError> {
    if let Some(rate) = rate
        && !(rate > 0.0 && rate <= MAX_RATE)
    {
        let problem = format!(
            "\"rate\" is {rate}, and must be above 0 and at most {MAX_RATE}: beyond that squared errors may grow; take several steps instead"
        );
        return Err(TrainingError::field("document", problem));
    }
    if let Some(penalty) = penalty
        && !(penalty >= 0.0 && penalty.is_finite())
    {
        let problem = format!("\"penalty\" is {penalty}, not a number of rows from 0 on");
        return Err(TrainingError::field("document", problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::leaves::{LeafCounts, LeafRowEncoder, LeafSpec, Structure, StructureNode, TreeSum};
    use crate::model::{FittedFunction, FittedNode};

    const fn above(threshold: f32, above: u32, below: u32) -> StructureNode {
        StructureNode::Split {
            feature: 0,
            threshold,
            above,
            below,
            missing_above: false,
        }
    }

    /// Two trees, of which one has a leaf without rows, on residuals by hand.
    #[test]
    fn leaves_without_rows_keep_their_values() {
        let leaf = StructureNode::Leaf;
        let structure = Structure {
            features: 1,
            names: None,
            trees: vec![
                vec![above(0.5, 1, 2), above(9.0, 3, 4), leaf, leaf, leaf],
                vec![leaf],
            ],
            sum: Some(TreeSum {
                base: 10.0,
                leaves: vec![vec![1.0, 2.0, 3.0], vec![0.5]],
            }),
        };
        let text = "format = 1\nname = \"t\"\nalgorithm = \"boosted-leaves\"\nrate = 2.0\npenalty = 2.0\n[[column]]\nname = \"a\"\n[target]\nname = \"y\"\nlow = 0\nhigh = 30\n";
        let training = LeafSpec::from_toml(text).unwrap().with(&structure).unwrap();
        let mut rows = LeafRowEncoder::new(&training);
        // The model says 11.5, 11.5, 13.5 and 11.5; the last residual is longer than the range.
        for cells in [[0.0, 15.5], [0.25, 14.5], [5.0, 9.5], [0.0, 99.0]] {
            rows.add(&cells, None).unwrap();
        }
        let (rows, clipped) = rows.finish().unwrap();
        assert_eq!(clipped, 1);
        let counts = LeafCounts::of(&training, &rows);
        let refitted = training.refit(rows.len(), &counts).unwrap();
        assert_eq!(refitted.empty, 1);
        let FittedFunction::Boosted { base, trees } = &refitted.model.function else {
            panic!("they add up");
        };
        let says = trees.iter().flatten().filter_map(|node| match node {
            FittedNode::Leaf(values) => Some(values[0]),
            FittedNode::Split { .. } => None,
        });
        // 2 / 2 of (4 + 3 + 30) / (3 + 2), none, and -4 / (1 + 2); of all rows 33 / (4 + 2).
        let expected = [1.0 + 7.4, 2.0, 3.0 - 4.0 / 3.0, 0.5 + 5.5];
        for (found, expected) in says.zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert!((base - 10.0).abs() < 1e-12, "{base}");
    }
}
