//! Blind rotation: a table, turned by an encrypted number.
//!
//! The accumulator starts as the table times X^-b; each coefficient `a_i` of the mask turns it on by
//! `X^(a_i)` where the key's bit `s_i` is 1: `acc += GGSW(s_i) (X^(a_i) acc - acc)`, n CMUXes of (k +
//! 1) l + k + 1 Fourier transforms. Its constant coefficient is then the entry at b - <a, s>.
//!
//! The kernel is `tfhe`'s: of a batch, all accumulators take one CMUX after the other, so that a key
//! of 60 to 120 MB is read once a batch and not once a number.

use crate::bootstrap::expanded::BootstrapKey;
use crate::bootstrap::lwe::{Levelled, Lwe, Output, Small, require_len};
use crate::bootstrap::modulus_switch::{self, Switched};
use crate::bootstrap::table::Table;
use crate::error::SchemeError;
use crate::fourier::{Transform, c64};
use crate::glwe::Glwe;
use crate::selectors::FourierSelectors;
use dyn_stack::{PodBuffer, PodStack};
use rayon::prelude::*;
use tfhe::core_crypto::fft_impl::fft64::crypto::bootstrap::{
    FourierLweBootstrapKeyView, batch_blind_rotate_assign_scratch,
};
use tfhe::core_crypto::prelude::{
    CiphertextCount, CiphertextModulus, DecompositionBaseLog, DecompositionLevelCount,
    GlweCiphertextList, GlweSize, LweDimension, PolynomialSize,
};

/// Numbers that are rotated together: twice as many are no faster, and their accumulators leave the
/// cache.
pub const BATCH: usize = 16;

/// A turned table, under S2: its constant coefficient is the function's value, the others are the
/// entries beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated(Glwe);

impl Rotated {
    /// Coefficient `position`.
    pub fn extract(&self, position: usize) -> Lwe<Output> {
        Lwe::extracted(&self.0, position)
    }
}

impl BootstrapKey {
    /// Turns a table by each number, on all threads of the current pool.
    pub fn rotate(&self, numbers: &[(Lwe<Small>, &Table)]) -> Result<Vec<Rotated>, SchemeError> {
        let share = numbers.len().div_ceil(rayon::current_num_threads());
        let batches: Vec<Vec<Rotated>> = numbers
            .par_chunks(share.clamp(1, BATCH))
            .map(|batch| self.rotate_batch(batch))
            .collect::<Result<_, _>>()?;
        Ok(batches.into_iter().flatten().collect())
    }

    /// The function's value for each number: the constant coefficients of [`Self::rotate`].
    pub fn bootstrap(
        &self,
        numbers: &[(Lwe<Small>, &Table)],
    ) -> Result<Vec<Lwe<Output>>, SchemeError> {
        let rotated = self.rotate(numbers)?;
        Ok(rotated.iter().map(|rotated| rotated.extract(0)).collect())
    }

    /// From numbers of the levelled ring to their values there, as constant coefficients: on this
    /// thread, all at once ([`BATCH`] of them at best).
    pub fn evaluate(&self, batch: &[(Lwe<Levelled>, Table)]) -> Result<Vec<Glwe>, SchemeError> {
        let rotated = self.rotate_levelled(batch)?;
        let back = |rotated: &Rotated| self.to_levelled(&rotated.extract(0));
        rotated.iter().map(back).collect()
    }

    /// Turns a table by each number of the levelled ring: on this thread, all at once ([`BATCH`] of them
    /// at best).
    pub(crate) fn rotate_levelled(
        &self,
        batch: &[(Lwe<Levelled>, Table)],
    ) -> Result<Vec<Rotated>, SchemeError> {
        let small = |(number, table)| Ok((self.from_levelled(number)?, table));
        let numbers = batch
            .iter()
            .map(|(number, table)| (number, table))
            .map(small);
        let numbers = numbers.collect::<Result<Vec<_>, SchemeError>>()?;
        self.rotate_batch(&numbers)
    }

    /// [`Self::rotate`] on this thread, all at once.
    pub(crate) fn rotate_batch(
        &self,
        batch: &[(Lwe<Small>, &Table)],
    ) -> Result<Vec<Rotated>, SchemeError> {
        let ring = &self.parameters().output;
        let (size, mask_len) = (ring.polynomial_size, ring.mask_len());
        let mut switched = Vec::with_capacity(batch.len());
        let mut words = Vec::with_capacity(batch.len() * (mask_len + size));
        for (number, table) in batch {
            require_len(self.parameters().small.mask_len(), number.mask.len())?;
            if table.words.len() != size {
                return Err(SchemeError::Count {
                    what: "entries of a table",
                    expected: size,
                    found: table.words.len(),
                });
            }
            let bits = modulus_switch::bits(self.parameters());
            switched.push(Switched::new(number, bits, table.functions_log2));
            words.resize(words.len() + mask_len, 0);
            words.extend_from_slice(&table.words);
        }
        let (glwe_size, polynomial_size) = (
            GlweSize(ring.glwe_dimension + 1),
            PolynomialSize(ring.polynomial_size),
        );
        let transform = Transform::new(size);
        let fft = transform.as_tfhe();
        let mut accumulators = GlweCiphertextList::from_container(
            words,
            glwe_size,
            polynomial_size,
            CiphertextModulus::new_native(),
        );
        let mut memory = PodBuffer::new(batch_blind_rotate_assign_scratch::<u64>(
            glwe_size,
            polynomial_size,
            CiphertextCount(batch.len()),
            fft,
        ));
        view(self.rotation()).batch_blind_rotate_assign(
            accumulators.as_mut_view(),
            &switched,
            fft,
            PodStack::new(&mut memory),
        );
        let words = accumulators.into_container();
        let rotated = words.chunks_exact(mask_len + size).map(|glwe| {
            let (mask, body) = glwe.split_at(mask_len);
            Rotated(Glwe {
                mask: mask.to_vec(),
                body: body.to_vec(),
            })
        });
        Ok(rotated.collect())
    }
}

/// The key as `tfhe` sees it: GGSW ciphertexts one after the other.
fn view(ggsws: &FourierSelectors) -> FourierLweBootstrapKeyView<'_> {
    let shape = ggsws.shape();
    let values: &[c64] = ggsws.values();
    FourierLweBootstrapKeyView::from_container(
        values,
        LweDimension(ggsws.len()),
        GlweSize(shape.glwe_dimension + 1),
        PolynomialSize(shape.polynomial_size),
        DecompositionBaseLog(shape.gadget.base_log.get() as usize),
        DecompositionLevelCount(shape.gadget.levels.get() as usize),
    )
}
