//! What the report says of an ensemble.

use super::choice::Choice;
use super::quantisation::Quantisation;
use crate::error::CompileError;
use crate::model::{Tree, TreeEnsemble, TreeNode};
use crate::options::FeatureMode;
use crate::report::{EncodedFeature, FeatureReport, TreeCounts};

/// Most inner nodes on a path: trees are followed recursively, with a test for each index bit of
/// each node.
const MAX_DEPTH: usize = 1024;

/// Most choices of the trees' circuit, before any are shared: a minute or more of a row's time, some
/// minutes and gigabytes of the compiler's.
const MAX_CHOICES: usize = 1 << 20;
/// Most numbers that it chooses between: leaves times the scores that they count for.
const MAX_NUMBERS: usize = 1 << 24;

/// Counts an ensemble's parts; an error for trees that are too deep, or too many.
pub(super) fn count(trees: &TreeEnsemble) -> Result<TreeCounts, CompileError> {
    let mut counts = TreeCounts {
        trees: trees.trees.len(),
        ..TreeCounts::default()
    };
    for (index, tree) in trees.trees.iter().enumerate() {
        let depth = depth(tree);
        if depth > MAX_DEPTH {
            return Err(CompileError::TooDeep {
                tree: index,
                depth,
                limit: MAX_DEPTH,
            });
        }
        counts.depth = counts.depth.max(depth);
        let is_leaf = |node: &&TreeNode| matches!(node, TreeNode::Leaf(_));
        let leaves = tree.nodes.iter().filter(is_leaf).count();
        counts.leaves += leaves;
        counts.nodes += tree.nodes.len() - leaves;
    }
    let numbers = counts.leaves * trees.scores;
    if counts.nodes > MAX_CHOICES || numbers > MAX_NUMBERS {
        return Err(CompileError::LargeCircuit {
            choices: counts.nodes,
            most_choices: MAX_CHOICES,
            leaves: counts.leaves,
            numbers,
            most_numbers: MAX_NUMBERS,
        });
    }
    Ok(counts)
}

/// Children come after their parent.
fn depth(tree: &Tree) -> usize {
    let mut depths = vec![0; tree.nodes.len()];
    for (index, node) in tree.nodes.iter().enumerate() {
        if let TreeNode::Split { yes, no, .. } = node {
            depths[*yes as usize] = depths[index] + 1;
            depths[*no as usize] = depths[index] + 1;
        }
    }
    depths.into_iter().max().unwrap_or(0)
}

/// How the features are encoded, and what the client specs show of the model.
pub(super) fn features(
    mode: FeatureMode,
    (quantisation, with_decimals): (&Quantisation, Option<usize>),
    choice: &Choice,
) -> FeatureReport {
    let selectors = &choice.lowered.selectors;
    let encoded = quantisation.quantisers.iter().zip(0_u32..);
    let encoded = encoded.filter_map(|(quantiser, index)| {
        let own = selectors
            .iter()
            .filter(|selector| selector.quantiser == index);
        let bits = own.count() as u32;
        (bits > 0).then(|| EncodedFeature {
            name: quantiser.name.clone(),
            form: choice.shape.forms[index as usize].name().into(),
            bins: Some(quantiser.bins()),
            bits,
            decimals: quantiser.decimals,
        })
    });
    let encoded: Vec<EncodedFeature> = encoded.collect();
    let splits = quantisation.splits();
    let used = encoded.len();
    let revealed = match mode {
        FeatureMode::Exact { decoys: 0 } => {
            let blocks = encoded.iter().any(|feature| feature.form == "blocks");
            let much = if blocks {
                ", and by the blocks which of these it uses much"
            } else {
                ""
            };
            format!(
                "which {used} features the model uses and its {splits} split points of \
                 them{much}, not its trees, paths or leaf values"
            )
        }
        FeatureMode::Exact { decoys } => format!(
            "{splits} split points of all {used} features, {decoys} a feature of which no tree \
             uses; not which are real, nor trees, paths or leaf values"
        ),
        FeatureMode::Grid { .. } => format!(
            "which {used} features the model uses and {splits} quantiles of the calibration rows; \
             not the model's thresholds, trees, paths or leaf values"
        ),
    };
    FeatureReport {
        mode: mode.to_string(),
        revealed: format!("{revealed}; the range of scores"),
        encoded,
        with_decimals: with_decimals.map(|fewer| (splits, fewer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Tree;

    /// Stumps for a model of so many scores.
    fn stumps(trees: usize, scores: usize) -> TreeEnsemble {
        let tree = Tree::stump(&[(0, 1.0)], &[(0, 2.0)]);
        TreeEnsemble {
            scores,
            base: vec![0.0; scores],
            trees: vec![tree; trees],
        }
    }

    #[test]
    fn circuits_that_would_be_too_large_are_refused_by_their_size() {
        let most = MAX_NUMBERS / (2 * 4096);
        assert_eq!(count(&stumps(most, 4096)).unwrap().leaves, 2 * most);
        let error = count(&stumps(most + 1, 4096)).unwrap_err().to_string();
        for part in [
            "2049 choices",
            "4098 leaves",
            "16785408 numbers",
            "16777216",
        ] {
            assert!(error.contains(part), "{error}");
        }
        assert!(count(&stumps(MAX_CHOICES + 1, 1)).is_err());
    }
}
