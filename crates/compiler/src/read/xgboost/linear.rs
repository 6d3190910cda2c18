//! `gblinear`: weights of all features of all scores, then the biases. A missing value adds
//! nothing. Where the intercept has a value a score, the library takes the first for all scores (seen
//! in version 3.2), so that is what the model answers.

use super::LIBRARY;
use crate::error::CompileError;
use crate::model::{Column, LinearModel};
use crate::read::features::FeatureCollector;
use crate::read::json::Float;
use cipherfn_program::RowProgram;

/// The linear map, its columns and the program before it.
pub(super) fn read(
    weights: &[Float],
    features: &FeatureCollector,
    base: &[f64],
) -> Result<(LinearModel, Vec<Column>, RowProgram), CompileError> {
    let (columns, scores) = (features.columns(), base.len());
    let wanted = (columns + 1) * scores;
    if weights.len() != wanted {
        let found = weights.len();
        let problem =
            format!("{found} weights, {columns} features and {scores} scores take {wanted}");
        return Err(LIBRARY.invalid("gradient_booster.model.weights", problem));
    }
    if let Some(at) = weights.iter().position(|weight| !weight.0.is_finite()) {
        let problem = format!("weight {at} is {}", weights[at].0);
        return Err(LIBRARY.invalid("gradient_booster.model.weights", problem));
    }
    let weight = |feature: usize, score: usize| f64::from(weights[feature * scores + score].0);
    let linear = LinearModel {
        weights: (0..scores)
            .map(|score| (0..columns).map(|feature| weight(feature, score)).collect())
            .collect(),
        bias: (0..scores)
            .map(|score| base[0] + weight(columns, score))
            .collect(),
    };
    let (columns, preprocess) = features.all_without_missing()?;
    Ok((linear, columns, preprocess))
}
