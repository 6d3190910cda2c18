//! Trees over numbers as a candidate has them: circuit, noise, what becomes of the calibration rows.

use super::super::answers::Answers;
use super::super::fidelity::{Fidelity, SimulatedModel};
use super::super::layers::BootstrapPart;
use super::super::outputs::OutputSums;
use super::circuit::StackedCircuit;
use super::forms::{self, FittedForms};
use super::problem::{StackedProblem, labels};
use super::search::StackedCandidate;
use super::simulate::SimulatedTrees;
use crate::backend::Budget;
use crate::cost::{Costs, Work};
use crate::error::CompileError;
use cipherfn_circuit::Circuit;
use cipherfn_engine::noise as circuit_noise;
use cipherfn_program::Microseconds;
use cipherfn_protocol::specs::{Bits, Gadget};
use cipherfn_scheme::circuit_bootstrap::comparison_variance;
use cipherfn_scheme::noise;
use std::rc::Rc;

/// Largest error of a score that leaves its range on the torus, in parts of the torus.
const MOST_ERROR_OF_LEAVES: f64 = 0.12;
/// How far a looked up form is from the middle between its two values, in parts of the torus, and how
/// many standard deviations that has to be.
const AWAY: f64 = 0.25;
const DEVIATIONS: f64 = 9.0;

/// Trees over numbers, with what they cost and give.
pub(super) struct StackedChoice {
    pub(super) of: BootstrapPart,
    /// Of the selectors that are made of numbers.
    pub(super) gadget: Gadget,
    pub(super) forms: Option<Rc<FittedForms>>,
    pub(super) circuit: Circuit,
    pub(super) sums: OutputSums,
    pub(super) budget: Budget,
    pub(super) fidelity: Fidelity,
    /// For each score: its largest error over simulated rows, in score units.
    pub(super) largest: Vec<f64>,
    pub(super) work: Work,
    pub(super) stages: Vec<(&'static str, Microseconds)>,
}

impl StackedProblem<'_> {
    /// The trees as a candidate has them; `None` where noise is too much for any.
    pub(super) fn choice(
        &self,
        candidate: &StackedCandidate,
    ) -> Result<Option<StackedChoice>, CompileError> {
        let backend = self.setting.backend;
        let StackedCandidate { of, gadget, .. } = *candidate;
        let forms = candidate.forms.as_deref();
        if !forms.is_none_or(|forms| self.is_sure(forms, candidate)) {
            return Ok(None);
        }
        let (mut circuit, number_choices) = StackedCircuit {
            problem: self,
            of,
            gadget,
            forms,
            reply_bits: Bits::ALL,
        }
        .circuit();
        let scores = self.sums.scales.len();
        let [own] = circuit_noise::of_outputs(&circuit)?[..] else {
            return Ok(None);
        };
        let budget = backend.budget(own.value, own.rows, scores);
        if budget.error.get() >= MOST_ERROR_OF_LEAVES {
            return Ok(None);
        }
        circuit.outputs[0].reply_bits = budget.reply_bits;
        let numbers = self.scored.iter();
        let numbers = numbers.map(|score| self.compared(score, of, gadget).deviation());
        let simulated = SimulatedTrees {
            problem: self,
            forms,
            numbers: numbers.collect(),
            leaves: budget.deviation,
        };
        let of_forms = forms.map_or(0, |forms| forms.wrapped);
        let fidelity = Fidelity::of(&SimulatedModel {
            setting: self.setting,
            indices: &self.indices,
            scores: &self.scores,
            sums: &self.sums,
            phases: &simulated.exact(),
            noisy: &|row, noise| simulated.phases(row, noise),
            products: self.model.comparisons.len() + self.model.trees.trees.len() * scores,
            budget,
            wrapped: self.wrapped + of_forms,
        })?;
        let largest = simulated.largest();
        let work = self.work(forms, number_choices);
        let costs = Costs::of(backend.set).with_bootstrap(of.bootstrap);
        let mut stages = costs.stages(&work, forms::GADGET).to_vec();
        let time = costs.number_choices(number_choices, gadget);
        stages.push(("choices by numbers", time));
        Ok(Some(StackedChoice {
            of,
            gadget,
            forms: candidate.forms.clone(),
            circuit,
            sums: self.sums.clone(),
            budget,
            fidelity,
            largest,
            work,
            stages,
        }))
    }

    /// Whether no noise makes another answer of a looked up form.
    fn is_sure(&self, forms: &FittedForms, candidate: &StackedCandidate) -> bool {
        let backend = self.setting.backend;
        let selector = noise::selector(backend.set, backend.transport());
        let cmux = noise::cmux(backend.set, forms::GADGET, &selector);
        let turns = forms.units.iter().flatten().map(|unit| unit.turns.len());
        let turns = turns.max().unwrap_or(0) as f64;
        let (of, gadget) = (candidate.of.bootstrap, candidate.gadget);
        let variance = turns * cmux + comparison_variance(backend.set, of, gadget);
        DEVIATIONS * variance.deviation().get() <= AWAY
    }

    /// Beside that of numbers that are scores.
    pub(super) fn work(&self, forms: Option<&FittedForms>, number_choices: u32) -> Work {
        let backend = self.setting.backend;
        let selectors = forms.map_or(0, |forms| forms.selectors);
        let looked_up = forms.map_or(0, |forms| forms.units.iter().flatten().count());
        Work {
            selectors,
            slots: backend.slots(selectors, forms::GADGET),
            cmuxes: forms.map_or(0, FittedForms::cmuxes),
            lookups: looked_up as u32,
            number_choices,
            ..Work::default()
        }
    }
}

impl StackedChoice {
    pub(super) fn answers(&self) -> Answers {
        Answers {
            labels: labels(&self.fidelity),
            error: self.fidelity.error,
        }
    }

    /// Bits of the worst score's range that its precision leaves.
    pub(super) fn bits(&self) -> f64 {
        let fidelity = Fidelity {
            largest: self.largest.clone(),
            ..self.fidelity.clone()
        };
        fidelity.bits(&self.sums, self.budget)
    }

    /// Part of the square error that wrong comparisons make; the rest is noise of the choices.
    pub(super) fn share_of_comparisons(&self) -> f64 {
        let ranges = self.fidelity.ranges.iter().zip(&self.sums.scales);
        let noise = ranges.map(|(range, scale)| self.budget.deviation.get() * scale / range);
        let noise = noise.fold(0.0, f64::max);
        (1.0 - (noise / self.fidelity.error).powi(2)).clamp(0.0, 1.0)
    }

    /// What most of the error comes from, and what to try.
    pub(super) fn limit(&self) -> &'static str {
        let fidelity = &self.fidelity;
        if fidelity.wrapped > 0 {
            "numbers beyond the range that is told apart; give more calibration rows"
        } else if 2.0 * fidelity.exact_error > fidelity.error {
            "rounded features and tables of what it compares; give scaled or fewer features"
        } else if self.share_of_comparisons() > 0.5 {
            "comparisons with thresholds that rows are close to; train fewer splits (max_depth, \
             min_samples_leaf), or over linear models, whose scores are compared without an error"
        } else {
            "the noise of its choices; train fewer or smaller trees"
        }
    }
}
