//! A training in the clear with the noise that the encrypted one has, and what must be refused.

use super::{Algorithm, DescentStart, DescentStep, ENDS, FARTHEST, RANGE, STEPS, Training};
use crate::error::TrainingError;
use std::f64::consts::PI;

/// Deviations that an error stays within, but for a probability below 2^-40 under any key.
pub(super) const DEVIATIONS: f64 = 8.0;
/// Noises that all steps are run with: what weights are off by is taken from how far these lead apart.
const RUNS: u64 = 8;

/// Standard deviations, as fractions of the torus.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepNoise {
    /// Of z, where the residual's table is read.
    pub of_z: f64,
    /// Of a residual, whatever its unit.
    pub of_residual: f64,
    /// Of a weight's update, beside its residuals'.
    pub of_update: f64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulation {
    /// Sets of weights of the units of features, rounded as those of the encrypted training are ...
    pub sets: Vec<Vec<f64>>,
    /// ... and as they are.
    pub unrounded: Vec<Vec<f64>>,
    /// The largest |z| that was looked up, [`FARTHEST`] at most: with a penalty it is z divided by
    /// [`DescentStep::shrunk`].
    pub largest: f64,
    /// Part of the rows whose class is predicted.
    pub accuracy: f64,
    /// Standard deviation that noise alone gives a weight, measured over several runs.
    pub deviation: f64,
    /// What weights are rounded to ([`Training::weights`]): as many deviations as bound what the key adds.
    pub error: f64,
}

/// Runs all steps on rows in their order from weights of zero, with noises from fixed seeds; the weights are those
/// of the first.
///
/// # Errors
/// What diverges, what a penalty shrinks too far, and what drowns in noise: with the number to change.
pub fn simulate(
    training: &Training,
    rows: &[(Vec<i32>, usize)],
    noise: &StepNoise,
) -> Result<Simulation, TrainingError> {
    simulate_from(training, rows, noise, &DescentStart::zero(training))
}

/// The same from other weights.
///
/// # Errors
/// As [`simulate`]; weights that lead beyond the residuals' table before the first step.
pub fn simulate_from(
    training: &Training,
    rows: &[(Vec<i32>, usize)],
    noise: &StepNoise,
    start: &DescentStart,
) -> Result<Simulation, TrainingError> {
    simulate_of(training, &[rows], noise, start)
}

/// The same on the rows of several owners, each in its order ([`Training::schedule_of`]).
///
/// # Errors
/// As [`simulate_from`].
pub fn simulate_of(
    training: &Training,
    owners: &[&[(Vec<i32>, usize)]],
    noise: &StepNoise,
    start: &DescentStart,
) -> Result<Simulation, TrainingError> {
    let counts: Vec<usize> = owners.iter().map(|rows| rows.len()).collect();
    let steps = training.schedule_of(start.before, &counts)?;
    require_above_noise(&steps, noise)?;
    let plan = Plan {
        training,
        owners,
        noise,
        steps: &steps,
    };
    let runs = (1..=RUNS).map(|seed| plan.run(start, Random::new(seed)));
    let runs = runs.collect::<Result<Vec<Run>, _>>()?;
    let most = |of: fn(&Run) -> f64| runs.iter().map(of).fold(0.0, f64::max);
    let (largest, reached) = (most(|run| run.largest), most(|run| run.reached));
    if reached > FARTHEST {
        return Err(TrainingError::Diverges {
            largest: reached,
            range: FARTHEST,
        });
    }
    if largest > FARTHEST {
        return Err(TrainingError::Shrinks {
            shrunk: steps.last().map_or(1.0, |step| step.shrunk),
            held: largest,
            largest: reached,
            range: FARTHEST,
        });
    }
    let deviation = deviation(&runs).hypot(start.deviation);
    let weights = |error: f64| -> Vec<Vec<f64>> {
        let sets = runs[0].sets.iter();
        sets.map(|weights| training.weights(&steps, weights, error))
            .collect()
    };
    let rows = owners.concat();
    // All of it: where noise moves a row across the hinge of a support vector machine, too, it is the key's.
    let error = DEVIATIONS * deviation;
    let sets = weights(error);
    Ok(Simulation {
        accuracy: accuracy(training, &sets, &rows),
        error: training.weight_deviation(&steps, error),
        deviation: training.weight_deviation(&steps, deviation),
        sets,
        unrounded: weights(0.0),
        largest,
    })
}

/// What is run.
pub(super) struct Plan<'a> {
    pub(super) training: &'a Training,
    /// Rows of each owner.
    pub(super) owners: &'a [&'a [(Vec<i32>, usize)]],
    pub(super) noise: &'a StepNoise,
    pub(super) steps: &'a [DescentStep],
}

/// What all steps with one noise have led to.
pub(super) struct Run {
    /// Sets of weights, as fractions of the torus.
    pub(super) sets: Vec<Vec<f64>>,
    /// The largest |z| as it was looked up ...
    largest: f64,
    /// ... and as it is.
    reached: f64,
}

impl Plan<'_> {
    pub(super) fn run(
        &self,
        start: &DescentStart,
        mut random: Random,
    ) -> Result<Run, TrainingError> {
        let Self {
            training,
            owners,
            noise,
            steps,
        } = *self;
        // Where each owner's rows begin.
        let begin = |upload: usize| {
            owners
                .iter()
                .take(upload)
                .map(|rows| rows.len())
                .sum::<usize>()
        };
        let (mut largest, mut reached) = (0.0f64, 0.0f64);
        let mut sets = Vec::new();
        for (set, begun) in start.fractions.iter().enumerate() {
            let rows = owners.iter().copied().flatten();
            let folded = rows.map(|(features, class)| training.folded(set, features, *class));
            let own: Vec<Vec<i32>> = folded.collect();
            let mut weights = begun.clone();
            let mut held = 0.0f64;
            let first = own.iter().map(|row| dot(row, &weights).abs() * 4.0 * RANGE);
            let first = first.fold(0.0, f64::max);
            if first > FARTHEST {
                return Err(TrainingError::StartBeyond {
                    largest: first,
                    range: FARTHEST,
                });
            }
            for step in steps {
                // Beyond twice the range residuals have the wrong sign, and what comes of them says nothing
                // of z.
                let sound = held <= 2.0 * RANGE;
                let first = begin(step.upload) + step.batch * training.batch();
                let batch = &own[first..first + step.rows];
                let mut update: Vec<f64> = weights
                    .iter()
                    .map(|_| random.normal() * noise.of_update)
                    .collect();
                for row in batch {
                    let z = dot(row, &weights);
                    let own = z.abs() * 4.0 * RANGE;
                    held = held.max(own);
                    if sound {
                        reached = reached.max(step.shrunk * own);
                    }
                    let (z, sign) = mirrored(z + random.normal() * noise.of_z);
                    let odd = sign * training.odd_residual(step, z);
                    let residual = (odd - 0.5) * step.unit + random.normal() * noise.of_residual;
                    for (update, x) in update.iter_mut().zip(row) {
                        *update += f64::from(*x) * residual;
                    }
                }
                for (weight, update) in weights.iter_mut().zip(&update) {
                    *weight -= update;
                }
            }
            largest = largest.max(held);
            sets.push(weights);
        }
        Ok(Run {
            sets,
            largest,
            reached,
        })
    }
}

/// Standard deviation that noise alone gives a weight, as a fraction of the torus: of the runs from their
/// mean, over all weights.
///
/// A sum of what each step adds would not do. Later steps take back what noise has moved weights by (breast
/// cancer: a ninth is left), and the residual of a support vector machine has a step at z = 1, where noise of
/// z moves a row's update by a whole unit: twelve times what the noise of updates alone comes to.
pub(super) fn deviation(runs: &[Run]) -> f64 {
    let mut squares = 0.0;
    let mut count = 0;
    for set in 0..runs[0].sets.len() {
        for place in 0..runs[0].sets[set].len() {
            let own = || runs.iter().map(|run| run.sets[set][place]);
            let mean = own().sum::<f64>() / runs.len() as f64;
            squares += own().map(|weight| (weight - mean).powi(2)).sum::<f64>();
            count += runs.len() - 1;
        }
    }
    (squares / count as f64).sqrt()
}

/// The table is of half the torus, negated half a torus away.
pub(super) fn mirrored(z: f64) -> (f64, f64) {
    let z = z - z.round();
    if z >= 0.25 {
        (z - 0.5, -1.0)
    } else if z < -0.25 {
        (z + 0.5, -1.0)
    } else {
        (z, 1.0)
    }
}

/// The error of a residual must be less than half of a residual.
fn require_above_noise(steps: &[DescentStep], noise: &StepNoise) -> Result<(), TrainingError> {
    let weakest = steps
        .iter()
        .map(|step| step.unit)
        .fold(f64::INFINITY, f64::min);
    if noise.of_residual * 2.0 > weakest {
        return Err(TrainingError::Drowns {
            factor: noise.of_residual * 2.0 / weakest,
        });
    }
    Ok(())
}

impl Training {
    /// Standard deviation that noise gives a weight in these steps, as a fraction of the torus, of rows that nobody
    /// knows but for the mean of their features' squares: the mean over features. Nothing that later steps take
    /// back is left out, which [`simulate_of`] does where rows are known.
    pub fn deviation(&self, steps: &[DescentStep], mean_square: f64, noise: &StepNoise) -> f64 {
        let variance = |step: &DescentStep| {
            let z = 4.0 * RANGE * step.shrunk * noise.of_z;
            let of_z = match self.algorithm() {
                // The slope is a quarter at most.
                Algorithm::Logistic => (z / 4.0).powi(2),
                // By a whole unit where noise crosses z = 1, as if all rows were spread over a unit of z.
                Algorithm::Svm => (z / PI.sqrt()).min(0.25),
            };
            let residual = noise.of_residual.powi(2) + step.unit.powi(2) * of_z;
            step.rows as f64 * mean_square * residual + noise.of_update.powi(2)
        };
        steps.iter().map(variance).sum::<f64>().sqrt()
    }

    /// The largest mean of the squares of features that rows can have: all at their ranges' ends.
    pub fn largest_mean_square(&self) -> f64 {
        let steps = f64::from(STEPS);
        let features = self.numbers().len() as f64;
        steps * steps * (ENDS * ENDS * features + 1.0) / (features + 1.0)
    }
}

/// A row's form: of fractions of the torus as one of these.
pub(super) fn dot(row: &[i32], weights: &[f64]) -> f64 {
    row.iter()
        .zip(weights)
        .map(|(x, weight)| f64::from(*x) * weight)
        .sum()
}

/// Part of the rows whose class the weights predict.
pub fn accuracy(training: &Training, sets: &[Vec<f64>], rows: &[(Vec<i32>, usize)]) -> f64 {
    let right = |(features, class): &&(Vec<i32>, usize)| {
        let scores: Vec<f64> = sets.iter().map(|weights| dot(features, weights)).collect();
        let found = match &scores[..] {
            [only] => usize::from(*only > 0.0),
            all => (0..all.len())
                .max_by(|one, other| all[*one].total_cmp(&all[*other]))
                .unwrap_or(0),
        };
        found == *class && training.target().categories.len() > found
    };
    rows.iter().filter(right).count() as f64 / rows.len() as f64
}

/// Rows that a plane separates, but for some: for a program without data.
pub fn synthetic(training: &Training, rows: usize) -> Vec<(Vec<i32>, usize)> {
    let mut random = Random::new(2);
    let classes = training.target().categories.len();
    let features = training.numbers().len();
    let centres: Vec<Vec<f64>> = (0..classes)
        .map(|_| (0..features).map(|_| random.normal()).collect())
        .collect();
    // As far apart as one standard deviation in all, however many features there are.
    let distance = 1.5 / (features as f64).sqrt();
    let row = |number: usize| {
        let class = number % classes;
        let feature = |centre: &f64| {
            let value = distance * centre + random.normal();
            (value * 4.0).round().clamp(-12.0, 12.0) as i32
        };
        let mut row: Vec<i32> = centres[class].iter().map(feature).collect();
        row.push(4);
        (row, class)
    };
    (0..rows).map(row).collect()
}

/// Numbers that are the same in every run (`SplitMix64`).
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Below `limit`.
    pub(super) const fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// In (0, 1].
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
