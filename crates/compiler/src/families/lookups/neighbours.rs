//! Nearest neighbours: which of fixed points are nearest to the row, in two rounds of a bootstrap a
//! point.
//!
//! ```text
//! NeighbourModel + calibration rows
//!   problem    rows, distances, how wide they are apart
//!   places     distances in integers, coarse ones and fine ones
//!   rounds     ranks as parts of the torus, thresholds, size of a vote
//!   votes      whole weights of the votes in the scores, and how scores are read
//!   simulate   the rows with noise in both rounds
//!   choice     one key part, steps, gadget, with what it costs and gives
//!   search     the cheapest that is faithful enough
//!   circuit    histograms, ranks, bootstraps, scores in one ciphertext
//! ```
//!
//! A point's *rank* is the number of points that are nearer. With `u_j` the distance of point j in
//! steps, as a look-up turns by it, and S a step function, `C = sum of X^(u_j) S` is the cumulative
//! histogram of all distances, and C turned back by `u_i` has the rank of point i at its constant
//! coefficient: two look-ups a point, however many points there are. A bootstrap makes a vote of a
//! rank. One step of rank among n points is half of the torus divided by n, less than a bootstrap
//! resolves beyond some fifty points, so votes are given twice:
//!
//! 1. by rank among all points, in steps wide enough for the farthest ones, to somewhat more than the
//!    k nearest, the *candidates*;
//! 2. by rank among the candidates, which are few and near each other, in finer steps: the k nearest.
//!
//! What all distances have in common turns histogram and rank alike: |x|^2, and the mean of the
//! points, are left out, so that the row's features are all that travels.

mod choice;
mod circuit;
mod places;
mod problem;
mod rounds;
mod search;
mod simulate;
#[cfg(test)]
mod tests;
mod votes;

use super::fidelity::Fidelity;
use super::plan::Planned;
use super::unlike::Unlike;
use crate::cost::{Costs, Work};
use crate::error::CompileError;
use crate::families::{Family, Plan, Setting};
use crate::model::NeighbourModel;
use crate::report::{Bound, DeepReport, LayerReport};
use choice::NeighbourChoice;
use places::DistanceSteps;
use problem::NeighbourProblem;
use rounds::Round;
use votes::Votes;

impl Family for NeighbourModel {
    fn name(&self) -> &'static str {
        "nearest neighbours"
    }

    fn plan(&self, setting: &Setting<'_>) -> Result<Plan, CompileError> {
        let backend = setting.backend;
        let problem = NeighbourProblem::of(self, setting)?;
        let choice = problem.choose()?;
        choice.answers().check(setting.options, || {
            format!("node \"{}\" limits it, by {}", self.node, limit(&choice))
        })?;
        let circuit = choice.circuit(&problem);
        let planned = Planned {
            setting,
            circuit,
            grid: &choice.grid,
            gadget: choice.gadget,
            looks_up: true,
            lines: None,
            sums: &choice.votes.sums,
            fidelity: &choice.fidelity(&problem),
            budget: choice.budget,
            bound: Bound::Votes,
            work: choice.work(&problem),
            stages: &choice.stages(&problem),
            layers: problem.reports(&choice),
            key_parts: backend.expansion().iter().chain([choice.of.part]).collect(),
            unlike: Unlike {
                relations: Vec::new(),
                warning: problem.warning(&choice),
            },
        };
        let mut plan = planned.plan();
        for (decoding, unit) in plan.reading.scores.iter_mut().zip(&choice.votes.units) {
            Votes::round(decoding, *unit);
        }
        // Votes are whole, so that no precision is asked of them; one that is another point's may be
        // all that a score has.
        plan.facts.bits = plan.facts.bits.max(0.0);
        plan.facts.target_bits = plan.facts.bits;
        Ok(plan)
    }
}

/// What most of the error comes from, and what to try.
fn limit(choice: &NeighbourChoice) -> &'static str {
    let agreement = &choice.agreement;
    if agreement.wrapped > 0 {
        "distances beyond the range of its steps; give calibration rows like those to come"
    } else if 2.0 * agreement.exact_error > agreement.error {
        "distances rounded to steps; train on fewer or scaled features, or with more neighbours"
    } else {
        "the noise of ranks; train on fewer points (a condensed or sampled training set), or with \
         fewer neighbours"
    }
}

impl NeighbourProblem<'_> {
    /// Where calibration rows cannot tell.
    fn warning(&self, choice: &NeighbourChoice) -> Option<String> {
        let agreement = &choice.agreement;
        let fails = agreement.refused;
        (fails > 0.0).then(|| {
            format!(
                "{:.2} % of the simulated calibration rows get fewer than {} votes, and the client \
                 refuses those: ask for them again",
                100.0 * fails,
                self.model.kept
            )
        })
    }

    /// A layer a round.
    fn reports(&self, choice: &NeighbourChoice) -> Vec<LayerReport> {
        let points = self.points();
        let costs = Costs::of(self.setting.backend.set).with_bootstrap(choice.of.bootstrap);
        let total = choice.work(self);
        let agreement = &choice.agreement;
        let [first, second] = choice.rounds.shares();
        // Votes of candidates are isolated in the second round, where scores are packed, too.
        let rounds = [
            (&choice.coarse, &choice.rounds.all, first, 0),
            (
                &choice.fine,
                &choice.rounds.candidates,
                second,
                total.key_switches,
            ),
        ];
        let report = |(places, round, share, key_switches): (&DistanceSteps, &Round, f64, u32)| {
            let cmuxes = 2 * places.turns() as u32;
            let work = Work {
                selectors: 0,
                slots: 0,
                cmuxes,
                lookups: 2 * points as u32,
                terms: 2 * points as u32,
                key_switches,
                bootstraps: points as u32,
                ..Work::default()
            };
            LayerReport {
                nodes: vec![self.model.node.clone()],
                lookups: 2 * points,
                on_whole_torus: 0,
                selectors: total.selectors,
                cmuxes,
                margin: problem::MARGIN,
                wrapped: agreement.wrapped as u64,
                rows: agreement.rows as u64,
                labels: agreement.labels,
                error: agreement.error,
                error_without_noise: agreement.exact_error,
                limit: limit(choice).into(),
                deep: Some(DeepReport {
                    choices: 0,
                    bootstraps: points,
                    range: (0.0, round.ranks as f64),
                    bits: (0.5 / round.deviation(round.ranks as f64)).log2(),
                    share,
                    microseconds: costs.of_layer(&work, choice.gadget),
                    memory: costs.values(points),
                }),
            }
        };
        rounds.map(report).into()
    }
}

impl NeighbourChoice {
    /// As networks have it, for reports and decodings.
    fn fidelity(&self, problem: &NeighbourProblem<'_>) -> Fidelity {
        let agreement = &self.agreement;
        Fidelity {
            labels: agreement.labels,
            has_labels: agreement.labels.is_some(),
            error: agreement.error,
            exact_error: agreement.exact_error,
            largest: agreement.largest.clone(),
            ranges: problem.ranges(),
            wrapped: agreement.wrapped,
            rows: agreement.rows,
        }
    }
}
