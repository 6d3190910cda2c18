//! Seeded GLWE encryption: the masks of all ciphertexts of an object are one pseudo-random stream,
//! of which only the 16-byte seed travels.

use crate::parameters::ParameterSet;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Block};
use tfhe::core_crypto::commons::generators::EncryptionRandomGenerator;
use tfhe::core_crypto::commons::math::random::{
    CompressionSeed, DefaultRandomGenerator, Seed, TUniform,
};
use tfhe::core_crypto::prelude::{
    CiphertextModulus, GlweCiphertextCount, GlweSecretKey, PlaintextList, PolynomialSize,
    SeededGlweCiphertextList, encrypt_seeded_glwe_ciphertext_list_with_pre_seeded_generator,
};
use tfhe::core_crypto::seeders::new_seeder;

/// Bytes of a seed.
pub(crate) const SEED_LEN: usize = 16;
/// Seed of a mask stream.
pub(crate) type MaskSeed = [u8; SEED_LEN];

/// Encrypts every polynomial of `plaintexts` (torus words) under `key`; gives the seed of the masks
/// and the bodies.
///
/// Noise and seed are fresh from the system's entropy.
pub(crate) fn encrypt(
    set: &ParameterSet,
    key: &GlweSecretKey<Vec<u64>>,
    plaintexts: &[u64],
) -> (MaskSeed, Vec<u64>) {
    let size = PolynomialSize(set.ring.polynomial_size);
    let mut seeder = new_seeder();
    let seed = seeder.seed();
    let compression = CompressionSeed::from(Seed(seed.0));
    let mut generator = EncryptionRandomGenerator::<DefaultRandomGenerator>::new(
        compression.clone(),
        seeder.as_mut(),
    );
    let count = GlweCiphertextCount(plaintexts.len() / set.ring.polynomial_size);
    let glwe_size = key.glwe_dimension().to_glwe_size();
    let mut bodies = SeededGlweCiphertextList::new(
        0u64,
        glwe_size,
        size,
        count,
        compression,
        CiphertextModulus::new_native(),
    );
    encrypt_seeded_glwe_ciphertext_list_with_pre_seeded_generator(
        key,
        &mut bodies,
        &PlaintextList::from_container(plaintexts),
        TUniform::new(set.ring.noise_bound_log2),
        &mut generator,
    );
    (seed.0.to_le_bytes(), bodies.into_container())
}

/// The mask stream of a seed: AES-128 of the counter 0, 1, ... (little endian) under the seed.
///
/// `tfhe`'s generator gives the same stream a byte at a time, at a fifteenth of the speed or less.
pub(crate) struct Masks {
    cipher: Aes128,
    counter: u128,
}

impl Masks {
    pub(crate) fn new(seed: MaskSeed) -> Self {
        Self {
            cipher: Aes128::new(&seed.into()),
            counter: 0,
        }
    }

    /// Leaves out `words` words, an even number.
    pub(crate) fn skip(&mut self, words: usize) {
        self.counter += words as u128 / 2;
    }

    /// The mask of the next ciphertext: k N words, an even number.
    pub(crate) fn fill(&mut self, mask: &mut [u64]) {
        const BLOCKS: usize = 32;
        debug_assert!(mask.len().is_multiple_of(2), "masks are whole blocks");
        let mut blocks = [Block::default(); BLOCKS];
        for words in mask.chunks_mut(2 * BLOCKS) {
            let blocks = &mut blocks[..words.len() / 2];
            for block in blocks.iter_mut() {
                *block = self.counter.to_le_bytes().into();
                self.counter += 1;
            }
            self.cipher.encrypt_blocks(blocks);
            for (words, block) in words.chunks_exact_mut(2).zip(blocks) {
                let value = u128::from_le_bytes((*block).into());
                (words[0], words[1]) = (value as u64, (value >> 64) as u64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Masks;
    use tfhe::core_crypto::commons::math::random::{DefaultRandomGenerator, RandomGenerator, Seed};

    #[test]
    fn masks_are_the_stream_of_tfhe() {
        for seed in [0, 1, 0x0123_4567_89ab_cdef_0011_2233_4455_6677] {
            let mut theirs = vec![0u64; 1000];
            RandomGenerator::<DefaultRandomGenerator>::new(Seed(seed))
                .fill_slice_with_random_uniform(&mut theirs);
            let mut ours = vec![0u64; 1000];
            let mut masks = Masks::new(seed.to_le_bytes());
            ours.chunks_mut(250).for_each(|mask| masks.fill(mask));
            assert_eq!(ours, theirs);
        }
    }
}
