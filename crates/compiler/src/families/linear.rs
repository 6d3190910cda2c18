//! Linear models: input ranges, integer weights, and the fewest bits that carry the wanted
//! precision.
//!
//! Feature `i` enters as `delta * r_i` with `r_i = (x_i - centre_i) / half_width_i` in [-1, 1].
//! Score `c` is `sum over i of A_ci r_i + constant`, and the server computes `sum over i of w_ci
//! delta r_i` with integers `w_ci` near `A_ci / unit_c`.

use crate::backend::{Backend, Budget};
use crate::error::CompileError;
use crate::families::scores::ScoreMap;
use crate::model::LinearModel;
use crate::options::{DEFAULT_PRECISION, Options, Profile};
use crate::report::EncodedFeature;
use cipherfn_circuit::Circuit;
use cipherfn_circuit::circuit::{FeatureInput, Input, InputId, Node, NodeId, Output, Product};
use cipherfn_protocol::specs::LinearEncoding;
use cipherfn_scheme::noise;
use cipherfn_scheme::query::LinearQueryShape;

#[cfg(test)]
mod tests;

/// A compiled linear model.
pub(crate) struct LinearPlan {
    /// Parameter set.
    pub backend: Backend,
    /// How features enter.
    pub encoding: LinearEncoding,
    /// One product with integer weights.
    pub circuit: Circuit,
    /// How scores come from coefficients.
    pub scores: ScoreMap,
    /// For each coefficient.
    pub outputs: Vec<LinearOutput>,
    /// Guaranteed bits of the calibration rows' score range, of the worst coefficient.
    pub bits: f64,
    /// Bytes of a query row.
    pub query_bytes: usize,
    /// Bits of a reply's coefficients.
    pub reply_bits: u32,
}

/// One result coefficient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LinearOutput {
    /// Score units a whole torus.
    pub scale: f64,
    /// Largest distance of the score from its constant.
    pub half: f64,
    /// Largest error from rounded weights, in score units.
    pub rounding: f64,
    /// Bound on the encrypted error.
    pub budget: Budget,
}

impl LinearOutput {
    /// Largest error of a decoded score, which is rounded to multiples of the error bound.
    pub(crate) fn precision(&self) -> f64 {
        1.5 * self.budget.error * self.scale + self.rounding
    }
}

/// How far beyond the calibration rows an input may lie, in spans on each side.
const WIDENING: f64 = 2.0;
/// How much wider again a feature of little weight may be.
const MAX_FACTOR: f64 = 16.0;
/// Part of the torus that scores fill: errors are far smaller than the rest.
const AMPLITUDE: f64 = 0.49;
/// Bits guaranteed at least when nothing is asked for ...
pub(crate) const LEAST_BITS: f64 = 12.0;
/// ... and the bits first tried.
pub(crate) const PREFERRED_BITS: f64 = 13.0;
/// Bits of a reply's coefficients that suffice when nothing is asked for: 6.4 KB.
const REPLY_BITS: u32 = 25;
/// Bits of a reply's coefficients at most.
const MOST_REPLY_BITS: u32 = 40;

/// One ciphertext: its mask from the seed, the product in the Fourier domain, the reply; source: as
/// in the costs of trees.
const CIPHERTEXT_MICROSECONDS: f64 = 35.0;

/// Compiles `linear` for feature vectors like those in `rows`.
pub(crate) fn compile(
    linear: &LinearModel,
    names: &[String],
    rows: &[Vec<f32>],
    options: &Options,
) -> Result<LinearPlan, CompileError> {
    let backend = *Backend::for_profile(options.profile)
        .first()
        .ok_or(CompileError::Constant)?;
    let ranges = widen(&linear.weights, input_ranges(rows, names.len()));
    let weights = contributions(&linear.weights, &ranges);
    let constants: Vec<f64> = linear
        .weights
        .iter()
        .zip(&linear.bias)
        .map(|(row, bias)| {
            bias + row
                .iter()
                .zip(&ranges)
                .map(|(weight, (centre, _))| weight * centre)
                .sum::<f64>()
        })
        .collect();
    let scores = ScoreMap::of_linear(&weights, &constants);
    if scores.carried.is_empty() {
        return Err(CompileError::Constant);
    }
    let carried: Vec<&[f64]> = scores
        .carried
        .iter()
        .map(|score| weights[*score as usize].as_slice())
        .collect();
    let seen = calibration_ranges(linear, &scores, rows, &carried);
    let fit = fit(backend, &carried, &seen, options)?;
    let stride = carried.len() as u32;
    let block = (names.len() as u32).min(backend.set.ring.polynomial_size as u32 / stride);
    let encoding = LinearEncoding {
        names: names.to_vec(),
        centre: ranges.iter().map(|range| range.0).collect(),
        half_width: ranges.iter().map(|range| range.1).collect(),
        delta: fit.delta,
        block,
        stride,
        body_bits: fit.body_bits,
    };
    let circuit = Circuit {
        parameter_set: backend.set.name.to_owned(),
        inputs: vec![Input::Features(FeatureInput {
            features: names.len() as u32,
            block,
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
    };
    let query_bytes = query_bytes(backend, names.len(), stride as usize, fit.body_bits);
    Ok(LinearPlan {
        backend,
        encoding,
        circuit,
        scores,
        outputs: fit.outputs,
        bits: fit.bits,
        query_bytes,
        reply_bits: fit.reply_bits,
    })
}

/// One entry a feature.
pub(crate) fn encoded_features(plan: &LinearPlan) -> Vec<EncodedFeature> {
    let entry = |name: &String| EncodedFeature {
        name: name.clone(),
        form: "coefficient".into(),
        bins: None,
        bits: plan.encoding.body_bits,
    };
    plan.encoding.names.iter().map(entry).collect()
}

/// Predicted microseconds of one row on one thread.
pub(crate) fn predicted_microseconds(plan: &LinearPlan) -> f64 {
    CIPHERTEXT_MICROSECONDS
        * plan
            .encoding
            .names
            .len()
            .div_ceil(plan.encoding.block as usize) as f64
}

/// (centre, half width) of each feature: the calibration rows' range, widened.
fn input_ranges(rows: &[Vec<f32>], features: usize) -> Vec<(f64, f64)> {
    let range = |feature: usize| {
        let values = || {
            rows.iter()
                .map(move |row| f64::from(row[feature]))
                .filter(|value| value.is_finite())
        };
        let (low, high) = (
            values().fold(f64::INFINITY, f64::min),
            values().fold(f64::NEG_INFINITY, f64::max),
        );
        let (low, high) = if low <= high { (low, high) } else { (0.0, 0.0) };
        let span = if low < high {
            high - low
        } else {
            low.abs().max(1.0)
        };
        (f64::midpoint(low, high), (0.5 + WIDENING) * span)
    };
    (0..features).map(range).collect()
}

/// Largest change of each score by each feature.
fn contributions(weights: &[Vec<f64>], ranges: &[(f64, f64)]) -> Vec<Vec<f64>> {
    weights
        .iter()
        .map(|row| {
            row.iter()
                .zip(ranges)
                .map(|(weight, (_, half))| weight * half)
                .collect()
        })
        .collect()
}

/// Gives features of little weight a wider range, up to the mean contribution to every score:
/// outliers of features that hardly vary in the calibration rows are accepted, and the range of
/// scores at most doubles.
fn widen(weights: &[Vec<f64>], ranges: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let rows = contributions(weights, &ranges);
    let mean = |row: &Vec<f64>| row.iter().map(|value| value.abs()).sum::<f64>() / row.len() as f64;
    let means: Vec<f64> = rows.iter().map(mean).collect();
    let factor = |feature: usize| {
        let ratios = rows
            .iter()
            .zip(&means)
            .filter(|(row, _)| row[feature] != 0.0)
            .map(|(row, mean)| mean / row[feature].abs());
        ratios.fold(MAX_FACTOR, f64::min).max(1.0)
    };
    ranges
        .into_iter()
        .enumerate()
        .map(|(feature, (centre, half))| (centre, half * factor(feature)))
        .collect()
}

/// Range of each carried score over the calibration rows; where they do not vary, over all inputs.
fn calibration_ranges(
    linear: &LinearModel,
    scores: &ScoreMap,
    rows: &[Vec<f32>],
    carried: &[&[f64]],
) -> Vec<f64> {
    let mut ends = vec![(f64::INFINITY, f64::NEG_INFINITY); carried.len()];
    for row in rows {
        let values = linear.raw_scores(row);
        for (end, score) in ends.iter_mut().zip(&scores.carried) {
            let value = values[*score as usize];
            *end = (end.0.min(value), end.1.max(value));
        }
    }
    let whole = |weights: &[f64]| 2.0 * weights.iter().map(|weight| weight.abs()).sum::<f64>();
    ends.iter()
        .zip(carried)
        .map(|((low, high), weights)| {
            if high > low {
                high - low
            } else {
                whole(weights)
            }
        })
        .collect()
}

fn query_bytes(backend: Backend, features: usize, stride: usize, body_bits: u32) -> usize {
    let block = features.min(backend.set.ring.polynomial_size / stride);
    LinearQueryShape {
        set: backend.set,
        features,
        block,
        stride,
        body_bits,
    }
    .row_bytes()
}

/// Numbers that reach a precision.
struct Fit {
    delta: f64,
    body_bits: u32,
    reply_bits: u32,
    weights: Vec<Vec<i64>>,
    outputs: Vec<LinearOutput>,
    bits: f64,
}

/// The fewest bytes that reach the wanted precision.
fn fit(
    backend: Backend,
    weights: &[&[f64]],
    seen: &[f64],
    options: &Options,
) -> Result<Fit, CompileError> {
    let reply_bits = if options.profile == Profile::Compact {
        24
    } else {
        REPLY_BITS
    };
    let stages: &[(f64, u32)] = match &options.precision {
        Some(bits) => &[(*bits, MOST_REPLY_BITS)],
        None => &[
            (PREFERRED_BITS, reply_bits),
            (LEAST_BITS, reply_bits),
            // Scores that cancel: in the calibration rows they stay in a small part of their
            // range.
            (LEAST_BITS, MOST_REPLY_BITS),
            (f64::NEG_INFINITY, MOST_REPLY_BITS),
        ],
    };
    let mut best = f64::NEG_INFINITY;
    for &(least, reply_limit) in stages {
        // Whatever can be reached, in the end.
        let wanted = if least.is_finite() { least } else { best };
        let mut found: Option<(usize, Fit)> = None;
        for resolution in 8..=36 {
            let rounded = Rounded::new(weights, f64::from(-resolution).exp2());
            for reply_bits in 8..=reply_limit {
                // The widest bodies first: if they do not reach it, none does.
                let fits = |body_bits| rounded.fit(backend, seen, body_bits, reply_bits);
                let widest = fits(backend.set.ring.body_bits);
                best = best.max(widest.bits);
                if widest.bits < wanted {
                    continue;
                }
                let fewest = (8..backend.set.ring.body_bits)
                    .map(fits)
                    .find(|fit| fit.bits >= wanted)
                    .unwrap_or(widest);
                let bytes = backend.reply_bytes(weights.len(), reply_bits)
                    + query_bytes(backend, weights[0].len(), weights.len(), fewest.body_bits);
                if found.as_ref().is_none_or(|(least, _)| bytes < *least) {
                    found = Some((bytes, fewest));
                }
                break;
            }
        }
        if let Some((_, fit)) = found {
            return Ok(fit);
        }
    }
    Err(CompileError::Precision {
        wanted: options.precision.unwrap_or(DEFAULT_PRECISION),
        best,
        profile: options.profile.name(),
    })
}

/// Weights as integers.
struct Rounded {
    delta: f64,
    weights: Vec<Vec<i64>>,
    outputs: Vec<RoundedOutput>,
    /// Sum of the squares of all weights.
    squares: f64,
}

/// One row of integer weights.
struct RoundedOutput {
    /// Score units a unit of weight.
    unit: f64,
    /// Sum of the rounding errors in units.
    error: f64,
    /// Half the score's range.
    half: f64,
}

impl Rounded {
    fn new(weights: &[&[f64]], delta: f64) -> Self {
        let rows = weights.iter().map(|row| {
            let half: f64 = row.iter().map(|weight| weight.abs()).sum();
            // Half a unit a weight is kept for rounding up.
            let sum = AMPLITUDE / delta - 0.5 * row.len() as f64;
            let unit = half / sum.max(1.0);
            let rounded: Vec<i64> = row
                .iter()
                .map(|weight| (weight / unit).round() as i64)
                .collect();
            let error = row
                .iter()
                .zip(&rounded)
                .map(|(weight, rounded)| (weight / unit - *rounded as f64).abs())
                .sum();
            (rounded, RoundedOutput { unit, error, half })
        });
        let (weights, outputs): (Vec<Vec<i64>>, _) = rows.unzip();
        let squares = weights
            .iter()
            .flatten()
            .map(|weight| (*weight as f64).powi(2))
            .sum();
        Self {
            delta,
            weights,
            outputs,
            squares,
        }
    }

    fn fit(&self, backend: Backend, seen: &[f64], body_bits: u32, reply_bits: u32) -> Fit {
        // One polynomial holds the weights of all scores: every result coefficient meets all of
        // them, at positions without a feature too.
        let variance = noise::linear(backend.set, self.squares, body_bits)
            + noise::linear_transform(backend.set, self.squares);
        let budget = backend.linear_budget(variance.get(), self.outputs.len(), reply_bits);
        let output = |output: &RoundedOutput| LinearOutput {
            scale: output.unit / self.delta,
            half: output.half,
            rounding: output.error * output.unit,
            budget,
        };
        let outputs: Vec<LinearOutput> = self.outputs.iter().map(output).collect();
        let bits = outputs
            .iter()
            .zip(seen)
            .map(|(output, seen)| (seen / output.precision()).log2())
            .fold(f64::INFINITY, f64::min);
        Fit {
            delta: self.delta,
            body_bits,
            reply_bits,
            weights: self.weights.clone(),
            outputs,
            bits,
        }
    }
}
