//! Sums of owners' rows by key: encrypted by each under a key holder's public key, decrypted by the key
//! holder, who sees the total alone.

use super::{FrameError, SET, Tables, check};
use cipherfn_frame::answer::Table;
use cipherfn_frame::cells::Units;
use cipherfn_frame::file::{FileError, FileHead, FrameWriter};
use cipherfn_frame::schema::Schema;
use cipherfn_frame::totals::{Totals, TotalsError};
use cipherfn_protocol::message::KeyId;
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::public::{PublicCiphertext, PublicKey, PublicTableShape};
use cipherfn_scheme::{SchemeError, SecretKey};

/// What heads say of a gadget: sums have no selectors.
const GADGET: Gadget = Gadget::new(BaseLog::new(6), Levels::new(4));

/// Why sums are not encrypted or decrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnersError {
    /// A row, or more of a key than there is room for.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Encryption or decryption.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A frame of something else, or sums of no rows.
    #[error(transparent)]
    Totals(#[from] TotalsError),
    /// A public key for other things than frames.
    #[error(
        "the public key is of parameter set {found}, and frames are encrypted under {SET}; have its holder make one for them (cipherfn statistics key)"
    )]
    OtherSet {
        /// The key's set.
        found: &'static str,
    },
    /// Sums for another key holder.
    #[error(
        "the sums are encrypted for key {found}, the key ring has key {expected}; take the key ring whose public key the owners had"
    )]
    OtherKey {
        /// Id of the key at hand.
        expected: KeyId,
        /// Id in the file.
        found: KeyId,
    },
}

/// Sums of an owner's rows by key, in the clear: they stay with the owner until they are encrypted.
#[derive(Clone)]
pub struct OwnerSums<'s> {
    schema: &'s Schema,
    totals: Totals<'s>,
    tables: Tables<'s>,
    rows: u64,
    without_key: u64,
}

impl<'s> OwnerSums<'s> {
    /// Of no rows.
    ///
    /// # Errors
    /// A schema that is not one of an owner's sums ([`Schema::summed`]).
    pub fn new(schema: &'s Schema) -> Result<Self, OwnersError> {
        let totals = Totals::of(schema)?;
        Ok(Self {
            schema,
            totals,
            tables: Tables::new(schema, totals.lookup()),
            rows: 0,
            without_key: 0,
        })
    }

    /// Adds a row. One whose key is missing counts for none.
    ///
    /// # Errors
    /// A row that is none of the schema's; more rows of a key than there is room for.
    pub fn add(&mut self, row: &Units) -> Result<(), OwnersError> {
        check(self.schema, self.rows as usize + 1, row)?;
        let mut keys = self.totals.lookup().by.iter();
        let is_missing = |name: &String| {
            let place = self.schema.position(name);
            place.is_some_and(|place| row[place].is_none())
        };
        self.without_key += u64::from(keys.any(is_missing));
        self.rows += 1;
        Ok(self.tables.add(row)?)
    }

    /// Rows so far, those without a key included.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows that count for no key, as theirs is missing.
    pub const fn without_key(&self) -> u64 {
        self.without_key
    }

    /// Encrypts them for the holder of a public key, as the bytes of a file.
    ///
    /// # Errors
    /// A key of another parameter set than frames have; the operating system has no random bytes.
    pub fn encrypt(self, key: &PublicKey) -> Result<Vec<u8>, OwnersError> {
        let set = ParameterSet::by_name(SET)?;
        if key.parameter_set() != set {
            let found = key.parameter_set().name;
            return Err(OwnersError::OtherSet { found });
        }
        let shape = shape(set, self.totals);
        let words = self.totals.words(self.tables.into_entries());
        let ciphertexts = key.encrypt(&shape.lay_out(&words)?)?.to_bytes();
        let head = FileHead {
            schema: self.schema.clone(),
            key: key.id(),
            parameter_set: set.tag(),
            gadget: GADGET,
        };
        let mut writer = FrameWriter::new(Vec::new(), &head, &[])?;
        writer.tables(&ciphertexts)?;
        Ok(writer.finish()?)
    }
}

/// Decrypts a total, or the sums of one owner: a row a combination of keys that has rows, with their number
/// and the sum of each column, all exact.
///
/// # Errors
/// A frame of something else, sums for another key, and numbers that no rows make.
pub fn decrypt_total(
    key: &SecretKey,
    head: &FileHead,
    tables: &[Vec<u8>],
) -> Result<Table, OwnersError> {
    let totals = Totals::of(&head.schema)?;
    if head.key != key.id() {
        return Err(OwnersError::OtherKey {
            expected: key.id(),
            found: head.key,
        });
    }
    let set = ParameterSet::by_tag(head.parameter_set, "data frame")?;
    let shape = shape(set, totals);
    let sum = PublicCiphertext::from_bytes(set, shape.words()?, &tables.concat())?;
    let words = sum.decrypt(key)?;
    Ok(totals.table(&shape.entries_of(&words)?)?)
}

fn shape(set: &'static ParameterSet, totals: Totals<'_>) -> PublicTableShape {
    PublicTableShape {
        set,
        tables: totals.tables(),
        entries: totals.entries(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::error;
    use cipherfn_frame::schema::{MAX_OWNERS, OWNERS_UNIT};

    /// Numbers are exact after as many owners as may be added: errors are below half of the finest unit, but
    /// with a probability of 2^-40 each.
    #[test]
    fn numbers_of_all_owners_are_exact() {
        let set = ParameterSet::by_name(SET).unwrap();
        let half = (-f64::from(OWNERS_UNIT) - 1.0).exp2();
        assert!(error(set, MAX_OWNERS) < half, "{}", error(set, MAX_OWNERS));
    }
}
