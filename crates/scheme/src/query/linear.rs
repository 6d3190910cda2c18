//! The input of a linear model: GLWE ciphertexts of which only the body coefficients that reach a
//! result travel.
//!
//! Result `c` of `C` is coefficient `c` of the input times a weight polynomial whose exponents are
//! `c' - j C` for every result `c'` and feature `j` of the ciphertext, so body coefficients
//! `c - c' + j C` reach it: `-(C - 1) ..= F C - 1` for `F` features. Those between the features
//! encrypt zero, but the mask's product with the key is in them and has to cancel.
//!
//! Features that stand [together](FeatureForm::Together) have the results apart: result `c` is
//! coefficient `c S`, exponents are `c' S - j`, and body coefficients `(c - c') S + j` reach it, of every
//! multiple of S the next `F`.

use super::{shape_error, split_seed};
use crate::bits::{self, packed_len};
use crate::error::SchemeError;
use crate::glwe::Glwe;
use crate::keys::SecretKey;
use crate::parameters::ParameterSet;
use crate::seeded::{Encryptor, Masks, SEED_LEN};
use cipherfn_protocol::specs::{Bits, FeatureForm};
use zeroize::Zeroizing;

/// Most features of a row.
const MAX_FEATURES: usize = 1 << 20;

/// Dimensions of a linear query row. Feature `i` is in ciphertext `i / block`.
#[derive(Clone, Copy, Debug)]
pub struct LinearQueryShape {
    /// Parameter set of the ciphertexts.
    pub set: &'static ParameterSet,
    /// Number of features.
    pub features: usize,
    /// Features in one ciphertext.
    pub block: usize,
    /// Distance of features in coefficients, or of results.
    pub stride: usize,
    /// Which of them.
    pub form: FeatureForm,
    /// Bits of a body coefficient that travel.
    pub body_bits: Bits,
}

impl LinearQueryShape {
    /// Bytes of one row: seed, then the body coefficients of all ciphertexts.
    pub const fn row_bytes(&self) -> usize {
        SEED_LEN.saturating_add(packed_len(self.words(), self.body_bits))
    }

    /// Body coefficients in a row.
    const fn words(&self) -> usize {
        if self.block == 0 {
            return 0;
        }
        let full = (self.features / self.block).saturating_mul(self.body_len(self.block));
        full.saturating_add(self.body_len(self.features % self.block))
    }

    /// Body coefficients that travel of a ciphertext with `features` features.
    pub(super) const fn body_len(&self, features: usize) -> usize {
        if features == 0 {
            return 0;
        }
        let needed = match self.form {
            FeatureForm::Apart => features
                .saturating_mul(self.stride)
                .saturating_add(self.stride.saturating_sub(1)),
            FeatureForm::Together if self.stride == 0 => 0,
            FeatureForm::Together => {
                features.saturating_mul(self.set.ring.polynomial_size / self.stride)
            }
        };
        if needed < self.set.ring.polynomial_size {
            needed
        } else {
            self.set.ring.polynomial_size
        }
    }

    /// Positions of these coefficients, in the order of travel: up from 0, then those below 0,
    /// which wrap around to the end. Of features together, up from 0.
    pub(super) fn body_positions(&self, features: usize) -> impl Iterator<Item = usize> {
        let (size, len) = (self.set.ring.polynomial_size, self.body_len(features));
        let below = match self.form {
            FeatureForm::Apart => self.stride.saturating_sub(1).min(len),
            FeatureForm::Together => 0,
        };
        // Features that follow each other, and how far it is from one such run to the next.
        let (run, step) = match self.form {
            FeatureForm::Apart => (len - below, size),
            FeatureForm::Together => (features, self.stride),
        };
        let runs = (0..size).step_by(step.max(1));
        runs.flat_map(move |start| start..start + run)
            .chain(size - below..size)
    }

    /// Distance in coefficients of the features of a ciphertext.
    pub(super) const fn feature_spacing(&self) -> usize {
        match self.form {
            FeatureForm::Apart => self.stride,
            FeatureForm::Together => 1,
        }
    }

    /// Coefficients in which features may stand.
    pub(super) const fn room(&self) -> usize {
        match self.form {
            FeatureForm::Apart => self.set.ring.polynomial_size,
            FeatureForm::Together => self.stride,
        }
    }

    /// Number of features of each ciphertext.
    pub(super) fn blocks(&self) -> impl Iterator<Item = usize> {
        (0..self.ciphertexts()).map(|index| self.block.min(self.features - index * self.block))
    }

    /// Number of ciphertexts in a row.
    pub const fn ciphertexts(&self) -> usize {
        if self.block == 0 {
            0
        } else {
            self.features.div_ceil(self.block)
        }
    }

    pub(super) fn check(&self) -> Result<(), SchemeError> {
        let problem = |problem| Err(shape_error(self.set, "linear query", problem));
        if self.features == 0 || self.features > MAX_FEATURES {
            return problem(format!("{} features", self.features));
        }
        let end = self
            .block
            .saturating_sub(1)
            .saturating_mul(self.feature_spacing());
        let room = self.room();
        let divides = || self.set.ring.polynomial_size.is_multiple_of(self.stride);
        if self.block == 0
            || self.stride == 0
            || end >= room
            || (self.form == FeatureForm::Together && !divides())
        {
            return problem(format!(
                "{} features at distance {} in a ciphertext",
                self.block, self.stride
            ));
        }
        if !self.body_bits.is_valid() {
            return problem(format!("bodies of {} bits", self.body_bits));
        }
        Ok(())
    }
}

/// Encrypts a row: `messages` are torus words (units of 2^-64), one a feature. Gives exactly
/// [`LinearQueryShape::row_bytes`] bytes.
pub fn encrypt_linear(
    key: &SecretKey,
    shape: &LinearQueryShape,
    messages: &[u64],
) -> Result<Vec<u8>, SchemeError> {
    shape.check()?;
    shape.set.require("secret key", key.parameter_set())?;
    if messages.len() != shape.features {
        return Err(SchemeError::Count {
            what: "messages",
            expected: shape.features,
            found: messages.len(),
        });
    }
    let mut encryptor = Encryptor::new(key)?;
    let mut words = Zeroizing::new(Vec::with_capacity(shape.words()));
    for (features, messages) in shape.blocks().zip(messages.chunks(shape.block)) {
        let positions: Vec<usize> = shape.body_positions(features).collect();
        let first = words.len();
        words.resize(first + positions.len(), 0);
        // Positions start 0, 1, 2, ... as far as the last feature's.
        for (index, message) in messages.iter().enumerate() {
            words[first + index * shape.feature_spacing()] = *message;
        }
        encryptor.encrypt_at(&positions, &mut words[first..]);
    }
    let mut row = Vec::with_capacity(shape.row_bytes());
    row.extend_from_slice(&encryptor.seed());
    bits::pack(&mut row, words.iter().copied(), shape.body_bits);
    Ok(row)
}

/// Decompresses a row into its ciphertexts.
pub fn decode_linear(shape: &LinearQueryShape, row: &[u8]) -> Result<Vec<Glwe>, SchemeError> {
    shape.check()?;
    let (seed, packed) = split_seed(row, shape.row_bytes(), "query row")?;
    let mut words = vec![0; shape.words()];
    bits::unpack(&mut words, packed, shape.body_bits, "query row")?;
    let mut masks = Masks::new(seed);
    let mut words = words.into_iter();
    let ciphertext = |features: usize| {
        let mut glwe = Glwe {
            mask: vec![0; shape.set.mask_len()],
            body: vec![0; shape.set.ring.polynomial_size],
        };
        masks.fill(&mut glwe.mask);
        shape
            .body_positions(features)
            .zip(&mut words)
            .for_each(|(position, word)| glwe.body[position] = word);
        glwe
    };
    Ok(shape.blocks().map(ciphertext).collect())
}
