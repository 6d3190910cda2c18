//! Modulus switch of a small LWE ciphertext to 2 N, the steps of a table, in centred form.

use crate::bootstrap::lwe::{Lwe, Small};
use crate::noise::{self, Variance};
use crate::parameters::Bootstrap;
use cipherfn_protocol::specs::Bits;
use tfhe::core_crypto::prelude::{
    CiphertextModulusLog, LweDimension, ModulusSwitchedLweCiphertext,
};

/// A ciphertext modulo 2 N.
pub(super) struct Switched {
    mask: Vec<usize>,
    body: usize,
    bits: u32,
}

impl Switched {
    /// Rounds `lwe` to `bits` bits, to multiples of 2^`functions_log2`.
    ///
    /// With r the rounding errors of the mask, `b - <round(a), s>` is off by -<r, s>, whose
    /// expectation over a binary key, minus half the sum of r, is known and taken off: that halves
    /// the variance. The body is rounded down: step i holds the numbers of [i, i + 1) / 2N, of which
    /// a table has the value in the middle. Where several functions share the table, a step is that
    /// of all their values, which lie side by side.
    pub(super) fn new(lwe: &Lwe<Small>, bits: u32, functions_log2: u32) -> Self {
        let shift = 64 - bits + functions_log2;
        let half = 1u64 << (shift - 1);
        let mut errors = 0i128;
        let mask = lwe.mask.iter().map(|word| {
            let rounded = word.wrapping_add(half) >> shift;
            errors += i128::from((rounded << shift).wrapping_sub(*word) as i64);
            ((rounded << functions_log2) as usize) & ((1 << bits) - 1)
        });
        let mask = mask.collect();
        let body = lwe.body.wrapping_add((errors / 2) as u64) >> shift;
        Self {
            mask,
            body: (body << functions_log2) as usize,
            bits,
        }
    }
}

#[cfg(test)]
impl Switched {
    /// What it decrypts to, modulo 2 N.
    pub(super) fn step(&self, key: &[u64]) -> usize {
        let products = self.mask.iter().zip(key);
        let product: usize = products.map(|(word, bit)| word * *bit as usize).sum();
        (self.body + (product << self.bits) - product) % (1 << self.bits)
    }
}

impl ModulusSwitchedLweCiphertext<usize> for Switched {
    fn log_modulus(&self) -> CiphertextModulusLog {
        CiphertextModulusLog(self.bits as usize)
    }

    fn lwe_dimension(&self) -> LweDimension {
        LweDimension(self.mask.len())
    }

    fn body(&self) -> usize {
        self.body
    }

    fn mask(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.mask.iter().copied()
    }
}

/// log2 of 2 N.
pub(super) const fn bits(bootstrap: &Bootstrap) -> u32 {
    bootstrap.output.polynomial_size.ilog2() + 1
}

/// Variance of the error of z that it adds: `(n/4 + 1) (2N)^(-2) / 12`, half of the mask's errors
/// (variance 1/4 of a coefficient around its mean) and the distance from a step's middle.
pub fn variance(bootstrap: &Bootstrap) -> Variance {
    variance_shared(bootstrap, 0)
}

/// [`variance`] where 2^`functions_log2` functions share the table: a step is as many times as long.
pub(crate) fn variance_shared(bootstrap: &Bootstrap, functions_log2: u32) -> Variance {
    let n = bootstrap.small.mask_len() as f64;
    (n / 4.0 + 1.0) * noise::rounding(Bits::new(bits(bootstrap) - functions_log2))
}

#[cfg(test)]
mod tests {
    use super::Switched;
    use crate::bootstrap::Lwe;
    use tfhe::core_crypto::prelude::{
        CiphertextModulus, CiphertextModulusLog, LweCiphertext, ModulusSwitchedLweCiphertext,
        lwe_ciphertext_centered_binary_modulus_switch,
    };

    /// Word by word what `tfhe`'s own centred switch gives, for 200 ciphertexts: its halves are
    /// rounded one by one, which a body at the edge of a step might show, with probability 2^-45.
    #[test]
    fn tfhe_agrees() {
        let word = |i: usize| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (i as u64) << 40;
        for index in 0..200 {
            let words: Vec<u64> = (0..769).map(|i| word(i * 200 + index)).collect();
            let theirs = LweCiphertext::from_container(&*words, CiphertextModulus::new_native());
            let theirs = lwe_ciphertext_centered_binary_modulus_switch::<u64, usize, _>(
                theirs,
                CiphertextModulusLog(11),
            );
            let ours = Switched::new(&Lwe::new(words[..768].to_vec(), words[768]), 11, 0);
            assert!(ours.mask().eq(theirs.mask()));
            assert_eq!(ours.body(), theirs.body());
            assert_eq!(ours.log_modulus(), theirs.log_modulus());
            assert_eq!(ours.lwe_dimension(), theirs.lwe_dimension());
        }
    }
}
