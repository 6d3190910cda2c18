//! The least rounding step that specs can mean.
//!
//! A score is rounded to a step that hides the noise of its ciphertext: whoever sees exact noise in
//! large numbers can recover the key. The step comes with the specs, so it is held against what
//! noise any circuit under their parameters has at least: that of the reply's rounding and of a
//! fresh ciphertext. Circuits add to it; how much, only the compiler knows, so honest steps are
//! larger, and a dishonest developer may claim one down to this floor.

use crate::error::ClientError;
use cipherfn_protocol::specs::{Bits, ClientSpecs, ReplyForm};
use cipherfn_scheme::noise::{self, Deviation};
use cipherfn_scheme::parameters::ParameterSet;
use std::collections::HashSet;

/// Standard deviations that a step has at least. Compilers take more than 7.1, which a normal
/// variable exceeds with probability 2^-40.
const DEVIATIONS: f64 = 7.0;
/// Most bits of a reply that say anything: the compiler's limit. Further ones would be noise.
const MOST_REPLY_BITS: Bits = Bits::new(40);
/// Readings of one ciphertext that may each be rounded as finely as the floor allows. Every one of
/// them cuts it at other places, so together they tell more of it than one.
const MOST_READINGS: f64 = 8.0;

/// Refuses specs with a step below the floor, or with readings of one ciphertext that come to one.
///
/// Replies may be copies of one ciphertext, so their readings are added up, as if the scores that
/// tell most of each told of the same one. Coefficients of a reply have noise of their own.
pub(crate) fn check(specs: &ClientSpecs, set: &ParameterSet) -> Result<(), ClientError> {
    let replies = &specs.decoding.replies;
    let floors: Vec<f64> = replies
        .iter()
        .map(|reply| floor(set, reply).get())
        .collect();
    let replies = replies.iter().enumerate();
    let reply_of: Vec<usize> = replies
        .flat_map(|(index, reply)| vec![index; reply.coefficients as usize])
        .collect();
    let mut known = HashSet::new();
    let mut of_coefficients = vec![0.0; reply_of.len()];
    let mut of_replies = vec![0.0; floors.len()];
    let mut readings = 0.0;
    for (index, score) in specs.decoding.scores.iter().enumerate() {
        if score.scale == 0.0 {
            continue;
        }
        let coefficient = score.coefficient as usize;
        let reply = reply_of[coefficient];
        let least = score.scale.abs() * floors[reply];
        // Scores that are rounded at the same places tell no more than one of them.
        let places = [score.scale, score.offset, score.step].map(f64::to_bits);
        if known.insert((coefficient, places)) {
            of_coefficients[coefficient] += least / score.step;
            let more = of_coefficients[coefficient] - of_replies[reply];
            if more > 0.0 {
                of_replies[reply] += more;
                readings += more;
            }
        }
        // Not `<`: what is no number is refused too.
        if !(score.step >= least && readings <= MOST_READINGS) {
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
