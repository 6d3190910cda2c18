//! `base_score` in all its forms: a number (`"5E-1"`), since version 3.1 a list of one or of one a
//! score (`"[5E-1,2E-1]"`), before the objective's link.

use super::LIBRARY;
use super::file::Scalar;
use super::objective::{Intercept, Objective};
use crate::error::CompileError;

#[cfg(test)]
mod tests;

/// Margins that trees are added to, one a score.
pub(super) fn margins(
    base_score: &Scalar,
    scores: usize,
    objective: &Objective,
) -> Result<Vec<f64>, CompileError> {
    let invalid = |problem: String| LIBRARY.invalid("base_score", problem);
    let text = base_score.0.as_deref().unwrap_or_default().trim();
    let list = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let entries: Vec<&str> = match list {
        Some(list) => list.split(',').collect(),
        None => vec![text],
    };
    let margins = entries
        .iter()
        .map(|entry| {
            let value: f32 = entry
                .trim()
                .parse()
                .map_err(|_| invalid(format!("{entry:?} is not a number")))?;
            let margin = margin(value, objective.intercept);
            margin
                .filter(|margin| margin.is_finite())
                .map(f64::from)
                .ok_or_else(|| invalid(format!("{value} is no value of the objective's link")))
        })
        .collect::<Result<Vec<f64>, _>>()?;
    match margins.as_slice() {
        [one] => Ok(vec![*one; scores]),
        _ if margins.len() == scores => Ok(margins),
        _ => Err(invalid(format!(
            "{} values, the model has {scores} scores",
            margins.len()
        ))),
    }
}

/// The link's inverse in 32-bit arithmetic, as the library computes it.
fn margin(value: f32, form: Intercept) -> Option<f32> {
    match form {
        Intercept::Margin => Some(value),
        Intercept::Probability => (value > 0.0 && value < 1.0).then(|| -(1.0 / value - 1.0).ln()),
        Intercept::Mean => (value > 0.0).then(|| value.ln()),
    }
}
