//! Schemas of what several owners' rows add up to, by key, under a public key.

use super::{Column, Duplicates, LookupIndex, NameForm, Roles, Rows, Schema, SchemaError};

/// Most owners whose sums are added: errors of so many are below half a unit of the finest numbers.
pub const MAX_OWNERS: u32 = 1 << 16;
/// Numbers that owners encrypt under a public key have units of 2^-29 or larger. The number of rows of a
/// key has that one a second time, in which it never wraps around.
pub const OWNERS_UNIT: u32 = 29;
/// Most numbers of an owner's sums, that of rows included.
const MAX_NUMBERS: u64 = 1 << 24;

/// Most rows of a key of all owners together, whoever sends them: their number has half the torus.
const MAX_ROWS_OF_ALL: u64 = 1 << (OWNERS_UNIT - 1);

impl Schema {
    /// The schema of the sums of so many owners: of one look-up that adds, whose tables are ciphertexts under a
    /// public key. There are no rows: all that can be done with it is to look it up, or to decrypt it.
    ///
    /// # Errors
    /// A field by which there is nothing to sum, or no room.
    pub fn summed(mut self, owners: u32) -> Result<Self, SchemaError> {
        if self.rows.padded {
            let problem = "is true, and sums have no rows to hide; leave it out";
            return Err(SchemaError::frame("padded", problem));
        }
        if self.names != NameForm::Clear {
            let problem = "is true, and owners who share no secret have to know the names that they sum by; leave it out";
            return Err(SchemaError::frame("hash-names", problem));
        }
        let [lookup] = self.lookups.as_slice() else {
            let problem = format!(
                "has {} entries, and owners sum by one: say by which columns (by), and which are summed (columns)",
                self.lookups.len()
            );
            return Err(SchemaError::frame("lookup", problem));
        };
        if lookup.duplicates != Duplicates::Sum {
            let problem =
                "is \"refuse\", and owners' rows of equal keys are added; say duplicates = \"sum\"";
            return Err(SchemaError::lookup(0, "duplicates", problem));
        }
        let limit = u64::from(MAX_OWNERS).min(MAX_ROWS_OF_ALL / u64::from(lookup.rows));
        if !(1..=limit).contains(&u64::from(owners)) {
            let problem = format!(
                "would be {owners}; there is room for 1 to {limit} where a key has {} rows (rows in the look-up)",
                lookup.rows
            );
            return Err(SchemaError::frame("owners", problem));
        }
        let numbers = (self.tables(lookup).len() as u64 + 1) * self.lookup_size(lookup);
        if numbers > MAX_NUMBERS {
            let problem = format!(
                "are {numbers} numbers over all keys, and an owner sends at most {MAX_NUMBERS}; sum fewer columns, make limbs larger (limb-bits), or narrow the keys' ranges"
            );
            return Err(SchemaError::lookup(0, "columns", problem));
        }
        for column in &self.columns {
            check(column, lookup)?;
        }
        for column in &mut self.columns {
            column.roles = Roles::default();
        }
        self.rows = Rows {
            count: Some(0),
            padded: false,
        };
        self.owners = Some(owners);
        Ok(self)
    }

    /// How many owners' sums it is of; `None` of a frame with rows, and of a table in the clear.
    pub const fn owners(&self) -> Option<u32> {
        self.owners
    }

    /// What is not alike in the schemas of two owners' sums, for people; `None` where they can be added.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.name != other.name {
            return Some(format!(
                "its name is {:?}, and not {:?}",
                other.name, self.name
            ));
        }
        let names = |schema: &Self| -> Vec<String> {
            let columns = schema.columns.iter();
            columns.map(|column| column.name.clone()).collect()
        };
        if names(self) != names(other) {
            return Some(format!(
                "its columns are {:?}, and not {:?}",
                names(other),
                names(self)
            ));
        }
        let mut columns = self.columns.iter().zip(&other.columns);
        let column = columns.find_map(|(one, other)| {
            let field = match () {
                () if one.domain.type_name() != other.domain.type_name() => "type",
                () if one.domain != other.domain && !one.domain.has_range() => "dictionary",
                () if one.domain != other.domain => "range, or other decimals",
                () if one.nulls != other.nulls => "\"nulls\"",
                () if one.limb_bits != other.limb_bits => "\"limb-bits\"",
                () => return None,
            };
            Some(format!("column {:?} has another {field}", one.name))
        });
        column.or_else(|| {
            (self.lookups != other.lookups).then(|| {
                "it is looked up by or for other columns, or adds other numbers of rows".into()
            })
        })
    }
}

/// That a column is one of keys, or one that is summed and has room.
fn check(column: &Column, lookup: &LookupIndex) -> Result<(), SchemaError> {
    let error = |field, problem: String| Err(SchemaError::column(&column.name, field, problem));
    if lookup.by.contains(&column.name) {
        return Ok(());
    }
    if !lookup.columns.contains(&column.name) {
        let problem = "is that of a column which the look-up does not name; leave the column out, or add it to the look-up";
        return error("name", problem.into());
    }
    if !column.domain.is_number() {
        let problem = format!(
            "is {:?}, of which there are no sums; leave the column out",
            column.domain.type_name()
        );
        return error("type", problem);
    }
    let most = OWNERS_UNIT - lookup.room_bits();
    if column.limb_bits > most {
        let problem = format!(
            "is {}, and beside sums of {} rows a key there is room for {most} bits; make limbs smaller, or rows fewer",
            column.limb_bits, lookup.rows
        );
        return error("limb-bits", problem);
    }
    Ok(())
}
