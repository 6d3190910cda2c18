//! Naive Bayes: columns that are independent within a class.

use super::centred_columns;
use crate::error::TrainingError;
use crate::model::{CategoryColumn, ClassLink, FittedFunction, FittedModel};
use crate::moments::Moments;
use crate::spec::StatisticsSpec;

const FIT: &str = "naive Bayes";

/// A Gaussian's logarithm is a square of the number, so that the score of a class is linear in
/// numbers, squares and indicators of categories.
pub(super) fn fit(
    spec: &StatisticsSpec,
    moments: &Moments,
    smoothing: f64,
    alpha: f64,
) -> Result<FittedModel, TrainingError> {
    for (name, value) in [("smoothing", smoothing), ("alpha", alpha)] {
        if !(value >= 0.0 && value.is_finite()) {
            let problem = format!("{name} is {value}; it must be 0 or more");
            return Err(TrainingError::fit(FIT, problem));
        }
    }
    let classes = moments.classes(FIT, spec)?;
    // In standard deviations, so that squares keep their precision in a file of 32-bit numbers.
    let scatter = moments.scatter();
    moments.require_spread(FIT, spec, &scatter, 0..spec.numbers().len())?;
    let deviation = |column: usize| (scatter.get(column, column) / moments.count()).sqrt();
    let mut numbers = centred_columns(spec, moments);
    for (column, scaled) in numbers.iter_mut().enumerate() {
        scaled.scale /= deviation(column);
    }
    // As scikit-learn: part of the largest variance of the columns as they are.
    let scaled = numbers.iter().map(|scaled| scaled.scale.powi(-2));
    let added = smoothing * scaled.fold(0.0, f64::max);
    let (mut weights, mut intercepts) = (Vec::new(), Vec::new());
    for (class, name) in &classes {
        let mut intercept = (moments.class_count(*class) / moments.count()).ln();
        let (mut linear, mut squares) = (Vec::new(), Vec::new());
        for (column, scaled) in numbers.iter().enumerate() {
            let own = deviation(column);
            let mean = (moments.class_mean(*class, column) - moments.mean(column)) / own;
            let variance =
                moments.class_variance(*class, column) / (own * own) + added * scaled.scale.powi(2);
            if moments.class_count(*class) * variance * own * own <= moments.tolerance() {
                let problem = format!(
                    "column {:?} is constant in class {name:?}, as far as the sums tell; leave it out, or raise the smoothing",
                    scaled.name
                );
                return Err(TrainingError::fit(FIT, problem));
            }
            linear.push(mean / variance);
            squares.push(-0.5 / variance);
            // The logarithm of the raw variance, but for what all classes share.
            intercept -= 0.5 * (variance.ln() + mean * mean / variance);
        }
        let mut row = [linear, squares].concat();
        for (column, listed) in spec.categories().iter().enumerate() {
            let counts = moments.class_categories(*class, column);
            let all = moments.class_count(*class) + alpha * counts.len() as f64;
            if let Some(place) = counts.iter().position(|count| count + alpha <= 0.0) {
                let problem = format!(
                    "class {name:?} has no row with {:?} in column {:?}; give an alpha above 0",
                    listed.categories[place], listed.name
                );
                return Err(TrainingError::fit(FIT, problem));
            }
            row.extend(counts.iter().map(|count| ((count + alpha) / all).ln()));
        }
        weights.push(row);
        intercepts.push(intercept);
    }
    let categories = spec.categories().iter().map(|column| CategoryColumn {
        name: column.name.clone(),
        categories: column.categories.clone(),
    });
    Ok(FittedModel {
        name: spec.name().to_owned(),
        squares: !numbers.is_empty(),
        numbers,
        categories: categories.collect(),
        function: FittedFunction::Classifier {
            labels: classes.iter().map(|(_, name)| (*name).to_owned()).collect(),
            weights,
            intercepts,
            link: ClassLink::Softmax,
        },
    })
}
