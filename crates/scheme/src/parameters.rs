//! Named parameter sets: a ring, and the parts of the evaluation key over it.
//!
//! The ciphertext modulus is 2^64 and secret keys are uniform binary. An evaluation key belongs to
//! a parameter set, not to a model; it comes in parts, so that a client uploads no more than its
//! models need.

use crate::error::SchemeError;
use cipherfn_protocol::frame::ParameterSetTag;
use cipherfn_protocol::hash::{Hash, ParameterSetHash};
use cipherfn_protocol::specs::Bits;

mod bootstrap;
mod part;
mod sets;

#[cfg(test)]
mod tests;

pub(crate) use bootstrap::Section;
pub use bootstrap::{Bootstrap, ModuleRing};
pub(crate) use part::MIN_DEPTH;
pub use part::{Depth, KeyPart, KeyPartContents, Packing};

/// A named, versioned parameter set.
///
/// A part that works in further rings (a bootstrap) names them in its [`KeyPartContents`]; all parts
/// follow from the one secret key of [`Self::ring`].
#[derive(Debug, PartialEq)]
pub struct ParameterSet {
    /// Unique name; ends with the version.
    pub name: &'static str,
    /// Version: raised whenever a number changes.
    pub version: u32,
    /// Ring and noise of the secret key and of the ciphertexts that travel.
    pub ring: Ring,
    /// Parts of the evaluation key; none where the server needs no key.
    pub parts: &'static [KeyPart],
}

/// A module over `Z[X]/(X^N + 1)` with the noise that makes it secure.
#[derive(Debug, PartialEq)]
pub struct Ring {
    /// GLWE dimension k.
    pub glwe_dimension: usize,
    /// Polynomial size N.
    pub polynomial_size: usize,
    /// Noise is `TUniform(b)`, uniform in [-2^b, 2^b] in units of 2^-64; this is b.
    pub noise_bound_log2: u32,
    /// Estimated security in bits.
    pub security_bits: f64,
    /// Where dimension, noise and estimate come from.
    pub source: &'static str,
    /// Bits of a fresh body coefficient that travel; the rest lies below its noise.
    pub body_bits: Bits,
}

impl Ring {
    /// Coefficients of a mask, and of the key: k N.
    pub const fn mask_len(&self) -> usize {
        self.glwe_dimension * self.polynomial_size
    }
}

impl ParameterSet {
    /// Every set that this build knows.
    pub fn all() -> &'static [Self] {
        &sets::SETS
    }

    /// The set called `name`.
    pub fn by_name(name: &str) -> Result<&'static Self, SchemeError> {
        Self::all()
            .iter()
            .find(|set| set.name == name)
            .ok_or_else(|| SchemeError::UnknownParameterSet {
                name: name.chars().take(80).collect(),
                known: sets::SETS.each_ref().map(|set| set.name).join(", "),
            })
    }

    /// The set whose files carry `tag`; `what` names the file in the error.
    pub fn by_tag(tag: ParameterSetTag, what: &'static str) -> Result<&'static Self, SchemeError> {
        Self::all()
            .iter()
            .find(|set| set.tag() == tag)
            .ok_or(SchemeError::UnknownParameterSetTag { what })
    }

    /// The part of the evaluation key called `name`.
    pub fn part(&self, name: &str) -> Result<&'static KeyPart, SchemeError> {
        self.parts
            .iter()
            .find(|part| part.name == name)
            .ok_or_else(|| SchemeError::UnknownKeyPart {
                name: name.chars().take(80).collect(),
                set: self.name,
                known: self.parts.iter().map(|part| part.name).collect(),
            })
    }

    /// How selectors are packed, where the set has the part that expands them.
    pub const fn packing(&self) -> Option<&'static Packing> {
        match self.expansion() {
            Some(KeyPart {
                contents: KeyPartContents::Expansion(packing),
                ..
            }) => Some(packing),
            _ => None,
        }
    }

    /// The part that expands packed selectors: the first one, where there is any.
    pub const fn expansion(&self) -> Option<&'static KeyPart> {
        self.parts.first()
    }

    /// Hash of the name, of every number of the ring and of the expansion. Other parts are covered
    /// by hashes of their own ([`KeyPart::hash`]), so a set can be given a further part without
    /// turning old keys away.
    pub fn hash(&self) -> ParameterSetHash {
        let mut text = format!(
            "{} version={} k={} N={} q=2^64 key=binary noise=tuniform({}) body_bits={}",
            self.name,
            self.version,
            self.ring.glwe_dimension,
            self.ring.polynomial_size,
            self.ring.noise_bound_log2,
            self.ring.body_bits
        );
        if let Some(part) = self.expansion() {
            text.push_str(&part.contents.to_string());
        }
        Hash::of(text.as_bytes())
    }

    /// What files and bodies of this set carry.
    pub fn tag(&self) -> ParameterSetTag {
        self.hash().into()
    }

    /// Coefficients of a GLWE mask: k N.
    pub const fn mask_len(&self) -> usize {
        self.ring.mask_len()
    }

    pub(crate) fn require(
        &'static self,
        what: &'static str,
        found: &'static Self,
    ) -> Result<(), SchemeError> {
        if std::ptr::eq(self, found) || self == found {
            return Ok(());
        }
        Err(SchemeError::ParameterSetMismatch {
            what,
            expected: self.name,
            found: found.name,
        })
    }
}
