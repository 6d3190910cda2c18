//! The bootstrap part of an evaluation key, ready for use.

use crate::bootstrap::lwe::{Levelled, Lwe, Output, Small};
use crate::bootstrap::module_switch::ModuleSwitch;
use crate::error::SchemeError;
use crate::fourier::{Transform, c64};
use crate::glev::zeroed;
use crate::glwe::Glwe;
use crate::parameters::{Bootstrap, KeyPart, ParameterSet, Section};
use crate::rows::SeededRows;
use crate::seeded::MaskSeed;
use crate::selectors::{FourierSelectors, GgswShape};
use aligned_vec::AVec;
use std::fmt;

/// A bootstrapping key and the key switches around it in the Fourier domain, shared by all threads.
pub struct BootstrapKey {
    part: &'static KeyPart,
    parameters: &'static Bootstrap,
    from_levelled: ModuleSwitch<Levelled>,
    to_levelled: ModuleSwitch<Output>,
    /// GGSW ciphertexts of s under S2.
    rotation: FourierSelectors,
}

impl BootstrapKey {
    /// Of a part of `set`'s key that is a bootstrap, on all threads of the current pool.
    pub(crate) fn new(
        set: &ParameterSet,
        (part, parameters): (&'static KeyPart, &'static Bootstrap),
        seed: MaskSeed,
        bodies: &[u8],
    ) -> Result<Self, SchemeError> {
        let sections = parameters.sections(set);
        let output = &parameters.output;
        let shape = GgswShape {
            glwe_dimension: output.glwe_dimension,
            polynomial_size: output.polynomial_size,
            gadget: parameters.rotation,
        };
        let mut rotation = FourierSelectors::zeroed(shape, parameters.small.mask_len());
        seeded_rows(&sections.rotation, seed, bodies).transform(rotation.values_mut())?;
        let rows = |section: &Section| -> Result<(usize, Transform, AVec<c64>), SchemeError> {
            let mut rows = zeroed(section.rows * (section.dimension + 1) * section.size / 2);
            seeded_rows(section, seed, bodies).transform(&mut rows)?;
            Ok((section.dimension, Transform::new(section.size), rows))
        };
        let (gadget, back) = (parameters.key_switch, parameters.back);
        Ok(Self {
            part,
            parameters,
            from_levelled: ModuleSwitch::new(gadget, rows(&sections.from_levelled)?),
            to_levelled: ModuleSwitch::new(back, rows(&sections.to_levelled)?),
            rotation,
        })
    }

    /// Which part of the evaluation key it is.
    pub const fn part(&self) -> &'static KeyPart {
        self.part
    }

    /// Its numbers.
    pub const fn parameters(&self) -> &'static Bootstrap {
        self.parameters
    }

    /// Bytes of memory that it takes.
    pub fn memory_len(&self) -> usize {
        let switches = self.from_levelled.len() + self.to_levelled.len();
        (switches + self.rotation.values().len()) * size_of::<c64>()
    }

    /// Switches a number of the levelled ring to the small key.
    pub fn from_levelled(&self, number: &Lwe<Levelled>) -> Result<Lwe<Small>, SchemeError> {
        Ok(Lwe::extracted(&self.from_levelled.switch(number)?, 0))
    }

    /// Switches a result to the levelled ring, as the constant coefficient; the others are no results,
    /// and packing clears them. There it can be added to levelled numbers.
    pub fn to_levelled(&self, number: &Lwe<Output>) -> Result<Glwe, SchemeError> {
        self.to_levelled.switch(number)
    }

    pub(super) const fn rotation(&self) -> &FourierSelectors {
        &self.rotation
    }
}

fn seeded_rows<'a>(section: &Section, seed: MaskSeed, bodies: &'a [u8]) -> SeededRows<'a> {
    SeededRows {
        what: "evaluation key",
        dimension: section.dimension,
        size: section.size,
        body_bits: section.body_bits,
        seed,
        masks_from: section.masks_from,
        bodies: &bodies[section.bodies.clone()],
    }
}

impl fmt::Debug for BootstrapKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BootstrapKey")
            .field("part", &self.part.name)
            .finish_non_exhaustive()
    }
}
