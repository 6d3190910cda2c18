//! The calibration rows through both rounds, with noise of the predicted size.

use super::super::choice::with_noise;
use super::super::fidelity::{decoded, decodings};
use super::places::{DistanceSteps, nearer};
use super::problem::NeighbourProblem;
use super::rounds::{Round, Rounds};
use super::votes::Votes;
use crate::backend::Budget;
use crate::error::CompileError;
use crate::margins;
use crate::model::Model;
use crate::simulate::Gaussian;
use cipherfn_program::Tensor;
use cipherfn_protocol::specs::OutputField;

/// Noises that every row is simulated with.
const DRAWS: usize = 4;

/// What is simulated.
pub(super) struct SimulatedRounds<'a> {
    pub(super) problem: &'a NeighbourProblem<'a>,
    pub(super) coarse: &'a DistanceSteps,
    pub(super) fine: &'a DistanceSteps,
    pub(super) rounds: &'a Rounds,
}

/// What a row comes to.
pub(super) struct RowVotes {
    /// One a point.
    pub(super) votes: Vec<i64>,
    pub(super) candidates: usize,
}

/// How well a choice keeps to the float model.
#[derive(Clone, Debug)]
pub(super) struct NeighbourAgreement {
    /// Part of the labels that are the model's; none of a regression.
    pub(super) labels: Option<f64>,
    /// Root mean square of a regression's errors, in parts of the predictions' range; of a
    /// classification, that of the probabilities.
    pub(super) error: f64,
    /// The same without noise.
    pub(super) exact_error: f64,
    /// For each score: the largest error without noise.
    pub(super) largest: Vec<f64>,
    /// Part of the rows that the client would refuse, having too few votes.
    pub(super) refused: f64,
    /// Rows whose distances are farther apart than there are steps.
    pub(super) wrapped: usize,
    pub(super) rows: usize,
}

impl SimulatedRounds<'_> {
    fn size(&self) -> usize {
        self.problem.setting.backend.set.ring.polynomial_size
    }

    /// A row's votes, with noise if there is some.
    pub(super) fn found(&self, row: usize, mut noise: Option<&mut Gaussian>) -> RowVotes {
        let points = self.problem.points();
        let mut votes = |round: &Round, ranks: &[i64], all: &[i64]| -> Vec<i64> {
            let pairs = ranks.iter().zip(all);
            let vote = |(rank, nearer): (&i64, &i64)| {
                let place = round.place(*rank as f64);
                let error = noise.as_deref_mut().map_or(0.0, |noise| {
                    noise.next() * round.deviation(self.noisy(*nearer))
                });
                round.votes(place + error)
            };
            pairs.map(vote).collect()
        };
        let ones = vec![1; points];
        let ranks = nearer(&self.coarse.rows[row], &ones, self.size());
        let candidates = votes(&self.rounds.all, &ranks, &ranks);
        let among = nearer(&self.fine.rows[row], &candidates, self.size());
        let kept = self.problem.model.kept as i64;
        let among = among.iter().zip(&candidates);
        let among: Vec<i64> = among.map(|(rank, own)| rank + kept * (1 - own)).collect();
        RowVotes {
            votes: votes(&self.rounds.candidates, &among, &ranks),
            candidates: candidates.iter().filter(|own| **own != 0).count(),
        }
    }

    /// Points whose votes' errors a rank has: those that are nearer, and of the others, whose fine
    /// steps go round, about half.
    fn noisy(&self, nearer: i64) -> f64 {
        f64::midpoint(nearer.unsigned_abs() as f64, self.problem.points() as f64)
    }

    /// Most votes at once without noise.
    pub(super) fn most_votes(&self) -> usize {
        let rows = 0..self.problem.rows.len();
        let votes = rows.map(|row| {
            let found = self.found(row, None);
            found.votes.iter().filter(|vote| **vote != 0).count()
        });
        votes.max().unwrap_or(0)
    }

    /// Most candidates at once without noise.
    pub(super) fn most_candidates(&self) -> usize {
        let rows = 0..self.problem.rows.len();
        let candidates = rows.map(|row| self.found(row, None).candidates);
        candidates.max().unwrap_or(0)
    }

    /// Rows in which points are as far apart as there are steps.
    fn wrapped(&self) -> usize {
        let rows = self.coarse.rows.iter();
        let is_wide = |row: &&Vec<i64>| {
            let (low, high) = (row.iter().min(), row.iter().max());
            low.zip(high)
                .is_some_and(|(low, high)| high - low >= self.size() as i64)
        };
        rows.filter(is_wide).count()
    }

    /// The rows against the model.
    pub(super) fn agreement(
        &self,
        votes: &Votes,
        budget: Budget,
    ) -> Result<NeighbourAgreement, CompileError> {
        let problem = self.problem;
        let setting = problem.setting;
        let model = setting.reference.model;
        let has_labels = model.outputs.contains(&OutputField::Label);
        let mut largest = vec![0.0_f64; votes.units.len()];
        let mut decodings = decodings(&votes.sums, budget, &largest);
        for (decoding, unit) in decodings.iter_mut().zip(&votes.units) {
            Votes::round(decoding, *unit);
        }
        let mut noise = Gaussian::new(setting.seed);
        let (mut equal, mut tried, mut refused) = (0_usize, 0_usize, 0_usize);
        let (mut errors, mut exact_errors) = (Errors::default(), Errors::default());
        for row in 0..problem.rows.len() {
            let mut scores = setting.reference.scores[problem.indices[row]].clone();
            let outputs = margins::outputs(model, &scores)?;
            let mut outputs_of = |found: &RowVotes, noise: Option<&mut Gaussian>| {
                let mut phases = votes.phases(&found.votes);
                if let Some(noise) = noise {
                    phases = with_noise(&phases, budget.deviation, noise);
                }
                let decoded = decoded(&decodings, &phases);
                for (own, place) in decoded.iter().zip(setting.reference.region) {
                    scores[*place] = *own;
                }
                (margins::outputs(model, &scores).ok(), decoded)
            };
            let (own, decoded) = outputs_of(&self.found(row, None), None);
            for ((largest, own), wanted) in
                largest.iter_mut().zip(decoded).zip(&problem.scores[row])
            {
                *largest = largest.max((own - wanted).abs());
            }
            exact_errors.add(model, &outputs, own.as_deref());
            for _ in 0..DRAWS {
                let found = self.found(row, Some(&mut noise));
                let (own, _) = outputs_of(&found, Some(&mut noise));
                errors.add(model, &outputs, own.as_deref());
                tried += 1;
                match own {
                    Some(own) => equal += usize::from(margins::same_labels(model, &outputs, &own)),
                    None => refused += 1,
                }
            }
        }
        let part = |count: usize| count as f64 / tried.max(1) as f64;
        Ok(NeighbourAgreement {
            labels: has_labels.then(|| part(equal)),
            error: errors.of_range(),
            exact_error: exact_errors.of_range(),
            largest,
            refused: part(refused),
            wrapped: self.wrapped(),
            rows: problem.rows.len(),
        })
    }
}

/// Errors of numbers that are given out.
#[derive(Default)]
struct Errors {
    squares: f64,
    count: usize,
    low: f64,
    high: f64,
}

impl Errors {
    /// Of a row; one without an answer is off by the whole range.
    fn add(&mut self, model: &Model, wanted: &[Tensor], found: Option<&[Tensor]>) {
        for (place, field) in model.outputs.iter().enumerate() {
            if *field == OutputField::Label {
                continue;
            }
            let numbers = wanted[place].to_f64().unwrap_or_default();
            let own = found.and_then(|found| found[place].to_f64());
            for (at, number) in numbers.iter().enumerate() {
                if self.count == 0 {
                    (self.low, self.high) = (*number, *number);
                }
                self.low = self.low.min(*number);
                self.high = self.high.max(*number);
                self.count += 1;
                self.squares += match own.as_ref().map(|own| own[at]) {
                    Some(own) => (own - number).powi(2),
                    None => (self.high - self.low).powi(2),
                };
            }
        }
    }

    /// Root mean square, in parts of the range.
    fn of_range(&self) -> f64 {
        let range = (self.high - self.low).max(f64::MIN_POSITIVE.sqrt());
        (self.squares / self.count.max(1) as f64).sqrt() / range
    }
}
