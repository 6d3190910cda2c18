//! Where features lie in the vector, and what 64-bit thresholds become there.

use super::FeatureId;
use cipherfn_program::round_down;

/// The finished vector: where features lie, and what thresholds become.
#[derive(Debug)]
pub(crate) struct Vector {
    /// Place of each feature.
    pub(super) places: Vec<u32>,
    /// One a place.
    pub(super) keys: Vec<Keys>,
    /// Features that are weighed, at the first places.
    pub(super) amounts: usize,
}

impl Vector {
    /// Number of features.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Number of features that are weighed: the first ones.
    pub(crate) fn amounts(&self) -> usize {
        self.amounts
    }

    /// Place of a feature that is weighed.
    pub(crate) fn amount(&self, feature: FeatureId) -> u32 {
        self.places[feature.0 as usize]
    }

    /// Place of a feature, and the 32-bit number that stands for a threshold of it.
    pub(crate) fn place(&self, feature: FeatureId, threshold: f64) -> (u32, f32) {
        let place = self.places[feature.0 as usize];
        (place, self.keys[place as usize].of(threshold))
    }
}

/// How 64-bit thresholds of a feature become 32-bit ones.
#[derive(Debug, PartialEq)]
pub(super) enum Keys {
    /// Rounded down, as [`Op::Narrow`](cipherfn_program::Op::Narrow) does.
    Rounded,
    /// The value is the number of these that it exceeds, a threshold its place among them: for
    /// thresholds that 32 bits cannot tell apart or hold.
    Ranks(Vec<f64>),
}

impl Keys {
    fn of(&self, threshold: f64) -> f32 {
        match self {
            Self::Rounded => round_down(threshold),
            Self::Ranks(all) => all.partition_point(|&own| own < threshold) as f32,
        }
    }
}
