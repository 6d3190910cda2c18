//! Directions in which calibration rows vary little: what may be a relation between features.
//!
//! They are directions of the data alone. With features in parts of their standard deviations, R their
//! correlation matrix:
//! - *pairs*: the difference (or sum) of two features that vary together, which two words name;
//! - *principal directions* with less variance than a feature has: eigenvectors of R;
//! - *residuals*: what is left of a feature when all others are known, the rows of R's inverse, which
//!   tell best of one cell that is another row's.

use cipherfn_training::Symmetric;

/// Features that are looked at, at most: the time grows with the cube.
const MOST_FEATURES: usize = 256;
/// Correlation of a pair, at least.
const LEAST_CORRELATION: f64 = 0.5;
/// Pairs, at most.
const MOST_PAIRS: usize = 512;
/// Least variance of a direction, in parts of a feature's: what 32-bit floats leave undecided.
const LEAST_VARIANCE: f64 = 1e-9;
/// Features that weigh most, at most, and their weight in parts of the largest one, at least.
const MOST_HEAVY: usize = 3;
const LEAST_HEAVY: f64 = 0.3;

/// A direction.
#[derive(Debug)]
pub(super) struct DataDirection {
    /// Features with their weights, in increasing order of the features.
    pub(super) terms: Vec<(u32, f32)>,
    /// Features that weigh most when each is measured by how much it varies, the heaviest first.
    pub(super) heaviest: Vec<u32>,
}

/// Candidates for relations, those of few features first; none of too many features.
pub(super) fn directions(rows: &[&[f32]]) -> Vec<DataDirection> {
    let width = rows.first().map_or(0, |row| row.len());
    let count = rows.len().max(1) as f64;
    let spread = |feature: usize| {
        let values = || rows.iter().map(|row| f64::from(row[feature]));
        let mean = values().sum::<f64>() / count;
        let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt())
    };
    // What does not vary has no part in a relation.
    let varying: Vec<(u32, f64, f64)> = (0..width)
        .map(|feature| (feature as u32, spread(feature)))
        .filter(|(_, (mean, deviation))| *deviation > 1e-9 * mean.abs())
        .map(|(feature, (mean, deviation))| (feature, mean, deviation))
        .collect();
    if !(2..=MOST_FEATURES).contains(&varying.len()) {
        return Vec::new();
    }
    let standard = |row: &&[f32]| -> Vec<f64> {
        let own = varying.iter();
        own.map(|(feature, mean, deviation)| (f64::from(row[*feature as usize]) - mean) / deviation)
            .collect()
    };
    let standard: Vec<Vec<f64>> = rows.iter().map(standard).collect();
    let correlations = Symmetric::from_fn(varying.len(), |one, other| {
        let products = standard.iter().map(|row| row[one] * row[other]);
        products.sum::<f64>() / count
    });
    let pairs = pairs(&correlations, varying.len());
    let eigen = correlations.eigen();
    let principal = eigen.iter().rev().filter(|(variance, _)| *variance < 1.0);
    let principal = principal.map(|(_, vector)| vector.clone());
    let residual = |feature: usize| -> Vec<f64> {
        let entry = |other: usize| {
            let terms = eigen.iter().map(|(variance, vector)| {
                vector[feature] * vector[other] / variance.max(LEAST_VARIANCE)
            });
            terms.sum::<f64>()
        };
        let row: Vec<f64> = (0..varying.len()).map(entry).collect();
        let length = row.iter().map(|own| own * own).sum::<f64>().sqrt();
        row.iter().map(|own| own / length).collect()
    };
    let residuals = (0..varying.len()).map(residual);
    let all = pairs.into_iter().chain(principal).chain(residuals);
    all.filter_map(|weights| DataDirection::of(&weights, &varying))
        .collect()
}

/// Differences and sums of the features that vary together most.
fn pairs(correlations: &Symmetric, size: usize) -> Vec<Vec<f64>> {
    let places = (0..size).flat_map(|one| (0..one).map(move |other| (one, other)));
    let correlated = places.map(|(one, other)| (correlations.get(one, other), one, other));
    let mut correlated: Vec<(f64, usize, usize)> = correlated
        .filter(|(own, ..)| own.abs() >= LEAST_CORRELATION)
        .collect();
    correlated.sort_by(|one, other| other.0.abs().total_cmp(&one.0.abs()));
    correlated.truncate(MOST_PAIRS);
    let weights = |(own, one, other): (f64, usize, usize)| {
        let mut weights = vec![0.0; size];
        weights[one] = 0.5_f64.sqrt();
        weights[other] = -own.signum() * 0.5_f64.sqrt();
        weights
    };
    correlated.into_iter().map(weights).collect()
}

impl DataDirection {
    /// Of weights in parts of the features' deviations; `None` where 32-bit floats have no room for
    /// them.
    fn of(weights: &[f64], varying: &[(u32, f64, f64)]) -> Option<Self> {
        let terms = weights.iter().zip(varying);
        let terms = terms.map(|(weight, (feature, _, own))| (*feature, (weight / own) as f32));
        let terms: Vec<(u32, f32)> = terms.filter(|(_, weight)| *weight != 0.0).collect();
        let mut heaviest: Vec<(f64, u32)> = weights
            .iter()
            .zip(varying)
            .map(|(weight, (feature, ..))| (weight.abs(), *feature))
            .collect();
        heaviest.sort_by(|one, other| other.0.total_cmp(&one.0));
        let largest = heaviest.first()?.0;
        let heaviest = heaviest.into_iter().take(MOST_HEAVY);
        let heaviest = heaviest.take_while(|(weight, _)| *weight >= LEAST_HEAVY * largest);
        let is_finite = terms.iter().all(|(_, weight)| weight.is_finite());
        (is_finite && !terms.is_empty()).then_some(Self {
            terms,
            heaviest: heaviest.map(|(_, feature)| feature).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{DataDirection, directions};

    /// Two features that are the same up to a hundredth, one that is the difference of the first and
    /// a fourth one, and a constant.
    fn rows() -> Vec<Vec<f32>> {
        let row = |row: u16| {
            let (one, other) = (f32::from(row % 20), f32::from(row * 7 % 11));
            let off = 0.01 * f32::from(row % 3);
            vec![one, 5.0, 10.0 * (one + off), one - other, other]
        };
        (0..200).map(row).collect()
    }

    #[test]
    fn what_varies_together_is_a_direction_of_little_variance() {
        let rows = rows();
        let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let found = directions(&rows);
        let deviation = |own: &DataDirection| {
            let value = |row: &&[f32]| -> f64 {
                let terms = own.terms.iter();
                terms
                    .map(|(feature, weight)| f64::from(*weight) * f64::from(row[*feature as usize]))
                    .sum()
            };
            let values: Vec<f64> = rows.iter().map(value).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let square = values.iter().map(|own| (own - mean).powi(2)).sum::<f64>();
            (square / values.len() as f64).sqrt()
        };
        // The pair is the first one, of two terms, and named by both.
        assert_eq!(found[0].terms.len(), 2);
        let mut names = found[0].heaviest.clone();
        names.sort_unstable();
        assert_eq!(names, [0, 2]);
        assert!(deviation(&found[0]) < 0.01, "{:?}", found[0]);
        // That a feature is a difference of two others takes three.
        let of_three = found.iter().filter(|own| deviation(own) < 1e-5);
        assert!(of_three.clone().count() > 0);
        for own in of_three {
            let features: Vec<u32> = own.terms.iter().map(|(feature, _)| *feature).collect();
            assert!(features.contains(&3) && features.contains(&4), "{own:?}");
        }
        let mut all = found.iter().flat_map(|own| &own.terms);
        assert!(all.all(|(feature, _)| *feature != 1), "it does not vary");
    }

    #[test]
    fn one_feature_and_too_many_have_none() {
        assert!(directions(&[&[1.0], &[2.0]]).is_empty());
        let rows: Vec<Vec<f32>> = (0..4_u8)
            .map(|row| {
                (0..300_u16)
                    .map(|own| f32::from(own) * f32::from(row))
                    .collect()
            })
            .collect();
        let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        assert!(directions(&rows).is_empty());
    }
}
