//! The evaluation key ready for use.

use crate::automorphism::Automorphism;
use crate::bits;
use crate::bootstrap::BootstrapKey;
use crate::error::SchemeError;
use crate::fourier::{Transform, c64};
use crate::glev::{FourierGlev, zeroed};
use crate::keys::EvaluationKey;
use crate::memory::Memory;
use crate::parameters::{KeyPartContents, Packing, ParameterSet};
use crate::polynomial;
use crate::seeded::Masks;
use aligned_vec::AVec;
use cipherfn_protocol::message::KeyId;
use cipherfn_protocol::specs::Gadget;
use rayon::prelude::*;
use std::fmt;
use std::iter::repeat_n;
use std::sync::{Mutex, PoisonError};

/// An evaluation key in the Fourier domain, shared by all threads: the expansion, and what further
/// parts were added. About 32 KB a GLWE ciphertext of the key.
pub struct ExpandedEvaluationKey {
    set: &'static ParameterSet,
    packing: &'static Packing,
    /// Id of the secret key.
    id: KeyId,
    transform: Transform,
    /// One a level of the expansion.
    automorphisms: Vec<Automorphism>,
    /// Encrypts 2 s^2.
    scheme_switch: FourierGlev,
    /// The key of X -> X^-1.
    inverse: Option<Automorphism>,
    bootstraps: Vec<BootstrapKey>,
    /// 1 + X + ... + X^(N-1).
    all_ones: AVec<c64>,
    /// -X^(-2^j) for each level j: the factor of the key-switched ciphertext in the odd branch of
    /// an expansion's last level.
    minus_monomials: Vec<AVec<c64>>,
    /// Working memory that no thread uses at the moment.
    idle: Mutex<Vec<Memory>>,
}

impl ExpandedEvaluationKey {
    pub(super) fn new(key: &EvaluationKey) -> Result<Self, SchemeError> {
        let set = key.parameter_set();
        let KeyPartContents::Expansion(packing) = &key.part().contents else {
            return Err(SchemeError::KeyPartMissing {
                part: set.parts[0].name,
                set: set.name,
            });
        };
        let size = set.ring.polynomial_size;
        let transform = Transform::new(size);
        let levels = 0..packing.depth().levels();
        let exponents: Vec<usize> = levels
            .map(|level| polynomial::expansion_exponent(size, level))
            .collect();
        let mut glevs = fourier_glevs(key, &transform, &exponents)?;
        let scheme_switch = glevs.remove(exponents.len());
        let automorphisms = exponents
            .into_iter()
            .zip(glevs)
            .map(|(exponent, glev)| Automorphism::new(exponent, glev, &transform))
            .collect();
        let mut scratch = transform.scratch();
        let mut constant = |words: &[u64]| {
            let mut values = zeroed(size / 2);
            transform.forward_integer(&mut values, words, &mut scratch);
            values
        };
        let all_ones = constant(&vec![1; size]);
        let minus_monomials = (0..packing.depth().levels())
            .map(|level| {
                let mut monomial = vec![0u64; size];
                monomial[size - (1 << level)] = 1;
                constant(&monomial)
            })
            .collect();
        Ok(Self {
            set,
            packing,
            id: key.id(),
            transform,
            automorphisms,
            scheme_switch,
            inverse: None,
            bootstraps: Vec::new(),
            all_ones,
            minus_monomials,
            idle: Mutex::default(),
        })
    }

    /// Adds a further part of the same key.
    pub fn add(&mut self, part: &EvaluationKey) -> Result<(), SchemeError> {
        self.set.require("evaluation key", part.parameter_set())?;
        if part.id() != self.id {
            return Err(SchemeError::OtherSecretKey {
                part: part.part().name,
                expected: self.id,
                found: part.id(),
            });
        }
        match &part.part().contents {
            KeyPartContents::Expansion(_) => {}
            KeyPartContents::Inverse { .. } => {
                let exponent = polynomial::inverse_exponent(self.set.ring.polynomial_size);
                let glev = fourier_glevs(part, &self.transform, &[exponent])?.pop();
                self.inverse = glev.map(|glev| Automorphism::new(exponent, glev, &self.transform));
            }
            KeyPartContents::Bootstrap(parameters) => {
                let (seed, bodies) = (part.seed(), part.bodies());
                let key = BootstrapKey::new(self.set, (part.part(), parameters), seed, bodies)?;
                self.bootstraps.retain(|other| other.part() != key.part());
                self.bootstraps.push(key);
            }
        }
        Ok(())
    }

    /// The bootstrap that is the part called `name`.
    pub fn bootstrap(&self, name: &str) -> Result<&BootstrapKey, SchemeError> {
        let part = self.set.part(name)?;
        let mut held = self.bootstraps.iter();
        held.find(|key| key.part() == part)
            .ok_or(SchemeError::KeyPartMissing {
                part: part.name,
                set: self.set.name,
            })
    }

    /// Id of the secret key that it was made from.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Its parameter set.
    pub const fn parameter_set(&self) -> &'static ParameterSet {
        self.set
    }

    /// Bytes of memory that it takes.
    pub fn memory_len(&self) -> usize {
        let parts = self.set.parts.iter();
        let held = parts.filter(|part| match part.contents {
            KeyPartContents::Expansion(_) => true,
            KeyPartContents::Inverse { .. } => self.inverse.is_some(),
            KeyPartContents::Bootstrap(_) => false,
        });
        let held = held.map(|part| part.expanded_bytes(self.set));
        let bootstraps = self.bootstraps.iter().map(BootstrapKey::memory_len);
        held.sum::<usize>() + bootstraps.sum::<usize>()
    }

    pub(crate) const fn packing(&self) -> &'static Packing {
        self.packing
    }

    pub(crate) const fn transform(&self) -> &Transform {
        &self.transform
    }

    /// Runs `work` with working memory, which is kept for the next caller.
    pub(crate) fn with_memory<T>(&self, work: impl FnOnce(&mut Memory) -> T) -> T {
        // The list is whole between its single calls, so a panic elsewhere does no harm.
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut memory = taken.unwrap_or_else(|| {
            let parts = self.set.parts.iter();
            let gadgets = parts.flat_map(|part| part.contents.gadgets());
            let levels = gadgets.map(|gadget| gadget.levels.get()).max();
            Memory::new(&self.transform, self.packing, levels.unwrap_or_default())
        });
        let result = work(&mut memory);
        idle().push(memory);
        result
    }

    pub(crate) fn automorphism(&self, level: u32) -> &Automorphism {
        &self.automorphisms[level as usize]
    }

    pub(crate) fn all_ones(&self) -> &[c64] {
        &self.all_ones
    }

    pub(crate) fn minus_monomial(&self, level: u32) -> &[c64] {
        &self.minus_monomials[level as usize]
    }

    /// The key of X -> X^-1.
    pub(crate) fn inverse(&self) -> Result<&Automorphism, SchemeError> {
        self.inverse.as_ref().ok_or(SchemeError::KeyPartMissing {
            part: "inverse",
            set: self.set.name,
        })
    }

    pub(crate) const fn scheme_switch(&self) -> &FourierGlev {
        &self.scheme_switch
    }
}

/// The `GLev` ciphertexts of a part. The first of them are the keys of the automorphisms of
/// `exponents`: they are brought into centred form, negated, as their product with the mask is taken
/// off, and laid under the inverse automorphism (see [`Automorphism`]).
fn fourier_glevs(
    key: &EvaluationKey,
    transform: &Transform,
    exponents: &[usize],
) -> Result<Vec<FourierGlev>, SchemeError> {
    let ring = &key.parameter_set().ring;
    let size = ring.polynomial_size;
    let gadgets: Vec<Gadget> = key.part().contents.gadgets().collect();
    let levels = |gadget: &Gadget| gadget.levels.get() as usize;
    // One a row; the rows after these are not those of automorphisms.
    let inverses: Vec<usize> = exponents
        .iter()
        .zip(&gadgets)
        .flat_map(|(exponent, gadget)| {
            repeat_n(polynomial::inverse_of(*exponent, 2 * size), levels(gadget))
        })
        .collect();
    let mut masks = Masks::new(key.seed());
    let rows: Vec<(Vec<u64>, &[u8])> = key
        .rows()
        .map(|body| {
            let mut mask = vec![0; size];
            masks.fill(&mut mask);
            (mask, body)
        })
        .collect();
    let rows = rows.into_par_iter().enumerate().map_init(
        || transform.scratch(),
        |scratch, (index, (mut mask, packed))| {
            let mut body = vec![0; size];
            bits::unpack(&mut body, packed, ring.body_bits, "evaluation key")?;
            if let Some(inverse) = inverses.get(index) {
                polynomial::centre(&mut mask, &mut body);
                for words in [&mut mask, &mut body] {
                    let mut image = vec![0; size];
                    polynomial::automorphism(&mut image, words, *inverse);
                    for word in &mut image {
                        *word = word.wrapping_neg();
                    }
                    *words = image;
                }
            }
            let mut row = zeroed(size);
            let (row_mask, row_body) = row.split_at_mut(size / 2);
            transform.forward_torus(row_mask, &mask, scratch);
            transform.forward_torus(row_body, &body, scratch);
            Ok(row)
        },
    );
    let rows = rows.collect::<Result<Vec<_>, SchemeError>>()?;
    let mut rows = rows.iter();
    let take = |gadget: Gadget| {
        let mut joined = zeroed(gadget.levels.get() as usize * size);
        joined
            .chunks_exact_mut(size)
            .zip(rows.by_ref())
            .for_each(|(out, row)| out.copy_from_slice(row));
        FourierGlev::new(gadget, joined)
    };
    Ok(gadgets.into_iter().map(take).collect())
}

impl fmt::Debug for ExpandedEvaluationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpandedEvaluationKey")
            .field("parameter_set", &self.set.name)
            .finish_non_exhaustive()
    }
}
