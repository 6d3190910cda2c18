//! As precise as was asked for, or as the labels need.

use super::assemble::{Assembly, assemble};
use crate::backend::Backend;
use crate::error::CompileError;
use crate::families::Region;
use crate::features::Features;
use crate::margins;
use crate::model::Model;
use crate::options::{FeatureMode, Options};
use crate::report::Agreement;
use crate::simulate::{SimulatedRow, Simulation};
use cipherfn_protocol::hash::Hash;

/// What is to be assembled.
pub(super) struct Wanted<'a> {
    /// The float model.
    pub(super) model: &'a Model,
    /// Its estimators, as the circuit evaluates them.
    pub(super) regions: &'a [Region],
    /// Calibration rows as the float model's feature vectors ...
    pub(super) own: &'a Features,
    /// Its raw scores for those that are simulated.
    pub(super) scores: &'a [Vec<f64>],
    /// ... and as those that are encoded.
    pub(super) encoded: &'a Features,
    pub(super) options: &'a Options,
    pub(super) seed: Hash,
}

/// A circuit with what its simulation says.
pub(super) struct Assembled {
    pub(super) backend: Backend,
    pub(super) assembly: Assembly,
    pub(super) agreement: Agreement,
    pub(super) simulated: Vec<SimulatedRow>,
    /// Which precision was chosen, and why.
    pub(super) note: Option<String>,
}

impl Wanted<'_> {
    /// The circuit of the precision that was asked for; without one, of the bits that give scores
    /// themselves if these are multiples of one number, or of the fewest that keep the labels of all
    /// calibration rows.
    pub(super) fn assemble(&self) -> Result<Assembled, CompileError> {
        let options = self.options;
        let most = options.profile.usual_precision();
        let bits = match options.precision {
            None => {
                let rows = (self.own.rows.as_slice(), self.scores);
                margins::bits_for_labels(self.model, rows, self.seed, most)?
            }
            Some(_) => None,
        };
        let mut usual_bits = bits.unwrap_or(most);
        let mut assembled = self.assemble_for(usual_bits)?;
        // Simulated errors of scores are not all that moves a label: the circuit has the last word.
        let exact = matches!(options.features, FeatureMode::Exact { .. });
        let may_raise = bits.is_some() && exact;
        while may_raise && usual_bits < most && !assembled.keeps_labels() {
            usual_bits = (usual_bits + 1.0).min(most);
            assembled = self.assemble_for(usual_bits)?;
        }
        let mut facts = assembled.assembly.facts.iter();
        if usual_bits < most && facts.any(|facts| facts.trees.is_some()) {
            assembled.note = Some(if assembled.assembly.is_exact {
                margins::note_without_errors(usual_bits)
            } else {
                margins::note(usual_bits, assembled.agreement.rows)
            });
        }
        Ok(assembled)
    }

    fn assemble_for(&self, usual_bits: f64) -> Result<Assembled, CompileError> {
        let (backend, assembly) = assemble(
            self.regions,
            self.encoded,
            (self.model, self.scores),
            self.options,
            usual_bits,
            self.seed,
        )?;
        let simulation = Simulation {
            model: self.model,
            circuit: &assembly.circuit,
            inputs: &assembly.inputs,
            decoding: &assembly.decoding,
            deviations: &assembly.deviations,
            seed: self.seed,
        };
        let (agreement, simulated) = simulation.run(self.scores, &self.encoded.rows)?;
        Ok(Assembled {
            backend,
            assembly,
            agreement,
            simulated,
            note: None,
        })
    }
}

impl Assembled {
    /// Where scores come back without an error, a label that is not the model's lies in a tie, which
    /// float32 breaks one way or the other: no precision mends it.
    fn keeps_labels(&self) -> bool {
        self.assembly.is_exact || self.agreement.labels_equal == self.agreement.rows
    }
}
