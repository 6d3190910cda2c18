//! Models that follow from moments: each file has one kind.

mod bayes;
mod components;
mod discriminant;
mod linear;

use crate::error::TrainingError;
use crate::matrix::Dependent;
use crate::model::{FittedModel, ScaledColumn};
use crate::moments::Moments;
use crate::spec::{NumericColumn, StatisticsSpec};

/// What to fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fit {
    /// Least squares on a numeric target, with the penalty on the square of the weights: 0 for none.
    Linear {
        /// As scikit-learn's `Ridge` has it, on the columns as they are.
        penalty: f64,
    },
    /// Linear discriminant analysis of the numeric columns.
    Discriminant,
    /// Naive Bayes: numeric columns are Gaussian, categorical ones categorical.
    NaiveBayes {
        /// Part of the largest variance that is added to all of them.
        smoothing: f64,
        /// What is added to each category's count.
        alpha: f64,
    },
    /// Principal components of the numeric columns.
    Components {
        /// How many.
        count: usize,
    },
    /// Columns less their mean, divided by their standard deviation.
    Standardise,
}

impl Fit {
    /// The model.
    ///
    /// # Errors
    /// A spec without what it takes; constant columns, and ones that depend on each other.
    pub fn of(
        self,
        spec: &StatisticsSpec,
        moments: &Moments,
    ) -> Result<FittedModel, TrainingError> {
        match self {
            Self::Linear { penalty } => linear::fit(spec, moments, penalty),
            Self::Discriminant => discriminant::fit(spec, moments),
            Self::NaiveBayes { smoothing, alpha } => bayes::fit(spec, moments, smoothing, alpha),
            Self::Components { count } => components::fit(spec, moments, count),
            Self::Standardise => components::standardise(spec, moments),
        }
    }
}

/// A column less its mean, in halves of its range.
fn centred(column: &NumericColumn, mean: f64) -> ScaledColumn {
    ScaledColumn {
        name: column.name.clone(),
        offset: column.middle() + column.half() * mean,
        scale: 1.0 / column.half(),
    }
}

/// All columns without the target, centred.
fn centred_columns(spec: &StatisticsSpec, moments: &Moments) -> Vec<ScaledColumn> {
    let columns = spec.numbers().iter().enumerate();
    columns
        .map(|(index, column)| centred(column, moments.mean(index)))
        .collect()
}

/// That there are numeric columns and no others.
fn require_numbers(fit: &'static str, spec: &StatisticsSpec) -> Result<(), TrainingError> {
    if spec.numbers().is_empty() || !spec.categories().is_empty() {
        let problem = "it takes numeric columns alone; fit naive Bayes, or leave the others out";
        return Err(TrainingError::fit(fit, problem));
    }
    Ok(())
}

fn dependent(
    fit: &'static str,
    spec: &StatisticsSpec,
    Dependent(column): Dependent,
) -> TrainingError {
    let name = spec.numbers().get(column).map_or("", |column| &column.name);
    TrainingError::fit(
        fit,
        format!(
            "column {name:?} follows from those before it, as far as the sums tell; leave it out, or fit ridge regression where there is a number to predict"
        ),
    )
}
