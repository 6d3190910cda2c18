//! Rows of one request whose packed selectors share ciphertexts.
//!
//! A packed ciphertext costs 10 to 12 KB whether it carries 2^5 or 2^11 slots, and its expansion
//! one key switch a slot either way. So the *depth* of packing is a choice of the query: any from 5
//! levels to those of the key, and the rows of a request fill each ciphertext between them.

use super::slots::Slots;
use super::{Encryption, SelectorQueryShape, count, shape_error, split_seed};
use crate::cursor::Cursor;
use crate::error::SchemeError;
use crate::expand::{self, Packed, SlotForm};
use crate::keys::{ExpandedEvaluationKey, SecretKey};
use crate::parameters::{Depth, MIN_DEPTH, Packing};
use crate::public::{PublicCiphertext, PublicKey};
use crate::selectors::FourierSelectors;
use cipherfn_protocol::specs::{Bits, Transport};
use zeroize::Zeroizing;

/// Dimensions of a group of rows.
#[derive(Clone, Copy, Debug)]
pub struct GroupShape {
    /// Dimensions of each row; packed.
    pub shape: SelectorQueryShape,
    /// Levels of the expansion: a ciphertext holds 2^depth slots. From 5 to [`Packing::depth`].
    pub depth: Depth,
    /// Number of rows.
    pub rows: usize,
}

impl GroupShape {
    /// One row in ciphertexts of its own, of the key's full depth.
    pub(super) const fn single(shape: SelectorQueryShape, packing: &Packing) -> Self {
        Self {
            shape,
            depth: packing.depth(),
            rows: 1,
        }
    }

    /// Rows that one ciphertext has room for; 0 if a row needs more than one.
    pub const fn rows_a_ciphertext(&self) -> usize {
        self.slots().rows_a_ciphertext()
    }

    /// Number of GLWE ciphertexts.
    pub const fn ciphertexts(&self) -> usize {
        self.slots().ciphertexts()
    }

    /// Bytes of the whole group: seed, then the bodies of all ciphertexts.
    pub const fn bytes(&self) -> usize {
        self.slots().bytes(self.shape.set)
    }

    /// Bytes of the whole group under a public key: of each ciphertext mask and body.
    pub(super) fn bytes_under(&self) -> usize {
        let size = self.shape.set.ring.polynomial_size;
        PublicCiphertext::bytes(self.shape.set, self.ciphertexts() * size)
    }

    /// Where its slots lie: level `i % l` (counted from the last) of selector `i / l` of a row is its
    /// slot `i`.
    const fn slots(&self) -> Slots {
        let levels = self.shape.gadget.levels.get() as usize;
        Slots {
            a_row: self.shape.selectors.saturating_mul(levels),
            depth: self.depth,
            rows: self.rows,
        }
    }

    /// Checks depth and gadget against the parameter set.
    pub fn check(&self) -> Result<&'static Packing, SchemeError> {
        let set = self.shape.set;
        let problem = |problem| Err(shape_error(set, "group of query rows", problem));
        if self.shape.transport != Transport::Packed {
            return problem("selectors that travel whole".to_owned());
        }
        let packing = set
            .packing()
            .ok_or(SchemeError::NoPacking { set: set.name })?;
        if !(MIN_DEPTH..=packing.depth()).contains(&self.depth) {
            return problem(format!("a depth of {}", self.depth));
        }
        // A packed message is divided by the number of slots and must stay above the last bit that
        // travels.
        let left = packing.query_body_bits.get() - self.depth.levels();
        self.shape.check_sizes(Bits::new(left))?;
        Ok(packing)
    }
}

/// Encrypts rows of selector bits. Gives exactly [`GroupShape::bytes`] bytes.
pub fn encrypt_group<R: AsRef<[bool]>>(
    key: &SecretKey,
    group: &GroupShape,
    rows: &[R],
) -> Result<Vec<u8>, SchemeError> {
    group.check()?;
    let count = |row: &R| count("selector bits", group.shape.selectors, row.as_ref().len());
    rows.iter().try_for_each(count)?;
    encrypt(key, group, rows.len(), |row, selector| {
        rows[row].as_ref()[selector].then_some(0)
    })
}

/// Encrypts rows of *digit selectors*: selector d of 0 .. 2^`log2_values` - 1 is the GGSW
/// encryption of X^(2^depth d). It costs what a bit costs, as the slots of a query of fewer than
/// log2 N levels keep the coefficients at multiples of 2^depth, and an external product with it
/// has the noise of a CMUX, [`crate::noise::cmux`]. A value of N / 2^depth or more turns the sign.
///
/// Up to 2^(1 + log2 N - depth) values: 16 at 8 levels and N = 2048, 128 at 5.
pub fn encrypt_digits<R: AsRef<[u32]>>(
    key: &SecretKey,
    group: &GroupShape,
    log2_values: u32,
    rows: &[R],
) -> Result<Vec<u8>, SchemeError> {
    group.check()?;
    let room = 1 + group.shape.set.ring.polynomial_size.ilog2() - group.depth.levels();
    if log2_values > room {
        return Err(shape_error(
            group.shape.set,
            "group of query rows",
            format!("digits of {log2_values} bits at a depth of {}", group.depth),
        ));
    }
    for row in rows {
        count("digits", group.shape.selectors, row.as_ref().len())?;
        if let Some(digit) = row
            .as_ref()
            .iter()
            .find(|digit| **digit >> log2_values != 0)
        {
            return Err(shape_error(
                group.shape.set,
                "digit selector",
                format!("the value {digit}, above {log2_values} bits,"),
            ));
        }
    }
    encrypt(key, group, rows.len(), |row, selector| {
        Some(rows[row].as_ref()[selector] as usize * group.depth.slots())
    })
}

/// Brings one row of a group into GGSW form, on all threads of the current pool. Bit for bit what
/// expanding all rows at once would give.
pub fn expand_row(
    key: &ExpandedEvaluationKey,
    group: &GroupShape,
    bytes: &[u8],
    row: usize,
    out: &mut FourierSelectors,
) -> Result<(), SchemeError> {
    group.shape.check_memory(0, group.shape.selectors, out)?;
    expand_part_of_row(key, None, group, bytes, row, 0, out)
}

/// [`expand_row`] of the selectors from `first` on, as many as `out` has room for: bit for bit the
/// same. With a cursor, on this thread, and for less where the slots before have just been expanded
/// with it.
pub fn expand_part_of_row(
    key: &ExpandedEvaluationKey,
    cursor: Option<&mut Cursor>,
    group: &GroupShape,
    bytes: &[u8],
    row: usize,
    first: usize,
    out: &mut FourierSelectors,
) -> Result<(), SchemeError> {
    group.check()?;
    let (seed, bodies) = split_seed(bytes, group.bytes(), "group of query rows")?;
    let packed = Packed {
        seed,
        bodies,
        depth: group.depth,
        encryption: Encryption::Secret,
    };
    expand_slots(key, cursor, group, packed, (row, first), out)
}

/// [`expand_part_of_row`] of a group under a public key.
pub fn expand_part_of_row_under(
    key: &ExpandedEvaluationKey,
    cursor: Option<&mut Cursor>,
    group: &GroupShape,
    bytes: &[u8],
    row: usize,
    first: usize,
    out: &mut FourierSelectors,
) -> Result<(), SchemeError> {
    group.check()?;
    let expected = group.bytes_under();
    let seed = bytes.first_chunk().copied();
    let packed = Packed {
        seed: seed.unwrap_or_default(),
        bodies: bytes,
        depth: group.depth,
        encryption: Encryption::Public,
    };
    if bytes.len() != expected {
        return Err(SchemeError::Length {
            what: "group of query rows",
            expected,
            found: bytes.len(),
        });
    }
    expand_slots(key, cursor, group, packed, (row, first), out)
}

/// The selectors from `first` on of a row of packed ciphertexts whose length is checked.
fn expand_slots(
    key: &ExpandedEvaluationKey,
    cursor: Option<&mut Cursor>,
    group: &GroupShape,
    packed: Packed<'_>,
    (row, first): (usize, usize),
    out: &mut FourierSelectors,
) -> Result<(), SchemeError> {
    group.shape.check_memory(first, out.len(), out)?;
    if row >= group.rows {
        return Err(SchemeError::Count {
            what: "rows",
            expected: group.rows,
            found: row + 1,
        });
    }
    let set = group.shape.set;
    set.require("evaluation key", key.parameter_set())?;
    let slot = group.slots().first(row) + first * group.shape.gadget.levels.get() as usize;
    let out = out.values_mut();
    match cursor {
        Some(cursor) => expand::expand_on(key, cursor, packed, SlotForm::Rows, slot, out),
        None => expand::expand(key, packed, SlotForm::Rows, slot, out),
    }
}

/// Encrypts gadget multiples of the monomials that `exponent` gives for a row and a selector; None
/// is zero.
pub(super) fn encrypt(
    key: &SecretKey,
    group: &GroupShape,
    rows: usize,
    exponent: impl Fn(usize, usize) -> Option<usize>,
) -> Result<Vec<u8>, SchemeError> {
    let packing = group.check()?;
    let set = group.shape.set;
    set.require("secret key", key.parameter_set())?;
    count("rows", group.rows, rows)?;
    group.slots().encrypt(key, packing, |plaintexts| {
        write(group, exponent, plaintexts);
    })
}

/// Encrypts rows of selector bits under a public key. Gives exactly the bytes of
/// [`GroupShape::bytes_under`].
pub(super) fn encrypt_group_under(
    key: &PublicKey,
    group: &GroupShape,
    rows: &[&Vec<bool>],
) -> Result<Vec<u8>, SchemeError> {
    group.check()?;
    let set = group.shape.set;
    set.require("public key", key.parameter_set())?;
    count("rows", group.rows, rows.len())?;
    let count = |row: &&Vec<bool>| count("selector bits", group.shape.selectors, row.len());
    rows.iter().try_for_each(count)?;
    let mut plaintexts = Zeroizing::new(vec![0; group.ciphertexts() * set.ring.polynomial_size]);
    let bit = |row: usize, selector: usize| rows[row][selector].then_some(0);
    write(group, bit, &mut plaintexts);
    Ok(key.encrypt(&plaintexts)?.to_bytes())
}

/// Writes the messages of all slots, N words a ciphertext.
fn write(
    group: &GroupShape,
    exponent: impl Fn(usize, usize) -> Option<usize>,
    plaintexts: &mut [u64],
) {
    let GroupShape { shape, depth, rows } = group;
    let size = shape.set.ring.polynomial_size;
    let slots = group.slots();
    for row in 0..*rows {
        let mut slot = slots.first(row);
        for selector in 0..shape.selectors {
            let monomial = exponent(row, selector);
            for level in 0..shape.gadget.levels.get() as usize {
                if let Some(exponent) = monomial {
                    let (ciphertext, coefficient) = slots.place(slot);
                    let position = (coefficient + exponent) % (2 * size);
                    let scaled = 1u64 << (shape.factor_log2(level) - depth.levels());
                    plaintexts[ciphertext * size + position % size] = if position < size {
                        scaled
                    } else {
                        scaled.wrapping_neg()
                    };
                }
                slot += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests;
