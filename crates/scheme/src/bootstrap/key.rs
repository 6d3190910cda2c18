//! Making the bootstrap part of an evaluation key, by the client.

use crate::bits;
use crate::error::SchemeError;
use crate::keys::{RingKey, SecretKey};
use crate::parameters::{Bootstrap, KeyPart, Section};
use crate::random::Distribution;
use crate::seeded::{Encryptor, MaskSeed};
use cipherfn_protocol::specs::Gadget;
use zeroize::Zeroizing;

/// What separates the keys of bootstraps from any other use of the seed.
const SMALL_CONTEXT: &str = "cipherfn secret key v2 bootstrap small key";
const OUTPUT_CONTEXT: &str = "cipherfn secret key v2 bootstrap output key";

/// The keys of a bootstrap beside the secret key itself. Each part has its own.
pub(crate) struct Keys {
    /// s.
    pub(crate) small: RingKey,
    /// S2.
    pub(crate) output: RingKey,
}

impl Keys {
    /// They follow from the secret key and the part.
    pub(crate) fn of(secret: &SecretKey, part: &KeyPart, bootstrap: &Bootstrap) -> Self {
        let label = part.hash(secret.parameter_set());
        let derive = |context, dimensions| secret.derive(context, label.as_bytes(), dimensions);
        let (small, output) = (&bootstrap.small, &bootstrap.output);
        Self {
            small: derive(SMALL_CONTEXT, (small.glwe_dimension, small.polynomial_size)),
            output: derive(
                OUTPUT_CONTEXT,
                (output.glwe_dimension, output.polynomial_size),
            ),
        }
    }
}

/// The packed bodies of a part under masks of `seed`. `progress` is told how many ciphertexts of how
/// many are done.
pub(crate) fn generate(
    secret: &SecretKey,
    (part, bootstrap): (&KeyPart, &Bootstrap),
    seed: MaskSeed,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<u8>, SchemeError> {
    let set = secret.parameter_set();
    let keys = Keys::of(secret, part, bootstrap);
    let sections = bootstrap.sections(set);
    let mut writer = Writer {
        seed,
        bodies: Vec::with_capacity(sections.bodies_len()),
        rows: (0, sections.rows()),
        progress,
    };
    let small_noise = Distribution::Gaussian(2f64.powf(64.0 + bootstrap.small.deviation_log2));
    for (section, old) in [
        (&sections.from_levelled, secret.ring()),
        (&sections.from_output, &keys.output),
    ] {
        writer.write(section, (&keys.small, small_noise), |row, out| {
            glev_row(old, bootstrap.key_switch, row, out);
        })?;
    }
    let levelled_noise = Distribution::TUniform(set.ring.noise_bound_log2);
    writer.write(
        &sections.to_levelled,
        (secret.ring(), levelled_noise),
        |row, out| glev_row(&keys.output, bootstrap.back, row, out),
    )?;
    let output_noise = Distribution::TUniform(bootstrap.output.noise_bound_log2);
    writer.write(
        &sections.rotation,
        (&keys.output, output_noise),
        |row, out| ggsw_row(&keys, bootstrap.rotation, row, out),
    )?;
    Ok(writer.bodies)
}

struct Writer<'a> {
    seed: MaskSeed,
    bodies: Vec<u8>,
    /// Done, and all.
    rows: (usize, usize),
    progress: &'a mut dyn FnMut(usize, usize),
}

impl Writer<'_> {
    /// Encrypts what `plaintext` makes of zeros for each row.
    fn write(
        &mut self,
        section: &Section,
        (key, noise): (&RingKey, Distribution),
        plaintext: impl Fn(usize, &mut [u64]),
    ) -> Result<(), SchemeError> {
        let mut encryptor = Encryptor::under(key, noise, self.seed, section.masks_from)?;
        let mut words = Zeroizing::new(vec![0; section.size]);
        for row in 0..section.rows {
            words.fill(0);
            plaintext(row, &mut words);
            encryptor.encrypt(&mut words);
            bits::pack(&mut self.bodies, words.iter().copied(), section.body_bits);
            self.rows.0 += 1;
            (self.progress)(self.rows.0, self.rows.1);
        }
        Ok(())
    }
}

/// Row `row` of the `GLev` ciphertexts of `old`'s polynomials of `out`'s size: 2^64 / B^i times one
/// of them.
fn glev_row(old: &RingKey, gadget: Gadget, row: usize, out: &mut [u64]) {
    let levels = gadget.levels.get() as usize;
    let (polynomial, level) = (row / levels, row % levels + 1);
    let shift = 64 - gadget.base_log.get() * level as u32;
    let key = &old.coefficients()[polynomial * out.len()..];
    out.iter_mut()
        .zip(key)
        .for_each(|(out, bit)| *out = bit << shift);
}

/// Row `row` of the GGSW ciphertexts of s under S2, in the order of
/// [`crate::selectors::FourierSelectors`].
fn ggsw_row(keys: &Keys, gadget: Gadget, row: usize, out: &mut [u64]) {
    let dimension = keys.output.coefficients().len() / out.len();
    let levels = gadget.levels.get() as usize;
    let (ggsw, polynomial) = (row / (dimension + 1), row % (dimension + 1));
    let (index, level) = (ggsw / levels, levels - ggsw % levels);
    let scaled = keys.small.coefficients()[index] << (64 - gadget.base_log.get() * level as u32);
    if polynomial == dimension {
        out[0] = scaled;
        return;
    }
    let key = &keys.output.coefficients()[polynomial * out.len()..];
    out.iter_mut()
        .zip(key)
        .for_each(|(out, bit)| *out = bit.wrapping_mul(scaled).wrapping_neg());
}
