//! From what is looked up to scores: amplitudes of the tables, integer weights, and what a whole
//! torus stands for.

use super::curve::Curve;
use super::rounding::Moments;
use crate::error::CompileError;
use crate::model::LookupModel;

/// How much wider than over the calibration rows the scores' range is.
const MARGIN: f64 = 2.0;
/// The same of scores that are compared with others: a difference reaches from one end of the range to
/// a value beyond the other.
pub(super) const MARGIN_OF_COMPARED: f64 = 2.5;
/// Least part of the widest score's range that a score is given.
const LEAST_RANGE: f64 = 1e-6;
/// What 64-bit floats make of a constant, as a part of it.
const ROUNDED: f64 = 1e-12;
/// Largest amplitude of a table, in parts of the torus.
const MOST_AMPLITUDE: f64 = 0.25;
/// How much of the error of plain rounding is left where it knows the weights before.
const ROUNDING: f64 = 0.3;

/// Sums of tables.
#[derive(Clone, Debug)]
pub(super) struct OutputSums {
    /// Size of each table, in parts of the torus; negative where a single score's weight is.
    pub(super) amplitudes: Vec<f64>,
    /// Integers, one row a score, one entry a table.
    pub(super) weights: Vec<Vec<i64>>,
    /// For each score: what a whole torus stands for.
    pub(super) scales: Vec<f64>,
    /// For each score: its value at phase zero.
    pub(super) centres: Vec<f64>,
    /// For each score: added on the server, in parts of the torus.
    pub(super) constants: Vec<f64>,
    /// For each score: the slopes of the lines beside the tables, in the torus a unit of each
    /// feature.
    pub(super) slopes: Vec<Vec<f64>>,
}

/// What the sums are fitted on.
pub(super) struct OutputFit<'a> {
    pub(super) model: &'a LookupModel,
    pub(super) curves: &'a [Curve],
    /// What the tables give, in parts of their sizes, by row.
    pub(super) entries: &'a [Vec<f64>],
    /// The float model's scores, by row.
    pub(super) scores: &'a [Vec<f64>],
    /// Number of features.
    pub(super) features: usize,
    /// See [`ranges`].
    pub(super) reach: Option<(f64, f64)>,
}

impl OutputFit<'_> {
    /// Sums of tables whose errors have these variances.
    pub(super) fn sums(&self, variances: &[f64]) -> OutputSums {
        let (scales, centres) = ranges(self.scores, self.reach);
        // In the torus, a table at full size.
        let wanted: Vec<Vec<f64>> = self
            .model
            .weights
            .iter()
            .zip(&scales)
            .map(|(row, scale)| {
                let sizes = self.curves.iter().map(|curve| curve.size);
                row.iter()
                    .zip(sizes)
                    .map(|(w, size)| w * size / scale)
                    .collect()
            })
            .collect();
        let (amplitudes, weights) = match wanted.as_slice() {
            [only] => (only.clone(), vec![vec![1; only.len()]]),
            _ => self.integers(&wanted, variances),
        };
        let slopes = self.slopes(&scales);
        let constant = |(score, (weights, bias)): (usize, (&Vec<f64>, &f64))| {
            let offset = |(unit, curve): (usize, &Curve)| {
                weights[unit] * (curve.offset + curve.slope * self.model.forms[unit].bias)
            };
            let offsets = self.curves.iter().enumerate().map(offset).sum::<f64>();
            (bias + offsets - centres[score]) / scales[score]
        };
        let rows = self.model.weights.iter().zip(&self.model.bias);
        let constants = rows.enumerate().map(constant).collect();
        OutputSums {
            amplitudes,
            weights,
            scales,
            centres,
            constants,
            slopes,
        }
    }

    /// The slopes of all lines together, in the torus a unit of each feature.
    fn slopes(&self, scales: &[f64]) -> Vec<Vec<f64>> {
        let of_score = |(weights, scale): (&Vec<f64>, &f64)| {
            let mut slopes = vec![0.0; self.features];
            for (unit, curve) in self.curves.iter().enumerate() {
                for (feature, weight) in &self.model.forms[unit].weights {
                    slopes[*feature as usize] += weights[unit] * curve.slope * weight / scale;
                }
            }
            slopes
        };
        self.model
            .weights
            .iter()
            .zip(scales)
            .map(of_score)
            .collect()
    }

    /// Amplitudes at which the tables' errors, times the weights, are as large as what rounding the
    /// weights loses, and the weights.
    fn integers(&self, wanted: &[Vec<f64>], variances: &[f64]) -> (Vec<f64>, Vec<Vec<i64>>) {
        let rows = self.entries.len().max(1) as f64;
        let amplitude = |unit: usize| {
            let square = wanted.iter().map(|row| row[unit].powi(2)).sum::<f64>();
            let mean = self.entries.iter().map(|row| row[unit]).sum::<f64>() / rows;
            let off = self.entries.iter().map(|row| (row[unit] - mean).powi(2));
            let spread = (off.sum::<f64>() / rows).max(1e-4);
            let scores = wanted.len() as f64;
            let best = 12.0 * variances[unit] * square / (scores * spread * ROUNDING);
            // Few sizes, so that tables of one function are one constant.
            let power = (2.0 * best.max(f64::MIN_POSITIVE).powf(0.25).log2()).round() / 2.0;
            power.exp2().clamp(f64::from(-24).exp2(), MOST_AMPLITUDE)
        };
        let amplitudes: Vec<f64> = (0..self.curves.len()).map(amplitude).collect();
        let scaled = |row: &Vec<f64>| -> Vec<f64> {
            row.iter()
                .zip(&amplitudes)
                .map(|(entry, own)| entry * own)
                .collect()
        };
        let inputs: Vec<Vec<f64>> = self.entries.iter().map(scaled).collect();
        let moments = Moments::of(&inputs);
        let weights = wanted.iter().map(|row| {
            let exact = row
                .iter()
                .zip(&amplitudes)
                .map(|(wanted, own)| wanted / own);
            moments.round(&exact.collect::<Vec<f64>>())
        });
        let weights = weights.collect();
        (amplitudes, weights)
    }
}

impl OutputSums {
    /// Whether one of these scores is beyond what the torus stands for.
    pub(super) fn leave(&self, scores: &[f64]) -> bool {
        let ranges = self.centres.iter().zip(&self.scales);
        let mut scores = ranges.zip(scores);
        scores.any(|((centre, scale), score)| 2.0 * (score - centre).abs() >= scale.abs())
    }

    /// The scores' phases without noise, in parts of the torus: of what the tables give, and of the
    /// features.
    pub(super) fn phases(&self, entries: &[f64], features: &[f64]) -> Vec<f64> {
        let sum = |score: usize| {
            let tables = self.weights[score]
                .iter()
                .zip(&self.amplitudes)
                .zip(entries);
            let tables = tables.map(|((weight, own), entry)| *weight as f64 * own * entry);
            let lines = self.slopes[score].iter().zip(features);
            let lines = lines.map(|(slope, value)| slope * value);
            tables.sum::<f64>() + lines.sum::<f64>() + self.constants[score]
        };
        (0..self.scales.len()).map(sum).collect()
    }

    /// Takes what is off on average off the constants; `phases` and `wanted` are of the same rows.
    pub(super) fn centre(&mut self, phases: &[Vec<f64>], wanted: &[Vec<f64>]) {
        let rows = phases.len().max(1) as f64;
        for score in 0..self.scales.len() {
            let off = phases.iter().zip(wanted).map(|(phases, wanted)| {
                (wanted[score] - self.centres[score]) / self.scales[score] - phases[score]
            });
            self.constants[score] += off.sum::<f64>() / rows;
        }
    }

    /// Whether any line has to be added.
    pub(super) fn has_lines(&self) -> bool {
        self.slopes.iter().flatten().any(|slope| *slope != 0.0)
    }
}

/// Refuses scores that are functions of the row and yet the same for all calibration rows, which say
/// nothing of their range then.
pub(super) fn check_scores(
    node: &str,
    scores: &[Vec<f64>],
    weights: &[Vec<f64>],
) -> Result<(), CompileError> {
    for (score, weights) in weights.iter().enumerate() {
        let values = scores.iter().map(|row| row[score]);
        let ends = |(low, high): (f64, f64), own: f64| (low.min(own), high.max(own));
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), ends);
        let is_constant = high - low <= ROUNDED * low.abs().max(high.abs());
        if is_constant && weights.iter().any(|weight| *weight != 0.0) {
            return Err(CompileError::StillScore {
                node: node.to_owned(),
                score,
                value: low,
            });
        }
    }
    Ok(())
}

/// What a whole torus stands for, and the middle, of each score; `reach`: from and to which value it is
/// compared, where it is.
pub(super) fn ranges(scores: &[Vec<f64>], reach: Option<(f64, f64)>) -> (Vec<f64>, Vec<f64>) {
    let margin = reach.map_or(MARGIN, |_| MARGIN_OF_COMPARED);
    let (from, to) = reach.unwrap_or((f64::INFINITY, f64::NEG_INFINITY));
    let of = |score: usize| {
        let values = || scores.iter().map(|row| row[score]);
        let low = values().fold(from, f64::min);
        let high = values().fold(to, f64::max);
        (low, high)
    };
    let ranges: Vec<(f64, f64)> = (0..scores.first().map_or(0, Vec::len)).map(of).collect();
    let widest = ranges
        .iter()
        .map(|(low, high)| high - low)
        .fold(0.0, f64::max);
    let least = (LEAST_RANGE * widest).max(f64::MIN_POSITIVE.sqrt());
    let scale = |(low, high): &(f64, f64)| margin * (high - low).max(least);
    (
        ranges.iter().map(scale).collect(),
        ranges
            .iter()
            .map(|(low, high)| f64::midpoint(*low, *high))
            .collect(),
    )
}
