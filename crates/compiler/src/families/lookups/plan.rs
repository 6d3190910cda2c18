//! From a circuit of functions to a plan: encodings, decodings and what the report says.

use super::fidelity::{self, Fidelity};
use super::inexact_scores;
use super::outputs::OutputSums;
use super::unlike::Unlike;
use crate::backend::Budget;
use crate::cost::Work;
use crate::families::{Facts, Plan, Reading, Setting};
use crate::report::{Bound, EncodedFeature, FeatureReport, LayerReport, WorkReport};
use cipherfn_circuit::Circuit;
use cipherfn_program::Microseconds;
use cipherfn_protocol::specs::{Encoding, Gadget, IntegerEncoding, IntegerFeature, LinearEncoding};
use cipherfn_scheme::parameters::KeyPart;
use cipherfn_scheme::query::InputShape;

/// What one hidden layer and several have alike.
pub(super) struct Planned<'a> {
    pub(super) setting: &'a Setting<'a>,
    pub(super) circuit: Circuit,
    pub(super) grid: &'a [IntegerFeature],
    pub(super) gadget: Gadget,
    /// Whether features travel as bits; they travel as they are beside them where there are lines.
    pub(super) looks_up: bool,
    pub(super) lines: Option<&'a LinearEncoding>,
    pub(super) sums: &'a OutputSums,
    pub(super) fidelity: &'a Fidelity,
    pub(super) budget: Budget,
    pub(super) bound: Bound,
    pub(super) work: Work,
    pub(super) stages: &'a [(&'static str, Microseconds)],
    pub(super) layers: Vec<LayerReport>,
    pub(super) key_parts: Vec<&'static KeyPart>,
    pub(super) unlike: Unlike,
}

impl Planned<'_> {
    pub(super) fn plan(self) -> Plan {
        let backend = self.setting.backend;
        let (sums, fidelity) = (self.sums, self.fidelity);
        let bits = fidelity.bits(sums, self.budget);
        let labels = fidelity.labels.filter(|_| fidelity.has_labels);
        let inexact = inexact_scores(labels, fidelity.error, self.setting.options);
        let mut encodings = Vec::new();
        if self.looks_up {
            encodings.push(Encoding::Integers(IntegerEncoding {
                features: self.grid.to_vec(),
                gadget: self.gadget,
                transport: backend.transport(),
            }));
        }
        encodings.extend(self.lines.cloned().map(Encoding::Linear));
        let shapes = encodings.iter();
        let shapes = shapes.map(|encoding| InputShape::of(backend.set, encoding));
        let shapes: Vec<InputShape> = shapes.collect();
        let (coefficients, reply_bits) = (sums.scales.len(), self.budget.reply_bits);
        Plan {
            reading: Reading {
                scores: fidelity::decodings(sums, self.budget, &fidelity.largest),
                deviation: self.budget.deviation,
            },
            facts: Facts {
                target_bits: self.setting.options.precision.unwrap_or(bits),
                bits,
                range_of: "the calibration rows",
                bound: self.bound,
                features: feature_report(self.grid, self.looks_up),
                work: WorkReport::of(Some(self.gadget), Some(self.work), self.stages, Vec::new()),
                trees: None,
                layers: self.layers,
                query_bytes: shapes.iter().map(InputShape::row_bytes).sum(),
                reply_bytes: backend.reply_bytes(coefficients, reply_bits),
                shared: backend.shared(&shapes, [coefficients], reply_bits),
                key_parts: self.key_parts,
                warnings: inexact.into_iter().chain(self.unlike.warning).collect(),
            },
            encodings,
            relations: self.unlike.relations,
            circuit: self.circuit,
        }
    }
}

/// Features as integers, or as they are.
pub(super) fn feature_report(grid: &[IntegerFeature], is_integer: bool) -> FeatureReport {
    let encoded = grid.iter().map(|own| EncodedFeature {
        name: own.name.clone(),
        form: if is_integer { "integer" } else { "coefficient" }.into(),
        bins: is_integer.then_some(1 << own.bits),
        bits: own.bits,
        decimals: None,
    });
    let steps = if is_integer {
        " and the steps in it, which say how much it moves the scores"
    } else {
        ""
    };
    FeatureReport {
        mode: if is_integer { "integers" } else { "ranges" }.into(),
        revealed: format!(
            "for each feature the range that is accepted (that of the calibration rows, a little \
             wider){steps}; the middle and the range of the scores; no weight"
        ),
        encoded: encoded.collect(),
        with_decimals: None,
    }
}
