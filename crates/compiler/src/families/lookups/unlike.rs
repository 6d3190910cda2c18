//! Rows that no calibration row is like, though each of their cells is as theirs are.
//!
//! Tables and scores reach as far as the calibration rows go, with a margin. Where columns vary together
//! (prices of one day) a form can be small on all calibration rows and large on a row that breaks the
//! rule, no cell of which is out of range: it wraps around, and the answer means nothing. Forms are the
//! model's, so clients cannot look at them. What clients can look at are relations that the calibration
//! rows keep: directions of the data in which these vary little. Those are chosen by which rows that
//! leave a table they tell from calibration rows ([`relations`]).
//!
//! What leaves tables is looked for among rows that are put together of cells of different calibration
//! rows ([`Mixtures`](crate::mixtures::Mixtures)).

mod directions;
mod relations;

use super::curve::Curve;
use super::outputs::OutputSums;
use crate::families::Setting;
use cipherfn_protocol::specs::{IntegerFeature, Relation};

/// Part of such rows that may leave the ranges without a word of it.
const FEW: f64 = 0.01;

/// What there is to do and say about such rows.
#[derive(Default)]
pub(super) struct Unlike {
    /// What clients hold rows to.
    pub(super) relations: Vec<Relation>,
    pub(super) warning: Option<String>,
}

impl Unlike {
    /// Of a model whose features have this grid; `values` gives the forms and the scores of a row.
    pub(super) fn of(
        setting: &Setting<'_>,
        grid: &[IntegerFeature],
        (curves, sums): (&[Curve], &OutputSums),
        values: impl Fn(&[f32]) -> (Vec<f64>, Vec<f64>),
    ) -> Self {
        let leaves = |row: &[f32]| {
            let (forms, scores) = values(row);
            let mut forms = curves.iter().zip(forms);
            forms.any(|(curve, form)| !curve.reaches(form)) || sums.leave(&scores)
        };
        // What is computed of the cells may be out of range, and clients mark that.
        let is_marked = |row: &[f32]| {
            let mut marked = grid.iter();
            marked.any(|own| {
                let value = row[own.feature as usize];
                own.limits(value) || own.rounds(value)
            })
        };
        let kinds = setting.features.mixtures.kinds();
        let lost = kinds.map(|rows| -> Vec<&[f32]> {
            let rows = rows.iter().map(Vec::as_slice);
            rows.filter(|row| !is_marked(row) && leaves(row)).collect()
        });
        let part = |is_counted: &dyn Fn(&[f32]) -> bool| {
            let parts = lost.iter().zip(kinds).map(|(lost, all)| {
                let counted = lost.iter().filter(|row| is_counted(row)).count();
                counted as f64 / all.len().max(1) as f64
            });
            parts.fold(0.0, f64::max)
        };
        let leave = part(&|_| true);
        if leave <= FEW {
            return Self::default();
        }
        let relations = if setting.options.relations {
            relations::choose(setting.features, &lost.concat())
        } else {
            Vec::new()
        };
        let unseen = part(&|row| relations.iter().all(|own| own.distance(row) <= 1.0));
        let what_marks = match relations.len() {
            0 => "A row that breaks such a rule gets another answer without a remark, though each of its cells is in range".to_owned(),
            count => format!(
                "Clients mark rows that break one of {count} relations between columns in the specs: at most {:.1} % of such rows get another answer without a remark, and an answer with a remark is not to be relied on",
                100.0 * unseen
            ),
        };
        let warning = format!(
            "of rows that are put together of cells of different calibration rows up to {:.0} % leave the range of a table or score: columns that vary together cancel in the model. {what_marks}; where such rows come, give calibration rows like them, or train on the columns' differences or ratios",
            100.0 * leave
        );
        Self {
            relations,
            warning: Some(warning),
        }
    }
}
