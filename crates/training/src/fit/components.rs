//! Principal components, and standardisation.

use super::{centred_columns, require_numbers};
use crate::error::TrainingError;
use crate::matrix::Symmetric;
use crate::model::{FittedFunction, FittedModel};
use crate::moments::Moments;
use crate::spec::StatisticsSpec;

const COMPONENTS: &str = "a principal component analysis";
const STANDARDISE: &str = "a standardisation";

/// Eigenvectors of the columns' covariance, largest variance first; each one's largest entry is
/// positive, as scikit-learn's are.
pub(super) fn fit(
    spec: &StatisticsSpec,
    moments: &Moments,
    count: usize,
) -> Result<FittedModel, TrainingError> {
    require_numbers(COMPONENTS, spec)?;
    let columns = spec.numbers();
    if !(1..=columns.len()).contains(&count) {
        let problem = format!(
            "{count} components are asked for of {} columns",
            columns.len()
        );
        return Err(TrainingError::fit(COMPONENTS, problem));
    }
    let scatter = moments.scatter();
    let covariance = Symmetric::from_fn(columns.len(), |row, column| {
        scatter.get(row, column) * columns[row].half() * columns[column].half()
    });
    let mut numbers = centred_columns(spec, moments);
    for column in &mut numbers {
        column.scale = 1.0;
    }
    let positive = |vector: Vec<f64>| -> Vec<f64> {
        let largest = vector
            .iter()
            .copied()
            .max_by(|one, other| one.abs().total_cmp(&other.abs()));
        let sign = largest.unwrap_or_default().signum();
        vector.into_iter().map(|entry| entry * sign).collect()
    };
    let pairs = covariance.eigen().into_iter().take(count);
    Ok(FittedModel {
        name: spec.name().to_owned(),
        numbers,
        squares: false,
        categories: Vec::new(),
        function: FittedFunction::Map {
            weights: pairs.map(|(_, vector)| positive(vector)).collect(),
        },
    })
}

pub(super) fn standardise(
    spec: &StatisticsSpec,
    moments: &Moments,
) -> Result<FittedModel, TrainingError> {
    require_numbers(STANDARDISE, spec)?;
    let scatter = moments.scatter();
    moments.require_spread(STANDARDISE, spec, &scatter, 0..spec.numbers().len())?;
    let mut numbers = centred_columns(spec, moments);
    for (index, column) in numbers.iter_mut().enumerate() {
        column.scale /= (scatter.get(index, index) / moments.count()).sqrt();
    }
    Ok(FittedModel {
        name: spec.name().to_owned(),
        numbers,
        squares: false,
        categories: Vec::new(),
        function: FittedFunction::Features,
    })
}
