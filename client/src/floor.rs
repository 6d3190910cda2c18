//! The least rounding step that specs can mean.
//!
//! A score is rounded to a step that hides the noise of its ciphertext: whoever sees exact noise in
//! large numbers can recover the key. The step comes with the specs, so it is held against what
//! noise any circuit under their parameters has at least: that of the reply's rounding and of a
//! fresh ciphertext. Circuits add to it; how much, only the compiler knows, so honest steps are
//! larger, and a dishonest developer may claim one down to this floor.

use crate::error::ClientError;
use cipherfn_protocol::specs::{Bits, ClientSpecs, ReplyForm, ScoreDecoding};
use cipherfn_scheme::noise::{self, Deviation};
use cipherfn_scheme::parameters::ParameterSet;

/// Standard deviations that a step has at least. Compilers take more than 7.1, which a normal
/// variable exceeds with probability 2^-40.
const DEVIATIONS: f64 = 7.0;
/// Most bits of a reply that say anything: the compiler's limit. Further ones would be noise.
const MOST_REPLY_BITS: Bits = Bits::new(40);
/// Scores that may read one coefficient in different ways and each be rounded as finely as the floor
/// allows. Every one of them cuts it at other places, so together they tell more of it than one.
const MOST_READINGS: f64 = 8.0;

/// Refuses specs with a step below the floor, or with readings of one coefficient that come to one.
pub(crate) fn check(specs: &ClientSpecs, set: &ParameterSet) -> Result<(), ClientError> {
    let replies = specs.decoding.replies.iter();
    let floors = replies.flat_map(|reply| vec![floor(set, reply); reply.coefficients as usize]);
    let floors: Vec<f64> = floors.map(Deviation::get).collect();
    let mut readings: Vec<Vec<&ScoreDecoding>> = vec![Vec::new(); floors.len()];
    for (index, score) in specs.decoding.scores.iter().enumerate() {
        if score.scale == 0.0 {
            continue;
        }
        let floor = floors[score.coefficient as usize];
        let least = score.scale.abs() * floor;
        let readings = &mut readings[score.coefficient as usize];
        if !readings.iter().any(|known| is_same(known, score)) {
            readings.push(score);
        }
        let cuts: f64 = readings.iter().map(|it| it.scale.abs() / it.step).sum();
        // Not `<`: what is no number is refused too.
        if !(score.step >= least && cuts * floor <= MOST_READINGS) {
            return Err(ClientError::Step {
                score: index,
                step: score.step,
                least,
            });
        }
    }
    Ok(())
}

/// In parts of the torus.
fn floor(set: &ParameterSet, reply: &ReplyForm) -> Deviation {
    let bits = Bits::new(reply.reply_bits.get().min(MOST_REPLY_BITS.get()));
    DEVIATIONS * (noise::modulus_switch(set, bits) + noise::fresh(set)).deviation()
}

/// Whether two scores are rounded at the same places.
fn is_same(one: &ScoreDecoding, other: &ScoreDecoding) -> bool {
    (one.scale, one.offset, one.step) == (other.scale, other.offset, other.step)
}
