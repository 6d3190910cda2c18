//! Whether a sum of trees is an average of trees that predict alike.
//!
//! Exported files hold a sum, with averages folded into the leaves. In a forest each tree predicts the
//! target on its own, so how steeply a tree rises with the whole does not depend on its place; in
//! boosting each tree predicts what the ones before it have left over, which is less and less.

use crate::model::{Tree, TreeEnsemble, TreeNode};

/// Which trees belong together: those that share a score.
pub(super) struct TreeGroups {
    /// For each tree, its group.
    groups: Vec<usize>,
    /// For each score, its group.
    scores: Vec<usize>,
}

/// Fewest trees in which an order can be seen.
pub(super) const FEWEST: usize = 5;
/// Rank correlation with the order that trees of a short run of boosting have, which fall ...
const CORRELATION: f64 = 0.9;
/// ... and one that a longer run does not have by chance, in standard errors.
const STANDARD_ERRORS: f64 = 4.0;

impl TreeGroups {
    /// # Errors
    /// Why the trees have no deviation.
    pub(super) fn of(ensemble: &TreeEnsemble) -> Result<Self, String> {
        let mut scores: Vec<usize> = (0..ensemble.scores).collect();
        let touched = |tree: &Tree| -> Vec<usize> {
            let leaves = tree.nodes.iter().filter_map(TreeNode::as_leaf);
            let mut touched: Vec<usize> = leaves.flatten().map(|own| own.0 as usize).collect();
            touched.sort_unstable();
            touched.dedup();
            touched
        };
        let touched: Vec<Vec<usize>> = ensemble.trees.iter().map(touched).collect();
        for own in &touched {
            for pair in own.windows(2) {
                let (one, other) = (scores[pair[0]], scores[pair[1]]);
                for group in &mut scores {
                    if *group == other {
                        *group = one;
                    }
                }
            }
        }
        let is_one = scores.iter().all(|group| *group == scores[0]);
        // A tree whose leaves are all zero is of the only group there is.
        let group = |own: &Vec<usize>| match own.first() {
            Some(first) => Ok(scores[*first]),
            None if is_one => Ok(scores[0]),
            None => Err("one of its trees adds to none of several outputs".to_owned()),
        };
        let groups = touched
            .iter()
            .map(group)
            .collect::<Result<Vec<usize>, _>>()?;
        let forest = Self { groups, scores };
        match forest.fewest() {
            0 => Err("it has no trees".to_owned()),
            1 => Err("it is one tree".to_owned()),
            _ => Ok(forest),
        }
    }

    /// Trees of the score that has the fewest.
    pub(super) fn fewest(&self) -> usize {
        let count = |score| self.trees_of(score).iter().filter(|own| **own).count();
        (0..self.scores.len()).map(count).min().unwrap_or(0)
    }

    /// For each tree, whether it is one of those that a score is the mean of.
    pub(super) fn trees_of(&self, score: usize) -> Vec<bool> {
        let own = self.scores[score];
        self.groups.iter().map(|group| *group == own).collect()
    }

    /// Whether the trees of each score, at least [`FEWEST`], predict alike on these rows.
    pub(super) fn check(&self, ensemble: &TreeEnsemble, rows: &[Vec<f32>]) -> Result<(), String> {
        let totals: Vec<Vec<f64>> = rows.iter().map(|row| ensemble.raw_scores(row)).collect();
        let mut groups = self.scores.clone();
        groups.sort_unstable();
        groups.dedup();
        for group in groups {
            let own = ensemble.trees.iter().zip(&self.groups);
            let own: Vec<&Tree> = own
                .filter(|(_, of)| **of == group)
                .map(|(tree, _)| tree)
                .collect();
            let slopes: Vec<f64> = own.iter().map(|tree| slope(tree, rows, &totals)).collect();
            if has_order(&slopes) {
                return Err(format!(
                    "its {} trees predict less and less of the whole, or more and more, as those \
                     of boosting do",
                    own.len()
                ));
            }
        }
        Ok(())
    }
}

/// Covariance of what a tree adds and what all trees add, over rows and scores.
fn slope(tree: &Tree, rows: &[Vec<f32>], totals: &[Vec<f64>]) -> f64 {
    let count = rows.len() as f64;
    let leaves: Vec<&[(u32, f64)]> = rows.iter().map(|row| tree.leaf(row)).collect();
    let scores = totals.first().map_or(0, Vec::len);
    let of_score = |score: usize| {
        let mean = totals.iter().map(|total| total[score]).sum::<f64>() / count;
        let own = leaves.iter().zip(totals);
        own.map(|(leaf, total)| super::added(leaf, score) * (total[score] - mean))
            .sum::<f64>()
    };
    (0..scores).map(of_score).sum()
}

/// Whether values, at least [`FEWEST`], rise or fall with their places.
fn has_order(values: &[f64]) -> bool {
    let correlation = rank_correlation(values);
    let errors = (values.len() as f64 - 1.0).sqrt();
    correlation <= -CORRELATION || correlation.abs() * errors >= STANDARD_ERRORS
}

/// Correlation of values' ranks and their places, 0 of equal values (Spearman's).
pub(crate) fn rank_correlation(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    // Values that are equal share the middle of their ranks; all are counted from the middle rank.
    let rank = |value: &f64| {
        let side = |other: &f64| f64::from(value.total_cmp(other) as i8) / 2.0;
        values.iter().map(side).sum::<f64>()
    };
    let ranks: Vec<f64> = values.iter().map(rank).collect();
    let places = (0..values.len()).map(|place| place as f64 - (count - 1.0) / 2.0);
    let product: f64 = ranks
        .iter()
        .zip(places.clone())
        .map(|(rank, place)| rank * place)
        .sum();
    let squares: f64 = ranks.iter().map(|rank| rank * rank).sum();
    let size = (squares * places.map(|place| place * place).sum::<f64>()).sqrt();
    if size > 0.0 { product / size } else { 0.0 }
}
