//! What forms have of the row's own values: integer weights of features in a ciphertext of their
//! own, one product a form.

use super::super::lines;
use super::integers::{FormSum, Integers, TableArgument};
use crate::backend::Backend;
use cipherfn_protocol::specs::{IntegerFeature, LinearEncoding};
use cipherfn_scheme::noise::Variance;

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
        Some(Self {
            encoding: lines::encoding(grid, names, 1, backend),
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
        lines::variance(weights.iter(), &self.encoding, backend)
    }
}
