//! The numbers that linear leaves weigh.
//!
//! A leaf is the product of its weights with the encrypted vector of inputs, and a constant: a
//! ciphertext, among which CMUXes choose as among others. Input `i` enters as `delta * r_i` with
//! `r_i = (x_i - centre_i) / half_width_i` in [-1, 1]; a weight is a whole number of units, each of
//! which is `delta / resolution` units of the leaves' constants.

use super::leaves::Layout;
use crate::backend::Backend;
use crate::error::CompileError;
use crate::families::linear::{encoded, ranges};
use crate::features::Features;
use crate::model::{LinearTrees, Slope};
use crate::report::FeatureReport;
use cipherfn_engine::MAX_WEIGHT_BYTES;
use cipherfn_protocol::specs::{FeatureForm, LinearEncoding, TorusFraction};

#[cfg(test)]
mod tests;

/// How far beyond the calibration rows an input may lie, in spans on each side; the most that costs
/// little is taken.
const WIDENINGS: [f64; 5] = [2.0, 1.0, 0.5, 0.25, 0.1];

/// What leaves weigh.
pub(crate) struct Inputs<'a> {
    trees: &'a LinearTrees,
    /// Centre and half width of each input.
    ranges: Vec<(f64, f64)>,
    /// Whether the splits that the circuit asks are those that bound the leaves.
    exact: bool,
}

/// What the choice of a circuit has to know of the inputs.
pub(crate) struct Weighing {
    /// Range of each coefficient over the calibration rows, in score units.
    pub seen: Vec<f64>,
    /// Weights of a coefficient at most that are rounded on a path.
    pub weights: f64,
}

/// Ranges of the first `inputs` features.
fn ranges_of(features: &Features, inputs: usize, widening: f64) -> Vec<(f64, f64)> {
    let mut ranges = ranges::inputs(features, widening);
    ranges.truncate(inputs);
    ranges
}

impl<'a> Inputs<'a> {
    /// The inputs of `trees`, with ranges that the calibration rows show. `exact`: the splits that the
    /// circuit asks are the trees' own.
    pub(super) fn new(trees: &'a LinearTrees, features: &Features, exact: bool) -> Self {
        let mut inputs = Self {
            trees,
            ranges: ranges_of(features, trees.inputs, 0.0),
            exact,
        };
        inputs.widen(features);
        inputs
    }

    /// Widens the inputs' ranges as far as the possible range of every score at most doubles, which
    /// costs a bit of precision: each input may add its share of the range that the calibration rows'
    /// own ranges give. A leaf is fitted to the rows that reach it, and where it goes beyond them is
    /// chance: steep in a few small numbers, it may leave no bit at the other end of a wide range.
    fn widen(&mut self, features: &Features) {
        let narrow = self.extents();
        let widened = WIDENINGS.map(|widening| ranges_of(features, self.len(), widening));
        let mut ranges = self.ranges.clone();
        for input in 0..self.len() {
            let own = self.ranges[input];
            for widened in &widened {
                self.ranges[input] = widened[input];
                let share = 1.0 + 1.0 / self.len() as f64;
                let extents = self.extents();
                let mut scores = extents.iter().zip(&narrow);
                if scores.all(|(wide, narrow)| *wide <= narrow * share) {
                    ranges[input] = widened[input];
                    break;
                }
            }
            self.ranges[input] = own;
        }
        self.ranges = ranges;
    }

    /// For each score, the difference between the largest and the smallest sum of leaves.
    fn extents(&self) -> Vec<f64> {
        let scores = self.trees.constants.scores;
        let all: Vec<u32> = (0..scores as u32).collect();
        let layout = Layout {
            coefficients: scores,
            inputs: self.len(),
        };
        let mut extents = vec![0.0; scores];
        for (index, tree) in self.trees.constants.trees.iter().enumerate() {
            let mut ends = vec![(f64::INFINITY, f64::NEG_INFINITY); scores];
            for (node, values) in (0..).zip(&tree.nodes) {
                let Some(values) = values.as_leaf() else {
                    continue;
                };
                let leaf = self.leaf(index, node, &all, dense(values, scores));
                for (score, end) in ends.iter_mut().enumerate() {
                    let (low, high) = layout.range(&leaf, score);
                    *end = (end.0.min(low), end.1.max(high));
                }
            }
            for (extent, (low, high)) in extents.iter_mut().zip(ends) {
                *extent += high - low;
            }
        }
        extents
    }

    /// Number of inputs.
    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// The numbers of a leaf in the ensemble's [layout](super::leaves::Layout), from what it adds to
    /// the carried scores whatever the inputs.
    pub(crate) fn leaf(
        &self,
        tree: usize,
        node: u32,
        carried: &[u32],
        values: Vec<f64>,
    ) -> Vec<f64> {
        let slopes = self.trees.slopes[tree].get(&node);
        let slopes = slopes.map(Vec::as_slice).unwrap_or_default();
        let mut values = values;
        let mut weights = vec![0.0; carried.len() * self.len()];
        let mut bounds = vec![(0.0, 0.0); carried.len()];
        for slope in slopes {
            let Some(coefficient) = carried.iter().position(|score| *score == slope.score) else {
                continue;
            };
            let input = slope.feature as usize;
            let (centre, half) = self.ranges[input];
            let (low, high) = self.reach(slope);
            let ends = [low, high].map(|end| slope.weight * half * end);
            let bound = &mut bounds[coefficient];
            *bound = (
                bound.0 + ends[0].min(ends[1]),
                bound.1 + ends[0].max(ends[1]),
            );
            values[coefficient] += slope.weight * centre;
            weights[coefficient * self.len() + input] += slope.weight * half;
        }
        let ends = values.iter().zip(&bounds);
        let lows = ends.clone().map(|(value, bound)| value + bound.0);
        let highs = ends.map(|(value, bound)| value + bound.1);
        let bounds: Vec<f64> = lows.chain(highs).collect();
        [values, weights, bounds].concat()
    }

    /// Where the input lies in [-1, 1] in a row that reaches the leaf.
    fn reach(&self, slope: &Slope) -> (f64, f64) {
        if !self.exact {
            return (-1.0, 1.0);
        }
        let (centre, half) = self.ranges[slope.feature as usize];
        let relative = |end: f64| ((end - centre) / half).clamp(-1.0, 1.0);
        (relative(slope.range.0), relative(slope.range.1))
    }

    /// What there is to know before a circuit is chosen.
    pub(super) fn weighing(&self, features: &Features) -> Weighing {
        let scores = 0..self.trees.constants.scores as u32;
        let count = |leaf: &[Slope], score| leaf.iter().filter(|own| own.score == score).count();
        let most = |score: u32| {
            let trees = self.trees.slopes.iter();
            let most = trees.map(|leaves| {
                let leaves = leaves.values().map(|leaf| count(leaf, score));
                leaves.max().unwrap_or(0)
            });
            most.sum::<usize>() as f64
        };
        Weighing {
            seen: self.trees.seen(&features.rows),
            weights: scores.map(most).fold(0.0, f64::max),
        }
    }

    /// Refuses more products than a server keeps weights of.
    pub(super) fn check_size(&self, products: u32, backend: Backend) -> Result<(), CompileError> {
        let size = backend.set.ring.polynomial_size;
        let ciphertexts = self.len().div_ceil(self.block(backend));
        // Half as many complex numbers.
        let bytes = products as usize * ciphertexts * size * size_of::<f64>();
        if bytes > MAX_WEIGHT_BYTES {
            return Err(CompileError::UnsupportedModel {
                problem: format!(
                    "{products} linear functions of leaves, whose weights take {bytes} bytes"
                ),
                supported: format!(
                    "at most {MAX_WEIGHT_BYTES} bytes: train fewer or smaller trees"
                ),
            });
        }
        Ok(())
    }

    /// Inputs in one ciphertext.
    fn block(&self, backend: Backend) -> usize {
        let stride = self.trees.constants.scores;
        self.len()
            .min((backend.set.ring.polynomial_size / stride).max(1))
    }

    /// How the client encodes them.
    pub(super) fn encoding(
        &self,
        delta: TorusFraction,
        features: &Features,
        backend: Backend,
    ) -> LinearEncoding {
        LinearEncoding {
            names: features.names[..self.len()].to_vec(),
            centre: self.ranges.iter().map(|range| range.0).collect(),
            half_width: self.ranges.iter().map(|range| range.1).collect(),
            delta,
            block: self.block(backend) as u32,
            stride: self.trees.constants.scores as u32,
            form: FeatureForm::Apart,
            body_bits: backend.set.ring.body_bits,
        }
    }
}

/// One value a score.
fn dense(values: &[(u32, f64)], scores: usize) -> Vec<f64> {
    let mut dense = vec![0.0; scores];
    for &(score, value) in values {
        dense[score as usize] = value;
    }
    dense
}

/// Adds to the report what travels of the inputs, and what the specs show of them.
pub(super) fn describe(report: &mut FeatureReport, encoding: &LinearEncoding) {
    let bits = encoding.body_bits.get();
    let inputs = encoding.names.iter().map(|name| encoded(name, bits));
    report.encoded.extend(inputs);
    report.revealed.push_str(
        "; for each feature that leaves weigh the range that is accepted (that of the calibration \
         rows, widened where that costs little), not the weights",
    );
}
