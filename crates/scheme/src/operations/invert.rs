//! The automorphism X -> X^-1.

use crate::centred::Centred;
use crate::error::SchemeError;
use crate::glwe::Glwe;
use crate::keys::ExpandedEvaluationKey;
use crate::noise::{self, Variance};
use crate::parameters::{KeyPartContents, ParameterSet};

/// An encryption of m(X^-1) from one of m(X): coefficient p of the message becomes minus
/// coefficient N - p. Needs part `inverse` of the evaluation key.
///
/// `c(X^-1) = (a(X^-1), b(X^-1))` is a ciphertext of it under s(X^-1); the key switches it back.
pub fn invert(key: &ExpandedEvaluationKey, glwe: &Glwe) -> Result<Glwe, SchemeError> {
    let inverse = key.inverse()?;
    let node = Centred::divided(glwe, 0);
    let image = key.with_memory(|memory| inverse.image(&node, key.transform(), &mut memory.work));
    Ok(image.into_glwe())
}

/// Variance that it adds: one key switch. None where the set has no such key.
pub fn variance(set: &ParameterSet) -> Option<Variance> {
    set.parts.iter().find_map(|part| match part.contents {
        KeyPartContents::Inverse { gadget } => Some(noise::key_switch(set, gadget)),
        KeyPartContents::Expansion(_) | KeyPartContents::Bootstrap(_) => None,
    })
}
