//! Steps of mini-batch gradient descent: encrypted rows, encrypted weights, no client between steps.
//!
//! A batch is one GGSW ciphertext. With D a power of two that holds a row's features and S = N / D
//! samples, its polynomial is `p = sum of x_ij X^(j S + i)`, and weights are a GLWE ciphertext of
//! `w = sum of w_j X^(-j S)`. A step is
//!
//! ```text
//!   p w                 coefficient i is the form z_i of row i
//!   r_i = f(z_i) + c    a bootstrap each, isolated, placed at X^-i and added: r
//!   p r                 coefficient j S is the sum of x_ij r_i, the gradient; other rows elsewhere
//!   w - (p r)(X^-1)     after a partial trace over log2 S levels, which clears what is elsewhere
//! ```
//!
//! Traces begin with a division ([`isolate`](crate::operations::isolate)), so they multiply no error but their own.
//!
//! A table of half the torus repeats itself mirrored on the other half, so that a z beyond the table's
//! range has the residual of a nearer one, and beyond twice the range one of the wrong sign: ranges
//! must leave a margin. Where nobody knows all rows, [`Watch`] tells afterwards whether forms kept to it.

use crate::bits::{self, packed_len};
use crate::bootstrap::Table;
use crate::error::SchemeError;
use crate::external::{self, Component};
use crate::fourier::{Transform, c64};
use crate::glev::zeroed;
use crate::glwe::Glwe;
use crate::keys::SecretKey;
use crate::parameters::{Bootstrap, ParameterSet};
use crate::rows::SeededRows;
use crate::seeded::{Encryptor, SEED_LEN};
use crate::selectors::{FourierSelectors, GgswShape};
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels};
use zeroize::Zeroizing;

mod forms;
mod owners;
mod step;
#[cfg(test)]
mod tests;
mod variance;
mod watch;
mod weights;

pub use forms::{decrypt_forms, form_bytes, form_variance, forms, squares_under};
pub use owners::{encrypt_batch_under, public_product_variance};
pub use step::step;
use variance::product_variance_of;
pub use variance::{product_variance, residual_variance, traced_variance, update_variance};
pub use watch::{Watch, watch_variance};
pub use weights::Weights;

const WHAT: &str = "batch of rows";
/// Of the rows' ciphertexts. The gradient's own error is then of the size of its residuals' or less.
const GADGET: Gadget = Gadget::new(BaseLog::new(15), Levels::new(2));
/// Largest absolute value of a feature: an integer.
const MAX_FEATURE: i32 = 1 << 15;

/// Dimensions of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchShape {
    set: &'static ParameterSet,
    features: usize,
    width_log2: u32,
}

impl BatchShape {
    /// Of rows of so many features.
    ///
    /// # Errors
    /// None, or more than a polynomial holds; a set with several masks.
    pub fn new(set: &'static ParameterSet, features: usize) -> Result<Self, SchemeError> {
        let ring = &set.ring;
        let problem = match (features, ring.glwe_dimension) {
            (0, _) => "no features".to_owned(),
            (many, _) if many > ring.polynomial_size => format!("{many} features"),
            (_, 1) => {
                return Ok(Self {
                    set,
                    features,
                    width_log2: features.next_power_of_two().ilog2(),
                });
            }
            (_, masks) => format!("{masks} masks"),
        };
        Err(SchemeError::Shape {
            what: WHAT,
            problem,
            set: set.name,
        })
    }

    /// Rows of a full batch, S.
    pub const fn samples(&self) -> usize {
        self.set.ring.polynomial_size >> self.width_log2
    }

    /// Bytes of a batch, however many rows it has.
    pub const fn bytes(&self) -> usize {
        SEED_LEN + 2 * GADGET.levels.get() as usize * self.body_len()
    }

    const fn body_len(&self) -> usize {
        packed_len(self.set.ring.polynomial_size, self.set.ring.body_bits)
    }

    const fn ggsw(&self) -> GgswShape {
        GgswShape {
            glwe_dimension: 1,
            polynomial_size: self.set.ring.polynomial_size,
            gadget: GADGET,
        }
    }

    /// Coefficient of weight j, and whether it is negated: that of X^(-j S).
    const fn weight(&self, feature: usize) -> (usize, bool) {
        match feature {
            0 => (0, false),
            j => (self.set.ring.polynomial_size - j * self.samples(), true),
        }
    }

    /// The weights among the phases of a ciphertext.
    fn weights_of(&self, phases: &[u64]) -> Vec<u64> {
        let weight = |feature| match self.weight(feature) {
            (place, true) => phases[place].wrapping_neg(),
            (place, false) => phases[place],
        };
        (0..self.features).map(weight).collect()
    }

    /// p: the rows' features, and zero elsewhere.
    fn polynomial(&self, rows: &[&[i32]]) -> Result<Zeroizing<Vec<u64>>, SchemeError> {
        let count = |what, expected, found| {
            Err(SchemeError::Count {
                what,
                expected,
                found,
            })
        };
        if rows.len() > self.samples() {
            return count("rows of a batch", self.samples(), rows.len());
        }
        let mut words = Zeroizing::new(vec![0; self.set.ring.polynomial_size]);
        for (i, row) in rows.iter().enumerate() {
            if row.len() != self.features {
                return count("features of a row", self.features, row.len());
            }
            for (j, value) in row.iter().enumerate() {
                if value.unsigned_abs() > MAX_FEATURE.unsigned_abs() {
                    return Err(SchemeError::Shape {
                        what: WHAT,
                        problem: format!("a feature of {value}"),
                        set: self.set.name,
                    });
                }
                words[j * self.samples() + i] = i64::from(*value) as u64;
            }
        }
        Ok(words)
    }
}

/// Encrypts rows of a batch, [`BatchShape::samples`] at most.
///
/// # Errors
/// A key of another set, more rows or other numbers of features than the shape has, features beyond
/// 2^15.
pub fn encrypt_batch(
    key: &SecretKey,
    shape: &BatchShape,
    rows: &[&[i32]],
) -> Result<Vec<u8>, SchemeError> {
    shape.set.require("secret key", key.parameter_set())?;
    let features = shape.polynomial(rows)?;
    let mut multiplier = key.multiplier();
    let under_key = multiplier.product(&features);
    let mut encryptor = Encryptor::new(key)?;
    let mut batch = Vec::with_capacity(shape.bytes());
    batch.extend_from_slice(&encryptor.seed());
    for level in (1..=GADGET.levels.get()).rev() {
        let shift = 64 - GADGET.base_log.get() * level;
        let mask = under_key.iter().map(|word| word.wrapping_neg() << shift);
        let body = features.iter().map(|word| word << shift);
        for row in [mask.collect::<Vec<_>>(), body.collect()] {
            let mut row = Zeroizing::new(row);
            encryptor.encrypt(&mut row);
            bits::pack(&mut batch, row.iter().copied(), shape.set.ring.body_bits);
        }
    }
    Ok(batch)
}

/// A batch in the Fourier domain.
#[derive(Debug)]
pub struct Batch {
    shape: BatchShape,
    ggsw: FourierSelectors,
}

impl Batch {
    /// Reads what [`encrypt_batch`] gave, on all threads of the current pool.
    ///
    /// # Errors
    /// Another number of bytes.
    pub fn read(shape: &BatchShape, bytes: &[u8]) -> Result<Self, SchemeError> {
        let ring = &shape.set.ring;
        let length = SchemeError::Length {
            what: WHAT,
            expected: shape.bytes(),
            found: bytes.len(),
        };
        let split = bytes.split_first_chunk::<SEED_LEN>();
        let (seed, bodies) = split
            .filter(|_| bytes.len() == shape.bytes())
            .ok_or(length)?;
        let mut ggsw = FourierSelectors::zeroed(shape.ggsw(), 1);
        SeededRows {
            what: WHAT,
            dimension: ring.glwe_dimension,
            size: ring.polynomial_size,
            body_bits: ring.body_bits,
            seed: *seed,
            masks_from: 0,
            bodies,
        }
        .transform(ggsw.values_mut())?;
        Ok(Self {
            shape: *shape,
            ggsw,
        })
    }

    /// p times a ciphertext.
    fn times(&self, glwe: &Glwe) -> Glwe {
        let size = self.shape.set.ring.polynomial_size;
        let transform = Transform::new(size);
        let (half, mut scratch) = (transform.fourier_size(), transform.scratch());
        let mut digits = zeroed(2 * GADGET.levels.get() as usize * half);
        let mut value = zeroed(half);
        for (index, words) in [&glwe.mask, &glwe.body].into_iter().enumerate() {
            transform.forward_torus(&mut value, words, &mut scratch);
            transform.inverse_twisted(&mut value, &mut scratch);
            let component = Component { index, count: 2 };
            external::decompose(&mut digits, &value, component, GADGET, &transform);
        }
        for digits in digits.chunks_exact_mut(half) {
            transform.forward_twisted(digits, &mut scratch);
        }
        let mut product = zeroed(2 * half);
        external::add_products(&mut product, self.ggsw.ggsw(0), &digits, half);
        let (mask, body) = product.split_at_mut(half);
        let mut words = |values: &mut [c64]| {
            let mut words = vec![0; size];
            transform.backward_torus_in_place(&mut words, values, &mut scratch);
            words
        };
        Glwe {
            mask: words(mask),
            body: words(body),
        }
    }
}

/// A residual as a function of z, times the step: a table and a constant, for rows at even places of a
/// ciphertext and for those at odd ones.
#[derive(Clone, Debug)]
pub struct Residual([(Table, u64); 2]);

impl Residual {
    /// An odd function of z in [-1/4, 1/4) and a constant, fractions of the torus. Half a torus away
    /// the function is minus itself. Where `alternates`, rows at odd places are negated, and their
    /// residuals with them.
    ///
    /// # Errors
    /// Values that the torus cannot hold.
    pub fn new(
        bootstrap: &Bootstrap,
        odd: impl Fn(f64) -> f64,
        constant: f64,
        alternates: bool,
    ) -> Result<Self, SchemeError> {
        let word = |value: f64, at: f64| {
            if (-0.5..0.5).contains(&value) {
                return Ok((value * 2f64.powi(64)).round() as i64 as u64);
            }
            Err(SchemeError::TableValue { value, at })
        };
        let size = bootstrap.output.polynomial_size as u32;
        let table = |sign: f64| {
            let entry = |place: u32| {
                let at = (f64::from(place) + 0.5) / f64::from(2 * size) - 0.25;
                Ok((place, word(sign * odd(sign * at), at)?))
            };
            let entries = (0..size).map(entry);
            let entries = entries.collect::<Result<Vec<_>, SchemeError>>()?;
            let table = Table::of_entries(bootstrap, &entries)?;
            Ok::<_, SchemeError>((table, word(sign * constant, 0.0)?))
        };
        let odd_places = if alternates { -1.0 } else { 1.0 };
        Ok(Self([table(1.0)?, table(odd_places)?]))
    }
}
