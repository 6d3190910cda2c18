//! The order of columns that a model without feature names was trained on, told by the target.
//!
//! Rows in another order than the training's still compile, and the model then answers nonsense.
//! Where the file's order predicts the target badly, orders are searched for one that predicts it
//! far better, where the columns are few enough to try all orders. Many columns have orders that
//! predict the target about as well as the right one does and give other probabilities.

use crate::labels::same_label;
use crate::model::Model;
use cipherfn_program::Tensor;
use cipherfn_protocol::specs::OutputField;

/// Rows that orders are tried on: enough for five standard errors, few enough for a second.
const ROWS: usize = 150;
/// Most columns: 720 orders.
pub(crate) const FEW: usize = 6;
/// Standard errors by which an order must beat the file's: the best of 720 useless orders beats it
/// by three.
const STANDARD_ERRORS: f64 = 5.0;
/// A file's order that explains this part of the target's likelihood or variance is not doubted.
const GOOD: f64 = 0.3;

/// A better order of the entries of the model's only input, if the rows show one: entry `i` should
/// be the file's column `order[i]`.
pub(super) fn better(model: &Model, rows: &[Vec<Tensor>], target: &[&str]) -> Option<Vec<usize>> {
    let trial = Trial::new(model, &rows[..rows.len().min(ROWS)], target)?;
    let width = rows.first()?.first()?.len();
    if width > FEW {
        return None;
    }
    let file: Vec<usize> = (0..width).collect();
    let before = trial.losses(&file)?;
    if mean(&before) < (1.0 - GOOD) * trial.chance {
        return None;
    }
    let mut best = (mean(&before), file);
    permutations(&mut (0..width).collect(), 0, &mut |order| {
        trial.keep_better(&mut best, order);
    });
    let after = trial.losses(&best.1)?;
    let gains: Vec<f64> = before.iter().zip(&after).map(|(a, b)| a - b).collect();
    let error = (variance(&gains) / gains.len() as f64).sqrt();
    (mean(&gains) > STANDARD_ERRORS * error && best.0 < (1.0 - GOOD) * trial.chance)
        .then_some(best.1)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let middle = mean(values);
    let squares: Vec<f64> = values
        .iter()
        .map(|value| (value - middle).powi(2))
        .collect();
    mean(&squares)
}

/// All orders of `items[from..]`.
pub(crate) fn permutations(items: &mut Vec<usize>, from: usize, each: &mut impl FnMut(&[usize])) {
    if from == items.len() {
        return each(items);
    }
    for index in from..items.len() {
        items[from..=index].rotate_right(1);
        permutations(items, from + 1, each);
        items[from..=index].rotate_left(1);
    }
}

/// Rows and targets.
struct Trial<'a> {
    model: &'a Model,
    rows: &'a [Vec<Tensor>],
    target: Vec<WantedCell>,
    /// Loss without any knowledge of the rows.
    chance: f64,
}

/// What the model should predict.
enum WantedCell {
    /// The class at an index of the probabilities.
    Class(usize),
    /// A value.
    Value(f64),
}

impl<'a> Trial<'a> {
    /// `None` where the target says nothing of the predictions.
    fn new(model: &'a Model, rows: &'a [Vec<Tensor>], target: &[&str]) -> Option<Self> {
        let classes = model.outputs.iter().find_map(|field| match field {
            OutputField::Probabilities(classes) => Some(classes),
            _ => None,
        });
        let wanted = |cell: &&str| match classes {
            Some(classes) => classes
                .iter()
                .position(|class| same_label(cell, class))
                .map(WantedCell::Class),
            None => cell.parse().ok().map(WantedCell::Value),
        };
        let target: Vec<WantedCell> = target
            .iter()
            .take(rows.len())
            .map(wanted)
            .collect::<Option<_>>()?;
        let chance = if let Some(classes) = classes {
            (classes.len() as f64).ln()
        } else {
            let values = target.iter().filter_map(|wanted| match wanted {
                WantedCell::Value(value) => Some(*value),
                WantedCell::Class(_) => None,
            });
            variance(&values.collect::<Vec<_>>())
        };
        Some(Self {
            model,
            rows,
            target,
            chance,
        })
    }

    /// Loss of each row with the input's entries in an order: logarithmic for classes, squared for
    /// values.
    fn losses(&self, order: &[usize]) -> Option<Vec<f64>> {
        let loss = |(row, wanted): (&Vec<Tensor>, &WantedCell)| {
            let inputs = row.iter().map(|tensor| in_order(tensor, order)).collect();
            let outputs = self.model.predict(inputs).ok()?;
            let fields = outputs.iter().zip(&self.model.outputs);
            match wanted {
                WantedCell::Class(class) => fields
                    .filter(|(_, field)| matches!(field, OutputField::Probabilities(_)))
                    .find_map(|(tensor, _)| Some(-tensor.to_f64()?.get(*class)?.max(1e-6).ln())),
                WantedCell::Value(value) => fields
                    .filter(|(_, field)| **field == OutputField::Prediction)
                    .find_map(|(tensor, _)| Some((tensor.to_f64()?.first()? - value).powi(2))),
            }
        };
        self.rows.iter().zip(&self.target).map(loss).collect()
    }

    fn keep_better(&self, best: &mut (f64, Vec<usize>), order: &[usize]) {
        if let Some(losses) = self.losses(order)
            && mean(&losses) < best.0
        {
            *best = (mean(&losses), order.to_vec());
        }
    }
}

/// A tensor whose entry `i` is the given one's `order[i]`.
pub(crate) fn in_order(tensor: &Tensor, order: &[usize]) -> Tensor {
    fn picked<T: Clone>(values: &[T], order: &[usize]) -> Vec<T> {
        order.iter().map(|index| values[*index].clone()).collect()
    }
    match tensor {
        Tensor::F32(values) => Tensor::F32(picked(values, order)),
        Tensor::F64(values) => Tensor::F64(picked(values, order)),
        Tensor::I64(values) => Tensor::I64(picked(values, order)),
        Tensor::Text(values) => Tensor::Text(picked(values, order)),
    }
}

#[cfg(test)]
mod tests {
    use super::{FEW, better};
    use crate::model::{Column, Estimator, LinearModel, Model, Summary, Task};
    use cipherfn_program::{EntryKind, RowProgram, Tensor, TensorType};
    use cipherfn_protocol::specs::{ColumnKind, OutputField};

    /// A regression on an input without names, each of whose columns counts for itself.
    fn model(width: usize) -> Model {
        let identity = |kind, len| RowProgram::identity(vec![TensorType { kind, len }]).unwrap();
        let weights = (0..width as i32).map(|column| 3_f64.powi(column)).collect();
        Model {
            columns: vec![Column {
                name: "X".into(),
                kind: ColumnKind::Float32,
                width,
                missing: false,
            }],
            preprocess: identity(EntryKind::F32, width),
            features: width,
            origins: vec![None; width],
            estimators: vec![Estimator::Linear(LinearModel {
                weights: vec![weights],
                bias: vec![0.0],
            })],
            postprocess: identity(EntryKind::F64, 1),
            outputs: vec![OutputField::Prediction],
            summary: Summary {
                producer: String::new(),
                graph: String::new(),
                task: Task::Regression,
                exported: true,
                averages: None,
                operators: Vec::new(),
                notes: Vec::new(),
            },
        }
    }

    #[test]
    fn all_orders_of_few_columns_are_tried_and_none_of_more() {
        for width in [FEW, FEW + 1] {
            let model = model(width);
            let value =
                |row: usize, column: usize| ((row * 7 + column * 11) % 13 % (column + 2)) as f32;
            let row = |row| {
                (0..width)
                    .map(|column| value(row, column))
                    .collect::<Vec<f32>>()
            };
            let rows: Vec<Vec<f32>> = (0..60).map(row).collect();
            let targets: Vec<String> = rows
                .iter()
                .map(|row| model.raw_scores(row)[0].to_string())
                .collect();
            let target: Vec<&str> = targets.iter().map(String::as_str).collect();
            // The file has the columns in the opposite order.
            let reversed = rows
                .iter()
                .map(|row| vec![Tensor::F32(row.iter().rev().copied().collect())]);
            let reversed: Vec<Vec<Tensor>> = reversed.collect();
            let expected = (width <= FEW).then(|| (0..width).rev().collect());
            assert_eq!(
                better(&model, &reversed, &target),
                expected,
                "{width} columns"
            );
        }
    }
}
