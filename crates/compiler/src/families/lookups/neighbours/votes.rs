//! From votes to scores: whole weights, and how scores are read.

use super::super::outputs::OutputSums;
use super::problem::NeighbourProblem;
use cipherfn_protocol::specs::{ScoreDecoding, ScoreUnits};

/// Largest weights of a vote that are tried, the most exact first.
pub(super) const WEIGHTS: [f64; 5] = [64.0, 32.0, 16.0, 8.0, 4.0];
/// How much room there is beyond the most votes.
const ROOM: f64 = 1.1;
/// Least number of votes that there is room for, as a multiple of k.
const LEAST_VOTES: usize = 4;
/// How far from a whole number a ratio of weights may be.
const TOLERANCE: f64 = 1e-9;

/// Sums of votes.
pub(super) struct Votes {
    /// Size of a vote, in parts of the torus.
    pub(super) amplitude: f64,
    /// How scores follow from sums.
    pub(super) sums: OutputSums,
    /// For each score: what it is a multiple of.
    pub(super) units: Vec<ScoreUnit>,
}

/// What a score's weights are multiples of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ScoreUnit {
    size: f64,
    /// Whether they are whole multiples, and not rounded.
    is_exact: bool,
}

impl Votes {
    /// With room for as many as twice the votes that were seen at once, and for points at one place
    /// behind k - 1 others; and weights up to `largest`.
    pub(super) fn of(problem: &NeighbourProblem<'_>, seen: usize, largest: f64) -> Self {
        let model = problem.model;
        let units = model.weights.iter();
        let units: Vec<ScoreUnit> = units.map(|row| unit(row, largest)).collect();
        let rows = model.weights.iter().zip(&units);
        let weights: Vec<Vec<i64>> = rows
            .map(|(row, unit)| {
                row.iter()
                    .map(|own| (own / unit.size).round() as i64)
                    .collect()
            })
            .collect();
        let largest = weights.iter().flatten().map(|own| own.unsigned_abs()).max();
        let most = (2 * seen)
            .max(LEAST_VOTES * model.kept)
            .max(model.kept + problem.alike)
            .min(problem.points());
        let largest = largest.unwrap_or(1).max(1) as f64;
        let amplitude = 0.5 / (ROOM * most.max(1) as f64 * largest);
        let scores = units.len();
        let sums = OutputSums {
            amplitudes: vec![amplitude; problem.points()],
            weights,
            scales: units.iter().map(|unit| unit.size / amplitude).collect(),
            centres: model.bias.clone(),
            constants: vec![0.0; scores],
            slopes: Vec::new(),
        };
        Self {
            amplitude,
            sums,
            units,
        }
    }

    /// Largest sum of the squares of a score's weights.
    pub(super) fn squares(&self) -> f64 {
        let rows = self.sums.weights.iter();
        let squares = rows.map(|row| row.iter().map(|own| (*own as f64).powi(2)).sum());
        squares.fold(0.0, f64::max)
    }

    /// The sums of votes, in parts of the torus.
    pub(super) fn phases(&self, votes: &[i64]) -> Vec<f64> {
        let rows = self.sums.weights.iter();
        let sum = |row: &Vec<i64>| row.iter().zip(votes).map(|(w, vote)| w * vote).sum::<i64>();
        rows.map(|row| sum(row) as f64 * self.amplitude).collect()
    }

    /// Rounds to a whole vote what is a whole number of votes. How many there are is exact, but whose
    /// they are is not where two points are about as far: a vote may be another point's.
    pub(super) fn round(decoding: &mut ScoreDecoding, unit: ScoreUnit) {
        if unit.is_exact && decoding.step.get() <= unit.size {
            decoding.step = ScoreUnits::new(unit.size);
        }
        let precision = decoding.precision.get().max(unit.size);
        decoding.precision = ScoreUnits::new(precision);
    }
}

fn unit(weights: &[f64], most: f64) -> ScoreUnit {
    let sizes = || weights.iter().map(|own| own.abs()).filter(|own| *own > 0.0);
    let largest = sizes().fold(0.0, f64::max);
    let smallest = sizes().fold(f64::INFINITY, f64::min);
    if largest == 0.0 {
        return ScoreUnit {
            size: 1.0,
            is_exact: true,
        };
    }
    let is_whole = |own: f64| {
        let ratio = own / smallest;
        (ratio - ratio.round()).abs() <= TOLERANCE
    };
    let is_exact = largest <= most * smallest && sizes().all(is_whole);
    ScoreUnit {
        size: if is_exact { smallest } else { largest / most },
        is_exact,
    }
}
