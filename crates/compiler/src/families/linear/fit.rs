//! Integer weights, and the fewest bits that carry the wanted precision.

use crate::backend::{Backend, Budget};
use cipherfn_protocol::specs::{Bits, ScoreUnits};
use cipherfn_scheme::noise;
use cipherfn_scheme::query::LinearQueryShape;

/// Part of the torus that scores fill: errors are far smaller than the rest.
const AMPLITUDE: f64 = 0.49;
/// Bits guaranteed at least when nothing is asked for ...
pub(super) const LEAST_BITS: f64 = 12.0;
/// ... and the bits first tried.
pub(super) const PREFERRED_BITS: f64 = 13.0;
/// Bits of a reply's coefficients at most.
const MOST_REPLY_BITS: Bits = Bits::new(40);

/// One result coefficient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LinearOutput {
    /// Score units a whole torus.
    pub(super) scale: f64,
    /// Largest distance of the score from its constant.
    pub(super) half: f64,
    /// Largest error from rounded weights, in score units.
    pub(super) rounding: f64,
    /// Bound on the encrypted error.
    pub(super) budget: Budget,
}

impl LinearOutput {
    /// Largest error of a decoded score, which is rounded to multiples of the error bound.
    pub(super) fn precision(&self) -> f64 {
        let error = self.budget.error.in_scores(ScoreUnits::new(self.scale));
        1.5 * error.get() + self.rounding
    }
}

/// Numbers that reach a precision.
pub(super) struct Fit {
    /// Torus amplitude of a feature at the end of its range.
    pub(super) delta: f64,
    /// Bits of a body coefficient that travel.
    pub(super) body_bits: Bits,
    /// Bits of a reply's coefficients.
    pub(super) reply_bits: Bits,
    /// Integer weights, one row a coefficient.
    pub(super) weights: Vec<Vec<i64>>,
    /// For each coefficient.
    pub(super) outputs: Vec<LinearOutput>,
    /// Guaranteed bits of the calibration rows' score range, of the worst coefficient.
    pub(super) bits: f64,
}

/// What to fit.
pub(super) struct Goal<'a> {
    /// Parameter set.
    pub(super) backend: Backend,
    /// Largest change of each carried score by each feature.
    pub(super) weights: &'a [&'a [f64]],
    /// Range of each carried score over the calibration rows.
    pub(super) seen: &'a [f64],
    /// Guaranteed bits wanted; `None` for the usual ones.
    pub(super) precision: Option<f64>,
    /// Bits of a reply's coefficients that are not exceeded if less than the usual precision would
    /// not justify it.
    pub(super) usual_reply_bits: Bits,
}

/// The fewest bytes that reach the wanted precision, or the most precise numbers.
pub(super) fn fit(goal: &Goal<'_>) -> Fit {
    // Whatever can be reached, in the end. Scores that cancel stay in a small part of their range
    // over the calibration rows: for those, replies may be longer before bits are given up.
    let whatever = (f64::NEG_INFINITY, MOST_REPLY_BITS);
    let stages = match goal.precision {
        Some(bits) => vec![(bits, MOST_REPLY_BITS), whatever],
        None => vec![
            (PREFERRED_BITS, goal.usual_reply_bits),
            (LEAST_BITS, goal.usual_reply_bits),
            (LEAST_BITS, MOST_REPLY_BITS),
            whatever,
        ],
    };
    let rounded: Vec<Rounded> = (8..=36)
        .map(|resolution| Rounded::new(goal.weights, f64::from(-resolution).exp2()))
        .collect();
    let mut best = f64::NEG_INFINITY;
    for (least, reply_limit) in stages {
        let wanted = if least.is_finite() { least } else { best };
        let mut found: Option<(usize, Fit)> = None;
        for rounded in &rounded {
            for reply_bits in (8..=reply_limit.get()).map(Bits::new) {
                // The widest bodies first: if they do not reach it, none does.
                let fits = |body_bits| rounded.fit(goal.backend, goal.seen, body_bits, reply_bits);
                let widest = fits(goal.backend.set.ring.body_bits);
                best = best.max(widest.bits);
                if widest.bits < wanted {
                    continue;
                }
                let fewest = (8..goal.backend.set.ring.body_bits.get())
                    .map(|bits| fits(Bits::new(bits)))
                    .find(|fit| fit.bits >= wanted)
                    .unwrap_or(widest);
                let bytes = fewest.bytes(goal.backend);
                if found.as_ref().is_none_or(|(least, _)| bytes < *least) {
                    found = Some((bytes, fewest));
                }
                break;
            }
        }
        if let Some((_, fit)) = found {
            return fit;
        }
    }
    unreachable!("the last stage asks for what an earlier one has reached")
}

impl Fit {
    /// Features in one ciphertext.
    pub(super) fn block(&self, backend: Backend) -> usize {
        let (features, stride) = (self.weights[0].len(), self.weights.len());
        features.min(backend.set.ring.polynomial_size / stride)
    }

    /// Bytes of a query row.
    pub(super) fn query_bytes(&self, backend: Backend) -> usize {
        self.query_shape(backend).row_bytes()
    }

    /// Dimensions of a query row.
    pub(super) fn query_shape(&self, backend: Backend) -> LinearQueryShape {
        LinearQueryShape {
            set: backend.set,
            features: self.weights[0].len(),
            block: self.block(backend),
            stride: self.weights.len(),
            body_bits: self.body_bits,
        }
    }

    fn bytes(&self, backend: Backend) -> usize {
        backend.reply_bytes(self.weights.len(), self.reply_bits) + self.query_bytes(backend)
    }
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

    fn fit(&self, backend: Backend, seen: &[f64], body_bits: Bits, reply_bits: Bits) -> Fit {
        // One polynomial holds the weights of all scores: every result coefficient meets all of
        // them, at positions without a feature too.
        let variance = noise::linear(backend.set, self.squares, body_bits)
            + noise::linear_transform(backend.set, self.squares);
        let budget = backend.linear_budget(variance, self.outputs.len(), reply_bits);
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
