//! Rows that are put together of different calibration rows: each cell is as theirs are, all together
//! are like none of them.
//!
//! Tables and scores reach as far as the calibration rows go, with a margin. Where columns vary together
//! (prices of one day) a form can be small on all calibration rows and large on a row that breaks the
//! rule, no cell of which is out of range: it wraps around, and the client has nothing to tell it by.

use super::curve::Curve;
use super::outputs::OutputSums;
use crate::families::Setting;
use crate::features::Features;
use crate::simulate::Gaussian;
use std::collections::BTreeMap;

/// Part of such rows that may leave the ranges without a word of it.
const FEW: f64 = 0.01;

/// What there is to say of such rows, as many as there are of `rows`; `values` gives the forms and the
/// scores of a row.
pub(super) fn warning(
    setting: &Setting<'_>,
    rows: &[&[f32]],
    (curves, sums): (&[Curve], &OutputSums),
    values: impl Fn(&[f32]) -> (Vec<f64>, Vec<f64>),
) -> Option<String> {
    let leaves = |row: &Vec<f32>| {
        let (forms, scores) = values(row);
        let mut forms = curves.iter().zip(forms);
        forms.any(|(curve, form)| !curve.reaches(form)) || sums.leave(&scores)
    };
    let mixed = mixed(setting, rows);
    let lost = mixed.iter().filter(|row| leaves(row)).count() as f64 / mixed.len().max(1) as f64;
    (lost > FEW).then(|| {
        format!(
            "of rows that are put together of cells of different calibration rows {:.0} % leave the range of a table or score: columns that vary together cancel in the model. A row that breaks such a rule gets another answer without a remark, though each of its cells is in range; where such rows come, give calibration rows like them, or train on the columns' differences or ratios",
            100.0 * lost
        )
    })
}

/// Rows whose columns are drawn from the rows independently.
fn mixed(setting: &Setting<'_>, rows: &[&[f32]]) -> Vec<Vec<f32>> {
    let columns = columns(setting.features);
    let mut source = Gaussian::new(setting.seed);
    let row = |_| {
        let mut mixed = vec![0.0; setting.features.names.len()];
        for features in columns.values() {
            let from = rows[(source.unit() * rows.len() as f64) as usize];
            for feature in features {
                mixed[*feature] = from[*feature];
            }
        }
        mixed
    };
    rows.iter().map(row).collect()
}

/// Features by the column that they are of: those of one column belong together.
fn columns(features: &Features) -> BTreeMap<&str, Vec<usize>> {
    let mut columns: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (feature, name) in features.names.iter().enumerate() {
        columns.entry(name).or_default().push(feature);
    }
    columns
}
