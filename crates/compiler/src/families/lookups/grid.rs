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

/// A feature as the calibration rows show it.
#[derive(Clone, Debug)]
pub(super) struct Span {
    feature: u32,
    name: String,
    low: f64,
    high: f64,
    /// Distance of neighbouring values, where all of them lie on a grid.
    natural: Option<f64>,
}

impl Span {
    /// Of the features in use.
    pub(super) fn of(features: &Features) -> Vec<Self> {
        (0..features.names.len())
            .map(|feature| {
                let values = features.finite_values(feature).map(f64::from);
                let mut values: Vec<f64> = values.collect();
                values.sort_unstable_by(f64::total_cmp);
                values.dedup();
                let (low, high) = match (values.first(), values.last()) {
                    (Some(&low), Some(&high)) => (low, high),
                    _ => (0.0, 0.0),
                };
                Self {
                    feature: feature as u32,
                    name: features.names[feature].clone(),
                    low,
                    high,
                    natural: natural_step(&values),
                }
            })
            .collect()
    }

    /// Smallest and largest value of the widest grid.
    pub(super) fn range(&self) -> (f64, f64) {
        let wider = WIDENING * (self.high - self.low);
        let (low, high) = (self.low - wider, self.high + wider);
        match self.natural_feature() {
            Some(natural) => {
                let range = natural.range();
                (low.min(range.0), high.max(range.1))
            }
            None => (low, high),
        }
    }

    /// The coarsest grid whose step is at most this.
    pub(super) fn with_step(&self, most: f64) -> IntegerFeature {
        let wider = WIDENING * (self.high - self.low);
        let (low, high) = (self.low - wider, self.high + wider);
        let span = high - low;
        if span <= 0.0 {
            return self.constant();
        }
        let bits = (span / most + 1.0).log2().ceil();
        let bits = (bits.max(0.0) as u32).min(MAX_BITS);
        if let Some(natural) = self.natural_feature().filter(|own| own.bits <= bits) {
            return natural;
        }
        if bits == 0 {
            return IntegerFeature {
                low: f64::midpoint(low, high),
                step: span,
                ..self.constant()
            };
        }
        IntegerFeature {
            low,
            step: span / (f64::from(bits).exp2() - 1.0),
            bits,
            ..self.constant()
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

    /// The grid of its own values, with room for a few more at both ends.
    fn natural_feature(&self) -> Option<IntegerFeature> {
        let step = self.natural?;
        let values = ((self.high - self.low) / step).round() + 1.0;
        let bits = values.log2().ceil() as u32;
        let room = f64::from(bits).exp2() - values;
        Some(IntegerFeature {
            low: self.low - (room / 2.0).floor() * step,
            step,
            bits,
            ..self.constant()
        })
    }

    /// One value, which any other is limited to.
    fn constant(&self) -> IntegerFeature {
        IntegerFeature {
            feature: self.feature,
            name: self.name.clone(),
            low: self.low,
            step: self.low.abs().max(1.0) * 1e-6,
            bits: 0,
        }
    }
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

/// The distance of neighbouring values if all values are whole multiples of it from the first one,
/// and few enough.
fn natural_step(values: &[f64]) -> Option<f64> {
    let (first, last) = (values.first()?, values.last()?);
    let gaps = values.windows(2).map(|pair| pair[1] - pair[0]);
    let step = gaps.fold(f64::INFINITY, f64::min);
    let count = (last - first) / step + 1.0;
    if !(2.0..=f64::from(MAX_NATURAL_BITS).exp2()).contains(&count) {
        return None;
    }
    // What the smallest gap is off by grows with the number of steps.
    let step = (last - first) / ((last - first) / step).round();
    let is_multiple = |value: &f64| {
        let place = (value - first) / step;
        (place - place.round()).abs() <= TOLERANCE
    };
    values.iter().all(is_multiple).then_some(step)
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
    use super::{Span, natural_step};

    fn span(values: &[f64]) -> Span {
        Span {
            feature: 0,
            name: "x".into(),
            low: values[0],
            high: values[values.len() - 1],
            natural: natural_step(values),
        }
    }

    #[test]
    fn values_on_a_grid_are_exact_in_as_many_bits_as_there_are() {
        let pixels: Vec<f64> = (0..=16).map(|value| f64::from(value) / 16.0).collect();
        let grid = span(&pixels).with_step(1.0 / 64.0);
        assert_eq!(grid.bits, 5);
        for value in &pixels {
            let integer = grid.integer(*value as f32).unwrap();
            let error = grid.low + f64::from(integer) * grid.step - value;
            assert!(error.abs() < 1e-12);
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
            let integer = grid.integer(value as f32).unwrap();
            let error = grid.low + f64::from(integer) * grid.step - value;
            assert!(error.abs() <= 0.5 * grid.step + 1e-6);
        }
        assert!(grid.limits(2.3) && grid.limits(-1.4) && !grid.limits(2.05));
    }

    #[test]
    fn constants_take_no_bits_and_note_others() {
        let grid = span(&[3.0]).with_step(0.1);
        assert_eq!(grid.bits, 0);
        assert!(!grid.limits(3.0) && grid.limits(3.1));
    }
}
