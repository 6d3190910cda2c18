//! Tree ensembles in terms of the whole model: features of the one vector, raw scores.

use super::features::{Entries, FeaturePlaces, MAX_WEIGHTS, Splits};
use crate::error::CompileError;
use crate::ir::{Atom, Combination, Ensemble, Function, Ir};
use crate::model::{Tree, TreeEnsemble, TreeNode};
use cipherfn_program::ValueId;
use std::collections::BTreeMap;

/// For each target of an ensemble, the raw scores that it counts in, with factors.
pub(super) type TargetScores = BTreeMap<u32, Vec<(u32, f64)>>;

/// The ensembles that raw scores are sums of, by estimator.
pub(super) struct Uses(BTreeMap<u32, TargetScores>);

impl Uses {
    pub(super) fn of(scores: &[Combination]) -> Self {
        let mut uses: BTreeMap<u32, TargetScores> = BTreeMap::new();
        for (score, raw) in scores.iter().zip(0..) {
            for &(atom, factor) in &score.terms {
                if let Atom::Target { estimator, target } | Atom::Chosen { estimator, target } =
                    atom
                {
                    let targets = uses.entry(estimator).or_default();
                    targets.entry(target).or_default().push((raw, factor));
                }
            }
        }
        Self(uses)
    }

    fn ensembles<'a>(
        &'a self,
        ir: &'a Ir,
    ) -> impl Iterator<Item = (ValueId, &'a Ensemble, &'a TargetScores)> {
        self.0.iter().filter_map(|(&estimator, targets)| {
            let estimator = &ir.estimators[estimator as usize];
            match &estimator.function {
                Function::Trees(ensemble) => Some((estimator.argument, ensemble, targets)),
                Function::Linear(_)
                | Function::Lookups(_)
                | Function::Nearest(_)
                | Function::Stacked(_) => None,
            }
        })
    }

    /// All estimators, with their targets.
    pub(super) fn targets(&self) -> impl Iterator<Item = (u32, &TargetScores)> {
        self.0
            .iter()
            .map(|(&estimator, targets)| (estimator, targets))
    }

    /// Adds the entries that the trees are built on, asked for or not: which ones the trees use is
    /// for the quantisation to show or hide. Gives the split points of 64-bit ones.
    pub(super) fn entries(&self, ir: &Ir, used: &mut Entries) -> Splits {
        let mut splits = Splits::new();
        for (argument, ensemble, _) in self.ensembles(ir) {
            if ensemble.trees.iter().any(|tree| tree.nodes.len() > 1) {
                let entries = 0..ir.program.tensor_type(argument).len as u32;
                used.extend(entries.map(|entry| (argument, entry)));
            }
            for (feature, own) in &ensemble.splits {
                let all = splits.entry((argument, *feature)).or_default();
                all.extend(own);
                all.sort_by(f64::total_cmp);
                all.dedup();
            }
        }
        splits
    }

    /// One ensemble of all trees.
    pub(super) fn placed(
        &self,
        ir: &Ir,
        scores: &[Combination],
        places: &FeaturePlaces,
    ) -> Result<TreeEnsemble, CompileError> {
        self.bound_leaves(ir)?;
        let mut trees = Vec::new();
        for (argument, ensemble, targets) in self.ensembles(ir) {
            let place = |feature| places[&(argument, feature)];
            trees.extend(
                ensemble
                    .trees
                    .iter()
                    .map(|tree| placed(tree, targets, place)),
            );
        }
        Ok(TreeEnsemble {
            scores: scores.len(),
            base: scores.iter().map(|score| score.constant).collect(),
            trees,
        })
    }

    /// Refuses leaves that would count for too many raw scores.
    fn bound_leaves(&self, ir: &Ir) -> Result<(), CompileError> {
        let mut values = 0_usize;
        for (_, ensemble, targets) in self.ensembles(ir) {
            let count = |target: &u32| targets.get(target).map_or(0, Vec::len);
            for (target, _) in ensemble.leaves().flatten() {
                values = values.saturating_add(count(target));
            }
        }
        if values > MAX_WEIGHTS {
            let problem = format!("the leaves have more than {MAX_WEIGHTS} values");
            return Err(CompileError::invalid("the graph", problem));
        }
        Ok(())
    }
}

/// A tree with features and leaves in terms of the whole model.
pub(super) fn placed(tree: &Tree, targets: &TargetScores, place: impl Fn(u32) -> u32) -> Tree {
    let leaf = |values: &[(u32, f64)]| {
        let mut sums: BTreeMap<u32, f64> = BTreeMap::new();
        for (target, value) in values {
            for &(raw, factor) in targets.get(target).map_or(&[][..], Vec::as_slice) {
                *sums.entry(raw).or_default() += factor * value;
            }
        }
        let sums = sums.into_iter();
        sums.filter(|&(_, value)| value != 0.0).collect()
    };
    let node = |node: &TreeNode| match node {
        TreeNode::Leaf(values) => TreeNode::Leaf(leaf(values)),
        &TreeNode::Split {
            feature,
            test,
            missing_goes_yes,
            yes,
            no,
        } => TreeNode::Split {
            feature: place(feature),
            test,
            missing_goes_yes,
            yes,
            no,
        },
    };
    Tree {
        nodes: tree.nodes.iter().map(node).collect(),
    }
}
