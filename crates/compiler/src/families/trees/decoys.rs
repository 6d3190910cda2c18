//! Split points that no tree uses, made like those that trees use.

use crate::families::trees::quantisation::between;
use cipherfn_protocol::hash::Hash;
use std::collections::BTreeSet;

/// Where a model's split points lie in relation to the data, which decoys must imitate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// On values that occur (gradient boosting on histograms).
    Values,
    /// Between values that occur (CART).
    Midpoints,
}

impl Style {
    /// The style of pairs (split points, sorted calibration values) of all features.
    pub(crate) fn of<'a>(features: impl Iterator<Item = (&'a [f32], &'a [f32])>) -> Self {
        let (mut on, mut all) = (0, 0);
        for (splits, values) in features {
            on += splits
                .iter()
                .filter(|split| {
                    values
                        .binary_search_by(|value| value.total_cmp(split))
                        .is_ok()
                })
                .count();
            all += splits.len();
        }
        if 2 * on > all {
            Self::Values
        } else {
            Self::Midpoints
        }
    }
}

/// `real` and `count` other split points, increasing. `values` are the feature's calibration
/// values, sorted. The draw depends on nothing but the arguments.
pub(crate) fn mix_in(
    real: &[f32],
    values: &[f32],
    count: u32,
    style: Style,
    model: Hash,
    feature: u32,
) -> Vec<f32> {
    let mut distinct = values.to_vec();
    distinct.dedup();
    let mut candidates = match style {
        Style::Values => distinct.clone(),
        Style::Midpoints => distinct
            .windows(2)
            .map(|pair| between(pair[0], pair[1]))
            .collect(),
    };
    candidates.retain(|candidate| !real.contains(candidate));
    let mut random = Random::new(model, feature);
    let wanted = count as usize;
    let mut chosen: Vec<f32> = Vec::with_capacity(wanted);
    while chosen.len() < wanted && !candidates.is_empty() {
        let index = random.below(candidates.len() as u64) as usize;
        chosen.push(candidates.swap_remove(index));
    }
    // Where the data has too few values, anywhere in its range.
    let mut taken: BTreeSet<u32> = real
        .iter()
        .chain(&chosen)
        .map(|split| split.to_bits())
        .collect();
    let (mut low, mut high) = span(real, &distinct);
    while chosen.len() < wanted {
        let split = (low + (high - low) * random.unit()) as f32 + 0.0;
        if split.is_finite() && taken.insert(split.to_bits()) {
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
    chosen.sort_unstable_by(f32::total_cmp);
    chosen
}

/// A range of some width around all values and splits.
fn span(real: &[f32], values: &[f32]) -> (f64, f64) {
    let ends = [real.first(), real.last(), values.first(), values.last()];
    let ends = ends.into_iter().flatten().map(|value| f64::from(*value));
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
