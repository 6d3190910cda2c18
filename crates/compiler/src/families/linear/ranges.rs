//! Ranges of features, and of scores over the calibration rows.

use crate::families::scores::ScoreMap;
use crate::features::Features;
use crate::model::LinearModel;

/// How far beyond the calibration rows an input may lie, in spans on each side.
pub(super) const WIDENING: f64 = 2.0;
/// How much wider again a feature of little weight may be.
const MAX_FACTOR: f64 = 16.0;

/// (centre, half width) of each feature: the calibration rows' range, widened by `widening` spans on
/// each side.
pub(in crate::families) fn inputs(features: &Features, widening: f64) -> Vec<(f64, f64)> {
    let range = |feature: usize| {
        let (low, high) = features.range(feature);
        let span = if low < high {
            high - low
        } else {
            low.abs().max(1.0)
        };
        (f64::midpoint(low, high), (0.5 + widening) * span)
    };
    (0..features.names.len()).map(range).collect()
}

/// Largest change of each score by each feature.
pub(super) fn contributions(weights: &[Vec<f64>], ranges: &[(f64, f64)]) -> Vec<Vec<f64>> {
    weights
        .iter()
        .map(|row| {
            row.iter()
                .zip(ranges)
                .map(|(weight, (_, half))| weight * half)
                .collect()
        })
        .collect()
}

/// Gives features of little weight a wider range, up to the mean contribution to every score:
/// outliers of features that hardly vary in the calibration rows are accepted, and the range of
/// scores at most doubles.
pub(super) fn widen(weights: &[Vec<f64>], ranges: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let rows = contributions(weights, &ranges);
    let mean = |row: &Vec<f64>| row.iter().map(|value| value.abs()).sum::<f64>() / row.len() as f64;
    let means: Vec<f64> = rows.iter().map(mean).collect();
    let factor = |feature: usize| {
        let ratios = rows
            .iter()
            .zip(&means)
            .filter(|(row, _)| row[feature] != 0.0)
            .map(|(row, mean)| mean / row[feature].abs());
        ratios.fold(MAX_FACTOR, f64::min).max(1.0)
    };
    ranges
        .into_iter()
        .enumerate()
        .map(|(feature, (centre, half))| (centre, half * factor(feature)))
        .collect()
}

/// Range of each carried score over the calibration rows; where they do not vary, over all inputs.
pub(super) fn scores(
    linear: &LinearModel,
    scores: &ScoreMap,
    rows: &[Vec<f32>],
    carried: &[&[f64]],
) -> Vec<f64> {
    let mut ends = vec![(f64::INFINITY, f64::NEG_INFINITY); carried.len()];
    for row in rows {
        let values = linear.raw_scores(row);
        for (end, score) in ends.iter_mut().zip(&scores.carried) {
            let value = values[*score as usize];
            *end = (end.0.min(value), end.1.max(value));
        }
    }
    let whole = |weights: &[f64]| 2.0 * weights.iter().map(|weight| weight.abs()).sum::<f64>();
    ends.iter()
        .zip(carried)
        .map(|((low, high), weights)| {
            if high > low {
                high - low
            } else {
                whole(weights)
            }
        })
        .collect()
}
