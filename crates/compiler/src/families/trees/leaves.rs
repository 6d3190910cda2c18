//! What leaves hold: a number a result coefficient, and weights of inputs where they are linear.

use std::ops::Range;

/// Positions of a polynomial from here on are weights, not coefficients.
pub(crate) const WEIGHTS: u32 = 1 << 31;

/// The numbers of a leaf, one list of them: a value for each coefficient; where leaves are linear
/// functions, then a weight of every input for each coefficient, the smallest value that the leaf
/// takes for each coefficient, and the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Result coefficients.
    pub coefficients: usize,
    /// Inputs, numbers in [-1, 1], that leaves weigh.
    pub inputs: usize,
}

impl Layout {
    /// Leaves that are constants.
    pub(crate) const fn constants(coefficients: usize) -> Self {
        Self {
            coefficients,
            inputs: 0,
        }
    }

    pub(crate) const fn is_linear(self) -> bool {
        self.inputs > 0
    }

    /// Where the weights of a coefficient are.
    pub(crate) const fn weights(self, coefficient: usize) -> Range<usize> {
        let first = self.coefficients + coefficient * self.inputs;
        first..first + self.inputs
    }

    /// Smallest and largest value of a leaf.
    pub(crate) fn range<T: Copy>(self, leaf: &[T], coefficient: usize) -> (T, T) {
        let low = self.coefficients * (1 + self.inputs) + coefficient;
        if self.is_linear() {
            (leaf[low], leaf[low + self.coefficients])
        } else {
            (leaf[coefficient], leaf[coefficient])
        }
    }

    /// Values and weights, each with its position in a polynomial.
    pub(crate) fn terms(self, leaf: &[i64]) -> impl Iterator<Item = (u32, i64)> {
        let (values, rest) = leaf.split_at(self.coefficients);
        let weights = rest.iter().take(self.coefficients * self.inputs);
        let values = (0..).zip(values);
        values
            .chain((WEIGHTS..).zip(weights))
            .map(|(position, value)| (position, *value))
    }

    /// The units of a leaf's numbers, from those of the coefficients and how much larger those of
    /// their weights are.
    pub(crate) fn units(self, coefficients: &[f64], weight: f64) -> Vec<f64> {
        let mut units = coefficients.to_vec();
        if self.is_linear() {
            let weights = coefficients.iter().map(|unit| unit * weight);
            units.extend(weights.flat_map(|unit| std::iter::repeat_n(unit, self.inputs)));
            units.extend([coefficients, coefficients].concat());
        }
        units
    }
}
