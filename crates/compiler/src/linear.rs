//! The weights of a linear classifier in the numbers of a training program: what a training starts from.
//!
//! Scaling and whatever else a file does to the columns is not looked at: a model is linear if its scores
//! are, at the middles of the program's ranges, at their ends, and between.

use crate::error::CompileError;
use crate::labels::same_label;
use crate::model::{Estimator, Model};
use cipherfn_program::Tensor;
use cipherfn_protocol::specs::{ColumnKind, OutputField};
use cipherfn_training::descent::Training;

/// How far scores may be from what the weights say, relative to the largest: rounding of 32-bit features
/// stays far below.
const TOLERANCE: f64 = 1e-3;

/// Sets of weights of the units of a program's features ([`Training::unit`]), the constant last, from a
/// linear classifier of the same columns and classes. A file with one input for all columns has them in the
/// program's order.
///
/// # Errors
/// A model that is no linear classifier, or one of other columns or classes.
pub fn start_weights(model: &Model, training: &Training) -> Result<Vec<Vec<f64>>, CompileError> {
    if !matches!(&model.estimators[..], [Estimator::Linear(_)]) {
        return Err(unsupported("it is no linear model"));
    }
    let probe = ScoreProbe::new(model, training)?;
    let forms = probe.forms()?;
    let classes = &training.target().categories;
    if classes.len() == 2 {
        return Ok(vec![probe.binary(&forms, classes)?]);
    }
    if model.scores() != classes.len() {
        let problem = format!(
            "it has {} scores where the program lists {} classes",
            model.scores(),
            classes.len()
        );
        return Err(unsupported(&problem));
    }
    let mut sets = Vec::new();
    for class in classes {
        let mut all = 0..model.scores();
        let mut found = None;
        for score in all.by_ref() {
            let mut scores = vec![-1.0; model.scores()];
            scores[score] = 1.0;
            if same_label(&probe.label(scores)?, class) {
                found = Some(score);
                break;
            }
        }
        let score = found.ok_or_else(|| {
            unsupported(&format!(
                "it has no class {class:?}, which the program lists"
            ))
        })?;
        sets.push(forms[score].clone());
    }
    Ok(sets)
}

fn unsupported(problem: &str) -> CompileError {
    CompileError::UnsupportedModel {
        problem: problem.into(),
        supported:
            "to start a training from, a linear classifier of the program's columns and classes"
                .into(),
    }
}

/// A model, asked at points of a program's ranges.
struct ScoreProbe<'a> {
    model: &'a Model,
    training: &'a Training,
    /// For each entry of the model's inputs, the program's column.
    places: Vec<usize>,
}

impl<'a> ScoreProbe<'a> {
    fn new(model: &'a Model, training: &'a Training) -> Result<Self, CompileError> {
        let numbers = training.numbers();
        let width = |name: &str, found: usize| {
            unsupported(&format!(
                "its input {name:?} has {found} numbers, and the program {} columns",
                numbers.len()
            ))
        };
        let places = if let [all] = &model.columns[..]
            && numbers.iter().all(|column| column.name != all.name)
        {
            if all.width != numbers.len() {
                return Err(width(&all.name, all.width));
            }
            (0..all.width).collect()
        } else {
            let place = |column: &crate::model::Column| {
                if column.width != 1 {
                    return Err(width(&column.name, column.width));
                }
                let mut all = numbers.iter();
                let place = all.position(|own| own.name == column.name);
                place.ok_or_else(|| {
                    unsupported(&format!(
                        "it asks for column {:?}, which the program does not have",
                        column.name
                    ))
                })
            };
            let places = model.columns.iter().map(place);
            places.collect::<Result<Vec<_>, _>>()?
        };
        if let Some(missing) = (0..numbers.len()).find(|place| !places.contains(place)) {
            let problem = format!("it has no column {:?}", numbers[missing].name);
            return Err(unsupported(&problem));
        }
        Ok(Self {
            model,
            training,
            places,
        })
    }

    /// The scores at a point, in units from the middles; and the point as 32-bit floats have it.
    fn scores(&self, units: &[f64]) -> Result<(Vec<f64>, Vec<f64>), CompileError> {
        let numbers = self.training.numbers();
        let mut taken = units.to_vec();
        let (mut inputs, mut entries) = (Vec::new(), self.places.iter());
        for column in &self.model.columns {
            let mut values = Vec::with_capacity(column.width);
            for place in entries.by_ref().take(column.width) {
                let (own, unit) = (&numbers[*place], Training::unit(&numbers[*place]));
                let mut value = own.middle() + units[*place] * unit;
                if column.kind == ColumnKind::Float32 {
                    value = f64::from(value as f32);
                    taken[*place] = (value - own.middle()) / unit;
                }
                values.push(value);
            }
            inputs.push(match column.kind {
                ColumnKind::Float64 => Tensor::F64(values),
                ColumnKind::Float32 => {
                    Tensor::F32(values.into_iter().map(|value| value as f32).collect())
                }
                _ => {
                    let problem = format!("column {:?} is not of numbers", column.name);
                    return Err(unsupported(&problem));
                }
            });
        }
        let features = self.model.features_of(inputs);
        let features = features.map_err(|error| unsupported(&error.to_string()))?;
        Ok((self.model.raw_scores(&features), taken))
    }

    /// For each score its weights, the constant last; by its values at the ranges' ends.
    fn forms(&self) -> Result<Vec<Vec<f64>>, CompileError> {
        let columns = self.training.numbers().len();
        let middle = vec![0.0; columns];
        let mut forms = vec![vec![0.0; columns + 1]; self.model.scores()];
        for place in 0..columns {
            let at = |units: f64| {
                let mut point = middle.clone();
                point[place] = units;
                let (scores, taken) = self.scores(&point)?;
                Ok::<_, CompileError>((scores, taken[place]))
            };
            let ((high, above), (low, below)) = (at(3.0)?, at(-3.0)?);
            for (form, (high, low)) in forms.iter_mut().zip(high.iter().zip(&low)) {
                form[place] = (high - low) / (above - below);
            }
        }
        let (scores, taken) = self.scores(&middle)?;
        for (form, score) in forms.iter_mut().zip(scores) {
            form[columns] = score - dot(form, &taken);
        }
        for point in points(columns) {
            let (scores, taken) = self.scores(&point)?;
            for (form, score) in forms.iter().zip(scores) {
                let size: f64 = form.iter().map(|weight| weight.abs()).sum();
                let found = dot(form, &taken) + form[columns];
                let off = (found - score).abs();
                if off.is_nan() || off > TOLERANCE * (1.0 + size) {
                    let problem =
                        "its scores are not linear in the columns over the program's ranges";
                    return Err(unsupported(problem));
                }
            }
        }
        Ok(forms)
    }

    /// The form whose logistic function is the chance of the second class; of a model without chances the
    /// score of that class.
    fn binary(&self, forms: &[Vec<f64>], classes: &[String]) -> Result<Vec<f64>, CompileError> {
        let candidates: Vec<Vec<f64>> = match forms {
            [only] => vec![only.clone(), negated(only)],
            [first, second] => vec![
                second.clone(),
                difference(second, first),
                first.clone(),
                difference(first, second),
            ],
            others => {
                let problem = format!("it has {} scores for two classes", others.len());
                return Err(unsupported(&problem));
            }
        };
        let columns = self.training.numbers().len();
        for candidate in candidates {
            let mut fits = true;
            for point in points(columns) {
                let (scores, taken) = self.scores(&point)?;
                let form = dot(&candidate, &taken) + candidate[columns];
                fits &= self.agrees(scores, form, classes)?;
            }
            if fits {
                return Ok(candidate);
            }
        }
        Err(unsupported(&format!(
            "its labels or probabilities are not those of a linear form for the program's classes {:?} and {:?}",
            classes[0], classes[1]
        )))
    }

    /// Whether the model says with these scores what the form of the second class says.
    fn agrees(
        &self,
        scores: Vec<f64>,
        form: f64,
        classes: &[String],
    ) -> Result<bool, CompileError> {
        let outputs = self.outputs(scores)?;
        for (field, output) in self.model.outputs.iter().zip(&outputs) {
            match field {
                OutputField::Label => {
                    let label = output.to_texts().concat();
                    let expected = &classes[usize::from(form > 0.0)];
                    // Near 0 rounding decides.
                    if form.abs() > TOLERANCE && !same_label(expected, &label) {
                        return Ok(false);
                    }
                }
                OutputField::Probabilities(names) => {
                    let place = names.iter().position(|name| same_label(&classes[1], name));
                    let all = output.to_f64().unwrap_or_default();
                    let found = place.and_then(|place| all.get(place).copied());
                    let expected = 1.0 / (1.0 + (-form).exp());
                    if !found.is_some_and(|found| (found - expected).abs() <= TOLERANCE) {
                        return Ok(false);
                    }
                }
                _ => {}
            }
        }
        Ok(true)
    }

    fn label(&self, scores: Vec<f64>) -> Result<String, CompileError> {
        let outputs = self.outputs(scores)?;
        let fields = self.model.outputs.iter().zip(&outputs);
        let mut labels = fields.filter(|(field, _)| **field == OutputField::Label);
        let label = labels.next().map(|(_, output)| output.to_texts().concat());
        label.ok_or_else(|| unsupported("it predicts no class"))
    }

    fn outputs(&self, scores: Vec<f64>) -> Result<Vec<Tensor>, CompileError> {
        let outputs = self.model.postprocess.run(vec![Tensor::F64(scores)]);
        outputs.map_err(|error| unsupported(&error.to_string()))
    }
}

/// Points of the ranges, in units: the ends and places between, each column's sign and size on its own.
fn points(columns: usize) -> Vec<Vec<f64>> {
    let unit = |point: usize, column: usize| {
        // A multiplicative generator: any numbers that do not repeat do.
        let mixed = (point * 1009 + column * 9176 + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let fraction = (mixed >> 40) as f64 / (1u64 << 24) as f64;
        let end = if fraction < 0.5 { -3.0 } else { 3.0 };
        match point {
            0..4 => end,
            // Nearer to the middle: scores are small there, and chances tell forms apart.
            4..8 => 6.0 * fraction - 3.0,
            _ => (2.0 * fraction - 1.0) / columns as f64,
        }
    };
    let point = |point| (0..columns).map(|column| unit(point, column)).collect();
    (0..12).map(point).collect()
}

/// Of all weights but the constant.
fn dot(form: &[f64], units: &[f64]) -> f64 {
    let products = form.iter().zip(units).map(|(weight, x)| weight * x);
    products.sum()
}

fn negated(form: &[f64]) -> Vec<f64> {
    form.iter().map(|weight| -weight).collect()
}

fn difference(one: &[f64], other: &[f64]) -> Vec<f64> {
    one.iter()
        .zip(other)
        .map(|(one, other)| one - other)
        .collect()
}

#[cfg(test)]
mod tests;
