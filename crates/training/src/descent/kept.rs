//! Weights that stay encrypted: how rows are asked by them, and what forms become.
//!
//! A form is a fraction of the torus, which has room for half of it on each side and shows nothing of what
//! went around. So it is known beforehand how far any row of the program's ranges can reach, and where that
//! is too far a row is asked as two: x = 5 h + r, with h and r from -2 to 2.

use super::{
    Algorithm, DescentStart, DescentStep, ENDS, RANGE, STEPS, Simulation, Training, WEIGHT,
};
use crate::error::TrainingError;
use crate::rounding;
use serde::{Deserialize, Serialize};
use std::f64::consts::SQRT_2;

/// How far a form may reach on either side, with room for its error.
const REACH: f64 = 0.49;
/// Digits of features are of this base where there are two.
const BASE: i32 = 5;
/// How much less a digit's form reaches than that of the row: the constant, 4 = 5 - 1, has digits a fourth of
/// it, other features a sixth.
const SHORTER: f64 = 4.0;
/// Steps of a torus that a reach is told in where it comes of decrypted weights: far larger than their errors.
const REACH_STEPS: f64 = 64.0;
/// Deviations of all weights together that the sum of what they are off by may lie above its mean.
const DEVIATIONS: f64 = 12.0;

/// What is known in the clear of weights that stay encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptWeights {
    /// Steps that have led to them, those before the training's own included.
    pub steps: u64,
    /// What they are multiplied by to be those of the model: 1 without a penalty.
    pub shrunk: f64,
    /// Standard deviation of their errors, of those of the model.
    pub deviation: f64,
    /// How far a form of a row in the ranges can reach, a fraction of the torus.
    pub reach: f64,
}

/// A number of a prediction, and how far it may be off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FormNumber {
    /// The number.
    pub value: f64,
    /// Its error's bound.
    pub margin: f64,
}

/// What the forms of a row say.
#[derive(Clone, Debug, PartialEq)]
pub struct FormPrediction {
    /// Forms z of the sets of weights.
    pub scores: Vec<f64>,
    /// Number of the class.
    pub class: usize,
    /// For each class its probability; of support vector machines its score.
    pub numbers: Vec<FormNumber>,
}

impl KeptWeights {
    /// Of a training on so many rows that is about to be run.
    ///
    /// # Errors
    /// Forms that could go around the torus.
    pub fn of(
        training: &Training,
        (start, rows): (&DescentStart, usize),
        simulated: &Simulation,
    ) -> Result<Self, TrainingError> {
        let steps = training.schedule_after(start.before, rows)?;
        let shrunk = Training::shrunk_after(&steps);
        let scale = WEIGHT / shrunk;
        // The sum of what all weights are off by, simulated and encrypted ones: at most a deviation each in the
        // mean, however many there are.
        let features = training.features() as f64;
        let far = SQRT_2 * simulated.deviation * (features + DEVIATIONS * features.sqrt());
        let sets = simulated.unrounded.iter();
        let reach = sets.map(|weights| scale * furthest(weights, far));
        let reach = reach.fold(0.0, f64::max);
        require_reach(reach)?;
        Ok(Self {
            steps: start.before + steps.len() as u64,
            shrunk,
            deviation: simulated.deviation,
            reach,
        })
    }

    /// Of a training from zero, on rows that the key holder does not have and cannot simulate: by its weights as
    /// they were decrypted, fractions of the torus, with errors of `deviation`, of those of the model.
    ///
    /// # Errors
    /// Forms that could go around the torus.
    pub fn of_decrypted(
        (steps, deviation): (&[DescentStep], f64),
        sets: &[Vec<f64>],
    ) -> Result<Self, TrainingError> {
        let reach = sets.iter().map(|weights| furthest(weights, 0.0));
        let reach = reach.fold(0.0, f64::max);
        // What is remembered tells nothing of errors.
        let reach = (reach * REACH_STEPS).ceil() / REACH_STEPS;
        require_reach(reach)?;
        Ok(Self {
            steps: steps.len() as u64,
            shrunk: Training::shrunk_after(steps),
            deviation,
            reach,
        })
    }

    /// Whether sets of weights, fractions of the torus, reach as far as is remembered and no further. What a
    /// service gives as these weights may be anything.
    pub fn holds(&self, sets: &[Vec<f64>]) -> bool {
        let mut sets = sets.iter();
        sets.all(|weights| furthest(weights, 0.0) <= self.reach)
    }

    /// Rows that a row is asked as.
    pub fn digits(&self) -> usize {
        if self.reach > REACH { 2 } else { 1 }
    }

    /// A row as it is asked: the digits of its features, the lowest first.
    pub fn asked(&self, features: &[i32]) -> Vec<Vec<i32>> {
        if self.digits() == 1 {
            return vec![features.to_vec()];
        }
        let lowest = |x: &i32| (x + BASE / 2).rem_euclid(BASE) - BASE / 2;
        let low: Vec<i32> = features.iter().map(lowest).collect();
        let high = features.iter().zip(&low);
        let high = high.map(|(x, low)| (x - low) / BASE).collect();
        vec![low, high]
    }

    /// What the forms of a row say: for each set those of its digits, fractions of the torus, with errors of
    /// at most `margin` each. Scores are rounded to a step as large as what they may be off by, and all else is
    /// made of the rounded ones.
    pub fn prediction(
        &self,
        training: &Training,
        forms: &[Vec<f64>],
        margin: f64,
    ) -> FormPrediction {
        let scale = 4.0 * RANGE * self.shrunk;
        let base = f64::from(BASE);
        let z = |digits: &Vec<f64>| digits.iter().rev().fold(0.0, |sum, own| base * sum + own);
        let z: Vec<f64> = forms.iter().map(|digits| scale * z(digits)).collect();
        // Of two digits the errors add up.
        let error = scale * margin * if self.digits() == 2 { base + 1.0 } else { 1.0 };
        // A service may know a row and its z.
        let step = rounding::step(error);
        let z: Vec<f64> = z.iter().map(|z| rounding::to_step(*z, step)).collect();
        let margin = error + step / 2.0;
        let class = match &z[..] {
            [only] => usize::from(*only > 0.0),
            all => {
                let largest = (0..all.len()).max_by(|one, other| all[*one].total_cmp(&all[*other]));
                largest.unwrap_or(0)
            }
        };
        FormPrediction {
            class,
            numbers: training.numbers_of(&z, margin),
            scores: z,
        }
    }
}

/// That the digits of a form that reaches so far, a fraction of the torus, do not go around it.
fn require_reach(reach: f64) -> Result<(), TrainingError> {
    let limit = SHORTER * REACH;
    if reach > limit {
        return Err(TrainingError::Reaches {
            reach: reach / WEIGHT / f64::from(STEPS),
            limit: limit / WEIGHT / f64::from(STEPS),
        });
    }
    Ok(())
}

/// How far the form of a row in the ranges can be, of weights that are together off by as much as `off`.
fn furthest(weights: &[f64], off: f64) -> f64 {
    let (constant, others) = weights.split_last().unwrap_or((&0.0, &[]));
    let others: f64 = others.iter().map(|weight| weight.abs()).sum();
    f64::from(STEPS) * (ENDS * (others + off) + constant.abs())
}

impl Training {
    /// Probabilities, or scores, of the forms z of all sets.
    fn numbers_of(&self, z: &[f64], margin: f64) -> Vec<FormNumber> {
        let number = |value, margin| FormNumber { value, margin };
        let logistic = |z: f64| 1.0 / (1.0 + (-z).exp());
        match (self.algorithm(), z) {
            (Algorithm::Svm, [only]) => vec![number(0.0, 0.0), number(*only, margin)],
            (Algorithm::Svm, all) => all.iter().map(|z| number(*z, margin)).collect(),
            (Algorithm::Logistic, [only]) => {
                // The slope of the logistic function is at most a quarter.
                let (no, yes) = (logistic(-only), logistic(*only));
                let off = (1.1 * yes * no * margin).min(margin / 4.0);
                vec![number(no, off), number(yes, off)]
            }
            (Algorithm::Logistic, all) => {
                let chances: Vec<f64> = all.iter().map(|z| logistic(*z)).collect();
                let off = |chance: f64| 1.1 * chance * (1.0 - chance) * margin;
                let sum: f64 = chances.iter().sum();
                let all_off: f64 = chances.iter().map(|chance| off(*chance)).sum();
                let of = |chance: &f64| {
                    let value = chance / sum;
                    number(value, (off(*chance) + value * all_off) / sum)
                };
                chances.iter().map(of).collect()
            }
        }
    }

    /// Header names of a prediction's columns: the label's, then one a class.
    pub fn prediction_columns(&self) -> Vec<String> {
        let what = match self.algorithm() {
            Algorithm::Logistic => "probability",
            Algorithm::Svm => "score",
        };
        let classes = self.target().categories.iter();
        let numbers = classes.map(|class| format!("{what}_{class}"));
        ["label".to_owned()].into_iter().chain(numbers).collect()
    }
}
