//! What forms have of the row's own values: integer weights of features in a ciphertext of their
//! own, one product a form.

use super::super::lines::DELTA_LOG2;
use super::integers::{FormSum, Integers, TableArgument};
use crate::backend::Backend;
use cipherfn_protocol::specs::{FeatureForm, IntegerFeature, LinearEncoding, TorusFraction};
use cipherfn_scheme::noise::{self, Variance};

/// What the client sends.
pub(super) struct FormLines {
    pub(super) encoding: LinearEncoding,
}

impl FormLines {
    /// `None` where no form has any.
    pub(super) fn of(
        integers: &Integers,
        grid: &[IntegerFeature],
        names: &[String],
        backend: Backend,
    ) -> Option<Self> {
        let of_phase = |argument: &TableArgument| match argument {
            TableArgument::Phase(sum) => !sum.slopes.is_empty(),
            TableArgument::Bits(_) => false,
        };
        let of_scores = integers.scores.iter().any(|sum| !sum.slopes.is_empty());
        if !of_scores && !integers.arguments.iter().any(of_phase) {
            return None;
        }
        let ranges = grid.iter().map(IntegerFeature::range);
        let (centre, half_width) = ranges
            .map(|(low, high)| (f64::midpoint(low, high), (high - low) / 2.0))
            .unzip();
        Some(Self {
            encoding: LinearEncoding {
                names: names.to_vec(),
                block: names.len().min(backend.set.ring.polynomial_size) as u32,
                stride: 1,
                form: FeatureForm::Apart,
                body_bits: backend.set.ring.body_bits,
                delta: TorusFraction::new(DELTA_LOG2.exp2()),
                centre,
                half_width,
            },
        })
    }

    /// A form's integers, one a feature, and what it is where all features are in the middle of their
    /// ranges, in parts of the torus.
    pub(super) fn weights(&self, sum: &FormSum) -> (Vec<i64>, f64) {
        let own = &self.encoding;
        let mut weights = vec![0; own.names.len()];
        let mut constant = 0.0;
        for (feature, slope) in &sum.slopes {
            let feature = *feature as usize;
            weights[feature] = (slope * own.half_width[feature] / own.delta.get()).round() as i64;
            constant += slope * own.centre[feature];
        }
        (weights, constant)
    }

    /// Of a form's result.
    pub(super) fn variance(&self, sum: &FormSum, backend: Backend) -> Variance {
        let (weights, _) = self.weights(sum);
        let squares = weights.iter().map(|weight| (*weight as f64).powi(2)).sum();
        noise::linear(backend.set, squares, self.encoding.body_bits)
            + noise::linear_transform(backend.set, squares)
    }
}
