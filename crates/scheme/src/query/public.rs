//! Rows that somebody encrypts under a key holder's public key.
//!
//! Masks are no streams of seeds and travel. A ciphertext under a public key has a larger error than
//! one under the secret key, and a row of that is rounded before it travels, to the bits that its
//! model's precision needs: most of its error is that rounding. Rows under a public key have more bits,
//! as many as it takes for their error to be no larger. So whatever is guaranteed of an answer holds
//! for them, and where no bits are enough they are refused.
//!
//! A feature vector has a mask of its own under either key, and of a public one that would be most of
//! it. So vectors that fit stand one after the other in one ciphertext, `F C` coefficients each of `F`
//! features and `C` results, and the server turns it by the place of the row that it answers: then no
//! coefficient that reaches a result of the row is another row's.

use super::group::encrypt_group_under;
use super::{Encryption, GroupForm, InputShape, InputValues, LinearQueryShape, count, shape_error};
use crate::bits::{self, packed_len};
use crate::error::SchemeError;
use crate::glwe::Glwe;
use crate::noise::{self, Variance};
use crate::parameters::{Packing, ParameterSet};
use crate::polynomial;
use crate::public::{self, CIPHERTEXT_BITS, PublicKey};
use cipherfn_protocol::specs::{Bits, Transport};
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

const SEVERAL_MASKS: &str = "ciphertexts of its parameter set have several masks";
const TOO_NOISY: &str =
    "their error would be larger than what the model's precision leaves to that of its rows";

/// Bits of each coefficient, in mask and body, of which the error in a sum of `terms` coefficients is
/// at most that of as many independent ones of variance `allowed`. None where no bits are enough.
///
/// Errors of one ciphertext are correlated: each is a product, with u or with the secret key, and the
/// half of a binary key that is the same everywhere adds up neighbours. Whatever the weights and the
/// correlations, a weighted sum of `terms` errors has at most `terms` times the variance that independent
/// ones would give; and no binary key has more than N coefficients that are 1.
fn bits_within(set: &ParameterSet, terms: usize, allowed: Variance) -> Option<Bits> {
    let ones = set.ring.polynomial_size as f64;
    (8..=CIPHERTEXT_BITS.get())
        .map(Bits::new)
        .find(|bits| terms as f64 * public::variance_under(set, *bits, ones) <= allowed)
}

/// Whether packed selectors under a public key have no larger an error than those under the secret key.
///
/// What the expansion adds is most of a selector's error, so that the correlation counts for little here; the
/// tests of the noise hold the tail with it to the same margin.
pub(crate) fn fits_packed(set: &ParameterSet, packing: &Packing) -> bool {
    public::variance(set) <= noise::fresh(set) + noise::rounding(packing.query_body_bits)
}

impl InputShape {
    /// Refuses an input that the holder of the secret key alone can encrypt.
    pub fn check_public(&self) -> Result<(), SchemeError> {
        let refused = |reason| {
            let input = self.describe();
            Err(SchemeError::NotPublic { input, reason })
        };
        match self {
            Self::Features(shape) if public::require_one_mask(shape.set).is_err() => {
                refused(SEVERAL_MASKS)
            }
            Self::Features(shape) => match shape.bits_under() {
                Some(_) => Ok(()),
                None => refused(TOO_NOISY),
            },
            Self::Selectors(shape) => match (shape.transport, shape.set.packing()) {
                (Transport::Packed, Some(packing)) if fits_packed(shape.set, packing) => Ok(()),
                (Transport::Packed, Some(_)) => refused(TOO_NOISY),
                _ => refused(SEVERAL_MASKS),
            },
            Self::Values(_) | Self::Tables(_) => refused("no model has such an input"),
        }
    }
}

impl LinearQueryShape {
    /// Bits of a coefficient of a row under a public key, in mask and body.
    pub fn bits_under(&self) -> Option<Bits> {
        let allowed = noise::fresh(self.set) + noise::rounding(self.body_bits);
        bits_within(
            self.set,
            self.body_len(self.features.min(self.block)),
            allowed,
        )
    }

    /// Rows that share a ciphertext under a public key; 1 where a row needs several.
    pub(super) const fn rows_under(&self) -> usize {
        let needed = self.features.saturating_mul(self.feature_spacing());
        if self.ciphertexts() != 1 || needed == 0 || needed > self.room() {
            return 1;
        }
        self.room() / needed
    }

    /// Number of ciphertexts of so many rows.
    pub(super) const fn ciphertexts_under(&self, rows: usize) -> usize {
        rows.div_ceil(self.rows_under())
            .saturating_mul(self.ciphertexts())
    }

    /// Bytes of so many rows under a public key: of each ciphertext the mask, and the body coefficients
    /// that travel. 0 where rows cannot be encrypted so.
    pub fn bytes_under(&self, rows: usize) -> usize {
        let together = self.rows_under();
        let (full, left) = (rows / together, rows % together);
        let last = if left == 0 { 0 } else { self.unit_bytes(left) };
        full.saturating_mul(self.unit_bytes(together))
            .saturating_add(last)
    }

    /// Bytes of rows that share a ciphertext, or of one that needs several.
    fn unit_bytes(&self, rows: usize) -> usize {
        let bits = self.bits_under().unwrap_or(Bits::new(0));
        let ciphertexts = self.unit(rows);
        let bytes = |features| packed_len(self.set.mask_len() + self.body_len(features), bits);
        ciphertexts.map(bytes).fold(0, usize::saturating_add)
    }

    /// Number of features of each ciphertext of such rows.
    fn unit(&self, rows: usize) -> impl Iterator<Item = usize> {
        self.blocks().map(move |features| rows * features)
    }

    /// Words of each ciphertext of such rows, N of them.
    fn messages(&self, rows: &[&[u64]]) -> Zeroizing<Vec<u64>> {
        let size = self.set.ring.polynomial_size;
        let mut words = Zeroizing::new(vec![0; self.ciphertexts() * size]);
        for (number, own) in words.chunks_exact_mut(size).enumerate() {
            let features = rows
                .iter()
                .flat_map(|row| row.chunks(self.block).nth(number).unwrap_or_default());
            for (index, word) in features.enumerate() {
                own[index * self.feature_spacing()] = *word;
            }
        }
        words
    }
}

/// Encrypts rows under a public key: the parts of all inputs, in order. Gives exactly the bytes of
/// [`InputShape::group_bytes`].
///
/// # Errors
/// A key of another set, rows of other inputs, inputs that cannot be encrypted so
/// ([`InputShape::check_public`]).
pub fn encrypt_rows_under<R: AsRef<[InputValues]>>(
    key: &PublicKey,
    shapes: &[InputShape],
    form: GroupForm,
    rows: &[R],
) -> Result<Vec<u8>, SchemeError> {
    count("rows", form.rows, rows.len())?;
    let mut out = Vec::new();
    for (index, shape) in shapes.iter().enumerate() {
        shape.check_public()?;
        let values = rows.iter().map(|row| {
            let row = row.as_ref();
            count("inputs", shapes.len(), row.len())?;
            Ok(&row[index])
        });
        let values = values.collect::<Result<Vec<_>, SchemeError>>()?;
        let other = |values: &InputValues| SchemeError::OtherInput {
            expected: shape.describe(),
            found: values.describe(),
        };
        if let Some(group) = shape.group(form) {
            let bits = values.iter().map(|values| match values {
                InputValues::Bits(bits) => Ok(bits),
                _ => Err(other(values)),
            });
            let bits = bits.collect::<Result<Vec<_>, _>>()?;
            out.extend(encrypt_group_under(key, &group, &bits)?);
        } else if let InputShape::Features(linear) = shape {
            let features = values.iter().map(|values| match values {
                InputValues::Features(features) => Ok(features.as_slice()),
                _ => Err(other(values)),
            });
            let features = features.collect::<Result<Vec<_>, _>>()?;
            encrypt_features(key, linear, &features, &mut out)?;
        }
    }
    Ok(out)
}

fn encrypt_features(
    key: &PublicKey,
    shape: &LinearQueryShape,
    rows: &[&[u64]],
    out: &mut Vec<u8>,
) -> Result<(), SchemeError> {
    shape.check()?;
    shape.set.require("public key", key.parameter_set())?;
    for row in rows {
        count("messages", shape.features, row.len())?;
    }
    let bits = bits_of(shape)?;
    for rows in rows.chunks(shape.rows_under()) {
        let glwes = key.encrypt_to(&shape.messages(rows), bits)?;
        for (glwe, features) in glwes.iter().zip(shape.unit(rows.len())) {
            let positions = shape.body_positions(features);
            let body = positions.map(|position| glwe.body[position]);
            let words: Vec<u64> = glwe.mask.iter().copied().chain(body).collect();
            bits::pack(out, words, bits);
        }
    }
    Ok(())
}

/// The ciphertexts of a row of a group under a public key, as [`decode_linear`](super::decode_linear)
/// gives them.
///
/// # Errors
/// Another number of bytes, padding that is not zero, a row that the group does not have.
pub fn decode_linear_under(
    shape: &LinearQueryShape,
    form: GroupForm,
    bytes: &[u8],
    row: usize,
) -> Result<Vec<Glwe>, SchemeError> {
    const WHAT: &str = "rows under a public key";
    shape.check()?;
    let bits = bits_of(shape)?;
    let expected = shape.bytes_under(form.rows);
    if form.encryption != Encryption::Public || bytes.len() != expected {
        return Err(SchemeError::Length {
            what: WHAT,
            expected,
            found: bytes.len(),
        });
    }
    if row >= form.rows {
        return Err(SchemeError::Count {
            what: "rows",
            expected: form.rows,
            found: row + 1,
        });
    }
    let together = shape.rows_under();
    let (unit, place) = (row / together, row % together);
    let size = shape.set.ring.polynomial_size;
    let mut rest = &bytes[unit * shape.unit_bytes(together)..];
    // Down to where a row alone stands: X^-turn is -X^(N - turn).
    let turn = place * shape.features * shape.feature_spacing();
    let back = (2 * size - turn) % (2 * size);
    let mut ciphertexts = Vec::with_capacity(shape.ciphertexts());
    for features in shape.unit(together.min(form.rows - unit * together)) {
        let mut mask = vec![0; size + shape.body_len(features)];
        let (own, after) = rest.split_at(packed_len(mask.len(), bits));
        bits::unpack(&mut mask, own, bits, WHAT)?;
        let words = mask.split_off(size);
        let mut body = vec![0; size];
        shape
            .body_positions(features)
            .zip(words)
            .for_each(|(position, word)| body[position] = word);
        ciphertexts.push(Glwe {
            mask: polynomial::rotate(&mask, back),
            body: polynomial::rotate(&body, back),
        });
        rest = after;
    }
    Ok(ciphertexts)
}

fn bits_of(shape: &LinearQueryShape) -> Result<Bits, SchemeError> {
    shape.bits_under().ok_or_else(|| {
        let problem = format!("bodies of {} bits", shape.body_bits);
        shape_error(shape.set, "row under a public key", problem)
    })
}
