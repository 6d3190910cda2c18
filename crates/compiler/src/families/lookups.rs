//! Networks with one hidden layer, kernel machines: sums of functions of linear forms.
//!
//! ```text
//! LookupModel + calibration rows
//!   rows       the rows that are complete, and what they cannot tell
//!   grid       features as integers: a step each, by how much it moves the scores
//!   curve      functions as tables on the torus, with the line beside those that have one
//!   kernels    those that fall off within one entry of their table
//!   layer      by how much each bit turns each table, rounded knowing the bits before
//!   outputs    amplitudes of the tables, integer weights of the sums
//!   lines      the linear part, from features that travel as they are
//!   fidelity   the calibration rows with noise, against the float model
//!   choice     steps, gadget: the cheapest that is faithful enough
//!   numbers    their range and bits, for the report
//!   circuit    look-ups, sums, and all sums in one ciphertext
//!   unlike     relations between features, by which clients mark rows that leave the tables
//!   plan       encodings, decodings, report
//! ```
//!
//! Several hidden layers are planned by `layers`, from the same parts.
//!
//! Nothing here is exact: features are rounded to steps, forms to entries of tables, weights to
//! integers. What is promised is the error of the noise; the rest is measured on the calibration
//! rows, and a model that is not faithful enough there is refused.

mod answers;
mod choice;
mod circuit;
mod curve;
mod fidelity;
mod grid;
mod kernels;
mod layer;
mod layers;
mod lines;
mod neighbours;
mod numbers;
mod outputs;
mod plan;
mod rounding;
mod rows;
mod stacked;
#[cfg(test)]
mod testing;
mod unlike;

use super::{Family, Plan, Setting};
use crate::error::CompileError;
use crate::model::{LookupModel, Model};
use crate::options::Options;
use crate::report::{Bound, LayerReport};
use choice::{LayerProblem, LookupChoice};
use cipherfn_engine::noise;
use cipherfn_program::Tensor;
use fidelity::Fidelity;
use plan::Planned;
use unlike::Unlike;

impl Family for LookupModel {
    fn name(&self) -> &'static str {
        "sums of functions"
    }

    fn check_rounding(&self, model: &Model, rows: &[Vec<Tensor>]) -> Result<(), CompileError> {
        kernels::check_rounding(self, model, rows)
    }

    fn plan(&self, setting: &Setting<'_>) -> Result<Plan, CompileError> {
        let backend = setting.backend;
        let layer = LayerProblem::of(self, setting)?;
        let mut choice = layer.choose()?;
        let rows = rows::undecided(setting, &choice.fidelity)?;
        check(&choice.fidelity, setting.options, || {
            rows.unwrap_or_else(|| {
                let limit = limit(&choice.fidelity);
                format!("node \"{}\" limits it, by {limit}", self.node())
            })
        })?;
        let mut circuit = layer.parts(&choice).circuit();
        // The circuit's own noise has the last word.
        if let [noise] = noise::of_outputs(&circuit)?[..] {
            choice.budget = backend.budget(noise.value, noise.rows, choice.sums.scales.len());
            circuit.outputs[0].reply_bits = choice.budget.reply_bits;
        }
        let tables = (layer.curves.as_slice(), &choice.sums);
        let values = |row: &[f32]| self.forms_and_scores(row);
        let unlike = Unlike::of(setting, &choice.grid, tables, values);
        let planned = Planned {
            setting,
            circuit,
            grid: &choice.grid,
            gadget: choice.gadget,
            looks_up: choice.work.lookups > 0,
            lines: choice.lines.as_ref().map(|lines| &lines.encoding),
            sums: &choice.sums,
            fidelity: &choice.fidelity,
            budget: choice.budget,
            bound: Bound::Noise,
            work: choice.work,
            stages: &choice.stages,
            layers: vec![self.layer_report(&layer, &choice)],
            key_parts: backend.expansion().iter().collect(),
            unlike,
        };
        Ok(planned.plan())
    }
}

impl LookupModel {
    /// The first node whose functions these are, for errors.
    fn node(&self) -> &str {
        self.nodes.first().map_or("", String::as_str)
    }

    fn layer_report(&self, layer: &LayerProblem<'_>, choice: &LookupChoice) -> LayerReport {
        let fidelity = &choice.fidelity;
        let whole = layer.curves.iter();
        let whole = whole.filter(|curve| curve.steps > curve.entries.len());
        LayerReport {
            nodes: self.nodes.clone(),
            lookups: choice.work.lookups as usize,
            on_whole_torus: whole.count(),
            selectors: choice.work.selectors,
            cmuxes: choice.work.cmuxes,
            margin: curve::MARGIN,
            wrapped: fidelity.wrapped as u64,
            rows: fidelity.rows as u64,
            labels: fidelity.labels,
            error: fidelity.error,
            error_without_noise: fidelity.exact_error,
            limit: limit(fidelity).into(),
            deep: Some(layer.numbers(choice)),
        }
    }
}

/// Refuses what is not faithful enough, with what limits it.
fn check(
    fidelity: &Fidelity,
    options: &Options,
    limit: impl FnOnce() -> String,
) -> Result<(), CompileError> {
    let least = options.min_agreement;
    let most = options.refused_error(fidelity.has_labels);
    if fidelity.is_within(least, most) {
        return Ok(());
    }
    let (found, option) = match fidelity.labels {
        Some(labels) if labels < least => {
            let kind = if fidelity.has_labels {
                "the label that the model gives"
            } else {
                "the largest score that the model gives"
            };
            (too_few_labels(kind, labels, least), LOWER_AGREEMENT)
        }
        _ => (too_far_off("scores", fidelity.error, most), LARGER_ERROR),
    };
    Err(unfaithful(found, option, limit()))
}

const fn unfaithful(found: String, option: &'static str, limit: String) -> CompileError {
    CompileError::Unfaithful {
        found,
        limit,
        option,
    }
}

/// Says of a classifier that keeps its labels that its scores are further off than is aimed at: a
/// regressor would be refused.
fn inexact_scores(labels: Option<f64>, error: f64, options: &Options) -> Option<String> {
    let labels = labels.filter(|_| error > options.most_error())?;
    Some(format!(
        "{}: {:.1} % of the labels are the model's, and decide of a classifier. Where its scores or \
         probabilities count, ask for less error (max-error), which refuses what has more",
        too_far_off("scores", error, options.most_error()),
        100.0 * labels
    ))
}

/// The options that ask for less of labels and of scores.
const LOWER_AGREEMENT: &str = "a lower least agreement (--min-agreement)";
const LARGER_ERROR: &str = "a larger error of the scores (--max-error)";

/// Says how many labels are right, and how many have to be.
fn too_few_labels(kind: &str, labels: f64, least: f64) -> String {
    format!(
        "{:.1} % of the simulated calibration rows get {kind}, and {:.1} % are asked for",
        100.0 * labels,
        100.0 * least
    )
}

/// Says of scores or predictions how far off they are, and how far they may be.
fn too_far_off(what: &str, error: f64, most: f64) -> String {
    let percent = |part: f64| (1e4 * part).round() / 100.0;
    format!(
        "{what} of the simulated calibration rows are off by {} % of their range (root mean \
         square), and {} % is the most",
        percent(error),
        percent(most)
    )
}

/// What most of a choice's error comes from, and what to try.
fn limit(fidelity: &Fidelity) -> &'static str {
    if fidelity.wrapped > 0 {
        "values beyond the ranges of its tables; give more calibration rows, or train with weight \
         decay"
    } else if 2.0 * fidelity.exact_error > fidelity.error {
        "its rounded features and tables; train with weight decay, or on fewer or scaled features"
    } else {
        "the noise of its look-ups; train with weight decay, or with fewer hidden values"
    }
}

#[cfg(test)]
mod tests {
    use super::answers::Answers;
    use super::fidelity::Fidelity;
    use super::{check, inexact_scores};
    use crate::options::Options;

    fn fidelity(labels: Option<f64>, has_labels: bool, error: f64) -> Fidelity {
        Fidelity {
            labels,
            has_labels,
            error,
            exact_error: error,
            largest: vec![0.0],
            ranges: vec![1.0],
            wrapped: 0,
            rows: 100,
        }
    }

    fn problem(fidelity: &Fidelity, options: &Options) -> Option<String> {
        let found = check(fidelity, options, || "its noise".into());
        found.err().map(|error| error.to_string())
    }

    /// A regressor, and classes that are nothing but scores, are held to their scores.
    #[test]
    fn labels_decide_of_classifiers_where_no_error_is_asked_for() {
        let mut options = Options::new("m");
        let classifier = fidelity(Some(0.995), true, 0.03);
        assert_eq!(problem(&classifier, &options), None);
        for held in [
            fidelity(None, false, 0.03),
            fidelity(Some(1.0), false, 0.03),
        ] {
            let error = problem(&held, &options).unwrap();
            assert!(error.contains("off by 3 % of their range"), "{error}");
        }
        let wrong = problem(&fidelity(Some(0.98), true, 0.001), &options).unwrap();
        assert!(wrong.contains("98.0 % of the simulated"), "{wrong}");
        options.max_error = Some(0.02);
        let error = problem(&classifier, &options).unwrap();
        assert!(error.contains("and 2 % is the most"), "{error}");
        options.max_error = Some(0.04);
        assert_eq!(problem(&classifier, &options), None);
    }

    #[test]
    fn scores_of_classifiers_that_are_far_off_are_told_of() {
        let options = Options::new("m");
        let warning = inexact_scores(Some(0.995), 0.03, &options).unwrap();
        assert!(warning.contains("off by 3 % of their range"), "{warning}");
        assert!(warning.contains("99.5 % of the labels"), "{warning}");
        assert!(warning.contains("max-error"), "{warning}");
        assert_eq!(inexact_scores(Some(1.0), 0.009, &options), None);
        assert_eq!(inexact_scores(None, 0.03, &options), None);
    }

    /// Votes and trees over scores, which are right or another point's.
    #[test]
    fn answers_are_held_to_what_is_asked_for() {
        let mut options = Options::new("m");
        let found = |labels, error, options: &Options| {
            let answers = Answers { labels, error };
            answers.check(options, || "its noise".into()).is_ok()
        };
        assert!(found(Some(1.0), 0.03, &options) && !found(None, 0.03, &options));
        assert!(!found(Some(0.9), 0.0, &options));
        options.max_error = Some(0.02);
        assert!(!found(Some(1.0), 0.03, &options) && found(Some(1.0), 0.01, &options));
    }
}
