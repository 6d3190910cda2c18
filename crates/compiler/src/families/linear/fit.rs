//! Integer weights, and the fewest bits that carry the wanted precision.

use super::layout::Layout;
use crate::backend::{Backend, Budget};
use cipherfn_protocol::specs::{Bits, ScoreUnits};
use cipherfn_scheme::noise;

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
    /// Where scores and features stand.
    pub(super) layout: &'a Layout,
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
        .map(|resolution| Rounded::new(goal, f64::from(-resolution).exp2()))
        .collect();
    let mut best = f64::NEG_INFINITY;
    for (least, reply_limit) in stages {
        let wanted = if least.is_finite() { least } else { best };
        let mut found: Option<(usize, Sizes<'_>)> = None;
        for rounded in &rounded {
            for reply_bits in (8..=reply_limit.get()).map(Bits::new) {
                // The widest bodies first: if they do not reach it, none does.
                let fits = |body_bits| rounded.sizes(goal, body_bits, reply_bits);
                let widest = fits(goal.backend.set.ring.body_bits);
                best = best.max(widest.bits);
                if widest.bits < wanted {
                    continue;
                }
                let fewest = (8..goal.backend.set.ring.body_bits.get())
                    .map(|bits| fits(Bits::new(bits)))
                    .find(|sizes| sizes.bits >= wanted)
                    .unwrap_or(widest);
                let bytes = fewest.bytes(goal);
                if found.as_ref().is_none_or(|(least, _)| bytes < *least) {
                    found = Some((bytes, fewest));
                }
                break;
            }
        }
        if let Some((_, sizes)) = found {
            return sizes.fit(goal);
        }
    }
    unreachable!("the last stage asks for what an earlier one has reached")
}

/// Weights as integers: what rounding them does.
struct Rounded {
    delta: f64,
    outputs: Vec<RoundedOutput>,
    /// Sum of the squares of a product's weights, the largest one.
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

/// Rounded weights with numbers of bits.
struct Sizes<'a> {
    rounded: &'a Rounded,
    body_bits: Bits,
    reply_bits: Bits,
    budget: Budget,
    bits: f64,
}

impl Rounded {
    fn new(goal: &Goal<'_>, delta: f64) -> Self {
        let rows = goal.weights.iter().map(|row| {
            let output = RoundedOutput::new(row, delta);
            let squares = output.weights(row).map(|weight| (weight as f64).powi(2));
            let squares: f64 = squares.sum();
            (output, squares)
        });
        let (outputs, squares): (Vec<RoundedOutput>, Vec<f64>) = rows.unzip();
        // One polynomial holds the weights of all scores of a product: every result coefficient
        // meets all of them, at positions without a feature too.
        let of_product = |scores: Vec<usize>| scores.into_iter().map(|own| squares[own]).sum();
        let products = goal.layout.products().flatten().map(of_product);
        Self {
            delta,
            squares: products.fold(0.0, f64::max),
            outputs,
        }
    }

    fn sizes(&self, goal: &Goal<'_>, body_bits: Bits, reply_bits: Bits) -> Sizes<'_> {
        let set = goal.backend.set;
        let variance = noise::linear(set, self.squares, body_bits)
            + noise::linear_transform(set, self.squares)
            + goal.layout.packing_variance(goal.backend);
        let coefficients = self.outputs.len();
        let budget = goal
            .backend
            .linear_budget(variance, coefficients, reply_bits);
        let bits = self.outputs(budget).zip(goal.seen);
        Sizes {
            rounded: self,
            body_bits,
            reply_bits,
            budget,
            bits: bits
                .map(|(output, seen)| (seen / output.precision()).log2())
                .fold(f64::INFINITY, f64::min),
        }
    }

    fn outputs(&self, budget: Budget) -> impl Iterator<Item = LinearOutput> {
        self.outputs.iter().map(move |output| LinearOutput {
            scale: output.unit / self.delta,
            half: output.half,
            rounding: output.error * output.unit,
            budget,
        })
    }
}

impl RoundedOutput {
    fn new(row: &[f64], delta: f64) -> Self {
        let half: f64 = row.iter().map(|weight| weight.abs()).sum();
        // Half a unit a weight is kept for rounding up.
        let sum = AMPLITUDE / delta - 0.5 * row.len() as f64;
        let unit = half / sum.max(1.0);
        let mut output = Self {
            unit,
            error: 0.0,
            half,
        };
        let errors = row
            .iter()
            .zip(output.weights(row))
            .map(|(weight, rounded)| (weight / unit - rounded as f64).abs());
        output.error = errors.sum();
        output
    }

    /// The row in units.
    fn weights(&self, row: &[f64]) -> impl Iterator<Item = i64> {
        row.iter().map(|weight| (weight / self.unit).round() as i64)
    }
}

impl Sizes<'_> {
    fn bytes(&self, goal: &Goal<'_>) -> usize {
        let query = goal.layout.query_shape(goal.backend, self.body_bits);
        goal.layout.reply_bytes(goal.backend, self.reply_bits) + query.row_bytes()
    }

    fn fit(&self, goal: &Goal<'_>) -> Fit {
        let rows = self.rounded.outputs.iter().zip(goal.weights);
        Fit {
            delta: self.rounded.delta,
            body_bits: self.body_bits,
            reply_bits: self.reply_bits,
            weights: rows
                .map(|(output, row)| output.weights(row).collect())
                .collect(),
            outputs: self.rounded.outputs(self.budget).collect(),
            bits: self.bits,
        }
    }
}
