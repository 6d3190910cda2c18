//! Tables by which rows of other frames look up those of a frame.

use super::{FrameError, code};
use cipherfn_frame::cells::Units;
use cipherfn_frame::schema::{Duplicates, LookupIndex, Schema, TablePart};
use std::collections::HashMap;

/// Tables of a look-up while rows are added.
#[derive(Clone, Debug)]
pub struct Tables<'s> {
    schema: &'s Schema,
    lookup: &'s LookupIndex,
    parts: Vec<TablePart>,
    /// Of each part its entries.
    entries: Vec<Vec<i64>>,
    seen: HashMap<u64, u64>,
    row: u64,
}

impl<'s> Tables<'s> {
    /// Tables without rows.
    pub fn new(schema: &'s Schema, lookup: &'s LookupIndex) -> Self {
        let parts = schema.tables(lookup);
        let places = schema.lookup_layout(lookup).places as usize;
        Self {
            schema,
            lookup,
            entries: vec![vec![0; places]; parts.len()],
            parts,
            seen: HashMap::new(),
            row: 0,
        }
    }

    /// Adds a row. One without a key is nobody's partner.
    pub fn add(&mut self, row: &Units) -> Result<(), FrameError> {
        self.row += 1;
        let layout = self.schema.lookup_layout(self.lookup);
        let mut place = 0;
        for (name, stride) in self.lookup.by.iter().zip(layout.strides) {
            let Some(column) = self.schema.position(name) else {
                return Ok(());
            };
            let Some(units) = row.get(column).copied().flatten() else {
                return Ok(());
            };
            place += code(&self.schema.columns()[column], units) * stride;
        }
        if self.lookup.duplicates == Duplicates::Refuse
            && let Some(first) = self.seen.insert(place, self.row)
        {
            return Err(FrameError::Duplicate {
                first,
                second: self.row,
                columns: self.lookup.by.join(", "),
            });
        }
        for (part, entries) in self.parts.iter().zip(&mut self.entries) {
            let Some(entry) = entries.get_mut(place as usize) else {
                continue;
            };
            let cell = |column: usize| row.get(column).copied().flatten();
            *entry += match part {
                TablePart::Matched => 1,
                TablePart::Presence(column) => i64::from(cell(*column).is_some()),
                TablePart::Limb(column, limb) => {
                    let own = &self.schema.columns()[*column];
                    cell(*column).map_or(0, |units| own.domain.split(units, own.limb_bits)[*limb])
                }
            };
            if *part == TablePart::Matched && *entry > i64::from(self.lookup.added()) {
                return Err(FrameError::TooMany {
                    limit: self.lookup.added().into(),
                    columns: self.lookup.by.join(", "),
                });
            }
        }
        Ok(())
    }

    /// The entries of each table, for one that is not encrypted, or not so.
    pub fn into_entries(self) -> Vec<Vec<i64>> {
        self.entries
    }

    /// The tables with their entries.
    pub(super) fn finish(self) -> impl Iterator<Item = (TablePart, Vec<i64>)> {
        self.parts.into_iter().zip(self.entries)
    }
}
