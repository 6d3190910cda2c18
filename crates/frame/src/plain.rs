//! Tables that the server has in the clear, as files: encrypted rows look cells up in them.
//!
//! Payload of a frame of kind [`FrameKind::PlainTable`], version 1 (integers little endian):
//!
//! ```text
//! offset  size  field
//!      0    32  salt
//!     32     4  bytes of the schema
//!     36     -  the schema as JSON, with a commitment to salt and entries
//!   then     -  of each look-up, of each of its tables, of each combination of keys: the entry, 4 bytes, signed
//! ```
//!
//! The schema is public and signed, so the commitment in it says which cells are meant; the salt, which
//! stays here, keeps it from being tried on guesses of them.

use crate::schema::{
    LookupIndex, MAX_LOOKUP_SIZE, POLYNOMIAL_SIZE, Schema, SchemaError, TablePart,
};
use cipherfn_protocol::frame::{self, FrameError, FrameKind, ParameterSetTag};
use cipherfn_protocol::hash::Hash;
use std::collections::HashMap;

/// Largest file that is read, in bytes: a quarter of what a worker of the smallest size has for frames.
pub const MAX_BYTES: u64 = 64 << 20;
/// Most bytes of its entries: the rest is the schema's.
const MAX_ENTRIES: u64 = 48 << 20;
/// Bytes of a salt.
pub const SALT_LEN: usize = 32;
const VERSIONS: &[u16] = &[1];
/// What commitments are about, and nothing else.
const DOMAIN: &[u8] = b"cipherfn plain table 1\0";

/// The entries of one of a look-up's tables, by combination of keys; zero where no row has them.
pub type Entries = Vec<i32>;

/// A table that the server has in the clear.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainTable {
    schema: Schema,
    salt: [u8; SALT_LEN],
    /// Of each look-up, of each of [`Schema::tables`].
    entries: Vec<Vec<Entries>>,
}

/// Why bytes are no table in the clear.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlainError {
    /// Not the container, or of another kind or version.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The schema.
    #[error("the table's schema: {0}")]
    Schema(#[from] SchemaError),
    /// Another number of entries than the schema's, or none that rows could have.
    #[error("the table {problem}; make it again with `cipherfn frame table`")]
    Corrupt {
        /// What is wrong with it.
        problem: String,
    },
    /// More entries than a table may have.
    #[error(
        "the table would have {bytes} bytes, at most {MAX_ENTRIES} are possible; look up fewer columns, or narrow the keys' ranges"
    )]
    TooLarge {
        /// Bytes of its entries.
        bytes: u64,
    },
}

impl PlainTable {
    /// A table of so many rows: what look-ups of the schema have for each combination of keys. The salt
    /// is random and used once.
    pub fn new(
        schema: Schema,
        rows: u64,
        salt: [u8; SALT_LEN],
        entries: Vec<Vec<Vec<i64>>>,
    ) -> Result<Self, PlainError> {
        check_size(&schema)?;
        let narrow = |entries: Vec<i64>| -> Result<Entries, PlainError> {
            let each = entries.into_iter().map(i32::try_from);
            each.collect::<Result<_, _>>()
                .map_err(|_| corrupt("has an entry beyond 32 bits"))
        };
        let lookup = |tables: Vec<Vec<i64>>| tables.into_iter().map(narrow).collect();
        let entries: Vec<Vec<Entries>> =
            entries.into_iter().map(lookup).collect::<Result<_, _>>()?;
        let cells = commitment(&salt, &bytes_of(&entries));
        let table = Self {
            schema: schema.in_the_clear(rows, cells)?,
            salt,
            entries,
        };
        table.check()?;
        Ok(table)
    }

    /// What is public of it.
    pub const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// What is public of it, as a document, whose hash names this version of the table.
    pub fn document(&self) -> Result<Vec<u8>, SchemaError> {
        self.schema.to_json()
    }

    /// The entries of a ciphertext's size of a look-up's table; `None` where there is no such table.
    pub fn block(&self, lookup: usize, part: TablePart, block: u32) -> Option<&[i32]> {
        let entries = self.entries_of(lookup, part)?;
        entries.chunks(POLYNOMIAL_SIZE as usize).nth(block as usize)
    }

    /// Whether a row has each combination of a look-up's keys.
    pub(crate) fn matched(&self, lookup: usize) -> Vec<bool> {
        let matched = self.entries_of(lookup, TablePart::Matched);
        matched.map_or_else(Vec::new, |own| {
            own.iter().map(|entry| *entry == 1).collect()
        })
    }

    /// The code that a column has with each combination of a look-up's keys; nothing where there is no
    /// row, or no cell in the column's range.
    pub(crate) fn codes(&self, lookup: usize, column: usize) -> Vec<Option<u64>> {
        let own = &self.schema.columns()[column];
        let (min, max) = own.domain.range();
        let there = self.entries_of(lookup, TablePart::Presence(column));
        let limbs = (0..own.limbs().len()).map_while(|limb| {
            let entries = self.entries_of(lookup, TablePart::Limb(column, limb))?;
            Some((entries, own.limb_bits * limb as u32))
        });
        let limbs: Vec<(&Entries, u32)> = limbs.collect();
        let cell = |(place, matched): (usize, bool)| {
            let is_there = matched && there.is_none_or(|there| there[place] == 1);
            let parts = limbs.iter();
            let parts = parts.map(|(entries, shift)| i64::from(entries[place]) << shift);
            let units = own.domain.origin() + parts.sum::<i64>();
            let is_cell = is_there && (min..=max).contains(&units);
            is_cell.then(|| units.abs_diff(min))
        };
        let matched = self.matched(lookup).into_iter();
        matched.enumerate().map(cell).collect()
    }

    fn entries_of(&self, lookup: usize, part: TablePart) -> Option<&Entries> {
        let parts = self.schema.tables(self.schema.lookups().get(lookup)?);
        let place = parts.iter().position(|own| *own == part)?;
        self.entries.get(lookup)?.get(place)
    }

    /// The file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SchemaError> {
        let schema = self.document()?;
        let mut payload = self.salt.to_vec();
        payload.extend((schema.len() as u32).to_le_bytes());
        payload.extend(schema);
        payload.extend(bytes_of(&self.entries));
        Ok(frame::encode(
            FrameKind::PlainTable,
            VERSIONS[0],
            ParameterSetTag::NONE,
            &payload,
        ))
    }

    /// Reads a file, and holds entries to schema and commitment.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PlainError> {
        let frame = frame::decode(bytes, FrameKind::PlainTable, VERSIONS, MAX_BYTES)?;
        let short = || corrupt("is too short");
        let (salt, rest) = frame
            .payload
            .split_first_chunk::<SALT_LEN>()
            .ok_or_else(short)?;
        let (len, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let len = u32::from_le_bytes(*len) as usize;
        let (schema, entries) = rest.split_at_checked(len).ok_or_else(short)?;
        let schema = Schema::from_json(schema)?;
        let Some(cells) = schema.cells() else {
            return Err(corrupt("has the schema of an encrypted frame"));
        };
        if check_size(&schema)? != entries.len() as u64 {
            return Err(corrupt(
                "has another number of entries than its schema says",
            ));
        }
        if commitment(salt, entries) != cells {
            return Err(corrupt("has other cells than its schema commits to"));
        }
        let mut rest = entries.chunks_exact(4).map(|entry| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(entry);
            i32::from_le_bytes(bytes)
        });
        let lookup = |lookup: &LookupIndex| {
            let places = schema.lookup_size(lookup) as usize;
            let tables = schema.tables(lookup).into_iter();
            tables
                .map(|_| rest.by_ref().take(places).collect())
                .collect()
        };
        let entries = schema.lookups().iter().map(lookup).collect();
        let table = Self {
            entries,
            salt: *salt,
            schema,
        };
        table.check()?;
        Ok(table)
    }

    /// That every entry is one that a row has, or that of no row.
    fn check(&self) -> Result<(), PlainError> {
        if self.entries.len() != self.schema.lookups().len() {
            return Err(corrupt("has another number of look-ups than its schema"));
        }
        for (lookup, tables) in self.schema.lookups().iter().zip(&self.entries) {
            let parts = self.schema.tables(lookup);
            let places = self.schema.lookup_size(lookup) as usize;
            if parts.len() != tables.len() || tables.iter().any(|own| own.len() != places) {
                return Err(corrupt(
                    "has another number of entries than its schema says",
                ));
            }
            let by_part: HashMap<TablePart, &Entries> = parts.iter().copied().zip(tables).collect();
            let matched = by_part.get(&TablePart::Matched);
            let is_there = |table: Option<&&Entries>, place: usize| {
                table.is_none_or(|entries| entries[place] == 1)
            };
            for (part, entries) in &by_part {
                let ranges = match part {
                    TablePart::Matched | TablePart::Presence(_) => (0, 1),
                    TablePart::Limb(column, limb) => {
                        let range = self.schema.columns()[*column].limbs()[*limb];
                        (range.min, range.max)
                    }
                };
                for (place, entry) in entries.iter().enumerate() {
                    let has_cell = match part {
                        TablePart::Matched => true,
                        TablePart::Presence(_) => is_there(matched, place),
                        TablePart::Limb(column, _) => {
                            is_there(matched, place)
                                && is_there(by_part.get(&TablePart::Presence(*column)), place)
                        }
                    };
                    let is_one = has_cell && (ranges.0..=ranges.1).contains(&i64::from(*entry));
                    if !is_one && *entry != 0 {
                        return Err(corrupt("has an entry that no row can have"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Its cells are nobody's business.
impl std::fmt::Debug for PlainTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PlainTable({:?}, cells redacted)", self.schema.name())
    }
}

/// Bytes of the entries that a schema asks for, before they are made.
fn check_size(schema: &Schema) -> Result<u64, PlainError> {
    let each = schema.lookups().iter().map(|lookup| {
        let places = schema.lookup_size(lookup).min(MAX_LOOKUP_SIZE * 2);
        4 * places * schema.tables(lookup).len() as u64
    });
    let bytes: u64 = each.sum();
    if bytes > MAX_ENTRIES {
        return Err(PlainError::TooLarge { bytes });
    }
    Ok(bytes)
}

fn commitment(salt: &[u8; SALT_LEN], entries: &[u8]) -> Hash {
    Hash::of(&[DOMAIN, salt.as_slice(), entries].concat())
}

fn bytes_of(entries: &[Vec<Entries>]) -> Vec<u8> {
    let entries = entries.iter().flatten().flatten();
    entries.flat_map(|entry| entry.to_le_bytes()).collect()
}

fn corrupt(problem: &str) -> PlainError {
    PlainError::Corrupt {
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests;
