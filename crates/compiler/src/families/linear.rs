//! Linear models: input ranges, integer weights, and the fewest bits that carry the wanted
//! precision.
//!
//! Feature `i` enters as `delta * r_i` with `r_i = (x_i - centre_i) / half_width_i` in [-1, 1].
//! Score `c` is `sum over i of A_ci r_i + constant`, and the server computes `sum over i of w_ci
//! delta r_i` with integers `w_ci` near `A_ci / unit_c`.

mod fit;
mod layout;
pub(super) mod ranges;

use super::scores::{Coefficient, ScoreMap};
use super::{Facts, Family, Plan, Reading, Setting};
use crate::cost::Costs;
use crate::error::CompileError;
use crate::model::LinearModel;
use crate::options::Profile;
use crate::report::{Bound, EncodedFeature, FeatureReport, WorkReport};
use cipherfn_protocol::specs::{Bits, Encoding, LinearEncoding, TorusFraction};
use cipherfn_scheme::noise::Deviation;
use cipherfn_scheme::query::{InputShape, LinearQueryShape};
use fit::{Fit, Goal, LEAST_BITS, LinearOutput, PREFERRED_BITS, fit};
use layout::ScoreLayout;

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
        let is_finite = |row: &Vec<f32>| row.iter().all(|value| value.is_finite());
        if !features.rows.is_empty() && !features.rows.iter().any(is_finite) {
            return Err(CompileError::invalid(
                "the calibration rows",
                "none of them leads to finite features of the linear model, so nothing shows its ranges: give rows without missing or infinite values, or mend what the model computes before",
            ));
        }
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
        let layout = ScoreLayout::choose(backend, (features.names.len(), carried.len()), options);
        let fit = fit(&Goal {
            backend,
            layout: &layout,
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
        let outputs = fit.outputs.iter();
        let deviations = outputs.clone().map(|output| output.budget.deviation);
        let coefficients: Vec<Coefficient> = outputs.map(Coefficient::from).collect();
        let query = layout.query_shape(backend, fit.body_bits);
        let encoding = encoding(&features.names, &ranges, &fit, &query);
        let key_parts = if layout.is_packed() {
            backend.expansion()
        } else {
            backend.packing()
        };
        Ok(Plan {
            circuit: layout.circuit(backend, &encoding, &fit.weights, fit.reply_bits),
            encodings: vec![Encoding::Linear(encoding)],
            relations: Vec::new(),
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
                    &Costs::of(backend.set).linear_stages(layout.work()),
                    Vec::new(),
                ),
                trees: None,
                layers: Vec::new(),
                query_bytes: query.row_bytes(),
                reply_bytes: layout.reply_bytes(backend, fit.reply_bits),
                shared: backend.shared(
                    &[InputShape::Features(query)],
                    layout.outputs(),
                    fit.reply_bits,
                ),
                key_parts: key_parts.iter().collect(),
                warnings,
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

fn encoding(
    names: &[String],
    ranges: &[(f64, f64)],
    fit: &Fit,
    placed: &LinearQueryShape,
) -> LinearEncoding {
    LinearEncoding {
        names: names.to_vec(),
        centre: ranges.iter().map(|range| range.0).collect(),
        half_width: ranges.iter().map(|range| range.1).collect(),
        delta: TorusFraction::new(fit.delta),
        block: placed.block as u32,
        stride: placed.stride as u32,
        form: placed.form,
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
        with_decimals: None,
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
