//! Parts of an evaluation key.

use crate::bits::packed_len;
use crate::parameters::{Bootstrap, ParameterSet};
use crate::seeded::SEED_LEN;
use cipherfn_protocol::frame::HEADER_LEN;
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use cipherfn_protocol::specs::{Bits, Gadget};
use std::fmt;

/// One part of a set's evaluation key: made, uploaded and checked on its own.
#[derive(Debug, PartialEq)]
pub struct KeyPart {
    /// Stable name, unique in its set.
    pub name: &'static str,
    /// Version of the file's format. Version 1 holds an expansion and does not say so; version 2
    /// names the part.
    pub file_version: u16,
    /// What it holds.
    pub contents: KeyPartContents,
}

/// What a key part holds: seeded `GLev` ciphertexts of functions of the secret key under itself, or
/// under keys that follow from the same seed.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum KeyPartContents {
    /// Automorphism keys of the expansion's levels, and the scheme-switching key.
    Expansion(Packing),
    /// The key of the automorphism X -> X^-1.
    Inverse {
        /// Its gadget.
        gadget: Gadget,
    },
    /// Bootstrapping key, and key switches to its rings and back.
    Bootstrap(Bootstrap),
}

/// Expansion of packed selectors.
#[derive(Debug, PartialEq)]
pub struct Packing {
    /// Gadget of each level's automorphism key, first level first; m entries.
    pub key_switch: &'static [Gadget],
    /// Gadget of the scheme-switching key.
    pub scheme_switch: Gadget,
    /// Bits of a packed query's body coefficients that travel: fewer than elsewhere, as the
    /// expansion's own noise is larger.
    pub query_body_bits: Bits,
}

/// Levels of an expansion, or of packing: a ciphertext of a query of this depth has 2^depth slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Depth(u32);

/// Fewest levels of an expansion that a query may ask for. A ciphertext of fewer slots would cost
/// more bytes a slot than a GGSW ciphertext of the keyless set.
pub(crate) const MIN_DEPTH: Depth = Depth(5);

impl Depth {
    /// So many levels.
    pub const fn new(levels: u32) -> Self {
        Self(levels)
    }

    /// Number of levels.
    pub const fn levels(self) -> u32 {
        self.0
    }

    /// Slots of a ciphertext.
    pub const fn slots(self) -> usize {
        1 << self.0
    }
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl KeyPart {
    /// Hash of the part's name and of every number in it and in its set.
    pub fn hash(&self, set: &ParameterSet) -> Hash {
        Hash::of(format!("{} part={}{}", set.hash(), self.name, self.contents).as_bytes())
    }

    /// The bootstrap that it is, if it is one.
    pub const fn bootstrap(&self) -> Option<&Bootstrap> {
        match &self.contents {
            KeyPartContents::Bootstrap(bootstrap) => Some(bootstrap),
            _ => None,
        }
    }

    /// Bytes of the file of any such part of `set`.
    pub fn file_bytes(&self, set: &ParameterSet) -> usize {
        HEADER_LEN + self.payload_len(set)
    }

    /// Bytes of memory that the part takes in the Fourier domain.
    pub fn expanded_bytes(&self, set: &ParameterSet) -> usize {
        let coefficients: usize = match &self.contents {
            KeyPartContents::Bootstrap(bootstrap) => {
                let sections = bootstrap.sections(set);
                let numbers = sections
                    .used()
                    .map(|own| own.rows * (own.dimension + 1) * own.size);
                numbers.iter().sum()
            }
            contents => contents.rows() * (set.ring.glwe_dimension + 1) * set.ring.polynomial_size,
        };
        // A transform has half as many numbers, of two parts each.
        coefficients * size_of::<f64>()
    }

    /// Bytes of the file's payload.
    pub(crate) fn payload_len(&self, set: &ParameterSet) -> usize {
        self.label(set).len() + size_of::<KeyId>() + SEED_LEN + self.contents.bodies_len(set)
    }

    /// What a version 2 file starts with: the first half of the part's hash. Empty in version 1.
    pub(crate) fn label(&self, set: &ParameterSet) -> Vec<u8> {
        match self.file_version {
            1 => Vec::new(),
            _ => self.hash(set).as_bytes()[..16].to_vec(),
        }
    }
}

impl KeyPartContents {
    /// Gadgets of the `GLev` ciphertexts in the set's own ring, in the order of the file; none of a
    /// bootstrap, which has sections.
    pub(crate) fn gadgets(&self) -> impl Iterator<Item = Gadget> {
        let (list, last) = match self {
            Self::Expansion(packing) => (packing.key_switch, Some(packing.scheme_switch)),
            Self::Inverse { gadget } => (&[][..], Some(*gadget)),
            Self::Bootstrap(_) => (&[][..], None),
        };
        list.iter().copied().chain(last)
    }

    /// GLWE ciphertexts in the set's own ring.
    pub(crate) fn rows(&self) -> usize {
        self.gadgets()
            .map(|gadget| gadget.levels.get() as usize)
            .sum()
    }

    /// Bytes of the packed bodies.
    fn bodies_len(&self, set: &ParameterSet) -> usize {
        match self {
            Self::Bootstrap(bootstrap) => bootstrap.sections(set).bodies_len(),
            _ => self.rows() * packed_len(set.ring.polynomial_size, set.ring.body_bits),
        }
    }
}

/// Every number, as the hashes take it.
impl fmt::Display for KeyPartContents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gadget = |f: &mut fmt::Formatter<'_>, name: &str, gadget: &Gadget| {
            write!(f, " {name}={}x{}", gadget.base_log, gadget.levels)
        };
        match self {
            Self::Expansion(packing) => {
                for level in packing.key_switch {
                    gadget(f, "ks", level)?;
                }
                gadget(f, "ss", &packing.scheme_switch)?;
                write!(
                    f,
                    " depth={} query_body_bits={}",
                    packing.depth(),
                    packing.query_body_bits
                )
            }
            Self::Inverse { gadget: inverse } => gadget(f, "inverse", inverse),
            Self::Bootstrap(bootstrap) => bootstrap.fmt(f),
        }
    }
}

impl Packing {
    /// Levels m of the whole expansion.
    pub const fn depth(&self) -> Depth {
        Depth(self.key_switch.len() as u32)
    }

    /// Slots of a ciphertext that is expanded to the full depth: 2^m.
    pub const fn slots(&self) -> usize {
        self.depth().slots()
    }
}
