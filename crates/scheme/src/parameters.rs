//! Named parameter sets: ring, secret key, noise and the gadgets of the evaluation key.
//!
//! The ciphertext modulus is 2^64 and secret keys are uniform binary. An evaluation key belongs to
//! a parameter set, not to a model.

use crate::error::SchemeError;
use cipherfn_protocol::frame::ParameterSetTag;
use cipherfn_protocol::hash::{Hash, ParameterSetHash};
use cipherfn_protocol::specs::Gadget;
use std::fmt::Write;

#[cfg(test)]
mod tests;

/// A named, versioned parameter set.
#[derive(Debug, PartialEq)]
pub struct ParameterSet {
    /// Unique name; ends with the version.
    pub name: &'static str,
    /// Version: raised whenever a number changes.
    pub version: u32,
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
    pub body_bits: u32,
    /// Packed selectors and the evaluation key that expands them.
    pub packing: Option<Packing>,
}

/// Expansion of packed selectors.
#[derive(Debug, PartialEq)]
pub struct Packing {
    /// Levels m of the expansion: a ciphertext holds 2^m slots.
    pub depth: u32,
    /// Gadget of each level's automorphism key, first level first; m entries.
    pub key_switch: &'static [Gadget],
    /// Gadget of the scheme-switching key.
    pub scheme_switch: Gadget,
    /// Bits of a packed query's body coefficients that travel: fewer than elsewhere, as the
    /// expansion's own noise is larger.
    pub query_body_bits: u32,
}

impl ParameterSet {
    /// Every set that this build knows.
    pub fn all() -> &'static [Self] {
        &SETS
    }

    /// The set called `name`.
    pub fn by_name(name: &str) -> Result<&'static Self, SchemeError> {
        SETS.iter()
            .find(|set| set.name == name)
            .ok_or_else(|| SchemeError::UnknownParameterSet {
                name: name.chars().take(80).collect(),
                known: SETS.each_ref().map(|set| set.name).join(", "),
            })
    }

    /// The set whose files carry `tag`; `what` names the file in the error.
    pub(crate) fn by_tag(
        tag: ParameterSetTag,
        what: &'static str,
    ) -> Result<&'static Self, SchemeError> {
        SETS.iter()
            .find(|set| set.tag() == tag)
            .ok_or(SchemeError::UnknownParameterSetTag { what })
    }

    /// Hash of the name and of every number.
    pub fn hash(&self) -> ParameterSetHash {
        let mut text = format!(
            "{} version={} k={} N={} q=2^64 key=binary noise=tuniform({}) body_bits={}",
            self.name,
            self.version,
            self.glwe_dimension,
            self.polynomial_size,
            self.noise_bound_log2,
            self.body_bits
        );
        if let Some(packing) = &self.packing {
            let mut gadget = |name: &str, gadget: &Gadget| {
                write!(text, " {name}={}x{}", gadget.base_log, gadget.levels)
                    .expect("writing to a string does not fail");
            };
            packing
                .key_switch
                .iter()
                .for_each(|level| gadget("ks", level));
            gadget("ss", &packing.scheme_switch);
            write!(
                text,
                " depth={} query_body_bits={}",
                packing.depth, packing.query_body_bits
            )
            .expect("writing to a string does not fail");
        }
        Hash::of(text.as_bytes())
    }

    /// What files and bodies of this set carry.
    pub fn tag(&self) -> ParameterSetTag {
        self.hash().into()
    }

    /// Coefficients of a GLWE mask: k N.
    pub const fn mask_len(&self) -> usize {
        self.glwe_dimension * self.polynomial_size
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

impl Packing {
    /// Slots of a packed ciphertext: 2^m.
    pub const fn slots(&self) -> usize {
        1 << self.depth
    }

    /// GLWE ciphertexts in an evaluation key.
    pub fn key_rows(&self) -> usize {
        self.key_switch
            .iter()
            .chain([&self.scheme_switch])
            .map(|gadget| gadget.levels as usize)
            .sum()
    }
}

const fn gadget(base_log: u32, levels: u32) -> Gadget {
    Gadget { base_log, levels }
}

/// Lattice-estimator figures quoted by `tfhe` for its own sets of GLWE dimension times polynomial
/// size 2048.
const SOURCE: &str =
    "tfhe 1.8.2, GLWE of total dimension 2048 with TUniform(17); lattice estimator";

/// The key-switch gadgets minimise the variance of an expanded selector's rows
/// ([`crate::noise::selector`]) plus a multiple of the number of digits to transform, `sum over
/// levels j of 2^j l_j`, with the evaluation key below 1.40 MB (0.80 MB for the compact set): the
/// first levels are few and their noise grows most, the last ones cost the time.
static SETS: [ParameterSet; 3] = [
    ParameterSet {
        name: "cipherfn-128-n2048-m8-v1",
        version: 1,
        glwe_dimension: 1,
        polynomial_size: 2048,
        noise_bound_log2: 17,
        security_bits: 134.8,
        source: SOURCE,
        body_bits: 48,
        packing: Some(Packing {
            depth: 8,
            key_switch: &[
                gadget(2, 23),
                gadget(2, 23),
                gadget(3, 15),
                gadget(4, 11),
                gadget(4, 11),
                gadget(5, 9),
                gadget(6, 7),
                gadget(7, 6),
            ],
            scheme_switch: gadget(11, 4),
            query_body_bits: 40,
        }),
    },
    ParameterSet {
        name: "cipherfn-128-n2048-m8-compact-v1",
        version: 1,
        glwe_dimension: 1,
        polynomial_size: 2048,
        noise_bound_log2: 17,
        security_bits: 134.8,
        source: SOURCE,
        body_bits: 48,
        packing: Some(Packing {
            depth: 8,
            key_switch: &[
                gadget(4, 11),
                gadget(5, 9),
                gadget(5, 9),
                gadget(6, 7),
                gadget(6, 7),
                gadget(7, 6),
                gadget(8, 5),
                gadget(8, 5),
            ],
            scheme_switch: gadget(11, 4),
            query_body_bits: 40,
        }),
    },
    ParameterSet {
        name: "cipherfn-128-n512k4-v1",
        version: 1,
        glwe_dimension: 4,
        polynomial_size: 512,
        noise_bound_log2: 17,
        security_bits: 134.8,
        source: SOURCE,
        body_bits: 48,
        packing: None,
    },
];
