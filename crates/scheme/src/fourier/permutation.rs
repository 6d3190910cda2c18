//! Automorphisms X -> X^e in the Fourier domain, where they only permute values.

use super::{Transform, c64};
use std::f64::consts::PI;

/// What an automorphism does to the values of a transform.
#[derive(Debug)]
pub(crate) struct Permutation {
    /// For each value of the image, the place of the value that becomes it.
    sources: Vec<u32>,
    /// Whether values are conjugated on the way. The N/2 points of a transform stand for
    /// themselves and their conjugates; for e = 1 mod 4 the automorphism keeps to the former.
    conjugated: bool,
}

impl Permutation {
    /// Of X -> X^`exponent`, for an odd exponent.
    pub(crate) fn new(transform: &Transform, exponent: usize) -> Self {
        let size = transform.polynomial_size();
        let points = points(transform);
        let mut places = vec![None; 2 * size];
        for (place, point) in (0u32..).zip(&points) {
            places[*point] = Some(place);
        }
        // a(X^e) at a point is a at the point's e-th power.
        let image = |point: &usize| point * exponent % (2 * size);
        let conjugated = points
            .first()
            .is_some_and(|point| places[image(point)].is_none());
        let source = |point| {
            let image = image(point);
            let point = if conjugated { 2 * size - image } else { image };
            places[point].expect("an odd power of a point is a point or its conjugate")
        };
        Self {
            sources: points.iter().map(source).collect(),
            conjugated,
        }
    }

    /// `out(X) = input(X^exponent)`.
    pub(crate) fn apply(&self, out: &mut [c64], input: &[c64]) {
        assert!(
            out.len() == self.sources.len() && input.len() == out.len(),
            "polynomials of one size"
        );
        for (out, source) in out.iter_mut().zip(&self.sources) {
            *out = input[*source as usize];
        }
        if self.conjugated {
            for value in out {
                *value = value.conj();
            }
        }
    }
}

/// The points at which the transform evaluates a polynomial, as powers of exp(i pi / N): those are
/// the values of X.
fn points(transform: &Transform) -> Vec<usize> {
    let size = transform.polynomial_size();
    let mut x = vec![0; size];
    x[1] = 1;
    let mut values = vec![c64::new(0.0, 0.0); size / 2];
    transform.forward_integer(&mut values, &x, &mut transform.scratch());
    let turns = values
        .iter()
        .map(|value| (value.im.atan2(value.re) / PI * size as f64).round() as isize);
    turns
        .map(|turn| turn.rem_euclid(2 * size as isize) as usize)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Permutation, Transform, c64};
    use crate::polynomial::automorphism;

    /// The image's transform is the transform's image, for every automorphism of an expansion and
    /// X -> X^-1.
    #[test]
    fn automorphisms_permute_values() {
        for size in [512, 2048] {
            let transform = Transform::new(size);
            let mut scratch = transform.scratch();
            let input: Vec<u64> = (1..=size as u64)
                .map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15))
                .collect();
            let levels = (0..size.ilog2()).map(|level| (size >> level) + 1);
            for exponent in levels.chain([2 * size - 1]) {
                let mut image = vec![0; size];
                automorphism(&mut image, &input, exponent);
                let [mut expected, mut values, mut out] =
                    [0; 3].map(|_| vec![c64::new(0.0, 0.0); size / 2]);
                transform.forward_torus(&mut expected, &image, &mut scratch);
                transform.forward_torus(&mut values, &input, &mut scratch);
                Permutation::new(&transform, exponent).apply(&mut out, &values);
                for (out, expected) in out.iter().zip(&expected) {
                    assert!((out - expected).norm() < 1e-12, "{exponent}");
                }
            }
        }
    }
}
