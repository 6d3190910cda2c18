//! Bootstraps: three rings and what leads from one to the other.

use super::{ParameterSet, Ring};
use crate::bits::packed_len;
use cipherfn_protocol::specs::{Bits, Gadget};
use std::fmt;
use std::ops::Range;

/// A bootstrap of numbers under the set's own key, S1: switched to a small module key s, rotated
/// into a table under a key S2, and back.
///
/// The three keys are independent of each other. All `GLev` and GGSW ciphertexts are of fresh noise
/// of the ring that they are in.
#[derive(Debug, PartialEq)]
pub struct Bootstrap {
    /// Key s, of the number that rotates the table.
    pub small: ModuleRing,
    /// Key S2, of what is rotated. Its k N coefficients are as many as those of S1.
    pub output: Ring,
    /// GGSW ciphertexts of the coefficients of s under S2.
    pub rotation: Gadget,
    /// `GLev` ciphertexts of S1 and of S2 under s.
    pub key_switch: Gadget,
    /// `GLev` ciphertexts of S2 under S1.
    pub back: Gadget,
}

/// A module over `Z[X]/(X^N' + 1)` of few dimensions, with the noise that makes it secure.
#[derive(Debug, PartialEq)]
pub struct ModuleRing {
    /// GLWE dimension k'.
    pub glwe_dimension: usize,
    /// Polynomial size N'.
    pub polynomial_size: usize,
    /// Noise is Gaussian, rounded to units of 2^-64; this is log2 of its standard deviation as a
    /// fraction of the torus.
    pub deviation_log2: f64,
    /// Estimated security in bits.
    pub security_bits: f64,
    /// Where dimension, noise and estimate come from.
    pub source: &'static str,
    /// Bits of a body coefficient that travel.
    pub body_bits: Bits,
}

impl ModuleRing {
    /// Coefficients of a mask, and of the key: k' N'.
    pub const fn mask_len(&self) -> usize {
        self.glwe_dimension * self.polynomial_size
    }
}

/// GLWE ciphertexts of a part's file that have one form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Section {
    /// GLWE dimension.
    pub(crate) dimension: usize,
    /// Polynomial size.
    pub(crate) size: usize,
    /// Bits of a body coefficient that travel.
    pub(crate) body_bits: Bits,
    /// Number of ciphertexts.
    pub(crate) rows: usize,
    /// Words of the mask stream before its first mask.
    pub(crate) masks_from: usize,
    /// Where its bodies are among those of the part.
    pub(crate) bodies: Range<usize>,
}

impl Section {
    /// Words of a mask.
    pub(crate) const fn mask_len(&self) -> usize {
        self.dimension * self.size
    }

    /// Bytes of a body.
    pub(crate) const fn body_len(&self) -> usize {
        packed_len(self.size, self.body_bits)
    }
}

/// The sections of a bootstrap's file, in order.
pub(crate) struct Sections {
    /// S1 under s.
    pub(crate) from_levelled: Section,
    /// S2 under s: in every file, and used by no evaluation.
    pub(crate) from_output: Section,
    /// S2 under S1.
    pub(crate) to_levelled: Section,
    /// s under S2.
    pub(crate) rotation: Section,
}

impl Sections {
    /// In the order of the file.
    pub(crate) const fn all(&self) -> [&Section; 4] {
        [
            &self.from_levelled,
            &self.from_output,
            &self.to_levelled,
            &self.rotation,
        ]
    }

    /// Those that evaluation uses.
    pub(crate) const fn used(&self) -> [&Section; 3] {
        [&self.from_levelled, &self.to_levelled, &self.rotation]
    }

    /// Bytes of all bodies.
    pub(crate) fn bodies_len(&self) -> usize {
        self.all().map(|section| section.bodies.len()).iter().sum()
    }

    /// Ciphertexts of all of them.
    pub(crate) fn rows(&self) -> usize {
        self.all().map(|section| section.rows).iter().sum()
    }
}

impl Bootstrap {
    /// Where everything is in the file of this part of `set`'s key.
    pub(crate) fn sections(&self, set: &ParameterSet) -> Sections {
        let (small, output, levelled) = (&self.small, &self.output, &set.ring);
        let (mut masks_from, mut bodies_from) = (0, 0);
        let mut section = |dimension, size, body_bits, rows| {
            let mut section = Section {
                dimension,
                size,
                body_bits,
                rows,
                masks_from,
                bodies: 0..0,
            };
            let bytes = rows * section.body_len();
            section.bodies = bodies_from..bodies_from + bytes;
            masks_from += rows * section.mask_len();
            bodies_from += bytes;
            section
        };
        let levels = |gadget: Gadget| gadget.levels.get() as usize;
        let mut to_small = |key_len: usize| {
            section(
                small.glwe_dimension,
                small.polynomial_size,
                small.body_bits,
                key_len / small.polynomial_size * levels(self.key_switch),
            )
        };
        let (from_levelled, from_output) = (to_small(set.mask_len()), to_small(output.mask_len()));
        Sections {
            from_levelled,
            from_output,
            to_levelled: section(
                levelled.glwe_dimension,
                levelled.polynomial_size,
                levelled.body_bits,
                output.mask_len() / levelled.polynomial_size * levels(self.back),
            ),
            rotation: section(
                output.glwe_dimension,
                output.polynomial_size,
                output.body_bits,
                small.mask_len() * (output.glwe_dimension + 1) * levels(self.rotation),
            ),
        }
    }
}

/// Every number, as the hashes take it.
impl fmt::Display for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            small,
            output,
            rotation,
            key_switch,
            back,
        } = self;
        write!(
            f,
            " small=k{}N{}gaussian({})body_bits={} output=k{}N{}tuniform({})body_bits={} rotation={}x{} switch={}x{} back={}x{}",
            small.glwe_dimension,
            small.polynomial_size,
            small.deviation_log2,
            small.body_bits,
            output.glwe_dimension,
            output.polynomial_size,
            output.noise_bound_log2,
            output.body_bits,
            rotation.base_log,
            rotation.levels,
            key_switch.base_log,
            key_switch.levels,
            back.base_log,
            back.levels,
        )
    }
}
