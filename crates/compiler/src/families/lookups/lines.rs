//! The linear part of functions on the whole torus: integer weights of the features as they are,
//! in a ciphertext of their own.

use super::outputs::OutputSums;
use crate::backend::Backend;
use cipherfn_protocol::specs::{FeatureForm, IntegerFeature, LinearEncoding, TorusFraction};
use cipherfn_scheme::noise::{self, Variance};

/// log2 of the torus amplitude of a feature at the end of its range: weights are exact to half of
/// it, and times as large.
const DELTA_LOG2: f64 = -20.0;

/// What the client sends, and its weights.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    pub(super) encoding: LinearEncoding,
    /// One row a score.
    pub(super) weights: Vec<Vec<i64>>,
    /// For each score: the lines where all features are in the middle of their ranges, in parts of
    /// the torus.
    pub(super) constants: Vec<f64>,
}

impl Lines {
    pub(super) fn of(
        sums: &OutputSums,
        grid: &[IntegerFeature],
        names: &[String],
        backend: Backend,
    ) -> Self {
        let encoding = encoding(grid, names, sums.scales.len(), backend);
        let (centre, half_width) = (&encoding.centre, &encoding.half_width);
        let weights = |slopes: &Vec<f64>| {
            let weight =
                |(slope, half): (&f64, &f64)| (slope * half / encoding.delta.get()).round() as i64;
            slopes.iter().zip(half_width).map(weight).collect()
        };
        let constant = |slopes: &Vec<f64>| {
            let terms = slopes.iter().zip(centre);
            terms.map(|(slope, centre)| slope * centre).sum()
        };
        Self {
            weights: sums.slopes.iter().map(weights).collect(),
            constants: sums.slopes.iter().map(constant).collect(),
            encoding,
        }
    }

    /// Of a result coefficient.
    pub(super) fn variance(&self, backend: Backend) -> Variance {
        variance(self.weights.iter().flatten(), &self.encoding, backend)
    }
}

/// Features as they are, `stride` coefficients apart.
pub(super) fn encoding(
    grid: &[IntegerFeature],
    names: &[String],
    stride: usize,
    backend: Backend,
) -> LinearEncoding {
    let ranges = grid.iter().map(IntegerFeature::range);
    let (centre, half_width) = ranges
        .map(|(low, high)| (f64::midpoint(low, high), (high - low) / 2.0))
        .unzip();
    let room = (backend.set.ring.polynomial_size / stride).max(1);
    LinearEncoding {
        names: names.to_vec(),
        block: names.len().min(room) as u32,
        stride: stride as u32,
        form: FeatureForm::Apart,
        body_bits: backend.set.ring.body_bits,
        delta: TorusFraction::new(DELTA_LOG2.exp2()),
        centre,
        half_width,
    }
}

/// Of the features' sum with these weights.
pub(super) fn variance<'a>(
    weights: impl Iterator<Item = &'a i64>,
    encoding: &LinearEncoding,
    backend: Backend,
) -> Variance {
    let squares = weights.map(|weight| (*weight as f64).powi(2)).sum();
    noise::linear(backend.set, squares, encoding.body_bits)
        + noise::linear_transform(backend.set, squares)
}
