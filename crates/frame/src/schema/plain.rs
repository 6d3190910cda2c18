//! Schemas of tables that the server has in the clear.

use super::{Duplicates, NameForm, Roles, Rows, Schema, SchemaError};
use cipherfn_protocol::hash::Hash;

impl Schema {
    /// The schema of a table of so many rows that the server has in the clear, with a commitment to its
    /// cells. All that can be done with it is to look it up: its columns have no roles, each is named by
    /// a look-up, and keys of these are unique.
    pub fn in_the_clear(mut self, rows: u64, cells: Hash) -> Result<Self, SchemaError> {
        if self.rows.padded {
            let problem = "is true, and a table in the clear has no rows to hide; leave it out";
            return Err(SchemaError::frame("padded", problem));
        }
        if self.names != NameForm::Clear {
            let problem = "is true, and whoever asks a table in the clear has to know its names; leave it out";
            return Err(SchemaError::frame("hash-names", problem));
        }
        if self.lookups.is_empty() {
            let problem = "has no entry, and a table in the clear is looked up and nothing else; add by which columns, and which are looked up";
            return Err(SchemaError::frame("lookup", problem));
        }
        for (index, lookup) in self.lookups.iter().enumerate() {
            if lookup.duplicates != Duplicates::Refuse {
                let problem = "is \"sum\", and keys of a table in the clear are unique; add up the rows before";
                return Err(SchemaError::lookup(index, "duplicates", problem));
            }
        }
        for column in &mut self.columns {
            let name = &column.name;
            let mut lookups = self.lookups.iter();
            if !lookups.any(|lookup| lookup.by.contains(name) || lookup.columns.contains(name)) {
                let problem = "is that of a column which no look-up names; leave the column out, or add it to a look-up";
                return Err(SchemaError::column(name, "name", problem));
            }
            column.roles = Roles::default();
        }
        self.rows = Rows {
            count: Some(rows),
            padded: false,
        };
        self.cells = Some(cells);
        Ok(self)
    }

    /// The commitment to the cells of a table in the clear; `None` of an encrypted frame.
    pub const fn cells(&self) -> Option<Hash> {
        self.cells
    }
}
