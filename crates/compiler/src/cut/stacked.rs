//! Trees over what the server computes, in terms of the whole model: features of the one vector, raw
//! scores.

use super::features::FeaturePlaces;
use super::lookups::{UsedLookups, is_of_functions, linear_form};
use super::trees::{TargetScores, Uses, placed};
use crate::error::{CompileError, NodeName};
use crate::ir::{Combination, Function, Ir, StackedTrees};
use crate::model::{ComparedNumber, NumberComparison, StackedModel, TreeEnsemble};
use std::slice;

/// The trees that raw scores are sums of.
pub(super) struct UsedStacks {
    uses: Uses,
    /// What numbers are of functions of.
    functions: Vec<UsedLookups>,
}

/// The nodes of trees at the server, with the number of their comparisons.
pub(super) fn nodes(ir: &Ir) -> Vec<(NodeName, usize)> {
    let stacks = ir.estimators.iter().filter_map(|own| match &own.function {
        Function::Stacked(stack) => Some(stack),
        _ => None,
    });
    let node = |stack: &StackedTrees| {
        let node = ir.nodes.get(&stack.node)?;
        Some((node.clone(), stack.comparisons.len()))
    };
    stacks.filter_map(node).collect()
}

impl UsedStacks {
    pub(super) fn of(ir: &Ir, scores: &[Combination]) -> Self {
        let mut stacks = Self {
            uses: Uses::of(scores),
            functions: Vec::new(),
        };
        let numbers = stacks.numbers(ir).filter(|number| is_of_functions(number));
        let functions = numbers.map(|number| UsedLookups::of(ir, slice::from_ref(number)));
        stacks.functions = functions.collect();
        stacks
    }

    fn stacks<'a>(
        &'a self,
        ir: &'a Ir,
    ) -> impl Iterator<Item = (&'a StackedTrees, &'a TargetScores)> {
        let targets = self.uses.targets();
        targets.filter_map(|(estimator, targets)| {
            match &ir.estimators[estimator as usize].function {
                Function::Stacked(stack) => Some((stack, targets)),
                _ => None,
            }
        })
    }

    fn numbers<'a>(&'a self, ir: &'a Ir) -> impl Iterator<Item = &'a Combination> {
        self.stacks(ir).flat_map(|(stack, _)| &stack.numbers)
    }

    /// All forms in features.
    pub(super) fn forms<'a>(&'a self, ir: &'a Ir) -> impl Iterator<Item = &'a Combination> {
        let own = self.numbers(ir).filter(|number| !is_of_functions(number));
        own.chain(self.functions.iter().flat_map(UsedLookups::forms))
    }

    /// All of them as one model.
    pub(super) fn placed(
        &self,
        ir: &Ir,
        scores: &[Combination],
        places: &FeaturePlaces,
    ) -> Result<StackedModel, CompileError> {
        let mut functions = self.functions.iter();
        let mut model = StackedModel {
            node: String::new(),
            numbers: Vec::new(),
            comparisons: Vec::new(),
            trees: TreeEnsemble {
                scores: scores.len(),
                base: scores.iter().map(|score| score.constant).collect(),
                trees: Vec::new(),
            },
        };
        for (stack, targets) in self.stacks(ir) {
            let (number, comparison) = (model.numbers.len() as u32, model.comparisons.len() as u32);
            if model.node.is_empty() {
                model.node.clone_from(&stack.node);
            }
            for own in &stack.numbers {
                if !is_of_functions(own) {
                    let form = linear_form(own, places);
                    model.numbers.push(ComparedNumber::Form(form));
                    continue;
                }
                let unknown = || CompileError::invalid(&stack.node, "its numbers are not known");
                let functions = functions.next().ok_or_else(unknown)?;
                let score = functions.placed(slice::from_ref(own), places)?;
                model.numbers.push(ComparedNumber::Score(Box::new(score)));
            }
            model
                .comparisons
                .extend(stack.comparisons.iter().map(|own| NumberComparison {
                    number: number + own.number,
                    ..*own
                }));
            let moved = |asked: u32| comparison + asked;
            let trees = stack.trees.iter();
            model
                .trees
                .trees
                .extend(trees.map(|tree| placed(tree, targets, moved)));
        }
        Ok(model)
    }
}
