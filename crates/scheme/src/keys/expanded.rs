//! The evaluation key ready for use.

use crate::bits;
use crate::error::SchemeError;
use crate::expand::Memory;
use crate::fourier::{Transform, c64};
use crate::glev::{FourierGlev, zeroed};
use crate::keys::EvaluationKey;
use crate::parameters::{Packing, ParameterSet};
use crate::polynomial;
use crate::seeded::Masks;
use aligned_vec::AVec;
use cipherfn_protocol::specs::Gadget;
use rayon::prelude::*;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// An evaluation key in the Fourier domain, shared by all threads. About 32 KB a GLWE ciphertext of
/// the key.
pub struct ExpandedEvaluationKey {
    set: &'static ParameterSet,
    packing: &'static Packing,
    transform: Transform,
    /// One a level of the expansion: minus the automorphism keys, centred.
    automorphisms: Vec<FourierGlev>,
    /// Encrypts 2 s^2.
    scheme_switch: FourierGlev,
    /// 1 + X + ... + X^(N-1).
    all_ones: AVec<c64>,
    /// -X^(-2^(m-1)): the factor of the key-switched ciphertext in the odd branch of the last
    /// level.
    minus_last_monomial: AVec<c64>,
    /// Working memory that no thread uses at the moment.
    idle: Mutex<Vec<Memory>>,
}

impl ExpandedEvaluationKey {
    pub(super) fn new(key: &EvaluationKey) -> Result<Self, SchemeError> {
        let (set, packing) = (key.parameter_set(), key.packing());
        let transform = Transform::new(set.polynomial_size);
        let size = set.polynomial_size;
        let mut masks = Masks::new(key.seed());
        let rows: Vec<(Vec<u64>, &[u8])> = key
            .rows()
            .map(|body| {
                let mut mask = vec![0; size];
                masks.fill(&mut mask);
                (mask, body)
            })
            .collect();
        let automorphism_rows = rows.len() - packing.scheme_switch.levels as usize;
        let rows = rows.into_par_iter().enumerate().map_init(
            || transform.scratch(),
            |scratch, (index, (mut mask, packed))| {
                let mut body = vec![0; size];
                bits::unpack(&mut body, packed, set.body_bits, "evaluation key")?;
                if index < automorphism_rows {
                    polynomial::centre(&mut mask, &mut body);
                    [&mut mask, &mut body]
                        .into_iter()
                        .flatten()
                        .for_each(|word| *word = word.wrapping_neg());
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
        let mut take = |gadget: Gadget| {
            let mut joined = zeroed(gadget.levels as usize * size);
            joined
                .chunks_exact_mut(size)
                .zip(rows.by_ref())
                .for_each(|(out, row)| out.copy_from_slice(row));
            FourierGlev::new(gadget, joined)
        };
        let automorphisms = packing
            .key_switch
            .iter()
            .map(|gadget| take(*gadget))
            .collect();
        let scheme_switch = take(packing.scheme_switch);
        let mut scratch = transform.scratch();
        let mut constant = |words: &[u64]| {
            let mut values = zeroed(size / 2);
            transform.forward_integer(&mut values, words, &mut scratch);
            values
        };
        let all_ones = constant(&vec![1; size]);
        let mut monomial = vec![0u64; size];
        monomial[size - packing.slots() / 2] = 1;
        let minus_last_monomial = constant(&monomial);
        Ok(Self {
            set,
            packing,
            transform,
            automorphisms,
            scheme_switch,
            all_ones,
            minus_last_monomial,
            idle: Mutex::default(),
        })
    }

    /// Its parameter set.
    pub const fn parameter_set(&self) -> &'static ParameterSet {
        self.set
    }

    /// Bytes of memory that it takes.
    pub fn memory_len(&self) -> usize {
        self.packing.key_rows() * self.set.polynomial_size * size_of::<c64>()
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
        let mut memory = taken.unwrap_or_else(|| Memory::new(&self.transform, self.packing));
        let result = work(&mut memory);
        idle().push(memory);
        result
    }

    pub(crate) fn automorphism(&self, level: u32) -> &FourierGlev {
        &self.automorphisms[level as usize]
    }

    pub(crate) fn all_ones(&self) -> &[c64] {
        &self.all_ones
    }

    pub(crate) fn minus_last_monomial(&self) -> &[c64] {
        &self.minus_last_monomial
    }

    pub(crate) const fn scheme_switch(&self) -> &FourierGlev {
        &self.scheme_switch
    }
}

impl fmt::Debug for ExpandedEvaluationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpandedEvaluationKey")
            .field("parameter_set", &self.set.name)
            .finish_non_exhaustive()
    }
}
