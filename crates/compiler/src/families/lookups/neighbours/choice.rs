//! Points in integers: one candidate, with what it costs and gives.

use super::super::answers::Answers;
use super::super::circuit::packing_variance;
use super::super::layer::BitColumns;
use super::places::DistanceSteps;
use super::problem::{MARGIN, NeighbourProblem};
use super::rounds::{RoundNoise, Rounds};
use super::search::NeighbourCandidate;
use super::simulate::{NeighbourAgreement, SimulatedRounds};
use super::votes::{Votes, WEIGHTS};
use crate::backend::Budget;
use crate::cost::{Costs, Work};
use crate::error::CompileError;
use crate::families::lookups::circuit::key_switches;
use crate::families::lookups::layers::BootstrapPart;
use cipherfn_program::Microseconds;
use cipherfn_protocol::specs::{Gadget, IntegerFeature};
use cipherfn_scheme::bootstrap::{lookup_variance, module_switch, rotation_variance};
use cipherfn_scheme::noise::{self, Variance};
use cipherfn_scheme::operations::isolate;

/// Points that are taken to tie with the last candidate, at least.
const LEAST_TIES: usize = 2;

/// Points in integers, with what they cost and give.
pub(super) struct NeighbourChoice {
    pub(super) of: BootstrapPart,
    pub(super) gadget: Gadget,
    pub(super) grid: Vec<IntegerFeature>,
    pub(super) coarse: DistanceSteps,
    pub(super) fine: DistanceSteps,
    pub(super) rounds: Rounds,
    pub(super) votes: Votes,
    pub(super) budget: Budget,
    pub(super) agreement: NeighbourAgreement,
}

impl NeighbourProblem<'_> {
    /// The points as a candidate has them; `None` where noise is too much for any votes.
    pub(super) fn choice(
        &self,
        candidate: NeighbourCandidate,
    ) -> Result<Option<NeighbourChoice>, CompileError> {
        let backend = self.setting.backend;
        let (points, kept) = (self.points(), self.model.kept);
        let size = backend.set.ring.polynomial_size as f64;
        let NeighbourCandidate { of, gadget, .. } = candidate;
        // Of points that are all alike the rounding errors are left, which are nobody's distance.
        let farthest = self.distances.iter().flatten();
        let farthest = farthest.fold(0.0_f64, |most, own| most.max(own.abs()));
        let coarse_step = MARGIN * self.spread(points).max(farthest) / size;
        // Points at one place tie, on these rows or on others.
        let least_ties = LEAST_TIES.max(self.alike.saturating_sub(1));
        // How many are candidates says how fine steps may be, and how many bits these take how many
        // are candidates: from more bits than there will be.
        let noise = self.noise(candidate, [candidate.most_turns; 2]);
        let Some(rounds) = Rounds::of(points, kept, least_ties, noise) else {
            return Ok(None);
        };
        let fine_step = MARGIN * self.spread(rounds.most_candidates()) / size;
        // Candidates may all be at one place.
        let fine_step = fine_step.clamp(coarse_step / size, coarse_step);
        let grid = self.grid(fine_step, candidate.error);
        let bits = BitColumns::of(&grid, &self.rows);
        let [coarse, fine] =
            [coarse_step, fine_step].map(|step| DistanceSteps::of(self, &bits, step));
        let noise = self.noise(candidate, [coarse.most_turns(), fine.most_turns()]);
        let Some(mut rounds) = Rounds::of(points, kept, least_ties, noise) else {
            return Ok(None);
        };
        let simulated = |rounds: &Rounds| {
            SimulatedRounds {
                problem: self,
                coarse: &coarse,
                fine: &fine,
                rounds,
            }
            .most_candidates()
        };
        // Steps that several points share let more of them through.
        let seen = simulated(&rounds);
        let ties = seen.saturating_sub(rounds.all.below) + LEAST_TIES;
        let ties = ties.max(least_ties);
        match Rounds::of(points, kept, ties, noise) {
            Some(wider) => rounds = wider,
            None => return Ok(None),
        }
        let simulated = SimulatedRounds {
            problem: self,
            coarse: &coarse,
            fine: &fine,
            rounds: &rounds,
        };
        let seen = simulated.most_votes();
        let scores = self.model.bias.len();
        let with_weights = |largest: &f64| {
            let votes = Votes::of(self, seen, *largest);
            let variance = votes.squares() * self.result(of) + packing_variance(scores, backend);
            let budget = backend.budget(variance, points as f64, scores);
            // Numbers of votes come back without an error.
            (budget.error.get() < 0.5 * votes.amplitude).then_some((votes, budget))
        };
        let Some((votes, budget)) = WEIGHTS.iter().find_map(with_weights) else {
            return Ok(None);
        };
        let agreement = simulated.agreement(&votes, budget)?;
        Ok(Some(NeighbourChoice {
            of,
            gadget,
            grid,
            coarse,
            fine,
            rounds,
            votes,
            budget,
            agreement,
        }))
    }

    /// Noise of ranks whose points turn so often at most, by coarse and by fine places.
    ///
    /// A rank is n look-ups in a histogram and one that turns it back; errors of look-ups that share
    /// selectors are independent (ADR 21). In the second round each table is a candidate's vote times
    /// a step function: the vote's error counts where the function is a step, once in the histogram
    /// and once in the sum of all candidates; that of isolating it, a polynomial's, N times.
    fn noise(&self, candidate: NeighbourCandidate, turns: [usize; 2]) -> RoundNoise {
        let backend = self.setting.backend;
        let points = self.points() as f64;
        let selector = noise::selector(backend.set, backend.transport());
        let cmux = noise::cmux(backend.set, candidate.gadget, &selector);
        let switch = lookup_variance(backend.set, candidate.of.bootstrap);
        let ranks = |turns: usize| (points + 1.0) * turns as f64 * cmux + switch;
        let isolated = backend
            .set
            .packing()
            .map_or_else(Variance::default, |packing| {
                isolate::variance(backend.set, packing)
            });
        let size = backend.set.ring.polynomial_size as f64;
        // As of the worst of several keys.
        let rows = |turns: usize| turns as f64 * f64::from(candidate.gadget.levels.get());
        let margin =
            |turns: usize| noise::margin(backend.set, backend.transport(), rows(turns), 0.0);
        RoundNoise {
            all: margin(turns[0]).powi(2) * ranks(turns[0]),
            candidates: margin(turns[1]).powi(2) * (ranks(turns[1]) + points * size * isolated),
            vote: noise::KEY_MARGIN.powi(2) * self.result(candidate.of),
        }
    }

    /// Of what a bootstrap gives.
    fn result(&self, of: BootstrapPart) -> Variance {
        let set = self.setting.backend.set;
        rotation_variance(of.bootstrap) + module_switch::variance_to_levelled(set, of.bootstrap)
    }
}

impl NeighbourChoice {
    pub(super) fn answers(&self) -> Answers {
        Answers {
            labels: self.agreement.labels,
            error: self.agreement.error,
        }
    }

    pub(super) fn work(&self, problem: &NeighbourProblem<'_>) -> Work {
        let backend = problem.setting.backend;
        let selectors = self.grid.iter().map(|own| own.bits).sum();
        let cmuxes = 2 * (self.coarse.turns() + self.fine.turns());
        work(
            problem,
            selectors,
            cmuxes as u32,
            backend.slots(selectors, self.gadget),
        )
    }

    pub(super) fn stages(
        &self,
        problem: &NeighbourProblem<'_>,
    ) -> Vec<(&'static str, Microseconds)> {
        let set = problem.setting.backend.set;
        let costs = Costs::of(set).with_bootstrap(self.of.bootstrap);
        costs.stages(&self.work(problem), self.gadget).to_vec()
    }
}

/// What so many CMUXes for so many selectors come with.
pub(super) fn work(
    problem: &NeighbourProblem<'_>,
    selectors: u32,
    cmuxes: u32,
    slots: u32,
) -> Work {
    let backend = problem.setting.backend;
    let points = problem.points() as u32;
    let levels = backend.set.ring.polynomial_size.ilog2();
    let scores = problem.model.bias.len() as u32;
    Work {
        selectors,
        slots,
        cmuxes,
        lookups: 4 * points,
        // Histograms, ranks, doublings of a candidate's vote, scores.
        terms: points * (5 + 2 * (levels + 1) + 2 + scores),
        // A vote is isolated by a switch a level.
        key_switches: points * levels + key_switches(scores, backend),
        bootstraps: 2 * points,
        ..Work::default()
    }
}
