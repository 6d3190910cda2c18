//! Linear discriminant analysis: classes of one covariance.

use super::{centred_columns, dependent, require_numbers};
use crate::error::TrainingError;
use crate::model::{ClassLink, FittedFunction, FittedModel};
use crate::moments::Moments;
use crate::spec::StatisticsSpec;

const FIT: &str = "a discriminant analysis";

/// With the covariance C within classes (by the number of rows, as scikit-learn 1.9 has it), class means m and priors p the score of
/// a class is `x C^-1 m - m C^-1 m / 2 + log p`, all less the mean of all rows.
pub(super) fn fit(spec: &StatisticsSpec, moments: &Moments) -> Result<FittedModel, TrainingError> {
    require_numbers(FIT, spec)?;
    let classes = moments.classes(FIT, spec)?;
    let columns = spec.numbers().len();
    let scatter = moments.scatter_within();
    moments.require_spread(FIT, spec, &scatter, 0..columns)?;
    let mean = |class: usize| -> Vec<f64> {
        let own = (0..columns).map(|column| moments.class_mean(class, column));
        own.enumerate()
            .map(|(column, mean)| mean - moments.mean(column))
            .collect()
    };
    let means: Vec<Vec<f64>> = classes.iter().map(|(class, _)| mean(*class)).collect();
    let solved = scatter
        .solve(moments.tolerance(), &means)
        .map_err(|column| dependent(FIT, spec, column))?;
    let weights: Vec<Vec<f64>> = solved
        .into_iter()
        .map(|row| {
            row.into_iter()
                .map(|weight| weight * moments.count())
                .collect()
        })
        .collect();
    let intercepts = classes.iter().zip(weights.iter().zip(&means));
    let intercepts = intercepts.map(|((class, _), (weights, means))| {
        let square: f64 = weights
            .iter()
            .zip(means)
            .map(|(weight, mean)| weight * mean)
            .sum();
        (moments.class_count(*class) / moments.count()).ln() - square / 2.0
    });
    Ok(FittedModel {
        name: spec.name().to_owned(),
        numbers: centred_columns(spec, moments),
        squares: false,
        categories: Vec::new(),
        function: FittedFunction::Classifier {
            labels: classes.iter().map(|(_, name)| (*name).to_owned()).collect(),
            intercepts: intercepts.collect(),
            weights,
            link: ClassLink::Softmax,
        },
    })
}
