//! Units of a circuit's constants, and the precision that it reaches in them.

use super::Problem;
use crate::backend::Budget;
use crate::families::trees::binned::BinnedEnsemble;
use crate::families::trees::lower::Lowered;
use crate::families::trees::noise::{self, Bits, Paths};
use cipherfn_protocol::specs::Gadget;

/// Resolution of leaf values while the range is still unknown, in bits of a rough range.
const PROVISIONAL_BITS: i32 = 40;

/// A shape with its circuit.
pub(super) struct Structure {
    pub(super) lowered: Lowered,
    /// Half the range of each coefficient, in score units.
    pub(super) half: Vec<f64>,
    paths: Paths,
}

impl Structure {
    /// `bins` are those of each quantiser.
    pub(super) fn new(lowered: Lowered, units: &[f64], bins: &[u32]) -> Self {
        let bits = Bits {
            selectors: &lowered.selectors,
            bins,
        };
        Self {
            half: half_ranges(&lowered, units),
            paths: Paths::of(&lowered.graph, bits),
            lowered,
        }
    }
}

/// The gadget's last digit, as a fraction of the torus.
pub(super) fn resolution(gadget: Gadget) -> f64 {
    (-f64::from(gadget.base_log * gadget.levels)).exp2()
}

/// Largest error from rounded leaves, half a unit a tree, as a fraction of the torus.
pub(super) fn rounding(problem: &Problem<'_>, gadget: Gadget) -> f64 {
    problem.ensemble.trees.len() as f64 * 0.5 * resolution(gadget)
}

/// Units that are fine enough for any use of the range, from the trees' ranges alone.
pub(super) fn provisional_units(ensemble: &BinnedEnsemble) -> Vec<f64> {
    let largest = |coefficient: usize| {
        let trees = ensemble.trees.iter().map(|tree| {
            tree.leaves()
                .map(|leaf| leaf[coefficient].abs())
                .fold(0.0, f64::max)
        });
        trees.sum::<f64>()
    };
    let unit = |total: f64| {
        if total > 0.0 {
            total * f64::from(-PROVISIONAL_BITS).exp2()
        } else {
            1.0
        }
    };
    (0..ensemble.coefficients)
        .map(|coefficient| unit(largest(coefficient)))
        .collect()
}

/// Half the range of each coefficient in score units; never zero.
fn half_ranges(lowered: &Lowered, units: &[f64]) -> Vec<f64> {
    let half = |((low, high), rounding): (&(i64, i64), &f64)| {
        (high.max(&-low).max(&1).to_owned() as f64) + rounding
    };
    lowered
        .graph
        .ranges
        .iter()
        .zip(&lowered.rounding)
        .map(half)
        .zip(units)
        .map(|(half, unit)| half * unit)
        .collect()
}

/// Error budget and guaranteed bits of a circuit whose constants are in `units`.
pub(super) fn assess(
    problem: &Problem<'_>,
    gadget: Gadget,
    structure: &Structure,
    units: &[f64],
) -> (Budget, f64) {
    let (backend, paths) = (problem.backend, structure.paths);
    // All coefficients fill the torus, so one ratio of provisional to final units serves all; the
    // largest is the safe one.
    let scale = units
        .iter()
        .zip(&structure.half)
        .map(|(unit, half)| unit / half * 0.5 / resolution(gadget))
        .fold(0.0, f64::max);
    let variance = noise::variance(
        &structure.lowered.graph,
        paths,
        gadget,
        backend.variances(gadget),
        scale,
    );
    let rows = paths.selectors * f64::from(gadget.levels);
    let budget = backend.budget(variance, rows, problem.ensemble.coefficients);
    let rounding = rounding(problem, gadget);
    let bits = (2.0 * amplitude(&budget, rounding) / (1.5 * budget.error.0 + rounding)).log2();
    (budget, bits)
}

/// Half the part of the torus that scores may fill, so that errors cannot carry them around.
pub(super) fn amplitude(budget: &Budget, rounding: f64) -> f64 {
    (0.5 - budget.error.0 - 4.0 * rounding).max(1e-3)
}
