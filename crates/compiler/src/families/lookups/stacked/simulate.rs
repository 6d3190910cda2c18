//! Rows through numbers, comparisons and trees, with noise of the predicted size.

use super::forms::FittedForms;
use super::problem::StackedProblem;
use crate::simulate::Gaussian;
use cipherfn_scheme::noise::Deviation;

/// Noises that the largest error of a row is taken of.
const DRAWS: usize = 4;

/// Trees over numbers with their calibration rows.
pub(super) struct SimulatedTrees<'a> {
    pub(super) problem: &'a StackedProblem<'a>,
    pub(super) forms: Option<&'a FittedForms>,
    /// Of each number that is a score of functions, when it is compared.
    pub(super) numbers: Vec<Deviation>,
    /// Of what the trees give.
    pub(super) leaves: Deviation,
}

impl SimulatedTrees<'_> {
    /// The scores' phases of all rows without noise.
    pub(super) fn exact(&self) -> Vec<Vec<f64>> {
        let errors = vec![0.0; self.numbers.len()];
        let rows = 0..self.problem.rows.len();
        rows.map(|row| self.phases_with(row, &errors)).collect()
    }

    /// The scores' phases of a row, in parts of the torus, with noise of its own.
    pub(super) fn phases(&self, row: usize, noise: &mut Gaussian) -> Vec<f64> {
        let errors = self.numbers.iter();
        let errors: Vec<f64> = errors.map(|own| own.get() * noise.next()).collect();
        let mut phases = self.phases_with(row, &errors);
        for phase in &mut phases {
            *phase += self.leaves.get() * noise.next();
        }
        phases
    }

    /// With numbers that are off by so much: all thresholds see the same error of a number.
    fn phases_with(&self, row: usize, errors: &[f64]) -> Vec<f64> {
        let problem = self.problem;
        let compared = problem.model.comparisons.iter().zip(&problem.of_score);
        let answers = compared.enumerate().map(|(place, (comparison, score))| {
            let Some(score) = *score else {
                return self.forms.is_some_and(|forms| forms.above[row][place]);
            };
            let own = &problem.scored[score];
            let away = own.phases[row] + errors[score] - own.phase(comparison.threshold);
            away - away.round() >= 0.0
        });
        problem.phases(&problem.model.scores_of(answers))
    }

    /// For each score, its largest error over rows with noise, in score units.
    pub(super) fn largest(&self) -> Vec<f64> {
        let problem = self.problem;
        let mut noise = Gaussian::new(problem.setting.seed);
        let mut largest = vec![0.0_f64; problem.sums.scales.len()];
        for (row, wanted) in problem.scores.iter().enumerate() {
            let wanted = problem.phases(wanted);
            for _ in 0..DRAWS {
                let found = self.phases(row, &mut noise);
                let scales = problem.sums.scales.iter();
                let errors = found.iter().zip(&wanted).zip(scales);
                for (most, ((found, wanted), scale)) in largest.iter_mut().zip(errors) {
                    *most = most.max((found - wanted).abs() * scale);
                }
            }
        }
        largest
    }
}
