//! The least rounding steps that decodings can have.
//!
//! A score is rounded to a step that hides the noise of its ciphertext: whoever sees exact noise in
//! large numbers can recover the key. The step comes with the specs, so a client holds it against
//! what noise any circuit under their parameters has at least: that of the reply's rounding and of a
//! fresh ciphertext. Circuits add to it; how much, only the compiler knows, so honest steps are
//! larger, and a dishonest developer may claim one down to this floor. The compiler asks the same
//! function, so that what it makes is not refused.

use super::{fresh, modulus_switch};
use crate::parameters::ParameterSet;
use cipherfn_protocol::specs::{
    Bits, Decoding, ReplyForm, ScoreDecoding, ScoreUnits, TorusFraction,
};
use std::collections::HashSet;

/// Standard deviations that a step has at least. Compilers take more than 7.1, which a normal
/// variable exceeds with probability 2^-40.
const DEVIATIONS: f64 = 7.0;
/// Most bits of a reply that say anything: the compiler's limit. Further ones would be noise.
const MOST_REPLY_BITS: Bits = Bits::new(40);
/// Readings of one ciphertext that may each be rounded as finely as the floor allows. Every one of
/// them cuts it at other places, so together they tell more of it than one.
const MOST_READINGS: f64 = 8.0;

/// A score whose step would show the noise of its ciphertext, alone or with those before it.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "decoding.scores[{score}].step of the client specs is {step:e}, but results under these parameters are uncertain by {least:e} at least, and finer ones would tell of the secret key; do not use these specs, and ask the model's developer"
)]
pub struct FineStep {
    /// Index into `decoding.scores`.
    pub score: usize,
    /// Step of that score.
    pub step: ScoreUnits,
    /// Least step that there can be for one reading.
    pub least: ScoreUnits,
}

/// Refuses decodings with a step below the floor, or with readings of one ciphertext that come to
/// one.
pub fn check_steps(set: &ParameterSet, decoding: &Decoding) -> Result<(), FineStep> {
    let mut readings = Readings::of(set, decoding);
    for (index, score) in decoding.scores.iter().enumerate() {
        let least = readings.add(score);
        // Not `<`: what is no number is refused too.
        if !(score.step >= least && readings.sum <= MOST_READINGS) {
            return Err(FineStep {
                score: index,
                step: score.step,
                least,
            });
        }
    }
    Ok(())
}

/// By how much all steps of a decoding must grow so that [`check_steps`] takes it: 1 where it does.
pub fn coarsening(set: &ParameterSet, decoding: &Decoding) -> f64 {
    let mut readings = Readings::of(set, decoding);
    let mut factor = 1.0_f64;
    for score in &decoding.scores {
        let least = readings.add(score);
        if score.step > ScoreUnits::default() {
            factor = factor.max(least.get() / score.step.get());
        }
    }
    match factor.max(readings.sum / MOST_READINGS) {
        1.0 => 1.0,
        // Not below the floor by an error of rounding.
        factor => factor * (1.0 + 1e-9),
    }
}

/// How much the scores tell, in steps as fine as the floor.
///
/// Replies may be copies of one ciphertext, so their readings are added up, as if the scores that
/// tell most of each told of the same one. Coefficients of a reply have noise of their own.
struct Readings {
    /// Least step of each reply.
    floors: Vec<TorusFraction>,
    /// Reply of each coefficient.
    reply_of: Vec<usize>,
    /// Where scores of a coefficient are rounded.
    known: HashSet<(usize, [u64; 3])>,
    of_coefficients: Vec<f64>,
    of_replies: Vec<f64>,
    sum: f64,
}

impl Readings {
    fn of(set: &ParameterSet, decoding: &Decoding) -> Self {
        let replies = decoding.replies.iter();
        let reply_of: Vec<usize> = replies
            .clone()
            .enumerate()
            .flat_map(|(index, reply)| vec![index; reply.coefficients as usize])
            .collect();
        Self {
            floors: replies.map(|reply| floor(set, reply)).collect(),
            known: HashSet::new(),
            of_coefficients: vec![0.0; reply_of.len()],
            of_replies: vec![0.0; decoding.replies.len()],
            reply_of,
            sum: 0.0,
        }
    }

    /// Adds what a score tells. Gives its least step.
    fn add(&mut self, score: &ScoreDecoding) -> ScoreUnits {
        if score.scale == ScoreUnits::default() {
            return ScoreUnits::default();
        }
        let coefficient = score.coefficient as usize;
        let reply = self.reply_of[coefficient];
        let least = self.floors[reply].in_scores(ScoreUnits::new(score.scale.get().abs()));
        // Scores that are rounded at the same places tell no more than one of them.
        let places = [score.scale, score.offset, score.step].map(|own| own.get().to_bits());
        if self.known.insert((coefficient, places)) {
            self.of_coefficients[coefficient] += least.get() / score.step.get();
            let more = self.of_coefficients[coefficient] - self.of_replies[reply];
            if more > 0.0 {
                self.of_replies[reply] += more;
                self.sum += more;
            }
        }
        least
    }
}

fn floor(set: &ParameterSet, reply: &ReplyForm) -> TorusFraction {
    let bits = Bits::new(reply.reply_bits.get().min(MOST_REPLY_BITS.get()));
    TorusFraction::new((DEVIATIONS * (modulus_switch(set, bits) + fresh(set)).deviation()).get())
}
