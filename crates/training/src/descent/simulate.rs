//! A training in the clear with the noise that the encrypted one has, and what must be refused.

use super::{DescentStart, DescentStep, RANGE, Training};
use crate::error::TrainingError;

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
    /// Sets of weights of the units of features.
    pub sets: Vec<Vec<f64>>,
    /// The largest |z| that was looked up, where [`RANGE`] is the table's end: with a penalty it is z
    /// divided by [`DescentStep::shrunk`].
    pub largest: f64,
    /// Part of the rows whose class is predicted.
    pub accuracy: f64,
    /// Standard deviation that noise alone gives a weight, measured over several runs.
    pub deviation: f64,
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
    let steps = training.schedule_after(start.before, rows.len())?;
    require_above_noise(&steps, noise)?;
    let plan = Plan {
        training,
        rows,
        noise,
        steps: &steps,
    };
    let runs = (1..=RUNS).map(|seed| plan.run(start, Random::new(seed)));
    let runs = runs.collect::<Result<Vec<Run>, _>>()?;
    let most = |of: fn(&Run) -> f64| runs.iter().map(of).fold(0.0, f64::max);
    let (largest, reached) = (most(|run| run.largest), most(|run| run.reached));
    if reached > RANGE {
        return Err(TrainingError::Diverges {
            largest: reached,
            range: RANGE,
        });
    }
    if largest > RANGE {
        return Err(TrainingError::Shrinks {
            shrunk: steps.last().map_or(1.0, |step| step.shrunk),
            held: largest,
            largest: reached,
            range: RANGE,
        });
    }
    let deviation = deviation(&runs).hypot(start.deviation);
    let sets = runs[0].sets.iter();
    let sets: Vec<Vec<f64>> = sets
        .map(|weights| training.weights(&steps, weights, deviation))
        .collect();
    Ok(Simulation {
        accuracy: accuracy(training, &sets, rows),
        deviation: training.weight_deviation(&steps, deviation),
        sets,
        largest,
    })
}

/// What is run.
struct Plan<'a> {
    training: &'a Training,
    rows: &'a [(Vec<i32>, usize)],
    noise: &'a StepNoise,
    steps: &'a [DescentStep],
}

/// What all steps with one noise have led to.
struct Run {
    /// Sets of weights, as fractions of the torus.
    sets: Vec<Vec<f64>>,
    /// The largest |z| as it was looked up ...
    largest: f64,
    /// ... and as it is.
    reached: f64,
}

impl Plan<'_> {
    fn run(&self, start: &DescentStart, mut random: Random) -> Result<Run, TrainingError> {
        let Self {
            training,
            rows,
            noise,
            steps,
        } = *self;
        let (mut largest, mut reached) = (0.0f64, 0.0f64);
        let mut sets = Vec::new();
        for (set, begun) in start.fractions.iter().enumerate() {
            let own: Vec<Vec<i32>> = rows
                .iter()
                .map(|(features, class)| training.folded(set, features, *class))
                .collect();
            let mut weights = begun.clone();
            let mut held = 0.0f64;
            let first = own.iter().map(|row| dot(row, &weights).abs() * 4.0 * RANGE);
            let first = first.fold(0.0, f64::max);
            if first > RANGE {
                return Err(TrainingError::StartBeyond {
                    largest: first,
                    range: RANGE,
                });
            }
            for step in steps {
                // Beyond twice the range residuals have the wrong sign, and what comes of them says nothing
                // of z.
                let sound = held <= 2.0 * RANGE;
                let first = step.batch * training.batch();
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
fn deviation(runs: &[Run]) -> f64 {
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
fn mirrored(z: f64) -> (f64, f64) {
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

fn dot(row: &[i32], weights: &[f64]) -> f64 {
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

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
