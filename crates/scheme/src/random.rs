//! Randomness: seeds from the operating system, and the streams that they are expanded to.
//!
//! Every seed, on every platform, is the operating system's (`getrandom`; in a browser
//! `crypto.getRandomValues`). `tfhe`'s own choice is the processor's RDSEED alone where there is
//! one, and a panic on wasm32.

use crate::error::SchemeError;
use aes::{Aes128, Block, Cipher};
use zeroize::{Zeroize, Zeroizing};

mod aes;
#[cfg(any(test, target_family = "wasm"))]
mod chacha;

/// What noise is drawn from, under a key of 256 bits: what is fast where it is drawn, as nobody else
/// expands it.
#[cfg(not(target_family = "wasm"))]
type NoiseStream = AesStream<aes::Aes256>;
#[cfg(target_family = "wasm")]
use chacha::ChaChaStream as NoiseStream;

/// `N` bytes from the operating system.
pub(crate) fn seed<const N: usize>() -> Result<Zeroizing<[u8; N]>, SchemeError> {
    let mut seed = Zeroizing::new([0; N]);
    #[cfg(test)]
    if reproducible::fill(seed.as_mut()) {
        return Ok(seed);
    }
    getrandom::fill(seed.as_mut()).map_err(SchemeError::Randomness)?;
    Ok(seed)
}

/// AES of the counter 0, 1, ... (little endian), as words.
pub(crate) struct AesStream<C> {
    cipher: C,
    counter: u128,
}

impl<C: Cipher> AesStream<C> {
    fn with_key(key: &C::Key) -> Self {
        Self {
            cipher: C::new(key),
            counter: 0,
        }
    }

    /// The next words, an even number.
    pub(crate) fn fill(&mut self, out: &mut [u64]) {
        // As many as the vector units of any processor work on at a time.
        const BLOCKS: usize = 32;
        debug_assert!(out.len().is_multiple_of(2), "whole blocks");
        let mut blocks = [Block::default(); BLOCKS];
        for words in out.chunks_mut(2 * BLOCKS) {
            let blocks = &mut blocks[..words.len() / 2];
            for block in blocks.iter_mut() {
                *block = self.counter.to_le_bytes();
                self.counter += 1;
            }
            self.cipher.encrypt(blocks);
            for (word, bytes) in words.iter_mut().zip(blocks.as_flattened().as_chunks().0) {
                *word = u64::from_le_bytes(*bytes);
            }
        }
        // They can be noise, and noise with its ciphertext is equations for the key.
        blocks.as_flattened_mut().zeroize();
    }

    /// Leaves out `words` words, an even number.
    pub(crate) fn skip(&mut self, words: usize) {
        self.counter += words as u128 / 2;
    }
}

/// The mask stream of a seed: AES-128.
///
/// `tfhe`'s generator gives the same stream a byte at a time, at a fifteenth of the speed or less.
pub(crate) type Masks = AesStream<Aes128>;

/// Bytes of a mask seed.
pub(crate) const SEED_LEN: usize = 16;
/// Seed of a mask stream. It travels.
pub(crate) type MaskSeed = [u8; SEED_LEN];

impl Masks {
    pub(crate) fn new(seed: MaskSeed) -> Self {
        Self::with_key(&seed)
    }
}

/// Distribution of noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Distribution {
    /// `TUniform(b)`.
    TUniform(u32),
    /// Gaussian of this standard deviation in units of 2^-64, rounded to such units.
    Gaussian(f64),
}

/// Noise: a stream under a key that is used for one object and forgotten.
pub(crate) struct Noise {
    stream: NoiseStream,
    distribution: Distribution,
}

impl Noise {
    pub(crate) fn new(seed: &[u8; 32], distribution: Distribution) -> Self {
        // Two samples a word.
        debug_assert!(
            !matches!(distribution, Distribution::TUniform(31..)),
            "b + 2 bits of a half word"
        );
        Self {
            stream: NoiseStream::with_key(seed),
            distribution,
        }
    }

    /// Adds a sample to each word.
    pub(crate) fn add(&mut self, out: &mut [u64]) {
        match self.distribution {
            Distribution::TUniform(bound_log2) => self.add_t_uniform(out, bound_log2),
            Distribution::Gaussian(deviation) => self.add_gaussian(out, deviation),
        }
    }

    fn add_t_uniform(&mut self, out: &mut [u64], bound_log2: u32) {
        let mut random = Zeroizing::new([0; 64]);
        for out in out.chunks_mut(2 * random.len()) {
            let random = &mut random[..out.len().div_ceil(4) * 2];
            self.stream.fill(random);
            for (out, random) in out.chunks_mut(2).zip(random.iter()) {
                for (out, random) in out.iter_mut().zip([*random, random >> 32]) {
                    *out = out.wrapping_add(t_uniform(random, bound_log2));
                }
            }
        }
    }

    fn add_gaussian(&mut self, out: &mut [u64], deviation: f64) {
        let mut random = Zeroizing::new([0; 64]);
        for out in out.chunks_mut(random.len()) {
            let random = &mut random[..out.len().div_ceil(2) * 2];
            self.stream.fill(random);
            for (out, random) in out.chunks_mut(2).zip(random.chunks_exact(2)) {
                for (out, sample) in out.iter_mut().zip(gaussian(random[0], random[1])) {
                    let sample = (sample * deviation).round();
                    *out = out.wrapping_add(sample as i64 as u64);
                }
            }
        }
    }
}

/// Two independent normal samples (Box and Muller) from 106 uniform bits. The largest is 8.6
/// standard deviations.
fn gaussian(radius: u64, angle: u64) -> [f64; 2] {
    const UNIT: f64 = 1.0 / (1u64 << 53) as f64;
    // In (0, 1]: a logarithm of zero is none.
    let uniform = ((radius >> 11) + 1) as f64 * UNIT;
    let radius = (-2.0 * uniform.ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * ((angle >> 11) as f64 * UNIT)).sin_cos();
    [radius * cos, radius * sin]
}

/// A sample of `TUniform(b)` from b + 2 uniform bits: -2^b and 2^b with probability 2^-(b+2), all
/// between with twice that.
const fn t_uniform(random: u64, bound_log2: u32) -> u64 {
    let bits = random & ((1 << (bound_log2 + 2)) - 1);
    (bits >> 1)
        .wrapping_add(bits & 1)
        .wrapping_sub(1 << bound_log2)
}

/// Seeds that are the same in every run, for the tests of distributions: with seeds of the system
/// they would fail now and then, however wide their tolerance.
#[cfg(test)]
pub(crate) mod reproducible {
    use std::cell::RefCell;

    thread_local! {
        static STREAM: RefCell<Option<blake3::OutputReader>> = const { RefCell::new(None) };
    }

    /// From here on this thread's seeds follow from `name`.
    pub(crate) fn seeds(name: &str) {
        let mut hasher = blake3::Hasher::new();
        let stream = hasher.update(name.as_bytes()).finalize_xof();
        STREAM.with_borrow_mut(|own| *own = Some(stream));
    }

    pub(super) fn fill(seed: &mut [u8]) -> bool {
        STREAM.with_borrow_mut(|stream| stream.as_mut().map(|stream| stream.fill(seed)).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::{Distribution, Masks, Noise, seed, t_uniform};
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
            let mut masks = Masks::new(seed.to_le_bytes());
            masks.skip(600);
            masks.fill(&mut ours[..10]);
            assert_eq!(ours[..10], theirs[600..610]);
        }
    }

    /// All 2^(b+2) values of the random bits.
    #[test]
    fn samples_have_the_distribution() {
        for bound in [1, 4] {
            let mut counts = vec![0; (2 << bound) + 1];
            for random in 0..1 << (bound + 2) {
                // Bits above do not matter.
                let sample = t_uniform(random | 0xabcd << 40, bound) as i64;
                counts[(sample + (1 << bound)) as usize] += 1;
            }
            let last = counts.len() - 1;
            assert_eq!((counts[0], counts[last]), (1, 1));
            assert!(counts[1..last].iter().all(|count| *count == 2));
        }
    }

    #[test]
    fn noise_does_not_repeat() {
        let mut words = vec![0; 1001];
        let mut noise = Noise::new(&[7; 32], Distribution::TUniform(17));
        words.chunks_mut(333).for_each(|words| noise.add(words));
        let mut sorted = words.clone();
        sorted.sort_unstable();
        sorted.dedup();
        // Of 1,001 samples of 2^18 values about two coincide.
        assert!(sorted.len() > 980, "{}", sorted.len());
        assert!(words.iter().all(|word| (*word as i64).abs() <= 1 << 17));
    }

    /// 2^17 samples of deviation 2^48: the first four moments within 5 of their own deviations, and as
    /// many beyond each of 1 to 4 deviations as a normal variable has. Odd counts end well.
    #[test]
    fn gaussian_samples_have_the_distribution() {
        let (count, deviation) = (1 << 17, 2f64.powi(48));
        let mut words = vec![0; count + 1];
        let mut noise = Noise::new(&[9; 32], Distribution::Gaussian(deviation));
        words.chunks_mut(333).for_each(|words| noise.add(words));
        let samples: Vec<f64> = words[..count]
            .iter()
            .map(|word| *word as i64 as f64 / deviation)
            .collect();
        let n = count as f64;
        let moment = |power| samples.iter().map(|x| x.powi(power)).sum::<f64>() / n;
        // The variance of x^k is the moment of order 2 k (1, 3, 15, 105) minus the square of k's.
        assert!(moment(1).abs() < 5.0 / n.sqrt());
        assert!((moment(2) - 1.0).abs() < 5.0 * (2.0 / n).sqrt());
        assert!(moment(3).abs() < 5.0 * (15.0 / n).sqrt());
        assert!((moment(4) - 3.0).abs() < 5.0 * (96.0 / n).sqrt());
        for (bound, part) in [
            (1.0, 0.317_311),
            (2.0, 0.045_500),
            (3.0, 0.002_700),
            (4.0, 6.334e-5),
        ] {
            let beyond = samples.iter().filter(|x| x.abs() > bound).count() as f64;
            assert!(
                (beyond - part * n).abs() < 5.0 * (part * n).sqrt(),
                "{bound}: {beyond}"
            );
        }
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(*seed::<32>().unwrap(), *seed::<32>().unwrap());
    }
}
