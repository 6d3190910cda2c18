//! Decrypted weights, held to the rows that they were trained on.
//!
//! Whoever runs the steps may write any state, and weights that follow from bits of the key tell these to everybody
//! who is shown the model. Whoever has the rows has a simulation of the steps, and takes nothing that is further
//! from it than noise can lead.

use super::simulate::{Plan, Random, Run, deviation};
use super::{Algorithm, DescentStart, StepNoise, Training};
use crate::error::TrainingError;

/// Runs that a weight's mean and deviation are taken from.
const RUNS: u64 = 64;
/// The first of their seeds: none of the simulation's.
const SEED: u64 = 1_000_000;
/// Deviations that a weight may be off by: 8.2, which one of 300 weights passes with a probability of 2^-43; times
/// 1.33, as a deviation that is measured in 64 runs may be too small (the same quantile of Student's distribution
/// of 63 degrees of freedom); times 9/8 for the key, under which errors may be larger by as much.
const DEVIATIONS: f64 = 12.5;
/// How much larger than expected the noise of z is taken of support vector machines. There a row whose z lies some
/// deviations beyond the step of its residual is seldom moved across it, and then by a whole unit: in runs with the
/// expected noise it is not seen. With six times of it a row at seven deviations crosses in one run of eight.
const SELDOM: f64 = 6.0;

impl Training {
    /// That decrypted weights, fractions of the torus, are those that all steps lead to on these rows: each within
    /// 12.5 deviations of its own, or of all weights where these are larger. What whoever has run the steps can
    /// still choose unseen is where in this range a weight lies.
    ///
    /// # Errors
    /// Weights that no noise accounts for, of which only the place is told; what [`super::simulate_from`] refuses.
    pub fn require_weights_of(
        &self,
        rows: &[(Vec<i32>, usize)],
        noise: &StepNoise,
        start: &DescentStart,
        fractions: &[Vec<f64>],
    ) -> Result<(), TrainingError> {
        let bounds = self.bounds(rows, noise, start)?;
        let shape = |sets: &[Vec<f64>]| sets.iter().map(Vec::len).collect::<Vec<_>>();
        if shape(fractions) != shape(&start.fractions) {
            return Err(TrainingError::OtherWeights {
                name: "their number".to_owned(),
                class: String::new(),
            });
        }
        let all = fractions.iter().enumerate();
        let mut all = all.flat_map(|(set, own)| own.iter().enumerate().map(move |it| (set, it)));
        let wrong = all.find(|(set, (place, found))| {
            let (mean, bound) = bounds[*set][*place];
            found.is_nan() || (**found - mean).abs() > bound
        });
        wrong.map_or(Ok(()), |(set, (place, _))| {
            let (name, class) = self.name_of_weight(set, place);
            let name = format!("that{name}");
            Err(TrainingError::OtherWeights { name, class })
        })
    }

    /// Of each weight of each set its mean over runs, and how far from it the steps may lead.
    fn bounds(
        &self,
        rows: &[(Vec<i32>, usize)],
        noise: &StepNoise,
        start: &DescentStart,
    ) -> Result<Vec<Vec<(f64, f64)>>, TrainingError> {
        let steps = self.schedule_after(start.before, rows.len())?;
        let noise = match self.algorithm() {
            Algorithm::Logistic => *noise,
            Algorithm::Svm => StepNoise {
                of_z: SELDOM * noise.of_z,
                ..*noise
            },
        };
        let plan = Plan {
            training: self,
            owners: &[rows],
            noise: &noise,
            steps: &steps,
        };
        let runs = (SEED..SEED + RUNS).map(|seed| plan.run(start, Random::new(seed)));
        let runs = runs.collect::<Result<Vec<Run>, _>>()?;
        let of_all = deviation(&runs);
        let count = RUNS as f64;
        let bound = |set: usize, place: usize| {
            let own = || runs.iter().map(|run| run.sets[set][place]);
            let mean = own().sum::<f64>() / count;
            let squares: f64 = own().map(|weight| (weight - mean).powi(2)).sum();
            let deviation = (squares / (count - 1.0)).sqrt();
            (mean, DEVIATIONS * deviation.max(of_all))
        };
        let sets = runs[0].sets.iter().enumerate();
        let bounds = sets.map(|(set, own)| (0..own.len()).map(|place| bound(set, place)).collect());
        Ok(bounds.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{DEVIATIONS, Plan, Random};
    use crate::descent::tests::training;
    use crate::descent::{DescentStart, StepNoise, Training, synthetic};

    const NOISE: StepNoise = StepNoise {
        of_z: 0.15 / 64.0,
        of_residual: 1.0 / (1 << 22) as f64,
        of_update: 1.0 / (1 << 22) as f64,
    };

    /// How far runs with other seeds come, as parts of what they may.
    fn reached(own: &Training, noise: &StepNoise, runs: u64) -> f64 {
        let (rows, start) = (synthetic(own, 130), DescentStart::zero(own));
        let bounds = own.bounds(&rows, noise, &start).unwrap();
        let steps = own.schedule(rows.len()).unwrap();
        let plan = Plan {
            training: own,
            owners: &[&rows],
            noise,
            steps: &steps,
        };
        let mut most = 0.0f64;
        for seed in 0..runs {
            let found = plan.run(&start, Random::new(seed)).unwrap().sets;
            own.require_weights_of(&rows, noise, &start, &found)
                .unwrap();
            let off = found.concat().into_iter().zip(bounds.concat());
            most = off.fold(most, |most, (found, (mean, bound))| {
                most.max((found - mean).abs() / bound)
            });
        }
        most
    }

    /// A hundred honest runs stay within half of the bound, also where noise moves rows across the step of a
    /// residual; and the bound is no wider than the errors ask for.
    #[test]
    fn honest_weights_are_within_half_of_the_bound() {
        let rest = "rate = 1.0\npenalty = 0.01";
        let logistic = training(rest);
        let text = String::from_utf8(logistic.to_json().unwrap()).unwrap();
        let machine = Training::from_json(text.replace("logistic", "svm").as_bytes()).unwrap();
        for own in [logistic, machine] {
            let most = reached(&own, &NOISE, 100);
            println!("{:?}: {most:.3} of the bound", own.algorithm());
            assert!((1.0 / DEVIATIONS..0.5).contains(&most), "{most}");
        }
    }

    /// Weights that are moved by as much as an evaluated key bit would have to move them to be seen are refused, by
    /// their place and without their value.
    #[test]
    fn chosen_weights_are_refused() {
        let own = training("rate = 1.0");
        let (rows, start) = (synthetic(&own, 130), DescentStart::zero(&own));
        let bounds = own.bounds(&rows, &NOISE, &start).unwrap();
        let means: Vec<Vec<f64>> = bounds
            .iter()
            .map(|set| set.iter().map(|(mean, _)| *mean).collect())
            .collect();
        let require = |weights: &[Vec<f64>]| own.require_weights_of(&rows, &NOISE, &start, weights);
        require(&means).unwrap();
        for (place, name) in [(1, "that of column \"b\""), (2, "that of the constant")] {
            for value in [
                means[0][place] + 1.01 * bounds[0][place].1,
                means[0][place] - 1.01 * bounds[0][place].1,
                f64::NAN,
            ] {
                let mut chosen = means.clone();
                chosen[0][place] = value;
                let error = require(&chosen).unwrap_err().to_string();
                assert!(error.contains(name), "{error}");
                assert!(error.contains("a new key ring"), "{error}");
                assert!(!error.contains(&value.to_string()), "{error}");
            }
        }
        let error = require(&[vec![0.0; 2]]).unwrap_err().to_string();
        assert!(error.contains("their number"), "{error}");
    }
}
