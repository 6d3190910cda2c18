//! Whether trees predict alone, as those of forests do, where a file says only what they add up to.
//!
//! Exported files fold averages into the leaves. A tree of a forest says the target itself: of classes a
//! share of its rows, of numbers something around the mean of all of them. A boosted tree says what is left
//! of it, and how much is left falls with each tree. What is looked for cannot be found in forests, or not
//! once in a million of them; short boosted models of numbers around zero can look like forests.

use crate::model::{Model, Task, Tree, TreeEnsemble, TreeNode};
use crate::uncertainty::rank_correlation;
use cipherfn_program::Tensor;

/// Of numbers that were rounded to 32-bit floats.
const ROUNDING: f64 = 1e-5;
/// Standard errors by which the spans of independent trees do not fall with their places by chance.
const STANDARD_ERRORS: f64 = 5.0;

/// Why the trees do not predict alone, if that can be told.
pub(super) fn boosted(model: &Model, ensemble: &TreeEnsemble) -> Option<&'static str> {
    if ensemble.base.iter().any(|base| *base != 0.0) {
        return Some("they add to a base value");
    }
    match model.summary.task {
        Task::Classification if !are_shares(ensemble) => {
            Some("what their leaves add are no shares of rows")
        }
        Task::Classification if !tells_its_scores(model, ensemble) => {
            Some("probabilities are another function of what they add up to")
        }
        Task::Classification => None,
        Task::Regression => {
            let all: Vec<Vec<(f64, f64)>> = (0..ensemble.scores)
                .map(|score| ends(ensemble, score))
                .collect();
            if all.iter().any(|own| are_apart(own)) {
                Some("some add the whole number, others what is left of it")
            } else if all.iter().any(|own| fall(own)) {
                Some("they add less and less")
            } else {
                None
            }
        }
    }
}

/// Whether each leaf adds from nothing to what a tree of so many can add to a probability.
fn are_shares(ensemble: &TreeEnsemble) -> bool {
    let most = 1.0 / ensemble.trees.len().max(1) as f64 + ROUNDING;
    let nodes = ensemble.trees.iter().flat_map(|tree| &tree.nodes);
    let mut values = nodes.filter_map(TreeNode::as_leaf).flatten();
    values.all(|(_, value)| (-ROUNDING..=most).contains(value))
}

/// Whether outputs of numbers, if there are any, have the scores as they are among them.
fn tells_its_scores(model: &Model, ensemble: &TreeEnsemble) -> bool {
    // Shares of all rows, none of which follows from the others by what classifiers do.
    let total: f64 = (1..=ensemble.scores).map(|score| score as f64 + 0.6).sum();
    let scores: Vec<f64> = match ensemble.scores {
        1 => vec![0.3],
        many => (1..=many)
            .map(|score| (score as f64 + 0.6) / total)
            .collect(),
    };
    let Ok(outputs) = model.postprocess.run(vec![Tensor::F64(scores.clone())]) else {
        return false;
    };
    let numbers: Vec<f64> = outputs
        .iter()
        .filter(|output| matches!(output, Tensor::F32(_) | Tensor::F64(_)))
        .filter_map(Tensor::to_f64)
        .flatten()
        .collect();
    let is_there = |score: &f64| numbers.iter().any(|own| (own - score).abs() < ROUNDING);
    numbers.is_empty() || scores.iter().all(is_there)
}

/// The least and the most that each tree adds to a score, of those that do.
fn ends(ensemble: &TreeEnsemble, score: usize) -> Vec<(f64, f64)> {
    let of_tree = |tree: &Tree| {
        let leaves = tree.nodes.iter().filter_map(TreeNode::as_leaf);
        let named = |leaf: &[(u32, f64)]| {
            let mut own = leaf.iter().filter(|(own, _)| *own as usize == score);
            own.next().map(|(_, value)| *value)
        };
        let values: Vec<Option<f64>> = leaves.map(named).collect();
        let low = values.iter().map(|value| value.unwrap_or(0.0));
        let low = low.fold(f64::INFINITY, f64::min);
        let high = values.iter().map(|value| value.unwrap_or(0.0));
        let high = high.fold(f64::NEG_INFINITY, f64::max);
        values.iter().any(Option::is_some).then_some((low, high))
    };
    ensemble.trees.iter().filter_map(of_tree).collect()
}

/// Whether two trees are further apart than both span: trees of a forest all span the mean of their rows, and
/// these means are close.
fn are_apart(ends: &[(f64, f64)]) -> bool {
    let spanning = || ends.iter().filter(|(low, high)| low < high);
    let above = spanning().max_by(|one, other| one.0.total_cmp(&other.0));
    let below = spanning().min_by(|one, other| one.1.total_cmp(&other.1));
    match (above, below) {
        (Some(above), Some(below)) => above.0 - below.1 > (above.1 - above.0) + (below.1 - below.0),
        _ => false,
    }
}

/// Whether spans fall with the places of trees, which those of trees that were made alike do not.
fn fall(ends: &[(f64, f64)]) -> bool {
    let spans: Vec<f64> = ends.iter().map(|(low, high)| high - low).collect();
    let errors = (spans.len().max(1) as f64 - 1.0).sqrt();
    rank_correlation(&spans) * errors <= -STANDARD_ERRORS
}

#[cfg(test)]
mod tests {
    use super::{are_apart, fall};

    /// What a tenth of the rest leaves falls; what is drawn does not, nor what is always the same.
    #[test]
    fn spans_of_boosting_fall() {
        let boosted: Vec<(f64, f64)> = (0..40).map(|tree| (0.0, 0.9f64.powi(tree))).collect();
        assert!(fall(&boosted));
        assert!(!fall(&boosted[..20]), "too few to tell");
        let drawn: Vec<(f64, f64)> = (0..40u32)
            .map(|tree| (0.0, f64::from(tree * 17 % 41)))
            .collect();
        assert!(!fall(&drawn));
        assert!(!fall(&[(0.0, 1.0); 40]));
        assert!(!fall(&[]));
    }

    #[test]
    fn a_tree_of_the_whole_number_is_apart_from_what_is_left() {
        assert!(are_apart(&[(140.0, 164.0), (-5.0, 5.0)]));
        assert!(!are_apart(&[(2.0, 17.0), (4.0, 16.0), (3.0, 9.0)]));
        // Of a forest without questions each tree says the mean of its rows.
        assert!(!are_apart(&[(7.5, 7.5), (7.9, 7.9)]));
    }
}
