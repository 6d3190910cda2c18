//! The calibration rows as layers are fitted on them: those that are complete, and what they cannot
//! tell.

use super::fidelity::{Fidelity, range};
use crate::error::CompileError;
use crate::families::Setting;
use crate::margins;

/// Calibration rows that the layers are fitted on, at most.
pub(super) const MAX_ROWS: usize = 512;
/// Part of a score's range that is next to the boundary of two labels: what the optimiser of a
/// support vector machine leaves undecided at its default tolerance, a small part of any noise.
const UNDECIDED: f64 = 1e-3;

/// Complete calibration rows that layers are fitted on, and their places among all.
pub(super) fn fitted_rows<'a>(setting: &Setting<'a>) -> (Vec<usize>, Vec<&'a [f32]>) {
    let simulated = setting.reference.scores.len();
    let all = setting.features.rows.iter().enumerate().take(simulated);
    let sound = all.filter(|(_, row)| row.iter().all(|value| value.is_finite()));
    sound
        .take(MAX_ROWS)
        .map(|(index, row)| (index, row.as_slice()))
        .unzip()
}

/// Refuses rows whose values at a node are no finite numbers, and no rows at all.
pub(super) fn check_finite(
    node: &str,
    (setting, indices): (&Setting<'_>, &[usize]),
    values: &[Vec<f64>],
) -> Result<(), CompileError> {
    let is_finite = |row: &Vec<f64>| row.iter().all(|value| value.is_finite());
    let problem = match values.iter().position(|row| !is_finite(row)) {
        Some(row) => format!(
            "its results for calibration row {} are not finite numbers",
            setting.features.numbers[indices[row]]
        ),
        None if values.is_empty() => {
            "no calibration row is complete: all have missing or infinite values".into()
        }
        None => return Ok(()),
    };
    Err(CompileError::invalid(format!("node \"{node}\""), problem))
}

/// What limits a model too few of whose labels are kept, where that is the rows: as many of them
/// as get another label lie on the boundary of two labels.
pub(super) fn undecided(
    setting: &Setting<'_>,
    fidelity: &Fidelity,
) -> Result<Option<String>, CompileError> {
    let reference = &setting.reference;
    let kept = fidelity
        .labels
        .filter(|labels| fidelity.has_labels && *labels < setting.options.min_agreement);
    let Some(kept) = kept else {
        return Ok(None);
    };
    let rows: Vec<Vec<f64>> = fitted_rows(setting)
        .0
        .into_iter()
        .map(|index| reference.scores[index].clone())
        .collect();
    let mut errors = vec![0.0; rows.first().map_or(0, Vec::len)];
    for score in reference.region {
        errors[*score] = UNDECIDED * range(&rows, *score);
    }
    let mut near = 0;
    for scores in &rows {
        let outputs = margins::outputs(reference.model, scores)?;
        near += usize::from(margins::can_change(
            reference.model,
            scores,
            &outputs,
            &errors,
        ));
    }
    let lost = (1.0 - kept) * rows.len() as f64;
    Ok((near as f64 >= lost).then(|| {
        format!(
            "the calibration rows limit it: {near} of {} lie on the boundary of two labels, within \
             {} % of the scores' range, where rounding decides. Look for a row far from all others, \
             which widens that range; and a one-class machine has its support vectors there, so \
             calibrate it on rows that it was not trained on",
            rows.len(),
            100.0 * UNDECIDED
        )
    }))
}
