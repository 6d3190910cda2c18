//! Features as integers: a grid a feature, of as many bits as its weight in the scores asks for.

use crate::features::Features;
use cipherfn_protocol::specs::IntegerFeature;

/// Part of a feature's span by which its range is wider on each side than the calibration rows.
const WIDENING: f64 = 0.05;
/// Most bits of a feature.
pub(super) const MAX_BITS: u32 = 12;
/// Most bits of a feature whose values lie on a grid of their own.
const MAX_NATURAL_BITS: u32 = 8;
/// How far from its grid a value may lie, in steps: 32-bit floats and their scaling round more than
/// nothing.
const TOLERANCE: f64 = 1e-3;

/// How far a value may lie between the values that a feature has, in steps, at least.
const LEAST_TOLERANCE: f64 = 0.01;

/// A feature as the calibration rows, and what is put in place of missing cells, show it.
#[derive(Clone, Debug)]
pub(super) struct Span {
    feature: u32,
    name: String,
    low: f64,
    high: f64,
    own: Option<OwnGrid>,
}

/// A grid that the values of a feature lie on.
#[derive(Clone, Debug)]
struct OwnGrid {
    low: f64,
    /// Distance of neighbouring values.
    step: f64,
    /// Number of steps, at least 1.
    steps: u32,
    /// Values beside it that stand for missing cells.
    fills: Vec<f64>,
}

impl Span {
    /// Of the features in use.
    pub(super) fn of(features: &Features) -> Vec<Self> {
        (0..features.names.len())
            .map(|feature| {
                let values = features.finite_values(feature).map(f64::from).collect();
                let fills = features.fills.near(feature, features.range(feature));
                let fills: Vec<f64> = fills.collect();
                let name = features.names[feature].clone();
                Self::of_values((feature as u32, name), values, &fills)
            })
            .collect()
    }

    /// Of a feature with these values on the calibration rows, and those where cells are missing.
    fn of_values((feature, name): (u32, String), values: Vec<f64>, fills: &[f64]) -> Self {
        let all = sorted([values.as_slice(), fills].concat());
        let (low, high) = match (all.first(), all.last()) {
            (Some(&low), Some(&high)) => (low, high),
            _ => (0.0, 0.0),
        };
        let others = values.iter().filter(|value| !fills.contains(value));
        let others = sorted(others.copied().collect());
        let candidates = [all, sorted(values), others];
        Self {
            feature,
            name,
            low,
            high,
            own: candidates
                .iter()
                .find_map(|values| OwnGrid::of(values, fills)),
        }
    }

    /// Smallest and largest value of the widest grid.
    pub(super) fn range(&self) -> (f64, f64) {
        let ends = |(low, high): (f64, f64), own: (f64, f64)| (low.min(own.0), high.max(own.1));
        let own = self.own_grids(MAX_BITS).map(|own| own.range());
        own.fold(self.wider(), ends)
    }

    /// A little wider than the values.
    fn wider(&self) -> (f64, f64) {
        let wider = WIDENING * (self.high - self.low);
        (self.low - wider, self.high + wider)
    }

    /// The coarsest grid whose step is at most this, or whose values are the feature's.
    pub(super) fn with_step(&self, most: f64) -> IntegerFeature {
        let (low, high) = self.wider();
        let span = high - low;
        if span <= 0.0 {
            return self.constant();
        }
        let bits = (span / most + 1.0).log2().ceil();
        let bits = (bits.max(0.0) as u32).min(MAX_BITS);
        if bits == 0 {
            return IntegerFeature {
                low: f64::midpoint(low, high),
                step: span,
                ..self.constant()
            };
        }
        let step = span / (f64::from(bits).exp2() - 1.0);
        let slack = 0.5 * step;
        let is_near = |grid: &IntegerFeature| {
            let fills = self.own.iter().flat_map(|own| &own.fills);
            let mut off = fills.map(|fill| (fill - grid.nearest_value(*fill as f32)).abs());
            off.all(|off| off <= slack)
        };
        match self.own_grids(bits).find(is_near) {
            // What other features may be off by, this one may be, too.
            Some(own) => IntegerFeature {
                tolerance: (slack < 0.5 * own.step).then(|| slack.max(LEAST_TOLERANCE * own.step)),
                ..own
            },
            None => IntegerFeature {
                low,
                step,
                bits,
                ..self.constant()
            },
        }
    }

    /// What nothing depends on: any value is as good as any other, and is not sent.
    pub(super) fn without_bits(&self) -> IntegerFeature {
        IntegerFeature {
            low: 0.0,
            step: f64::from(f32::MAX),
            ..self.constant()
        }
    }

    /// The grid of its own values and finer ones with them, up to so many bits, each with room for a
    /// few more values at both ends; the first one alone where nothing lies beside it.
    fn own_grids(&self, most_bits: u32) -> impl Iterator<Item = IntegerFeature> {
        let of_own = move |own: &OwnGrid| {
            let least = u32::BITS - own.steps.leading_zeros();
            let finest = if own.fills.is_empty() {
                least
            } else {
                most_bits
            };
            let (low, step, steps) = (own.low, own.step, own.steps);
            (least..=finest.min(most_bits)).map(move |bits| {
                let most = (1 << bits) - 1;
                let parts = most / steps;
                let step = step / f64::from(parts);
                let room = most - parts * steps;
                IntegerFeature {
                    low: low - f64::from(room / 2) * step,
                    step,
                    bits,
                    ..self.constant()
                }
            })
        };
        self.own.iter().flat_map(of_own)
    }

    /// One value, which any other is limited to.
    fn constant(&self) -> IntegerFeature {
        IntegerFeature {
            feature: self.feature,
            name: self.name.clone(),
            low: self.low,
            step: self.low.abs().max(1.0) * 1e-6,
            bits: 0,
            tolerance: None,
        }
    }
}

impl OwnGrid {
    /// Where all values are whole multiples of one distance from the first of them, and few enough;
    /// `fills` are those of missing cells, some of which may be among them.
    fn of(values: &[f64], fills: &[f64]) -> Option<Self> {
        let (&low, &high) = (values.first()?, values.last()?);
        let gaps = values.windows(2).map(|pair| pair[1] - pair[0]);
        let step = gaps.fold(f64::INFINITY, f64::min);
        let steps = ((high - low) / step).round();
        if !(1.0..f64::from(MAX_NATURAL_BITS).exp2()).contains(&steps) {
            return None;
        }
        // What the smallest gap is off by grows with the number of steps.
        let step = (high - low) / steps;
        let is_on = |value: &f64| {
            let place = (value - low) / step;
            (place - place.round()).abs() <= TOLERANCE
        };
        values.iter().all(is_on).then(|| Self {
            low,
            step,
            steps: steps as u32,
            fills: fills.iter().copied().filter(|own| !is_on(own)).collect(),
        })
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.dedup();
    values
}

/// Grids that together bring this error into the scores, which features move by `gradients` a unit.
pub(super) fn grids(spans: &[Span], gradients: &[f64], error: f64) -> Vec<IntegerFeature> {
    let own = error / (spans.len() as f64).sqrt();
    let grids = spans.iter().zip(gradients);
    grids
        .map(|(span, gradient)| {
            // Uniform in a step.
            span.with_step(own * 12_f64.sqrt() / gradient.max(f64::MIN_POSITIVE))
        })
        .collect()
}

/// Bits of rows as a grid encodes them, by row.
pub(super) fn bits_of(grid: &[IntegerFeature], row: &[f32]) -> Vec<bool> {
    let mut bits = Vec::new();
    for own in grid {
        // Rows without a number are left out before.
        let integer = own.integer(row[own.feature as usize]).unwrap_or(0);
        bits.extend((0..own.bits).map(|bit| integer >> bit & 1 == 1));
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::Span;

    fn span(values: &[f64]) -> Span {
        filled(values, &[])
    }

    fn filled(values: &[f64], fills: &[f64]) -> Span {
        Span::of_values((0, "x".into()), values.to_vec(), fills)
    }

    #[test]
    fn values_on_a_grid_are_exact_in_as_many_bits_as_there_are() {
        let pixels: Vec<f64> = (0..=16).map(|value| f64::from(value) / 16.0).collect();
        let grid = span(&pixels).with_step(1.0 / 64.0);
        assert_eq!(grid.bits, 5);
        for value in &pixels {
            assert!((grid.nearest_value(*value as f32) - value).abs() < 1e-12);
        }
        // A coarser step takes fewer bits, on a grid of another kind.
        assert_eq!(span(&pixels).with_step(0.4).bits, 2);
        assert_eq!(span(&[0.0, 1.0]).with_step(1.0).bits, 1);
    }

    #[test]
    fn other_values_are_within_half_a_step() {
        let values = [-1.0, -0.73, 0.111, 0.52, 2.0];
        let grid = span(&values).with_step(0.1);
        assert!(grid.step <= 0.1 && grid.bits == 6);
        for value in values {
            let error = grid.nearest_value(value as f32) - value;
            assert!(error.abs() <= 0.5 * grid.step + 1e-6);
        }
        assert!(grid.limits(2.3) && grid.limits(-1.4) && !grid.limits(2.05));
        assert_eq!(grid.tolerance, None);
    }

    #[test]
    fn constants_take_no_bits_and_note_others() {
        let grid = span(&[3.0]).with_step(0.1);
        assert_eq!(grid.bits, 0);
        assert!(!grid.limits(3.0) && grid.limits(3.1));
    }

    #[test]
    fn what_lies_between_values_of_a_grid_is_told_where_other_features_are_finer() {
        let flag = span(&[0.0, 1.0]);
        let grid = flag.with_step(0.1);
        assert_eq!((grid.bits, grid.step), (1, 1.0));
        assert!(grid.rounds(0.37) && !grid.rounds(1.0) && !grid.rounds(1.03));
        // No other feature would be finer.
        assert_eq!(flag.with_step(1.2).tolerance, None);
        // Not even the finest step asks for more than floats and their scaling keep.
        assert!(!flag.with_step(1e-9).rounds(0.995));
    }

    #[test]
    fn values_of_missing_cells_are_as_near_as_others() {
        // A mean, one on the grid, one that makes a finer grid, one beyond the flag's values.
        for (fill, most_bits) in [(0.37, 4), (1.0, 1), (0.5, 2), (-1.0, 2), (0.0004, 1)] {
            for values in [vec![0.0, 1.0], vec![0.0, fill, 1.0]] {
                let span = filled(&values, &[fill]);
                let grid = span.with_step(0.1);
                assert!(grid.bits <= most_bits, "{fill}: {grid:?}");
                for value in [0.0, 1.0] {
                    assert!((grid.nearest_value(value as f32) - value).abs() < 1e-9);
                }
                let off = (grid.nearest_value(fill as f32) - fill).abs();
                assert!(off <= 0.05, "{fill}: {grid:?}");
                assert!(!grid.rounds(fill as f32) && !grid.limits(fill as f32));
                let range = span.range();
                assert!(range.0 <= grid.range().0 && grid.range().1 <= range.1);
            }
        }
        // As many bits as for values of all kinds: no grid of its own.
        let fills: Vec<f64> = (1..20).map(|part| f64::from(part * part) / 400.0).collect();
        let grid = filled(&[0.0, 1.0], &fills).with_step(0.01);
        assert!(grid.bits == 7 && grid.tolerance.is_none());
    }
}
