//! Encrypted tables: whole polynomials that look-ups turn, seeded.

use super::{count, shape_error, split_seed};
use crate::bits::{self, packed_len};
use crate::error::SchemeError;
use crate::glwe::Glwe;
use crate::keys::SecretKey;
use crate::parameters::ParameterSet;
use crate::seeded::{Encryptor, Masks, SEED_LEN};
use zeroize::Zeroizing;

/// Most tables of an input.
const MAX_TABLES: usize = 1 << 16;

/// Dimensions of tables.
///
/// Only the entries travel: what lies in a table's other coefficients means nothing, so whoever turns
/// it by more than the entries reads noise.
#[derive(Clone, Copy, Debug)]
pub struct TableShape {
    /// Parameter set of the ciphertexts.
    pub set: &'static ParameterSet,
    /// Number of tables.
    pub tables: usize,
    /// Entries of each: coefficients 0, 1, ... At most N.
    pub entries: usize,
}

impl TableShape {
    /// Bytes of all tables: seed, then the entries' body coefficients, 48 bits each in today's sets.
    pub const fn bytes(&self) -> usize {
        let words = self.tables.saturating_mul(self.entries);
        SEED_LEN.saturating_add(packed_len(words, self.set.ring.body_bits))
    }

    /// Of so many tables of `entries` entries each, in blocks of N entries where these are more: block
    /// b of table i is [`Self::block`].
    pub fn in_blocks(set: &'static ParameterSet, tables: usize, entries: usize) -> Self {
        let size = set.ring.polynomial_size;
        Self {
            set,
            tables: tables.saturating_mul(entries.div_ceil(size)),
            entries: entries.min(size),
        }
    }

    /// Place of block `block` of table `table`, of tables of `entries` entries.
    pub const fn block(&self, table: usize, entries: usize, block: usize) -> usize {
        table * entries.div_ceil(self.set.ring.polynomial_size) + block
    }

    fn check(&self) -> Result<(), SchemeError> {
        let problem = |problem| Err(shape_error(self.set, "encrypted tables", problem));
        if self.tables > MAX_TABLES {
            return problem(format!("{} tables", self.tables));
        }
        if !(1..=self.set.ring.polynomial_size).contains(&self.entries) {
            return problem(format!("{} entries", self.entries));
        }
        Ok(())
    }
}

/// Encrypts tables of torus values (units of 2^-64). Gives exactly [`TableShape::bytes`] bytes.
pub fn encrypt_tables<T: AsRef<[u64]>>(
    key: &SecretKey,
    shape: &TableShape,
    tables: &[T],
) -> Result<Vec<u8>, SchemeError> {
    shape.check()?;
    shape.set.require("secret key", key.parameter_set())?;
    count("tables", shape.tables, tables.len())?;
    let positions: Vec<usize> = (0..shape.entries).collect();
    let mut encryptor = Encryptor::new(key)?;
    let mut words = Zeroizing::new(Vec::with_capacity(shape.tables * shape.entries));
    for table in tables {
        count("entries of a table", shape.entries, table.as_ref().len())?;
        let first = words.len();
        words.extend_from_slice(table.as_ref());
        encryptor.encrypt_at(&positions, &mut words[first..]);
    }
    let mut bytes = Vec::with_capacity(shape.bytes());
    bytes.extend_from_slice(&encryptor.seed());
    bits::pack(&mut bytes, words.iter().copied(), shape.set.ring.body_bits);
    Ok(bytes)
}

/// Decompresses tables into ciphertexts.
pub fn decode_tables(shape: &TableShape, bytes: &[u8]) -> Result<Vec<Glwe>, SchemeError> {
    shape.check()?;
    let (seed, packed) = split_seed(bytes, shape.bytes(), "encrypted tables")?;
    let mut words = vec![0; shape.tables * shape.entries];
    bits::unpack(
        &mut words,
        packed,
        shape.set.ring.body_bits,
        "encrypted tables",
    )?;
    let mut masks = Masks::new(seed);
    let table = |entries: &[u64]| {
        let mut glwe = Glwe {
            mask: vec![0; shape.set.mask_len()],
            body: vec![0; shape.set.ring.polynomial_size],
        };
        masks.fill(&mut glwe.mask);
        glwe.body[..entries.len()].copy_from_slice(entries);
        glwe
    };
    Ok(words.chunks_exact(shape.entries).map(table).collect())
}
