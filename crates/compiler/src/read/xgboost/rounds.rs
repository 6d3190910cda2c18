//! Which trees the library uses.

use super::LIBRARY;
use super::file::Trees;
use crate::error::CompileError;
use std::collections::BTreeMap;
use std::ops::Range;

/// Trees of the rounds that the library predicts with: all, or for a model of its scikit-learn
/// classes that was stopped early the ones up to the best.
pub(super) fn used(
    model: &Trees,
    attributes: &BTreeMap<String, String>,
    scores: usize,
    notes: &mut Vec<String>,
) -> Result<Range<usize>, CompileError> {
    let trees = model.list.len();
    let Some(best) = attributes.get("best_iteration") else {
        return Ok(0..trees);
    };
    let best: usize = best.trim().parse().map_err(|_| {
        LIBRARY.invalid(
            "attribute best_iteration",
            format!("{best:?} is not a count"),
        )
    })?;
    let rounds = best.saturating_add(1);
    if !attributes.contains_key("scikit_learn") {
        notes.push(format!(
            "training was stopped early, best round {best}; Booster.predict uses all rounds, and so \
             does this model: save booster[:{rounds}] to keep the best ones only"
        ));
        return Ok(0..trees);
    }
    let end = end(model, rounds, scores)?;
    if end < trees {
        notes.push(format!(
            "training was stopped early: of {trees} trees the {end} up to the best round, {best}, are \
             used, as XGBClassifier and XGBRegressor do"
        ));
    }
    Ok(0..end)
}

/// Whether these trees are of one round: a forest, of which each tree predicts alone.
pub(super) fn are_one(
    model: &Trees,
    used: &Range<usize>,
    scores: usize,
) -> Result<bool, CompileError> {
    Ok(end(model, 1, scores)? >= used.end)
}

/// Number of trees of the first rounds.
fn end(model: &Trees, rounds: usize, scores: usize) -> Result<usize, CompileError> {
    let trees = model.list.len();
    let end = if model.iteration_indptr.is_empty() {
        let parallel = model.parameters.num_parallel_tree.at("num_parallel_tree")?;
        let a_round = parallel.max(1).saturating_mul(scores);
        Some(rounds.saturating_mul(a_round).min(trees))
    } else {
        let last = model.iteration_indptr.len() - 1;
        model.iteration_indptr.get(rounds.min(last)).copied()
    };
    end.filter(|&end| end <= trees).ok_or_else(|| {
        let problem = format!("a round ends beyond the {trees} trees");
        LIBRARY.invalid("iteration_indptr", problem)
    })
}
