//! One circuit, one encoding a circuit input and one decoding, from the plans of all regions.

use crate::append::append;
use crate::backend::{Backend, FAILURE_LOG2};
use crate::error::CompileError;
use crate::families::{self, Facts, Lattice, Plan, Region};
use crate::features::Features;
use crate::model::Model;
use crate::options::Options;
use cipherfn_circuit::Circuit;
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::specs::{
    Decoding, Encoding, Relation, ReplyForm, ScoreDecoding, ScoreUnits,
};
use cipherfn_scheme::noise::{self, Deviation};
use cipherfn_scheme::parameters::ParameterSet;

#[cfg(test)]
mod tests;

/// A model's circuit and what belongs to it.
pub(super) struct Assembly {
    pub(super) circuit: Circuit,
    /// One a circuit input.
    pub(super) inputs: Vec<Encoding>,
    /// Of all regions.
    pub(super) relations: Vec<Relation>,
    pub(super) decoding: Decoding,
    /// Standard deviation of each result coefficient.
    pub(super) deviations: Vec<Deviation>,
    /// One entry a region.
    pub(super) facts: Vec<Facts>,
    /// Whether every score comes back without an error ([`Lattice`]).
    pub(super) is_exact: bool,
}

/// Plans all regions and puts their circuits beside each other. Where steps have to be coarser than
/// the plans' ([`Assembly::coarsen`]) and a precision is asked for, it is planned for as much more.
pub(super) fn assemble(
    regions: &[Region],
    features: &Features,
    exact: (&Model, &[Vec<f64>]),
    options: &Options,
    usual_bits: f64,
    seed: Hash,
) -> Result<(Backend, Assembly), CompileError> {
    let of = |options: &Options| {
        let (backend, plans) = families::plan(regions, features, exact, options, usual_bits, seed)?;
        let assembly = Assembly::of(backend.set, regions, plans);
        Ok::<_, CompileError>((backend, assembly))
    };
    let (backend, assembly) = of(options)?;
    let Some(asked) = options.precision else {
        return Ok((backend, assembly));
    };
    let bits = assembly.facts.iter().map(|facts| facts.bits);
    let lost = asked - bits.fold(f64::INFINITY, f64::min);
    if lost <= 0.0 {
        return Ok((backend, assembly));
    }
    let more = Options {
        precision: Some(asked + lost),
        ..options.clone()
    };
    let (backend, mut assembly) = of(&more).map_err(|error| error.with_less_precision(lost))?;
    for facts in &mut assembly.facts {
        facts.target_bits = asked;
    }
    Ok((backend, assembly))
}

impl Assembly {
    /// Puts the regions' circuits beside each other; `set` is the parameter set of all.
    pub(super) fn of(set: &ParameterSet, regions: &[Region], plans: Vec<Plan>) -> Self {
        let scores = regions.iter().map(|region| region.scores.len()).sum();
        let mut assembly = Self {
            circuit: Circuit {
                parameter_set: set.name.to_owned(),
                bootstrap: None,
                inputs: Vec::new(),
                constants: Vec::new(),
                nodes: Vec::new(),
                outputs: Vec::new(),
            },
            inputs: Vec::new(),
            relations: Vec::new(),
            decoding: Decoding {
                replies: Vec::new(),
                scores: Vec::new(),
                failure_log2: FAILURE_LOG2,
            },
            deviations: Vec::new(),
            facts: Vec::new(),
            is_exact: false,
        };
        let mut decodings: Vec<Option<ScoreDecoding>> = vec![None; scores];
        for (region, plan) in regions.iter().zip(plans) {
            let first = assembly.deviations.len() as u32;
            for (score, mut decoding) in region.scores.iter().zip(plan.reading.scores) {
                decoding.coefficient += first;
                decodings[*score] = Some(decoding);
            }
            assembly
                .deviations
                .extend(vec![plan.reading.deviation; plan.circuit.coefficients()]);
            let replies = plan.circuit.outputs.iter().map(|output| ReplyForm {
                reply_bits: output.reply_bits,
                coefficients: output.coefficients,
                stride: output.stride,
            });
            assembly.decoding.replies.extend(replies);
            assembly.inputs.extend(plan.encodings);
            assembly.relations.extend(plan.relations);
            assembly.facts.push(plan.facts);
            append(&mut assembly.circuit, plan.circuit);
        }
        assembly.decoding.scores = decodings.into_iter().flatten().collect();
        assembly.coarsen(set, regions);
        assembly.snap(regions);
        assembly
    }

    /// Rounds scores to the multiples that they are of one number, where the noise allows.
    fn snap(&mut self, regions: &[Region]) {
        self.is_exact = true;
        for region in regions {
            for (score, lattice) in region.scores.iter().zip(Lattice::of(&region.estimator)) {
                let score = &mut self.decoding.scores[*score];
                self.is_exact &= lattice.is_some_and(|lattice| lattice.snap(score));
            }
        }
    }

    /// Widens the rounding steps where many scores read one coefficient, each rounded at other
    /// places, so that together they would tell more of its noise than clients allow.
    fn coarsen(&mut self, set: &ParameterSet, regions: &[Region]) {
        let factor = noise::coarsening(set, &self.decoding);
        if factor <= 1.0 {
            return;
        }
        for (region, facts) in regions.iter().zip(&mut self.facts) {
            let mut lost = 1.0_f64;
            for score in &region.scores {
                let score = &mut self.decoding.scores[*score];
                let (step, before) = (score.step.get(), score.precision.get());
                let precision = before + (factor - 1.0) * step / 2.0;
                if before > 0.0 {
                    lost = lost.max(precision / before);
                }
                score.step = ScoreUnits::new(factor * step);
                score.precision = ScoreUnits::new(precision);
            }
            facts.bits -= lost.log2();
            facts.warnings.push(format!(
                "scores are rounded {factor:.2} times as coarsely as their noise asks for, so {:.1} \
                 bits of precision are guaranteed: many scores follow from one encrypted result, \
                 and finer ones would together tell of its noise",
                facts.bits
            ));
        }
    }

    /// The noisiest result coefficient's standard deviation.
    pub(super) fn deviation(&self) -> Deviation {
        let deviations = self.deviations.iter().copied();
        deviations.fold(Deviation::default(), Deviation::max)
    }
}
