//! Units of a circuit's constants, and the precision that it reaches in them.

use super::Problem;
use crate::backend::Budget;
use crate::families::trees::binned::BinnedEnsemble;
use crate::families::trees::lower::Lowered;
use crate::families::trees::noise::{self, Bits, Paths};
use cipherfn_protocol::specs::Gadget;
use cipherfn_scheme::noise::{Variance, linear, linear_transform};
use std::cell::OnceCell;
use std::ops::RangeInclusive;

/// Resolution of leaf values while the range is still unknown, in bits of a rough range.
const PROVISIONAL_BITS: i32 = 40;

/// Negative log2 of the amplitudes of inputs that are tried: weights stay exact as floats.
const DELTAS: RangeInclusive<i32> = 8..=34;

/// A shape with its circuit.
pub(super) struct Structure {
    pub(super) lowered: Lowered,
    /// Half the range of each coefficient, in score units.
    pub(super) half: Vec<f64>,
    /// Dearer than the circuit itself, and of no use where another one is cheaper anyway.
    paths: OnceCell<Paths>,
    /// Norm of the weights on the worst path, in units of the coefficients.
    weights: f64,
}

impl Structure {
    /// A circuit in `units`, one a coefficient, and how much larger those of their weights are.
    pub(super) fn new(lowered: Lowered, (units, weight): (&[f64], f64)) -> Self {
        Self {
            weights: noise::norm(&lowered.graph) * weight,
            half: half_ranges(&lowered, units),
            paths: OnceCell::new(),
            lowered,
        }
    }

    /// `bins` are those of each quantiser.
    fn paths(&self, bins: &[u32]) -> Paths {
        let selectors = &self.lowered.selectors;
        let of = || Paths::of(&self.lowered.graph, Bits { selectors, bins });
        *self.paths.get_or_init(of)
    }

    /// One of `units` as a fraction of the torus. All coefficients fill it, so one ratio of
    /// provisional to final units serves all; the largest is the safe one.
    fn unit(&self, units: &[f64]) -> f64 {
        let ratios = units.iter().zip(&self.half);
        ratios
            .map(|(unit, half)| unit / half * 0.5)
            .fold(0.0, f64::max)
    }
}

/// The gadget's last digit, as a fraction of the torus.
pub(super) fn resolution(gadget: Gadget) -> f64 {
    (-f64::from(gadget.bits())).exp2()
}

/// Largest error from rounded leaves, half a unit a tree and half a unit a weight, as a fraction of
/// the torus.
fn rounding(problem: &Problem<'_>, gadget: Gadget, delta: f64) -> f64 {
    let weights = problem.weighing.map_or(0.0, |weighing| weighing.weights);
    0.5 * (problem.ensemble.trees.len() as f64 * resolution(gadget) + weights * delta)
}

/// Units that are fine enough for any use of the range, from the trees' ranges alone.
pub(super) fn provisional_units(ensemble: &BinnedEnsemble) -> Vec<f64> {
    let largest = |coefficient: usize| {
        let trees = ensemble.trees.iter().map(|tree| {
            tree.leaves()
                .map(|leaf| {
                    let (low, high) = ensemble.layout.range(leaf, coefficient);
                    high.max(-low)
                })
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

/// What a circuit reaches.
pub(super) struct Assessment {
    pub(super) budget: Budget,
    /// Guaranteed bits of the worst coefficient.
    pub(super) bits: f64,
    /// Torus amplitude of an input at the end of its range.
    pub(super) delta: f64,
    /// Largest error from rounded leaves, as a fraction of the torus.
    pub(super) rounding: f64,
}

/// What a circuit whose constants are in `units` reaches with inputs of amplitude `delta`, or of the
/// one that gives most bits: the larger it is, the less their noise counts, and the more the rounding
/// of their weights.
pub(super) fn assess(
    problem: &Problem<'_>,
    gadget: Gadget,
    structure: &Structure,
    units: &[f64],
    delta: Option<f64>,
) -> Assessment {
    let constants = noise::of_constants(
        &structure.lowered.graph,
        gadget,
        problem.backend.variances(gadget),
        structure.unit(units) / resolution(gadget),
    );
    assess_with(problem, gadget, structure, units, (delta, constants))
}

/// What a circuit reaches at most, which is known sooner: its bits without what choices between
/// constants add.
pub(super) fn most_bits(
    problem: &Problem<'_>,
    gadget: Gadget,
    structure: &Structure,
    units: &[f64],
) -> f64 {
    let nothing = Variance::default();
    assess_with(problem, gadget, structure, units, (None, nothing)).bits
}

/// [`assess`], for what choices between constants add.
fn assess_with(
    problem: &Problem<'_>,
    gadget: Gadget,
    structure: &Structure,
    units: &[f64],
    (delta, constants): (Option<f64>, Variance),
) -> Assessment {
    let set = problem.backend.set;
    let paths = structure.paths(&problem.ensemble.bins);
    let unit = structure.unit(units);
    let cmuxes = noise::of_cmuxes(paths, problem.backend.variances(gadget));
    let choices = cmuxes + constants;
    let rows = paths.selectors * f64::from(gadget.levels.get());
    let extents = structure.half.iter().enumerate();
    let part = extents
        .map(|(coefficient, half)| problem.extent(coefficient, *half) / (2.0 * half))
        .fold(f64::INFINITY, f64::min);
    let with = |delta: f64| {
        let squares = (structure.weights * unit / delta).powi(2);
        let variance =
            choices + linear(set, squares, set.ring.body_bits) + linear_transform(set, squares);
        let coefficients = problem.ensemble.coefficients;
        let budget = problem.backend.budget(variance, rows, coefficients);
        let rounding = rounding(problem, gadget, delta);
        let reached = 2.0 * amplitude(&budget, rounding) / (1.5 * budget.error.get() + rounding);
        Assessment {
            budget,
            bits: (part * reached).log2(),
            delta,
            rounding,
        }
    };
    match (delta, problem.weighing) {
        (Some(delta), _) => with(delta),
        (None, None) => with(1.0),
        (None, Some(_)) => DELTAS
            .map(|bits| with(f64::from(-bits).exp2()))
            .reduce(|best, other| if other.bits > best.bits { other } else { best })
            .expect("there are some"),
    }
}

/// Half the part of the torus that scores may fill, so that errors cannot carry them around.
pub(super) fn amplitude(budget: &Budget, rounding: f64) -> f64 {
    (0.5 - budget.error.get() - 4.0 * rounding).max(1e-3)
}
