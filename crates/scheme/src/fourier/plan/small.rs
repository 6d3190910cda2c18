//! Cooley and Tukey's transform, two values at a time: little code, in plain arithmetic.

use super::super::c64;
use std::f64::consts::PI;

/// Working memory of a transform: none.
pub(in super::super) struct Scratch;

/// The transform of so many complex values, a power of two. Forward it leaves them with the bits of
/// their places reversed, and the inverse takes them so.
pub(in super::super) struct Plan {
    /// exp(-2 pi i j / L) for j < L/2, of each length L of blocks, the longest first.
    roots: Vec<Vec<c64>>,
}

impl Plan {
    pub(in super::super) fn new(fourier_size: usize) -> Self {
        debug_assert!(fourier_size.is_power_of_two(), "a power of two");
        let root = |length: usize, j: usize| {
            let (sin, cos) = (-2.0 * PI * j as f64 / length as f64).sin_cos();
            c64::new(cos, sin)
        };
        let lengths = (1..=fourier_size.ilog2()).rev().map(|log| 1 << log);
        Self {
            roots: lengths
                .map(|length| (0..length / 2).map(|j| root(length, j)).collect())
                .collect(),
        }
    }

    #[expect(clippy::unused_self, reason = "as of the other plan")]
    pub(in super::super) fn scratch(&self) -> Scratch {
        Scratch
    }

    pub(in super::super) fn forward(&self, values: &mut [c64], _: &mut Scratch) {
        for roots in &self.roots {
            for block in values.chunks_exact_mut(2 * roots.len()) {
                let (first, second) = block.split_at_mut(roots.len());
                for ((first, second), root) in first.iter_mut().zip(second).zip(roots) {
                    let difference = *first - *second;
                    *first += *second;
                    *second = difference * root;
                }
            }
        }
    }

    pub(in super::super) fn inverse(&self, values: &mut [c64], _: &mut Scratch) {
        for roots in self.roots.iter().rev() {
            for block in values.chunks_exact_mut(2 * roots.len()) {
                let (first, second) = block.split_at_mut(roots.len());
                for ((first, second), root) in first.iter_mut().zip(second).zip(roots) {
                    let turned = *second * root.conj();
                    *second = *first - turned;
                    *first += turned;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tfhe;
    use super::{Plan, c64};

    /// The values of `tfhe`'s transform, in another order, and back to where they came from.
    #[test]
    fn values_are_those_of_the_other_plan() {
        for size in [16, 256, 1024] {
            let value = |j: usize| c64::new((j as f64 * 0.7).sin(), (j as f64 * 1.3).cos());
            let input: Vec<c64> = (0..size).map(value).collect();
            let (small, large) = (Plan::new(size), tfhe::Plan::new(size));
            let (mut ours, mut theirs) = (input.clone(), input.clone());
            small.forward(&mut ours, &mut small.scratch());
            large.forward(&mut theirs, &mut large.scratch());
            for value in &ours {
                let distance = |other: &c64| (value - other).norm();
                let nearest = theirs.iter().map(distance).fold(f64::INFINITY, f64::min);
                assert!(nearest < 1e-11, "{size}: {value} is off by {nearest}");
            }
            small.inverse(&mut ours, &mut small.scratch());
            for (back, value) in ours.iter().zip(&input) {
                assert!((back / size as f64 - value).norm() < 1e-14, "{size}");
            }
        }
    }
}
