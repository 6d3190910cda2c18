//! From the phases of a decrypted reply to scores.

use crate::{Bits, ScoreUnits};

/// 2^64: torus units of a whole turn.
pub(crate) const TORUS: f64 = 18_446_744_073_709_551_616.0;

/// How the coefficients of a decrypted reply become scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoding {
    /// One entry an output of the circuit. Result coefficients are numbered over all of them, in
    /// order.
    pub replies: Vec<ReplyForm>,
    /// One entry a raw score of the model.
    pub scores: Vec<ScoreDecoding>,
    /// log2 of the probability that some score of a row is off by more than its precision, as far as
    /// noise is concerned. What networks lose by rounding is counted as on the calibration rows, and so
    /// is their noise where the server looks up numbers that it computed (a key part that bootstraps).
    pub failure_log2: f64,
}

/// One output of a circuit, as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyForm {
    /// Bits of each coefficient of a reply.
    pub reply_bits: Bits,
    /// Number of body coefficients in a reply: the positions 0, `stride`, 2 `stride`, ...
    pub coefficients: u32,
    /// Distance of result coefficients.
    pub stride: u32,
}

/// One raw score: `offset + scale * phase`, rounded to a multiple of `step`, with phase in [-1/2,
/// 1/2).
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreDecoding {
    /// Which result coefficient holds it, counted over all outputs.
    pub coefficient: u32,
    /// What a whole torus stands for; its sign may be negative; 0 for a constant score.
    pub scale: ScoreUnits,
    /// Score at phase zero.
    pub offset: ScoreUnits,
    /// Rounding step: the only resolution that is exposed.
    pub step: ScoreUnits,
    /// Largest absolute error at the stated failure probability (rounding included).
    pub precision: ScoreUnits,
    /// Smallest and largest score that the model can give.
    pub range: (ScoreUnits, ScoreUnits),
}

impl ScoreDecoding {
    /// The score at a phase in torus units of 2^-64: rounded to a multiple of the step, then
    /// limited to the model's range.
    pub fn score(&self, phase: i64) -> f64 {
        let raw = self.offset.get() + self.scale.get() * (phase as f64 / TORUS);
        let step = self.step.get();
        let rounded = if step > 0.0 {
            (raw / step).round() * step
        } else {
            raw
        };
        // Adding zero turns -0 into 0: its sign is noise.
        rounded.clamp(self.range.0.get(), self.range.1.get()) + 0.0
    }
}

impl Decoding {
    /// Number of result coefficients of a row, over all outputs.
    pub fn coefficients(&self) -> u32 {
        self.replies.iter().map(|reply| reply.coefficients).sum()
    }

    /// The raw scores of a decrypted reply, which has one phase a coefficient (torus units of
    /// 2^-64).
    ///
    /// # Panics
    /// If there are fewer phases than [`Self::coefficients`].
    pub fn scores(&self, phases: &[i64]) -> Vec<f64> {
        self.scores
            .iter()
            .map(|score| score.score(phases[score.coefficient as usize]))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_show_multiples_of_the_step_inside_the_range() {
        let score = ScoreDecoding {
            coefficient: 0,
            scale: ScoreUnits::new(-8.0),
            offset: ScoreUnits::new(1.0),
            step: ScoreUnits::new(0.25),
            precision: ScoreUnits::new(0.375),
            range: (ScoreUnits::new(-2.0), ScoreUnits::new(2.1)),
        };
        let quarter = 1_i64 << 62;
        let phases = [0, quarter, quarter / 2 + (1 << 50), -quarter];
        let scores: Vec<f64> = phases.iter().map(|phase| score.score(*phase)).collect();
        assert_eq!(scores, [1.0, -1.0, 0.0, 2.1]);
        let constant = ScoreDecoding {
            scale: ScoreUnits::default(),
            offset: ScoreUnits::new(0.3),
            step: ScoreUnits::default(),
            range: (ScoreUnits::new(0.3), ScoreUnits::new(0.3)),
            ..score
        };
        assert_eq!(vec![constant.score(12345)], [0.3]);
    }
}
