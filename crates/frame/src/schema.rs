//! What is public of an encrypted data frame: names, types, ranges, what each column is for.

mod beside;
mod document;
mod domain;
mod error;
mod hashed;
mod lookup;
mod names;
mod owners;
mod plain;
mod rows;

pub use domain::{Domain, LimbRange};
pub use error::SchemaError;
pub(crate) use hashed::TokenKind;
pub use hashed::{KnownNames, NameHasher, SECRET_LEN, Sent};
pub use lookup::{
    ADDED_ROWS, Duplicates, KeyLayout, LookupIndex, MAX_ADDED_ROWS, MAX_LOOKUP_SIZE, TablePart,
};
pub use names::NameForm;
pub use owners::{MAX_OWNERS, OWNERS_UNIT};
pub use rows::Rows;

use cipherfn_protocol::hash::Hash;
use std::collections::HashSet;

/// Coefficients of a ciphertext: entries of one of a look-up's tables.
pub const POLYNOMIAL_SIZE: u32 = 2048;
/// A value takes this many bits of the torus less than all where a row's values begin: a limb of b
/// bits is v 2^-(12 + b), so that the sum of 2^11 of them has half the torus.
pub const ROOM_BITS: u32 = 12;
/// Most rows of a frame: what an answer takes is known from their number, before there are any.
pub const MAX_ROWS: u64 = 1 << 26;
/// Most columns of a frame.
pub const MAX_COLUMNS: usize = 1 << 10;
/// Longest name, in bytes.
pub const MAX_NAME: usize = 128;
/// Most codes of a key column: more than a join or a group could tell apart, for filters.
pub const MAX_KEY_SIZE: u64 = 1 << 32;
/// Bits of a limb unless a schema says otherwise.
pub const LIMB_BITS: u32 = 8;
/// Most bits of a limb.
pub const MAX_LIMB_BITS: u32 = 20;

/// What is public of a frame. Its parts fit together: see [`Schema::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    name: String,
    rows: Rows,
    columns: Vec<Column>,
    lookups: Vec<LookupIndex>,
    cells: Option<Hash>,
    owners: Option<u32>,
    names: NameForm,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its cells can be.
    pub domain: Domain,
    /// Whether a cell may be missing.
    pub nulls: bool,
    /// What it is encrypted for.
    pub roles: Roles,
    /// Bits of a limb of its values.
    pub limb_bits: u32,
}

/// What a column is encrypted for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Its values can be returned, added and multiplied with.
    pub value: bool,
    /// Rows can be joined, grouped, filtered by it, and values multiplied with it.
    pub key: bool,
}

/// Something that every row of an encrypted frame has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowInput {
    /// A bit: whether it is a row, or pads.
    Live,
    /// A bit: whether the cell of a column is there. Of columns with nulls.
    Presence(usize),
    /// The code of a cell, bits from the least significant on: [`Column::code_bits`] of them. A missing
    /// one has the code behind the last.
    Code(usize),
    /// The limbs of a value, from the least significant on; zero of a missing one.
    Limbs(usize),
}

impl Schema {
    /// Checks that names are names and used once, that look-ups are by key columns of the frame and
    /// not too large, that a column has a role.
    pub fn new(
        name: String,
        rows: Rows,
        columns: Vec<Column>,
        lookups: Vec<LookupIndex>,
    ) -> Result<Self, SchemaError> {
        check_name(&name).map_err(|problem| SchemaError::frame("name", problem))?;
        if let Some(count) = rows.count.filter(|count| *count > MAX_ROWS) {
            let problem = format!("is {count}; a frame has at most {MAX_ROWS} rows");
            return Err(SchemaError::frame("rows", problem));
        }
        if columns.is_empty() || columns.len() > MAX_COLUMNS {
            let problem = format!(
                "has {} entries; a frame has 1 to {MAX_COLUMNS} columns",
                columns.len()
            );
            return Err(SchemaError::frame("column", problem));
        }
        let mut names = HashSet::new();
        for column in &columns {
            column.check()?;
            if !names.insert(column.name.as_str()) {
                return Err(SchemaError::column(
                    &column.name,
                    "name",
                    "is the name of two columns; rename one",
                ));
            }
        }
        let schema = Self {
            name,
            rows,
            columns,
            lookups,
            cells: None,
            owners: None,
            names: NameForm::Clear,
        };
        schema.check_lookups()?;
        Ok(schema)
    }

    /// The frame's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many rows it has.
    pub const fn rows(&self) -> Rows {
        self.rows
    }

    /// The same schema of another number of rows.
    #[must_use]
    pub fn with_rows(mut self, rows: Rows) -> Self {
        self.rows = rows;
        if let NameForm::Revealed(sent) = &mut self.names {
            sent.schema.rows = rows;
        }
        self
    }

    /// Its columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Its look-ups.
    pub fn lookups(&self) -> &[LookupIndex] {
        &self.lookups
    }

    /// Place of the column of a name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// What every row has, in the order in which files hold it.
    pub fn row_inputs(&self) -> Vec<RowInput> {
        let live = self.rows.padded.then_some(RowInput::Live);
        let columns = self.columns.iter().enumerate();
        let parts = columns.flat_map(|(index, column)| {
            let presence = column.nulls && (column.roles.value || column.roles.key);
            [
                presence.then_some(RowInput::Presence(index)),
                column.roles.key.then_some(RowInput::Code(index)),
                column.roles.value.then_some(RowInput::Limbs(index)),
            ]
        });
        live.into_iter().chain(parts.flatten()).collect()
    }

    /// Bits of an input that is bits; 0 of limbs.
    pub fn bit_count(&self, input: RowInput) -> u32 {
        match input {
            RowInput::Live | RowInput::Presence(_) => 1,
            RowInput::Code(column) => self.columns[column].code_bits(),
            RowInput::Limbs(_) => 0,
        }
    }

    /// Limbs of an input that is limbs.
    pub fn limb_count(&self, input: RowInput) -> Option<u32> {
        match input {
            RowInput::Limbs(column) => Some(self.columns[column].limbs().len() as u32),
            RowInput::Live | RowInput::Presence(_) | RowInput::Code(_) => None,
        }
    }

    fn check_lookups(&self) -> Result<(), SchemaError> {
        for (index, lookup) in self.lookups.iter().enumerate() {
            let error = |field, problem: String| SchemaError::lookup(index, field, problem);
            if lookup.by.is_empty() || lookup.by.len() > 2 {
                let problem = format!("names {} columns; look up by one or two", lookup.by.len());
                return Err(error("by", problem));
            }
            if self.lookups[..index]
                .iter()
                .any(|other| other.by == lookup.by)
            {
                return Err(error(
                    "by",
                    "is that of another look-up; make one of both".into(),
                ));
            }
            let mut size = 1u64;
            for name in &lookup.by {
                let key = self
                    .position(name)
                    .ok_or_else(|| error("by", unknown(name)))?;
                size = size.saturating_mul(self.columns[key].domain.size());
            }
            if lookup.by.len() == 2 && lookup.by[0] == lookup.by[1] {
                return Err(error("by", format!("names {:?} twice", lookup.by[0])));
            }
            if size > MAX_LOOKUP_SIZE {
                let problem = format!(
                    "has {size} combinations of keys, a look-up at most {MAX_LOOKUP_SIZE}; narrow the columns' ranges"
                );
                return Err(error("by", problem));
            }
            if !(1..=MAX_ADDED_ROWS).contains(&lookup.rows) {
                let problem = format!(
                    "is {}; a look-up adds 1 to {MAX_ADDED_ROWS} rows of a key",
                    lookup.rows
                );
                return Err(error("rows", problem));
            }
            let mut names = HashSet::new();
            for name in &lookup.columns {
                if self.position(name).is_none() {
                    return Err(error("columns", unknown(name)));
                }
                if !names.insert(name) {
                    return Err(error("columns", format!("names {name:?} twice")));
                }
                if lookup.by.contains(name) {
                    let problem = format!("names {name:?}, by which it is looked up; leave it out");
                    return Err(error("columns", problem));
                }
            }
        }
        let unused = self.columns.iter().find(|column| {
            let is_named = |lookup: &LookupIndex| {
                lookup.by.contains(&column.name) || lookup.columns.contains(&column.name)
            };
            column.roles == Roles::default() && !self.lookups.iter().any(is_named)
        });
        match unused {
            Some(column) => Err(SchemaError::column(
                &column.name,
                "roles",
                "is empty and no look-up names the column; give it a role or leave the column out",
            )),
            None => Ok(()),
        }
    }
}

impl Column {
    /// Bits of its code: enough for all codes, and one behind them where it has nulls; one at least.
    pub fn code_bits(&self) -> u32 {
        let codes = self.domain.size() + u64::from(self.nulls);
        (u64::BITS - (codes - 1).leading_zeros()).max(1)
    }

    /// What each limb of its values can be, from the least significant on.
    pub fn limbs(&self) -> Vec<LimbRange> {
        self.domain.limbs(self.limb_bits)
    }

    fn check(&self) -> Result<(), SchemaError> {
        check_name(&self.name)
            .map_err(|problem| SchemaError::column(&self.name, "name", problem))?;
        let error = |field, problem: String| Err(SchemaError::column(&self.name, field, problem));
        if let Err((field, problem)) = self.domain.check() {
            return error(field, problem);
        }
        if !(1..=MAX_LIMB_BITS).contains(&self.limb_bits) {
            return error(
                "limb-bits",
                format!(
                    "is {}; limbs have 1 to {MAX_LIMB_BITS} bits",
                    self.limb_bits
                ),
            );
        }
        if self.roles.key && self.domain.size() > MAX_KEY_SIZE {
            let problem = format!(
                "has a key of {} values, at most {MAX_KEY_SIZE} are possible; narrow the range, or make it a value only",
                self.domain.size()
            );
            return error("roles", problem);
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(format!(
            "has {} bytes; a name has 1 to {MAX_NAME}",
            name.len()
        ));
    }
    if name.chars().any(char::is_control) {
        return Err("has a control character; leave it out".into());
    }
    Ok(())
}

fn unknown(name: &str) -> String {
    format!("names {name:?}, and there is no such column")
}
