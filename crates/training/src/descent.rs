//! Training by mini-batch gradient descent: programs, the schedule of their steps, and their
//! simulation in the clear.
//!
//! A feature x of the range [low, high] is the integer `12 (x - middle) / half`, four steps a unit of
//! descent; 4 is the constant. Weights are fractions of the torus: `1 / (16 RANGE)` is a weight of 1,
//! so that the torus has room for forms z of twice the range on both sides.

mod encoder;
mod held;
mod kept;
mod messages;
mod outgrown;
mod rows;
mod schedule;
mod shares;
mod simulate;
mod start;
mod state;
mod upload;

pub use encoder::{RowEncoder, TrainingRows, mean_square};
pub use kept::{FormNumber, FormPrediction, KeptWeights};
pub use messages::{Forms, FormsQuery, MAX_FORMS, MAX_QUERY_BATCHES};
pub use rows::{
    MAX_BATCHES, PUBLIC_BATCH, ROWS_HEAD, RowsChunk, RowsForm, RowsHead, files_hash, rows_hash,
};
pub use schedule::DescentStep;
pub use shares::{OwnerShares, RowShares};
pub use simulate::{
    Simulation, StepNoise, accuracy, simulate, simulate_from, simulate_of, synthetic,
};
pub use start::DescentStart;
pub use state::DescentState;
pub use upload::DescentUpload;

use crate::error::TrainingError;
use crate::model::{ClassLink, FittedFunction, FittedModel, ScaledColumn};
use crate::rounding;
use crate::spec::{CategoricalColumn, ColumnV1, NumericColumn, Version, list, range, unique};
use cipherfn_protocol::hash::Hash;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Forms z up to this are looked up; further ones are mirrored, and beyond twice of it wrong.
const RANGE: f64 = 16.0;
/// Forms beyond this are refused. Half of the range above its end a mirrored residual is that of half of the range:
/// of a support vector machine the same, of logistic regression off by less than 2^-11.
pub const FARTHEST: f64 = 1.5 * RANGE;
/// Steps of a feature in a unit.
const STEPS: i32 = 4;
/// A feature at its range's ends, in units.
const ENDS: f64 = 3.0;
/// A weight of 1, as a fraction of the torus.
const WEIGHT: f64 = 1.0 / (4.0 * RANGE * STEPS as f64);
/// Largest number of features: with the constant they fill a ciphertext with two rows.
const MAX_FEATURES: usize = 1023;
const MAX_EPOCHS: u32 = 1000;
/// Of a ciphertext.
const COEFFICIENTS: usize = 2048;

/// What is minimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// Logistic regression.
    Logistic,
    /// Linear support vector machine: hinge loss.
    Svm,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrainingV1 {
    format: u16,
    name: String,
    algorithm: Algorithm,
    batch: usize,
    epochs: u32,
    rate: f64,
    #[serde(default)]
    decay: f64,
    #[serde(default)]
    penalty: f64,
    column: Vec<ColumnV1>,
    target: ColumnV1,
}

/// A checked program. It is public.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    document: TrainingV1,
    canonical: Vec<u8>,
    numbers: Vec<NumericColumn>,
    target: CategoricalColumn,
    hash: Hash,
}

impl Training {
    /// Reads a spec, TOML.
    ///
    /// # Errors
    /// Text that is no spec, with the field at fault.
    pub fn from_toml(text: &str) -> Result<Self, TrainingError> {
        let version: Version = toml::from_str(text).map_err(TrainingError::Document)?;
        version.require()?;
        Self::check(toml::from_str(text).map_err(TrainingError::Document)?)
    }

    /// Reads a program, JSON.
    ///
    /// # Errors
    /// Bytes that are no program, with the field at fault.
    pub fn from_json(bytes: &[u8]) -> Result<Self, TrainingError> {
        let version: Version = serde_json::from_slice(bytes).map_err(TrainingError::Program)?;
        version.require()?;
        Self::check(serde_json::from_slice(bytes).map_err(TrainingError::Program)?)
    }

    fn check(document: TrainingV1) -> Result<Self, TrainingError> {
        let field = |problem: String| Err(TrainingError::field("document", problem));
        let mut names = HashSet::new();
        let mut numbers = Vec::new();
        for column in &document.column {
            let place = format!("column {:?}", column.name);
            unique(&mut names, column, &place)?;
            if column.categories.is_some() || column.classes.is_some() {
                let problem = "descent takes numbers; give indicators of categories as columns";
                return Err(TrainingError::field(place, problem));
            }
            numbers.push(range(column, &place, None)?);
        }
        if !(1..=MAX_FEATURES).contains(&numbers.len()) {
            return field(format!(
                "there are {} columns, not 1 to {MAX_FEATURES}",
                numbers.len()
            ));
        }
        let place = format!("target {:?}", document.target.name);
        unique(&mut names, &document.target, &place)?;
        let Some(classes) = &document.target.classes else {
            return Err(TrainingError::field(place, "it has no \"classes\""));
        };
        let target = list(&document.target, classes, &place)?;
        let most = rows_together(numbers.len() + 1);
        if !(1..=most).contains(&document.batch) {
            return field(format!(
                "\"batch\" is {}; a ciphertext has room for 1 to {most} rows of so many columns",
                document.batch
            ));
        }
        if !(1..=MAX_EPOCHS).contains(&document.epochs) {
            return field(format!(
                "\"epochs\" is {}, not 1 to {MAX_EPOCHS}",
                document.epochs
            ));
        }
        if !(document.rate > 0.0 && document.rate <= 1e3) {
            return field(format!(
                "\"rate\" is {:?}, not above 0 and up to 1000",
                document.rate
            ));
        }
        for (name, value) in [("decay", document.decay), ("penalty", document.penalty)] {
            if !(0.0..=1e3).contains(&value) {
                return field(format!("\"{name}\" is {value:?}, not 0 to 1000"));
            }
        }
        if document.rate * document.penalty >= 1.0 {
            return field(
                "\"rate\" times \"penalty\" is 1 or more, which diverges; lower one".into(),
            );
        }
        let canonical = serde_json::to_vec(&document).map_err(TrainingError::Program)?;
        Ok(Self {
            document,
            numbers,
            target,
            hash: Hash::of(&canonical),
            canonical,
        })
    }

    /// The program's file, JSON.
    ///
    /// # Errors
    /// None that a checked program has.
    pub fn to_json(&self) -> Result<Vec<u8>, TrainingError> {
        serde_json::to_vec_pretty(&self.document).map_err(TrainingError::Program)
    }

    /// The same as it is published: bytes whose hash is the program's.
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// What is minimised.
    pub const fn algorithm(&self) -> Algorithm {
        self.document.algorithm
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.document.name
    }

    /// Hash of everything in it: of [`Self::canonical`].
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// Columns of the features.
    pub fn numbers(&self) -> &[NumericColumn] {
        &self.numbers
    }

    /// The target and its classes.
    pub const fn target(&self) -> &CategoricalColumn {
        &self.target
    }

    /// A unit of a column, in the column's own numbers: what a weight is of.
    pub fn unit(column: &NumericColumn) -> f64 {
        column.half() / ENDS
    }

    /// Features with the constant, which is the last.
    pub fn features(&self) -> usize {
        self.numbers.len() + 1
    }

    /// Sets of weights: one for two classes, one a class for more.
    pub const fn sets(&self) -> usize {
        match self.target.categories.len() {
            2 => 1,
            many => many,
        }
    }

    /// Rows that a ciphertext has room for.
    fn rows_together(&self) -> usize {
        rows_together(self.features())
    }

    /// Rows in each batch, the last one excepted.
    pub const fn batch(&self) -> usize {
        self.document.batch
    }

    /// The odd part of a residual of z, a fraction of the torus, in units of 1; the other part is
    /// -1/2.
    pub fn odd_residual(&self, step: &DescentStep, z: f64) -> f64 {
        let z = step.shrunk * 4.0 * RANGE * z;
        match self.document.algorithm {
            Algorithm::Logistic => 1.0 / (1.0 + (-z).exp()) - 0.5,
            Algorithm::Svm if z < 1.0 => -0.5,
            Algorithm::Svm => 0.5,
        }
    }

    /// Weights of the units of features, from fractions of the torus after all steps. They are rounded to
    /// multiples of `error`, which is of the fractions and follows from rows and program, not from the key:
    /// whoever knows all rows knows the weights without their errors, and a model is shown to others.
    pub fn weights(&self, steps: &[DescentStep], fractions: &[f64], error: f64) -> Vec<f64> {
        let scale = Self::shrunk_after(steps) / WEIGHT;
        let weights = fractions.iter().map(|fraction| fraction * scale);
        weights
            .map(|weight| rounding::to_step(weight, error * scale))
            .collect()
    }

    /// A fraction of the torus as a form z.
    pub const fn form(fraction: f64) -> f64 {
        4.0 * RANGE * fraction
    }

    /// What a weight is called, by the set and its place in it: of what, and for which class.
    fn name_of_weight(&self, set: usize, place: usize) -> (String, String) {
        let column = self.numbers().get(place);
        let name = |column: &NumericColumn| format!(" of column {:?}", column.name);
        (
            column.map_or(" of the constant".to_owned(), name),
            format!(" for class {:?}", self.class_of(set)),
        )
    }

    /// A deviation of fractions of the torus as one of weights.
    pub fn weight_deviation(&self, steps: &[DescentStep], deviation: f64) -> f64 {
        deviation * Self::shrunk_after(steps) / WEIGHT
    }

    /// The model of sets of weights.
    pub fn fitted(&self, sets: &[Vec<f64>]) -> FittedModel {
        let numbers = self.numbers.iter().map(|column| ScaledColumn {
            name: column.name.clone(),
            offset: column.middle(),
            scale: ENDS / column.half(),
        });
        let mut weights: Vec<Vec<f64>> = sets.to_vec();
        let mut intercepts: Vec<f64> = weights
            .iter_mut()
            .map(|row| row.pop().unwrap_or_default())
            .collect();
        let link = match (self.document.algorithm, self.sets()) {
            (Algorithm::Svm, _) => ClassLink::None,
            (Algorithm::Logistic, 1) => ClassLink::Softmax,
            (Algorithm::Logistic, _) => ClassLink::Logistic,
        };
        if self.sets() == 1 {
            weights.insert(0, vec![0.0; self.numbers.len()]);
            intercepts.insert(0, 0.0);
        }
        FittedModel {
            name: self.document.name.clone(),
            numbers: numbers.collect(),
            squares: false,
            categories: Vec::new(),
            function: FittedFunction::Classifier {
                labels: self.target.categories.clone(),
                weights,
                intercepts,
                link,
            },
        }
    }
}

/// Rows of so many features, with the constant, that a ciphertext has room for.
const fn rows_together(features: usize) -> usize {
    COEFFICIENTS / features.next_power_of_two()
}

#[cfg(test)]
mod tests;
