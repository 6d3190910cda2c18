//! What pre-processing makes of missing cells: values that an imputer puts there, which no complete
//! calibration row may have.

use crate::model::{Estimator, Model};
use cipherfn_program::Tensor;
use std::ops::Range;

/// Calibration rows whose cells are left out, one column after the other: what is put there may depend
/// on the rest of the row.
const ROWS: usize = 16;
/// How far beyond the calibration rows such a value may lie, in parts of their range, for the range to
/// be widened to it: more would take bits, or coarser steps, for all rows.
const REACH: f64 = 1.0;

/// Finite values that features have where a cell is missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fills {
    /// By feature, increasing.
    values: Vec<Vec<f32>>,
}

impl Fills {
    /// Of calibration rows, given as the inputs of the pre-processing; none for a model that looks up
    /// nothing.
    pub(crate) fn of(model: &Model, rows: &[Vec<Tensor>]) -> Self {
        if !model.estimators.iter().any(Estimator::looks_up) {
            return Self::default();
        }
        let mut values = vec![Vec::new(); model.features];
        for row in rows.iter().take(ROWS) {
            // What pre-processing refuses, clients do not send.
            let Ok(own) = model.features_of(row.clone()) else {
                continue;
            };
            for (input, column) in model.columns.iter().enumerate() {
                let cells = if column.missing { column.width } else { 0 };
                for cell in 0..cells {
                    let mut row = row.clone();
                    clear(&mut row[input], cell..cell + 1);
                    let Ok(filled) = model.features_of(row) else {
                        continue;
                    };
                    let pairs = own.iter().zip(filled).zip(&mut values);
                    for ((own, filled), values) in pairs {
                        if filled.is_finite() && filled.to_bits() != own.to_bits() {
                            values.push(filled);
                        }
                    }
                }
            }
        }
        for values in &mut values {
            values.sort_unstable_by(f32::total_cmp);
            values.dedup();
        }
        Self { values }
    }

    /// Those of a feature that its range, this one on the calibration rows, is widened to.
    pub(crate) fn near(&self, feature: usize, range: (f64, f64)) -> impl Iterator<Item = f64> {
        self.of_feature(feature)
            .filter(move |value| is_near(*value, range))
    }

    /// The first one of a feature that rows are limited for, as its range is not widened to it.
    pub(crate) fn far(&self, feature: usize, range: (f64, f64)) -> Option<f64> {
        self.of_feature(feature)
            .find(|value| !is_near(*value, range))
    }

    fn of_feature(&self, feature: usize) -> impl Iterator<Item = f64> {
        let values = self.values.get(feature).into_iter().flatten();
        values.map(|value| f64::from(*value))
    }
}

fn is_near(value: f64, (low, high): (f64, f64)) -> bool {
    let reach = REACH * (high - low);
    (low - reach..=high + reach).contains(&value)
}

/// Leaves out cells of an input; those of whole numbers cannot be.
pub(crate) fn clear(input: &mut Tensor, cells: Range<usize>) {
    match input {
        Tensor::F32(values) => values[cells].fill(f32::NAN),
        Tensor::F64(values) => values[cells].fill(f64::NAN),
        Tensor::Text(values) => values[cells].fill(String::new()),
        Tensor::I64(_) => {}
    }
}
