//! Split points that no tree uses, made like those that trees use.

use cipherfn_program::round_down;
use cipherfn_protocol::hash::Hash;
use std::collections::HashSet;

/// Kind of float that a model's split points are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grain {
    /// 32-bit.
    Single,
    /// 64-bit.
    Double,
}

impl Grain {
    /// That of these split points.
    #[expect(clippy::float_cmp, reason = "floats that conversion does not change")]
    pub(crate) fn of(splits: impl IntoIterator<Item = f64>) -> Self {
        let mut splits = splits.into_iter();
        if splits.all(|split| f64::from(split as f32) == split) {
            Self::Single
        } else {
            Self::Double
        }
    }

    fn nearest(self, x: f64) -> f64 {
        match self {
            Self::Single => f64::from(x as f32),
            Self::Double => x,
        }
    }

    /// A split that `low` does not exceed and `high` does, in the middle where there are floats
    /// between.
    pub(crate) fn between(self, low: f64, high: f64) -> f64 {
        let middle = self.nearest(f64::midpoint(low, high));
        if middle < high {
            middle + 0.0
        } else {
            low + 0.0
        }
    }
}

/// Where a model's split points lie in relation to the data, which decoys must imitate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// On values that occur (gradient boosting on histograms).
    Values,
    /// Between values that occur (CART).
    Midpoints,
    /// One float above that (LightGBM).
    AboveMidpoints,
}

impl Style {
    /// The style of pairs (split points, sorted values) of all features.
    #[expect(
        clippy::float_cmp,
        reason = "split points that were made in just this way"
    )]
    pub(crate) fn of<'a>(
        features: impl Iterator<Item = (&'a [f64], &'a [f64])>,
        grain: Grain,
    ) -> Self {
        let (mut all, mut on, mut above) = (0, 0, 0);
        for (splits, values) in features {
            all += splits.len();
            for split in splits {
                let next = values.partition_point(|value| value < split);
                on += usize::from(values.get(next) == Some(split));
                if let Some(low) = next.checked_sub(1).map(|before| values[before])
                    && let Some(high) = values[next..].iter().find(|value| **value > low)
                {
                    let made = Self::AboveMidpoints.split(low, *high, grain);
                    above += usize::from(made == *split && grain == Grain::Double);
                }
            }
        }
        match all {
            _ if 2 * on > all => Self::Values,
            _ if 2 * above > all => Self::AboveMidpoints,
            _ => Self::Midpoints,
        }
    }

    /// The split point between two neighbours.
    fn split(self, low: f64, high: f64, grain: Grain) -> f64 {
        match self {
            Self::Values => low + 0.0,
            Self::Midpoints => grain.between(low, high),
            Self::AboveMidpoints => {
                let above = grain.between(low, high).next_up();
                if above < high { above } else { low + 0.0 }
            }
        }
    }
}

/// What decoys are drawn like, and from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    pub(crate) style: Style,
    pub(crate) grain: Grain,
    /// Kind of float that must tell all split points apart.
    pub(crate) told_by: Grain,
    /// Hash of the model.
    pub(crate) model: Hash,
}

impl Draw {
    /// `real` and `count` other split points, increasing. `values` are the feature's calibration
    /// values, sorted. The draw depends on nothing but the arguments.
    pub(crate) fn mix_in(self, real: &[f64], values: &[f64], count: u32, feature: u32) -> Vec<f64> {
        let key = |split: f64| match self.told_by {
            Grain::Single => f64::from(round_down(split)).to_bits(),
            Grain::Double => (split + 0.0).to_bits(),
        };
        let mut distinct = values.to_vec();
        distinct.dedup();
        let neighbours = distinct.windows(2);
        let mut candidates: Vec<f64> = match self.style {
            Style::Values => distinct
                .iter()
                .map(|value| self.grain.nearest(*value))
                .collect(),
            style => neighbours
                .map(|pair| style.split(pair[0], pair[1], self.grain))
                .collect(),
        };
        let mut taken: HashSet<u64> = real.iter().map(|split| key(*split)).collect();
        let mut random = Random::new(self.model, feature);
        let wanted = count as usize;
        let mut chosen: Vec<f64> = Vec::with_capacity(wanted + real.len());
        while chosen.len() < wanted && !candidates.is_empty() {
            let index = random.below(candidates.len() as u64) as usize;
            let split = candidates.swap_remove(index);
            if taken.insert(key(split)) {
                chosen.push(split);
            }
        }
        // Where the data has too few values, anywhere in its range.
        let (mut low, mut high) = span(real, &distinct);
        while chosen.len() < wanted {
            let split = self.grain.nearest(low + (high - low) * random.unit()) + 0.0;
            if split.is_finite() && taken.insert(key(split)) {
                chosen.push(split);
            } else {
                // Two draws alike: the range may hold too few floats.
                let width = high - low;
                (low, high) = (
                    (low - width).max(f64::from(f32::MIN)),
                    (high + width).min(f64::from(f32::MAX)),
                );
            }
        }
        chosen.extend_from_slice(real);
        chosen.sort_unstable_by(f64::total_cmp);
        chosen
    }
}

/// A range of some width around all values and splits.
fn span(real: &[f64], values: &[f64]) -> (f64, f64) {
    let ends = [real.first(), real.last(), values.first(), values.last()];
    let ends = ends.into_iter().flatten().copied();
    let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), end| {
        (low.min(end), high.max(end))
    });
    match (low < high, low.is_finite()) {
        (true, _) => (low, high),
        (false, true) => (low - low.abs().max(1.0), low + low.abs().max(1.0)),
        (false, false) => (-1.0, 1.0),
    }
}

/// A stream of BLAKE3 output.
struct Random(blake3::OutputReader);

impl Random {
    fn new(model: Hash, feature: u32) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("cipherfn decoy split points v1");
        hasher
            .update(model.as_bytes())
            .update(&feature.to_le_bytes());
        Self(hasher.finalize_xof())
    }

    fn word(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Uniform below `end`, up to a bias of `end / 2^64`.
    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(end)) >> 64) as u64
    }

    /// Uniform in [0, 1).
    fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
