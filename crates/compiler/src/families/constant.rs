//! Estimators that give every row the same scores: trees that never split, weights that are zero.
//!
//! They go with what there is to compute. Where there is nothing, the model stays a model: its
//! query is an encrypted zero, which tells nothing of the row, and the answer stands in the specs.

use super::scores::ScoreMap;
use crate::error::CompileError;
use crate::model::{
    Estimator, LayeredModel, LinearModel, LookupModel, Model, NeighbourModel, StackedModel,
    TreeEnsemble,
};
use cipherfn_program::{ProgramBuilder, RowProgram, Tensor};

/// Makes constant estimators part of the family of one that is not constant.
pub(crate) fn fold_constants(model: &mut Model) -> Result<(), CompileError> {
    let constants: Vec<Option<Vec<f64>>> = model.estimators.iter().map(constant).collect();
    let pairs = || model.estimators.iter().zip(&constants);
    let mut rest = pairs().filter(|(_, constant)| constant.is_none());
    let first = rest.next();
    if first.is_none() {
        let builder = ProgramBuilder::new(model.preprocess.inputs().to_vec())?;
        model.preprocess = zero(builder)?;
        model.features = 1;
        model.origins = vec![None];
        model.summary.notes.push(
            "the model gives every row the same answer: the client sends an encrypted zero, and \
             the specs show the answer"
                .to_owned(),
        );
    }
    let in_trees = matches!(first, Some((Estimator::Trees(_), _)));
    let features = model.features;
    for (estimator, constant) in model.estimators.iter_mut().zip(constants) {
        match constant {
            None => {}
            Some(base) if in_trees => {
                *estimator = Estimator::Trees(TreeEnsemble {
                    scores: base.len(),
                    base,
                    trees: Vec::new(),
                });
            }
            Some(bias) => {
                *estimator = Estimator::Linear(LinearModel {
                    weights: vec![vec![0.0; features]; bias.len()],
                    bias,
                });
            }
        }
    }
    Ok(())
}

/// What an estimator gives every row, if that is always the same.
fn constant(estimator: &Estimator) -> Option<Vec<f64>> {
    match estimator {
        Estimator::Trees(trees) | Estimator::Stacked(StackedModel { trees, .. }) => {
            let map = ScoreMap::of_trees(trees);
            let scores = map.scores.iter().map(|score| score.offset).collect();
            map.carried.is_empty().then_some(scores)
        }
        Estimator::Linear(linear) => {
            let mut weights = linear.weights.iter().flatten();
            let is_zero = weights.all(|&weight| weight == 0.0);
            is_zero.then(|| linear.bias.clone())
        }
        Estimator::Lookups(LookupModel { weights, bias, .. })
        | Estimator::Layers(LayeredModel { weights, bias, .. })
        | Estimator::Neighbours(NeighbourModel { weights, bias, .. }) => {
            let is_zero = weights.iter().flatten().all(|&weight| weight == 0.0);
            is_zero.then(|| bias.clone())
        }
        // Its leaves have slopes, or it were an ensemble of the other kind.
        Estimator::LinearTrees(_) => None,
    }
}

/// A program that reads nothing and gives one feature.
fn zero(mut builder: ProgramBuilder) -> Result<RowProgram, CompileError> {
    let value = builder.constant("features", Tensor::F32(vec![0.0]))?;
    Ok(builder.finish(&[value])?)
}
