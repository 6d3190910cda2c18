//! How faithful choices are whose answers are another point's or another leaf's where they are wrong, not
//! near the right ones: by their labels or, of regressions, by how far predictions are off.

use super::fidelity::{AIM, STRICTER};
use super::{LARGER_ERROR, LOWER_AGREEMENT, too_far_off, too_few_labels, unfaithful};
use crate::error::CompileError;
use crate::options::Options;

/// What comes of the simulated calibration rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answers {
    /// Part of the labels that are the model's; none of a regression.
    pub(super) labels: Option<f64>,
    /// Root mean square of the predictions' errors, in parts of their range.
    pub(super) error: f64,
}

impl Answers {
    /// Whether at most so much of the labels that may differ differs, or of the error that may be is.
    fn is_within(self, options: &Options, part: f64, error: f64) -> bool {
        let may_differ = part * (1.0 - options.min_agreement);
        let keeps_labels = self.labels.is_none_or(|own| 1.0 - own <= may_differ);
        keeps_labels && self.error <= error * options.refused_error(self.labels.is_some())
    }

    /// What is compared: whether they are as asked for, labels, error.
    fn worth(self, options: &Options) -> (bool, f64, f64) {
        let is_enough = self.is_within(options, 1.0, 1.0);
        (is_enough, self.labels.unwrap_or(1.0), -self.error)
    }

    /// Refuses too few of the model's labels, or too inexact predictions, with what limits it.
    pub(super) fn check(
        self,
        options: &Options,
        limit: impl FnOnce() -> String,
    ) -> Result<(), CompileError> {
        let least = options.min_agreement;
        let most = options.refused_error(self.labels.is_some());
        let (found, option) = match self.labels {
            Some(labels) if labels < least => (
                too_few_labels("the label that the model gives", labels, least),
                LOWER_AGREEMENT,
            ),
            _ if self.error > most => (too_far_off("predictions", self.error, most), LARGER_ERROR),
            _ => return Ok(()),
        };
        Err(unfaithful(found, option, limit()))
    }
}

/// The first of choices by price that leaves room for other rows, or the most faithful one; none where none
/// can be made. `has_room`: whether a choice has it beside its answers.
pub(super) fn cheapest<T>(
    choices: impl Iterator<Item = Result<Option<T>, CompileError>>,
    options: &Options,
    answers: impl Fn(&T) -> Answers,
    has_room: impl Fn(&T) -> bool,
) -> Result<Option<T>, CompileError> {
    // An error that is asked for says what is aimed at.
    let aim = options.max_error.map_or(AIM, |_| 1.0);
    let mut best: Option<(Answers, T)> = None;
    for choice in choices {
        let Some(choice) = choice? else {
            continue;
        };
        let own = answers(&choice);
        if has_room(&choice) && own.is_within(options, STRICTER, aim) {
            return Ok(Some(choice));
        }
        let is_better = |(best, _): &(Answers, T)| own.worth(options) > best.worth(options);
        if best.as_ref().is_none_or(is_better) {
            best = Some((own, choice));
        }
    }
    Ok(best.map(|(_, choice)| choice))
}
