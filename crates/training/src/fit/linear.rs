//! Linear and ridge regression, by the normal equations.

use super::{centred_columns, dependent, require_numbers};
use crate::error::TrainingError;
use crate::matrix::Symmetric;
use crate::model::{FittedFunction, FittedModel};
use crate::moments::Moments;
use crate::spec::{StatisticsSpec, Target};

const FIT: &str = "a linear regression";

/// With x = middle + half t the penalty on the weights of x is one of penalty / half^2 on those of t.
pub(super) fn fit(
    spec: &StatisticsSpec,
    moments: &Moments,
    penalty: f64,
) -> Result<FittedModel, TrainingError> {
    require_numbers(FIT, spec)?;
    let Target::Number(target) = spec.target() else {
        let problem = "the spec has no numeric target";
        return Err(TrainingError::fit(FIT, problem));
    };
    if !(penalty >= 0.0 && penalty.is_finite()) {
        let problem = format!("the penalty is {penalty}; it must be 0 or more");
        return Err(TrainingError::fit(FIT, problem));
    }
    let numbers = spec.numbers();
    let scatter = moments.scatter();
    moments.require_spread(FIT, spec, &scatter, 0..numbers.len())?;
    let matrix = Symmetric::from_fn(numbers.len(), |row, column| {
        let on_diagonal = f64::from(u8::from(row == column));
        scatter.get(row, column) + on_diagonal * penalty / numbers[row].half().powi(2)
    });
    let side = (0..numbers.len()).map(|column| scatter.get(column, numbers.len()));
    let solved = matrix
        .solve(moments.tolerance(), &[side.collect()])
        .map_err(|column| dependent(FIT, spec, column))?;
    let weights = solved.into_iter().flatten();
    Ok(FittedModel {
        name: spec.name().to_owned(),
        numbers: centred_columns(spec, moments),
        squares: false,
        categories: Vec::new(),
        function: FittedFunction::Regressor {
            weights: weights.map(|weight| weight * target.half()).collect(),
            intercept: target.middle() + target.half() * moments.mean(numbers.len()),
        },
    })
}
