//! Linear models: input ranges, integer weights, and the fewest bits that carry the wanted
//! precision.
//!
//! Feature `i` enters as `delta * r_i` with `r_i = (x_i - centre_i) / half_width_i` in [-1, 1].
//! Score `c` is `sum over i of A_ci r_i + constant`, and the server computes `sum over i of w_ci
//! delta r_i` with integers `w_ci` near `A_ci / unit_c`.

mod fit;
pub(super) mod ranges;

use super::scores::{Coefficient, ScoreMap};
use super::{Facts, Family, Plan, Reading, Setting};
use crate::cost::Costs;
use crate::error::CompileError;
use crate::model::LinearModel;
use crate::options::Profile;
use crate::report::{Bound, EncodedFeature, FeatureReport, WorkReport};
use cipherfn_circuit::Circuit;
use cipherfn_circuit::circuit::{FeatureInput, Input, InputId, Node, NodeId, Output, Product};
use cipherfn_protocol::specs::{Bits, Encoding, LinearEncoding, TorusFraction};
use cipherfn_scheme::noise::Deviation;
use cipherfn_scheme::query::InputShape;
use fit::{Fit, Goal, LEAST_BITS, LinearOutput, PREFERRED_BITS, fit};

#[cfg(test)]
mod tests;

/// Bits of a reply's coefficients that suffice when nothing is asked for: 6.4 KB.
const REPLY_BITS: Bits = Bits::new(25);
/// The same where bytes are scarce.
const COMPACT_REPLY_BITS: Bits = Bits::new(24);

impl Family for LinearModel {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn plan(&self, setting: &Setting<'_>) -> Result<Plan, CompileError> {
        let Setting {
            features,
            options,
            backend,
            ..
        } = *setting;
        let ranges = ranges::widen(&self.weights, ranges::inputs(features, ranges::WIDENING));
        let weights = ranges::contributions(&self.weights, &ranges);
        let scores = ScoreMap::of_linear(&weights, &self.at_centres(&ranges));
        let row = |score: &u32| weights[*score as usize].as_slice();
        // A reply has a coefficient where no score needs one, too: nothing reads it.
        let unread = vec![1.0; features.names.len()];
        let carried: Vec<&[f64]> = match scores.carried.as_slice() {
            [] => vec![&unread],
            scores => scores.iter().map(row).collect(),
        };
        let fit = fit(&Goal {
            backend,
            weights: &carried,
            seen: &ranges::scores(self, &scores, &features.rows, &carried),
            precision: options.precision,
            usual_reply_bits: match options.profile {
                Profile::Compact => COMPACT_REPLY_BITS,
                Profile::Balanced | Profile::Keyless | Profile::Wide => REPLY_BITS,
            },
        });
        let mut warnings = Vec::new();
        if fit.bits < LEAST_BITS && options.precision.is_none() {
            warnings.push(format!(
                "{:.1} bits of precision are guaranteed instead of the usual {LEAST_BITS}: the \
                 scores of the calibration rows lie in a small part of what the features' ranges \
                 allow",
                fit.bits
            ));
        }
        let block = fit.block(backend);
        let ciphertexts = features.names.len().div_ceil(block);
        let outputs = fit.outputs.iter();
        let deviations = outputs.clone().map(|output| output.budget.deviation);
        let coefficients: Vec<Coefficient> = outputs.map(Coefficient::from).collect();
        let stride = coefficients.len() as u32;
        Ok(Plan {
            encodings: vec![Encoding::Linear(encoding(
                &features.names,
                &ranges,
                &fit,
                block,
            ))],
            reading: Reading {
                scores: scores.decodings(&coefficients),
                deviation: deviations.fold(Deviation::default(), Deviation::max),
            },
            facts: Facts {
                target_bits: options.precision.unwrap_or(PREFERRED_BITS),
                bits: fit.bits,
                range_of: "the calibration rows",
                bound: Bound::EveryRow,
                features: feature_report(&features.names, fit.body_bits.get()),
                work: WorkReport::of(
                    None,
                    None,
                    &Costs::of(backend.set).linear_stages(ciphertexts),
                    Vec::new(),
                ),
                trees: None,
                layers: Vec::new(),
                query_bytes: fit.query_bytes(backend),
                reply_bytes: backend.reply_bytes(coefficients.len(), fit.reply_bits),
                shared: backend.shared(
                    &[InputShape::Features(fit.query_shape(backend))],
                    coefficients.len(),
                    fit.reply_bits,
                ),
                key_parts: backend.packing().iter().collect(),
                warnings,
            },
            circuit: Circuit {
                parameter_set: backend.set.name.to_owned(),
                bootstrap: None,
                inputs: vec![Input::Features(FeatureInput {
                    features: features.names.len() as u32,
                    block: block as u32,
                    stride,
                    body_bits: fit.body_bits,
                })],
                constants: Vec::new(),
                nodes: vec![Node::Product(Product {
                    input: InputId(0),
                    weights: fit.weights,
                    constant: None,
                })],
                outputs: vec![Output {
                    node: NodeId(0),
                    coefficients: stride,
                    stride: 1,
                    reply_bits: fit.reply_bits,
                }],
            },
        })
    }
}

impl LinearModel {
    /// The scores in the middle of all ranges.
    fn at_centres(&self, ranges: &[(f64, f64)]) -> Vec<f64> {
        let at_centre = |(row, bias): (&Vec<f64>, &f64)| {
            let terms = row.iter().zip(ranges);
            bias + terms
                .map(|(weight, (centre, _))| weight * centre)
                .sum::<f64>()
        };
        self.weights.iter().zip(&self.bias).map(at_centre).collect()
    }
}

impl From<&LinearOutput> for Coefficient {
    fn from(output: &LinearOutput) -> Self {
        Self {
            scale: output.scale,
            centre: 0.0,
            error: output.budget.error,
            rounding: output.rounding,
            half: output.half,
        }
    }
}

fn encoding(names: &[String], ranges: &[(f64, f64)], fit: &Fit, block: usize) -> LinearEncoding {
    LinearEncoding {
        names: names.to_vec(),
        centre: ranges.iter().map(|range| range.0).collect(),
        half_width: ranges.iter().map(|range| range.1).collect(),
        delta: TorusFraction::new(fit.delta),
        block: block as u32,
        stride: fit.weights.len() as u32,
        body_bits: fit.body_bits,
    }
}

fn feature_report(names: &[String], bits: u32) -> FeatureReport {
    let encoded = names.iter().map(|name| encoded(name, bits));
    FeatureReport {
        mode: "ranges".into(),
        revealed: "for each feature the range that is accepted (that of the calibration rows, \
                   widened by two spans on each side), the score in its middle and the range of \
                   scores; no weight"
            .into(),
        encoded: encoded.collect(),
    }
}

/// A feature in a coefficient of a ciphertext.
pub(super) fn encoded(name: &str, bits: u32) -> EncodedFeature {
    EncodedFeature {
        name: name.to_owned(),
        form: "coefficient".into(),
        bins: None,
        bits,
        decimals: None,
    }
}
