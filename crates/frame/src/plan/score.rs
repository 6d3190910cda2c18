//! Scores of linear models as columns: a sum of columns times weights, which a plan can hold.

use super::{Expression, Literal, NamedModel, Plan, PlanError, PlanStep, PublishedScore, StepName};
use crate::number::Number;
use std::collections::BTreeMap;
use std::sync::Arc;

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

impl ScoreError {
    pub(super) const fn new(problem: String) -> Self {
        Self { problem }
    }
}

impl LinearScore {
    /// A model of these weights, one a feature. `columns` are the features' names, or none.
    ///
    /// # Errors
    /// Weights that are no numbers, or too large; another number of columns than of weights.
    pub fn new(bias: f64, weights: &[f64], columns: Vec<String>) -> Result<Self, ScoreError> {
        let error = |problem| Err(ScoreError::new(problem));
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

/// What a plan takes the score of.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelScore {
    /// A model whose weights become part of the plan: whoever evaluates it sees them.
    Given(LinearScore),
    /// One that whoever evaluates has.
    Published(Arc<PublishedScore>),
}

impl ModelScore {
    /// Names of the columns that it takes, where it has some.
    pub fn columns(&self) -> &[String] {
        match self {
            Self::Given(score) => &score.columns,
            Self::Published(score) => score.columns(),
        }
    }

    fn features(&self) -> usize {
        match self {
            Self::Given(score) => score.weights.len(),
            Self::Published(score) => score.entries(),
        }
    }
}

impl Plan {
    /// The plan with the models that it names.
    ///
    /// # Errors
    /// A model that is not given; features that are not the model's.
    pub fn with_scores(self, scores: &BTreeMap<String, ModelScore>) -> Result<Self, PlanError> {
        self.with_models(&mut |model, features| {
            let Some(score) = scores.get(model.name()) else {
                return Err(not_given(model.name()));
            };
            let features = if features.is_empty() {
                score
                    .columns()
                    .iter()
                    .cloned()
                    .map(Expression::Col)
                    .collect()
            } else {
                features
            };
            let name = model.name();
            check_features(name, score.features(), features.len())?;
            Ok(match score {
                ModelScore::Given(score) => score.of(features),
                ModelScore::Published(score) => {
                    Expression::Model(NamedModel::published(Arc::clone(score)), features)
                }
            })
        })
    }

    /// The plan as whoever evaluates it takes it, with weights of the published models that it names.
    #[must_use]
    pub fn with_weights(&self, scores: &[Arc<PublishedScore>]) -> Self {
        self.with_published(|own| {
            let mut scores = scores.iter();
            let known =
                scores.find(|score| (score.name(), score.specs()) == (own.name(), own.specs()));
            Arc::clone(known.unwrap_or(own))
        })
    }

    /// The plan as everybody knows it: with the versions of published models, and not their weights.
    #[must_use]
    pub fn without_weights(self) -> Self {
        self.with_published(|own| Arc::new(own.without_weights()))
    }

    fn with_published(&self, change: impl Fn(&Arc<PublishedScore>) -> Arc<PublishedScore>) -> Self {
        let changed = self.clone().with_models(&mut |model, features| {
            let score = model.score().map(&change);
            let model = score.map_or(model, NamedModel::published);
            Ok(Expression::Model(model, features))
        });
        // Nothing above is an error.
        changed.unwrap_or_else(|_| self.clone())
    }

    /// The published models that it names, each once.
    pub fn published_models(&self) -> Vec<Arc<PublishedScore>> {
        fn collect(expression: &Expression, found: &mut Vec<Arc<PublishedScore>>) {
            if let Expression::Model(model, _) = expression
                && let Some(score) = model.score()
                && !found.iter().any(|own| own.name() == score.name())
            {
                found.push(Arc::clone(score));
            }
            for part in expression.parts() {
                collect(part, found);
            }
        }
        let mut found = Vec::new();
        for step in &self.steps {
            if let PlanStep::Filter(of) | PlanStep::WithColumn(super::Named { of, .. }) = step {
                collect(of, &mut found);
            }
        }
        found
    }

    /// The plan with something else in place of each model and its features.
    fn with_models(mut self, change: &mut Change<'_>) -> Result<Self, PlanError> {
        for (step, number) in self.steps.iter_mut().zip(1..) {
            let what = step.name();
            let (PlanStep::Filter(of) | PlanStep::WithColumn(super::Named { of, .. })) = step
            else {
                continue;
            };
            let taken = std::mem::replace(of, Expression::Lit(Literal::Null));
            *of = changed(taken, change).map_err(|problem| PlanError::Invalid {
                step: StepName { number, what },
                problem,
            })?;
        }
        Ok(self)
    }
}

/// Makes another expression of a model and its features.
type Change<'c> = dyn FnMut(NamedModel, Vec<Expression>) -> Result<Expression, String> + 'c;

fn changed(expression: Expression, change: &mut Change<'_>) -> Result<Expression, String> {
    let Expression::Model(model, features) = expression else {
        let mut problem = None;
        let made = expression.map_parts(|part| {
            changed(part, change).unwrap_or_else(|own| {
                problem.get_or_insert(own);
                Expression::Lit(Literal::Null)
            })
        });
        return problem.map_or(Ok(made), Err);
    };
    let features = features.into_iter().map(|own| changed(own, change));
    let features = features.collect::<Result<Vec<_>, _>>()?;
    change(model, features)
}

/// That a model has as many features as are given.
pub(crate) fn check_features(name: &str, expected: usize, found: usize) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!(
        "model {name:?} has {expected} features, and {found} are given; name a column for each, in order"
    ))
}

/// That a model is not at hand.
pub(crate) fn not_given(name: &str) -> String {
    format!(
        "model {name:?} is not at hand; give its file (--model {name}=FILE), or with --service name the published one (--model {name})"
    )
}
