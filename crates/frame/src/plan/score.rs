//! Scores of linear models as columns: a sum of columns times weights, which a plan can hold.

use super::{Expression, Literal, Plan, PlanError, PlanStep, StepName};
use crate::number::Number;
use std::collections::BTreeMap;

/// Digits of the largest weight: an error of 5 in a million of it, where the columns of a row have
/// three digits.
const DIGITS: i32 = 5;
/// Most decimals of weights: as many as leave room for those of columns.
const MAX_DECIMALS: i32 = 9;

/// `bias + sum of weight * feature`, with weights that were rounded to decimals.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearScore {
    bias: Number,
    weights: Vec<Number>,
    /// Names of the columns that are the features, where the model has some.
    columns: Vec<String>,
}

/// Why a model is no score.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct ScoreError {
    problem: String,
}

impl LinearScore {
    /// A model of these weights, one a feature. `columns` are the features' names, or none.
    ///
    /// # Errors
    /// Weights that are no numbers, or too large; another number of columns than of weights.
    pub fn new(bias: f64, weights: &[f64], columns: Vec<String>) -> Result<Self, ScoreError> {
        let error = |problem: String| Err(ScoreError { problem });
        if weights.is_empty() || (!columns.is_empty() && columns.len() != weights.len()) {
            return error(format!(
                "the model has {} weights and {} columns",
                weights.len(),
                columns.len()
            ));
        }
        let largest = weights.iter().fold(0.0f64, |most, own| most.max(own.abs()));
        let decimals = if largest > 0.0 {
            (DIGITS - 1 - largest.log10().floor() as i32).clamp(0, MAX_DECIMALS)
        } else {
            0
        };
        let scale = 10f64.powi(decimals);
        let number = |value: f64| {
            let units = (value * scale).round();
            let is_small = units.abs() < (1i64 << 53) as f64;
            Number::new(units as i64, decimals as u8).filter(|_| is_small)
        };
        let rounded: Option<Vec<Number>> = weights.iter().map(|own| number(*own)).collect();
        match (number(bias), rounded) {
            (Some(bias), Some(weights)) => Ok(Self {
                bias,
                weights,
                columns,
            }),
            _ => error(
                "the model has weights that are no numbers of 15 digits; scale its features".into(),
            ),
        }
    }

    /// Decimals of the weights.
    pub fn places(&self) -> u8 {
        let weights = self.weights.iter().map(|own| own.places());
        weights.max().unwrap_or(0)
    }

    /// The score of features.
    fn of(&self, features: Vec<Expression>) -> Expression {
        let terms = self.weights.iter().zip(features);
        let terms = terms.filter(|(weight, _)| **weight != Number::whole(0));
        let terms = terms.map(|(weight, feature)| feature.times(*weight));
        let bias = Expression::Lit(Literal::Number(self.bias));
        Expression::Add(std::iter::once(bias).chain(terms).collect())
    }
}

impl Plan {
    /// The plan with the weights of the linear models that it names: whoever evaluates it sees them.
    ///
    /// # Errors
    /// A model that is not given; features that are not the model's.
    pub fn with_scores(
        mut self,
        scores: &BTreeMap<String, LinearScore>,
    ) -> Result<Self, PlanError> {
        for (step, number) in self.steps.iter_mut().zip(1..) {
            let what = step.name();
            let (PlanStep::Filter(of) | PlanStep::WithColumn(super::Named { of, .. })) = step
            else {
                continue;
            };
            let taken = std::mem::replace(of, Expression::Lit(Literal::Null));
            *of = scored(taken, scores).map_err(|problem| PlanError::Invalid {
                step: StepName { number, what },
                problem,
            })?;
        }
        Ok(self)
    }
}

fn scored(
    expression: Expression,
    scores: &BTreeMap<String, LinearScore>,
) -> Result<Expression, String> {
    let Expression::Model(name, features) = expression else {
        let mut problem = None;
        let changed = expression.map_parts(|part| {
            scored(part, scores).unwrap_or_else(|own| {
                problem.get_or_insert(own);
                Expression::Lit(Literal::Null)
            })
        });
        return problem.map_or(Ok(changed), Err);
    };
    let Some(score) = scores.get(&name) else {
        return Err(not_given(&name));
    };
    let features = if features.is_empty() {
        score.columns.iter().cloned().map(Expression::Col).collect()
    } else {
        features
    };
    if features.len() != score.weights.len() {
        return Err(format!(
            "model {name:?} has {} features, and {} are given; name a column for each, in order",
            score.weights.len(),
            features.len()
        ));
    }
    Ok(score.of(features))
}

/// That nobody gave the weights of a model.
pub(crate) fn not_given(name: &str) -> String {
    format!("the weights of model {name:?} are not at hand; give its file (--model {name}=FILE)")
}
