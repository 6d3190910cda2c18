//! How well a choice keeps to the float model on the calibration rows, noise included.

use super::outputs::OutputSums;
use crate::backend::Budget;
use crate::error::CompileError;
use crate::families::Setting;
use crate::margins;
use crate::simulate::Gaussian;
use cipherfn_protocol::specs::{OutputField, ScoreDecoding, ScoreUnits};

/// Noises that every row is simulated with, fewer where they take more than [`MAX_PRODUCTS`].
const DRAWS: usize = 4;
/// Most products that the rows of a choice may take, but for one noise a row: a fraction of a second.
const MAX_PRODUCTS: usize = 1 << 27;
/// Rows after which a choice that has been hopeless is simulated no further.
const FIRST_ROWS: usize = 128;
/// So many times the labels that may be wrong are hopeless: not by chance of the first rows.
const HOPELESS: f64 = 10.0;
/// Part of the labels that may differ of those that the option allows: other rows differ more.
pub(super) const STRICTER: f64 = 0.25;
/// Part of the error that scores may have that is aimed at behind bootstraps: other rows are off by more.
pub(super) const AIM: f64 = 0.65;

/// What a choice is compared with.
pub(super) struct SimulatedModel<'a> {
    pub(super) setting: &'a Setting<'a>,
    /// The rows' places among the calibration rows.
    pub(super) indices: &'a [usize],
    /// The float model's scores.
    pub(super) scores: &'a [Vec<f64>],
    pub(super) sums: &'a OutputSums,
    /// Without noise, in parts of the torus.
    pub(super) phases: &'a [Vec<f64>],
    /// The same of a row with noise, another one each time.
    pub(super) noisy: &'a dyn Fn(usize, &mut Gaussian) -> Vec<f64>,
    /// Products that it takes.
    pub(super) products: usize,
    pub(super) budget: Budget,
    /// Forms outside their tables, over all rows.
    pub(super) wrapped: usize,
}

/// How well it does.
#[derive(Clone, Debug)]
pub(super) struct Fidelity {
    /// Part of the labels that are the model's; of several scores that may be classes', of the largest.
    pub(super) labels: Option<f64>,
    /// Whether these are the model's own labels.
    pub(super) has_labels: bool,
    /// Root mean square of the worst score's error, in parts of its range.
    pub(super) error: f64,
    /// The same without noise and rounding: what quantisation and tables bring.
    pub(super) exact_error: f64,
    /// For each score: the largest error without noise, in score units.
    pub(super) largest: Vec<f64>,
    /// For each score: its range over the rows.
    pub(super) ranges: Vec<f64>,
    pub(super) wrapped: usize,
    pub(super) rows: usize,
}

impl SimulatedModel<'_> {
    /// Whether so few labels of the first rows are right that no others make up for it.
    fn is_hopeless(&self, labels: f64) -> bool {
        1.0 - labels
            > HOPELESS * (1.0 - self.setting.options.min_agreement).max(1.0 / FIRST_ROWS as f64)
    }
}

impl Fidelity {
    pub(super) fn of(reference: &SimulatedModel<'_>) -> Result<Self, CompileError> {
        let sums = reference.sums;
        let count = sums.scales.len();
        let ranges: Vec<f64> = (0..count)
            .map(|score| range(reference.scores, score))
            .collect();
        let mut squares = vec![0.0; count];
        let mut exact_squares = vec![0.0; count];
        let mut largest = vec![0.0_f64; count];
        for (phases, wanted) in reference.phases.iter().zip(reference.scores) {
            for score in 0..count {
                let found = sums.centres[score] + sums.scales[score] * phases[score];
                let error = found - wanted[score];
                exact_squares[score] += error * error;
                largest[score] = largest[score].max(error.abs());
            }
        }
        let decodings = decodings(sums, reference.budget, &largest);
        let model = reference.setting.reference.model;
        let has_labels = model.outputs.contains(&OutputField::Label);
        // Networks of PyTorch and Keras come with a score a class. skl2onnx gives classifiers labels, so
        // that several scores are several targets, or members that the client combines.
        let may_be_classes = count > 1 && !model.summary.producer.starts_with("skl2onnx");
        let mut noise = Gaussian::new(reference.setting.seed);
        let (mut equal, mut tried) = (0_usize, 0_usize);
        let all = reference.scores.len();
        let draws = (MAX_PRODUCTS / (all * reference.products).max(1)).clamp(1, DRAWS);
        let rows = reference.scores.iter().zip(reference.indices);
        for (row, (wanted, index)) in rows.enumerate() {
            let has_kinds = has_labels || may_be_classes;
            if row == FIRST_ROWS && has_kinds && reference.is_hopeless(equal as f64 / tried as f64)
            {
                break;
            }
            let exact = &reference.setting.reference.scores[*index];
            let outputs = if has_labels {
                margins::outputs(model, exact)?
            } else {
                Vec::new()
            };
            for _ in 0..draws {
                let found = decoded(&decodings, &(reference.noisy)(row, &mut noise));
                for score in 0..count {
                    squares[score] += (found[score] - wanted[score]).powi(2);
                }
                tried += 1;
                equal += usize::from(if has_labels {
                    let mut all = exact.clone();
                    for (own, place) in found.iter().zip(reference.setting.reference.region) {
                        all[*place] = *own;
                    }
                    margins::same_labels(model, &outputs, &margins::outputs(model, &all)?)
                } else {
                    first_largest(&found) == first_largest(wanted)
                });
            }
        }
        let worst = |squares: &[f64], rows: usize| {
            let errors = squares.iter().zip(&ranges);
            let errors = errors.map(|(sum, range)| (sum / rows.max(1) as f64).sqrt() / range);
            errors.fold(0.0, f64::max)
        };
        Ok(Self {
            labels: (has_labels || may_be_classes).then(|| equal as f64 / tried.max(1) as f64),
            has_labels,
            error: worst(&squares, tried),
            exact_error: worst(&exact_squares, reference.phases.len()),
            largest,
            ranges,
            wrapped: reference.wrapped,
            rows: reference.phases.len(),
        })
    }

    /// Whether at least this part of the labels is right, and scores are off by so much at most.
    pub(super) fn is_within(&self, labels: f64, error: f64) -> bool {
        self.labels.is_none_or(|own| own >= labels) && self.error <= error
    }

    /// Whether it is more faithful than another.
    pub(super) fn exceeds(&self, other: &Self) -> bool {
        let own = |fidelity: &Self| (fidelity.labels.unwrap_or(1.0), -fidelity.error);
        own(self) > own(other)
    }

    /// Bits of the worst score's range that its precision leaves.
    pub(super) fn bits(&self, sums: &OutputSums, budget: Budget) -> f64 {
        let precisions = decodings(sums, budget, &self.largest)
            .into_iter()
            .zip(&self.ranges);
        let bits = precisions.map(|(own, range)| (range / own.precision.get()).log2());
        bits.fold(f64::INFINITY, f64::min)
    }
}

/// How the client reads the scores: to multiples of the noise's standard deviation, since finer
/// ones would show the noise and coarser ones make it worse. Their precision has room for what was
/// off without noise on the calibration rows.
pub(super) fn decodings(sums: &OutputSums, budget: Budget, largest: &[f64]) -> Vec<ScoreDecoding> {
    (0..sums.scales.len())
        .map(|score| {
            let (scale, centre) = (sums.scales[score], sums.centres[score]);
            let step = budget.deviation.get() * scale;
            let noise = budget.error.in_scores(ScoreUnits::new(scale)).get();
            ScoreDecoding {
                coefficient: score as u32,
                scale: ScoreUnits::new(scale),
                offset: ScoreUnits::new(centre),
                step: ScoreUnits::new(step),
                precision: ScoreUnits::new(noise + 0.5 * step + largest[score]),
                range: (
                    ScoreUnits::new(centre - scale / 2.0),
                    ScoreUnits::new(centre + scale / 2.0),
                ),
            }
        })
        .collect()
}

/// Scores as the client reads them from phases, in parts of the torus.
pub(super) fn decoded(decodings: &[ScoreDecoding], phases: &[f64]) -> Vec<f64> {
    let pairs = decodings.iter().zip(phases);
    pairs
        .map(|(decoding, phase)| {
            let wrapped = phase - phase.round();
            decoding.score((wrapped * 64_f64.exp2()) as i64)
        })
        .collect()
}

/// A score's range over the rows, never nothing.
pub(super) fn range(rows: &[Vec<f64>], score: usize) -> f64 {
    let values = || rows.iter().map(|row| row[score]);
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    (high - low).max(f64::MIN_POSITIVE.sqrt())
}

fn first_largest(scores: &[f64]) -> usize {
    let mut largest = 0;
    for (place, score) in scores.iter().enumerate() {
        if *score > scores[largest] {
            largest = place;
        }
    }
    largest
}
