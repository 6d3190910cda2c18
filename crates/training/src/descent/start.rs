//! Weights that a training starts from: those of a model, or of an earlier training.

use super::{DescentStep, RANGE, Training, WEIGHT};
use crate::error::TrainingError;

/// Weights before the first step.
#[derive(Clone, Debug, PartialEq)]
pub struct DescentStart {
    /// Steps that were done before on other rows: the rate has decayed by these.
    pub before: u64,
    /// Weights of each set as fractions of the torus, one a feature, the constant last. They are the
    /// model's own: of what a penalty leaves of weights, nothing is put off.
    pub fractions: Vec<Vec<f64>>,
    /// Standard deviation of their errors, a fraction of the torus: 0 of weights that are known. The error
    /// of encrypting them is far below that of one step.
    pub deviation: f64,
}

impl DescentStart {
    /// Weights of zero.
    pub fn zero(training: &Training) -> Self {
        Self {
            before: 0,
            fractions: vec![vec![0.0; training.features()]; training.sets()],
            deviation: 0.0,
        }
    }

    /// What a training has come to: its weights as they were decrypted, after `steps` of which `before`
    /// others were done, with errors of `deviation`; all as fractions of the torus.
    pub fn after(
        (before, steps): (u64, &[DescentStep]),
        fractions: &[Vec<f64>],
        deviation: f64,
    ) -> Self {
        let shrunk = Training::shrunk_after(steps);
        let whole = |own: &Vec<f64>| own.iter().map(|held| held * shrunk).collect();
        Self {
            before: before + steps.len() as u64,
            fractions: fractions.iter().map(whole).collect(),
            deviation: deviation * shrunk,
        }
    }
}

impl Training {
    /// A start from weights of the units of features, the constant last ([`Self::unit`]), one row a set.
    ///
    /// # Errors
    /// Other numbers of weights; a weight with which a unit of its column alone leads beyond twice the
    /// residuals' table, where steps have the wrong sign, by name.
    pub fn start(&self, sets: &[Vec<f64>]) -> Result<DescentStart, TrainingError> {
        let count = |what, expected, found| {
            Err(TrainingError::StartShape {
                what,
                expected,
                found,
            })
        };
        if sets.len() != self.sets() {
            return count("sets of weights", self.sets(), sets.len());
        }
        let limit = 2.0 * RANGE;
        for (set, weights) in sets.iter().enumerate() {
            if weights.len() != self.features() {
                let what = "weights with the constant";
                return count(what, self.features(), weights.len());
            }
            let mut all = weights.iter().copied().enumerate();
            let beyond = all.find(|(_, value)| !value.is_finite() || value.abs() > limit);
            if let Some((place, value)) = beyond {
                let column = self.numbers().get(place);
                let name = |column: &crate::NumericColumn| format!("column {:?}", column.name);
                return Err(TrainingError::StartWeight {
                    name: column.map_or("the constant".to_owned(), name),
                    class: self.class_of(set).to_owned(),
                    value,
                    limit,
                    unit: column.map_or(1.0, Self::unit),
                });
            }
        }
        let fractions = |weights: &Vec<f64>| weights.iter().map(|weight| weight * WEIGHT).collect();
        Ok(DescentStart {
            before: 0,
            fractions: sets.iter().map(fractions).collect(),
            deviation: 0.0,
        })
    }

    /// The class that a set of weights tells from the others.
    pub fn class_of(&self, set: usize) -> &str {
        let classes = &self.target().categories;
        let place = if self.sets() == 1 { 1 } else { set };
        classes.get(place).map_or("", String::as_str)
    }
}
