//! Scores of linear models as columns: a sum of columns times weights, which a plan can hold.

use super::{Expression, Literal, Plan, PlanError, PlanStep, StepName};
use crate::number::Number;
use std::collections::BTreeMap;

/// Digits that a weight keeps: each term of a score is off by a part of 2^-14 of itself at most.
const DIGITS: i32 = 5;
/// Least digits, where decimals run out: 2^-11.
const LEAST_DIGITS: i32 = 4;
/// Most decimals of weights: as many as leave room for those of columns.
const MAX_DECIMALS: i32 = 11;

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
        let mut rounded = Vec::with_capacity(weights.len());
        for (place, weight) in (1..).zip(weights) {
            match number(*weight, decimals(*weight)) {
                Some(own) if digits_kept(*weight) >= LEAST_DIGITS => rounded.push(own),
                _ => {
                    return error(format!(
                        "the model's weight {place} is {weight:e}, which {MAX_DECIMALS} decimals and 15 digits have no room for; scale its feature by a power of ten"
                    ));
                }
            }
        }
        let finest = weights.iter().map(|own| decimals(*own)).max();
        let finest = finest.unwrap_or_default().max(decimals(bias));
        let Some(bias) = number(bias, finest) else {
            return error(format!(
                "the model's constant is {bias:e}, and has no room beside weights of {finest} decimals; scale its features"
            ));
        };
        Ok(Self {
            bias,
            weights: rounded,
            columns,
        })
    }

    /// Decimals of the weights.
    pub fn places(&self) -> u8 {
        let weights = self.weights.iter().map(|own| own.places());
        weights.max().unwrap_or(0)
    }

    /// The score of features.
    fn of(&self, features: Vec<Expression>) -> Expression {
        // Those of weight 0, too: where one is missing there is no score.
        let terms = self.weights.iter().zip(features);
        let terms = terms.map(|(weight, feature)| feature.times(*weight));
        let bias = Expression::Lit(Literal::Number(self.bias));
        Expression::Add(std::iter::once(bias).chain(terms).collect())
    }
}

/// Decimals with which a number has its digits.
fn decimals(value: f64) -> i32 {
    if value == 0.0 || !value.is_finite() {
        return 0;
    }
    (DIGITS - 1 - magnitude(value)).clamp(0, MAX_DECIMALS)
}

/// Digits that are left of a number at its decimals.
fn digits_kept(value: f64) -> i32 {
    if value == 0.0 {
        return DIGITS;
    }
    decimals(value) + magnitude(value) + 1
}

/// Of the first digit.
fn magnitude(value: f64) -> i32 {
    value.abs().log10().floor() as i32
}

fn number(value: f64, decimals: i32) -> Option<Number> {
    let units = (value * 10f64.powi(decimals)).round();
    let is_small = units.abs() < (1i64 << 53) as f64;
    Number::new(units as i64, decimals as u8).filter(|_| is_small)
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
    let features = features.into_iter().map(|own| scored(own, scores));
    let features = features.collect::<Result<Vec<_>, _>>()?;
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
