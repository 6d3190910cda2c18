//! Whether forms have kept to the table, told by the tables that they have turned.
//!
//! A table of half the torus, turned by z, has the residual of z in its first coefficient and that of z and a
//! quarter of the torus in its middle one. Residuals are an odd function that is nearly constant but around zero,
//! so the middle one is nearly constant, too, while z lies in the table, falls to nothing at both of the table's
//! ends, and is negative beyond. Summed over rows and steps it says how much of the forms was there. It costs an
//! extraction a row and a switch of keys a step; of single rows it says nothing, as nothing but the sum is
//! decrypted.

use crate::bootstrap::{self, BootstrapKey, Levelled, Lwe, Output, Rotated, module_switch};
use crate::error::SchemeError;
use crate::keys::SecretKey;
use crate::noise::Variance;
use crate::parameters::{Bootstrap, ParameterSet};

const WHAT: &str = "ciphertext of watched forms";

/// The sum over rows and steps of the tables' middle coefficients, under the secret key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch(Lwe<Levelled>);

impl Watch {
    /// Of no rows.
    pub fn none(set: &ParameterSet) -> Self {
        Self(Lwe::new(vec![0; set.mask_len()], 0))
    }

    /// What a turned table adds.
    pub(super) fn of(bootstrap: &BootstrapKey, turned: &Rotated) -> Lwe<Output> {
        turned.extract(bootstrap.parameters().output.polynomial_size / 2)
    }

    /// Adds what the rows of a step add.
    pub(super) fn add(
        &mut self,
        bootstrap: &BootstrapKey,
        rows: &Lwe<Output>,
    ) -> Result<(), SchemeError> {
        let rows = bootstrap.to_levelled(rows)?;
        self.0.add_multiple(&Lwe::extract(&rows, 0), 1)
    }

    /// The sum as a torus word, with its error.
    ///
    /// # Errors
    /// A key of another set.
    pub fn decrypt(&self, key: &SecretKey) -> Result<u64, SchemeError> {
        let coefficients = key.coefficients();
        if coefficients.len() != self.0.mask.len() {
            return Err(SchemeError::Count {
                what: WHAT,
                expected: coefficients.len(),
                found: self.0.mask.len(),
            });
        }
        let products = self.0.mask.iter().zip(coefficients);
        let masked = products.fold(0u64, |sum, (word, coefficient)| {
            sum.wrapping_add(word.wrapping_mul(*coefficient))
        });
        Ok(self.0.body.wrapping_sub(masked))
    }

    /// Bytes of one.
    pub const fn bytes(set: &ParameterSet) -> usize {
        (set.mask_len() + 1) * size_of::<u64>()
    }

    /// All bits: mask, then body.
    pub fn to_bytes(&self) -> Vec<u8> {
        let words = self.0.mask.iter().chain([&self.0.body]);
        words.flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Reads several, one behind the other. Any bits are some.
    ///
    /// # Errors
    /// Another number of bytes.
    pub fn read_sets(
        set: &ParameterSet,
        sets: usize,
        bytes: &[u8],
    ) -> Result<Vec<Self>, SchemeError> {
        let expected = sets * Self::bytes(set);
        if bytes.len() != expected {
            return Err(SchemeError::Length {
                what: WHAT,
                expected,
                found: bytes.len(),
            });
        }
        let read = |bytes: &[u8]| {
            let words = bytes.as_chunks().0.iter();
            let mut mask: Vec<u64> = words.map(|word| u64::from_le_bytes(*word)).collect();
            let body = mask.pop().unwrap_or_default();
            Self(Lwe::new(mask, body))
        };
        Ok(bytes.chunks_exact(Self::bytes(set)).map(read).collect())
    }
}

/// Variance of the error of the sum of so many rows in so many steps.
pub fn watch_variance(
    set: &ParameterSet,
    bootstrap: &Bootstrap,
    (rows, steps): (usize, usize),
) -> Variance {
    rows as f64 * bootstrap::rotation_variance(bootstrap)
        + steps as f64 * module_switch::variance_to_levelled(set, bootstrap)
}
