//! Seeded GLWE encryption: the masks of all ciphertexts of an object are one pseudo-random stream,
//! of which only the 16-byte seed travels.

use crate::error::SchemeError;
use crate::keys::{Multiplier, RingKey, SecretKey};
use crate::random::{self, Distribution, Noise};

pub(crate) use crate::random::{MaskSeed, Masks, SEED_LEN};

/// Encrypts polynomials under fresh seeds, one ciphertext after the other.
pub(crate) struct Encryptor<'a> {
    key: Multiplier<'a>,
    seed: MaskSeed,
    masks: Masks,
    noise: Noise,
    mask: Vec<u64>,
}

impl<'a> Encryptor<'a> {
    /// Seeds of masks and noise are the operating system's.
    pub(crate) fn new(key: &'a SecretKey) -> Result<Self, SchemeError> {
        let noise = Distribution::TUniform(key.parameter_set().ring.noise_bound_log2);
        Self::under(key.ring(), noise, *random::seed()?, 0)
    }

    /// Under any key, with the stream of `seed` from its word `masks_from` on. The noise's seed is
    /// the operating system's.
    pub(crate) fn under(
        key: &'a RingKey,
        noise: Distribution,
        seed: MaskSeed,
        masks_from: usize,
    ) -> Result<Self, SchemeError> {
        let mut masks = Masks::new(seed);
        masks.skip(masks_from);
        Ok(Self {
            key: key.multiplier(),
            seed,
            masks,
            noise: Noise::new(&*random::seed()?, noise),
            mask: vec![0; key.coefficients().len()],
        })
    }

    /// The seed of the masks.
    pub(crate) const fn seed(&self) -> MaskSeed {
        self.seed
    }

    /// `words`, a message of N coefficients, become the body of the next ciphertext: `m + a s + e`.
    pub(crate) fn encrypt(&mut self, words: &mut [u64]) {
        self.masks.fill(&mut self.mask);
        add(words, self.key.product(&self.mask));
        self.noise.add(words);
    }

    /// [`Self::encrypt`] of the coefficients at `positions` alone.
    pub(crate) fn encrypt_at(&mut self, positions: &[usize], words: &mut [u64]) {
        self.masks.fill(&mut self.mask);
        add(words, self.key.product_at(&self.mask, positions));
        self.noise.add(words);
    }
}

fn add(words: &mut [u64], product: &[u64]) {
    for (word, product) in words.iter_mut().zip(product) {
        *word = word.wrapping_add(*product);
    }
}

#[cfg(test)]
mod tests {
    use super::{Encryptor, Masks};
    use crate::keys::SecretKey;
    use crate::parameters::ParameterSet;
    use tfhe::core_crypto::prelude::{
        CiphertextModulus, GlweCiphertext, GlweSecretKey, PlaintextCount, PlaintextList,
        PolynomialSize, decrypt_glwe_ciphertext,
    };

    /// `tfhe` decrypts what is encrypted here, with an error of 2^17 units at most.
    #[test]
    fn ciphertexts_are_those_of_tfhe() {
        for set in ParameterSet::all() {
            let key = SecretKey::generate(set).unwrap();
            let size = set.ring.polynomial_size;
            let theirs =
                GlweSecretKey::from_container(key.coefficients().to_vec(), PolynomialSize(size));
            let message: Vec<u64> = (0..size as u64).map(|i| i << 50).collect();
            let mut encryptor = Encryptor::new(&key).unwrap();
            let mut masks = Masks::new(encryptor.seed());
            for _ in 0..3 {
                let mut words = vec![0; set.mask_len()];
                masks.fill(&mut words);
                let mut body = message.clone();
                encryptor.encrypt(&mut body);
                words.extend(body);
                let ciphertext = GlweCiphertext::from_container(
                    words,
                    PolynomialSize(size),
                    CiphertextModulus::new_native(),
                );
                let mut phases = PlaintextList::new(0, PlaintextCount(size));
                decrypt_glwe_ciphertext(&theirs, &ciphertext, &mut phases);
                for (phase, message) in phases.as_ref().iter().zip(&message) {
                    let error = phase.wrapping_sub(*message) as i64;
                    assert!(error.abs() <= 1 << set.ring.noise_bound_log2, "{error}");
                }
            }
        }
    }
}
