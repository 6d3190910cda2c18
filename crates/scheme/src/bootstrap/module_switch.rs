//! Key switching of LWE ciphertexts by products of polynomials.
//!
//! An LWE ciphertext (a, b) under a key of K N' coefficients, read as K polynomials `S_j` of size
//! N', is the constant coefficient of a GLWE ciphertext of K masks:
//!
//! ```text
//! a_j(X) = a_(j,0) - a_(j,1) X^(N'-1) - ... - a_(j,N'-1) X       <a, S> = (sum_j a_j S_j)(0)
//! ```
//!
//! With `GLev` ciphertexts of `S_j` under the new key, `(0, b) - sum_j a_j GLev(S_j)` encrypts the same
//! constant coefficient. An LWE key switch takes K N' l sums of whole ciphertexts; this one K l small
//! Fourier transforms and products, and its key is N' times smaller.

use crate::bootstrap::digits::{self, Digits};
use crate::bootstrap::lwe::{Lwe, require_len};
use crate::error::SchemeError;
use crate::fourier::{Transform, c64, multiply_add};
use crate::glev::zeroed;
use crate::glwe::Glwe;
use crate::noise::{self, Variance};
use crate::parameters::{Bootstrap, ParameterSet};
use aligned_vec::AVec;
use cipherfn_protocol::specs::Gadget;
use std::marker::PhantomData;

/// Switches ciphertexts under a key `K` to a module key.
pub(super) struct ModuleSwitch<K> {
    gadget: Gadget,
    /// GLWE dimension k' of the new key.
    dimension: usize,
    transform: Transform,
    /// For each polynomial of the old key and each level, the first one first: k' masks, body.
    rows: AVec<c64>,
    key: PhantomData<K>,
}

impl<K> ModuleSwitch<K> {
    pub(super) fn new(
        gadget: Gadget,
        (dimension, transform, rows): (usize, Transform, AVec<c64>),
    ) -> Self {
        Self {
            gadget,
            dimension,
            transform,
            rows,
            key: PhantomData,
        }
    }

    /// Complex values of its key.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// A ciphertext under the new key whose constant coefficient is the message; the others are
    /// whatever the mask makes of the keys.
    pub(super) fn switch(&self, lwe: &Lwe<K>) -> Result<Glwe, SchemeError> {
        let (size, half) = (
            self.transform.polynomial_size(),
            self.transform.fourier_size(),
        );
        let row_len = (self.dimension + 1) * half;
        let levels = self.gadget.levels.get() as usize;
        require_len(self.rows.len() / (levels * row_len) * size, lwe.mask.len())?;
        let mut scratch = self.transform.scratch();
        let mut digit = zeroed(half);
        let mut sums = zeroed(row_len);
        let glevs = self.rows.chunks_exact(levels * row_len);
        for (mask, glev) in lwe.mask.chunks_exact(size).zip(glevs) {
            let (first, others) = (mask[0], mask[1..].iter().rev());
            let polynomial = [first]
                .into_iter()
                .chain(others.map(|word| word.wrapping_neg()));
            let mut digits = Digits::new(polynomial, self.gadget);
            for row in glev.chunks_exact(row_len).rev() {
                self.transform
                    .forward_integer(&mut digit, digits.next_level(), &mut scratch);
                for (sum, values) in sums.chunks_exact_mut(half).zip(row.chunks_exact(half)) {
                    multiply_add(sum, &digit, values);
                }
            }
        }
        let mut words = vec![0; (self.dimension + 1) * size];
        for (out, sum) in words
            .chunks_exact_mut(size)
            .zip(sums.chunks_exact_mut(half))
        {
            self.transform
                .backward_torus_in_place(out, sum, &mut scratch);
        }
        for word in &mut words {
            *word = word.wrapping_neg();
        }
        let mut body = words.split_off(self.dimension * size);
        body[0] = body[0].wrapping_add(lwe.body);
        Ok(Glwe { mask: words, body })
    }
}

/// Variance that the switch from S1 or S2 to s adds: `K N' l (B^2 - 1 + 3/(B + 1))/12 (sigma^2 +
/// rounding)`, and
/// what the decomposition leaves of the mask, `K N'/2 B^(-2l)/12`, as half of the key's coefficients
/// are 1.
pub fn variance_to_small(set: &ParameterSet, bootstrap: &Bootstrap) -> Variance {
    let small = &bootstrap.small;
    let row =
        Variance::new(2f64.powf(2.0 * small.deviation_log2)) + noise::rounding(small.body_bits);
    variance(
        bootstrap.key_switch,
        (set.mask_len(), small.polynomial_size),
        small.mask_len(),
        row,
    )
}

/// Variance that the switch from S2 to S1 adds.
pub fn variance_to_levelled(set: &ParameterSet, bootstrap: &Bootstrap) -> Variance {
    let ring = &set.ring;
    variance(
        bootstrap.back,
        (bootstrap.output.mask_len(), ring.polynomial_size),
        set.mask_len(),
        noise::fresh(set) + noise::rounding(ring.body_bits),
    )
}

/// With the transform's error, of which that of a mask is multiplied by the new key.
fn variance(
    gadget: Gadget,
    (old_len, size): (usize, usize),
    new_len: usize,
    row: Variance,
) -> Variance {
    let old_len = old_len as f64;
    let products = old_len / size as f64 * (1.0 + new_len as f64 / 2.0);
    old_len * digits::mean_square(gadget) * row
        + old_len / 2.0 * noise::last_digit(gadget)
        + products * noise::product_error(size as f64, gadget, 1.0 / 12.0)
}
