//! What several owners' rows add up to, by key: the numbers that they encrypt under a public key, and the
//! table that the key holder makes of the total.
//!
//! ```text
//! rows of an owner --(client)--> entries of the look-up's tables -- words --> torus words
//!                                              encrypted, added, decrypted (elsewhere)
//! Table: keys, rows, sums  <-- table --  torus words of the total
//! ```
//!
//! Tables are those of the schema's look-up, in its order, and one more: the number of rows once more, in
//! units so small that it never wraps around.

use crate::answer::{Cell, ResultType, Table};
use crate::schema::{Column, KeyLayout, LookupIndex, OWNERS_UNIT, Schema, TablePart};
use std::collections::HashMap;

/// Why decrypted words are nobody's sums.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TotalsError {
    /// A frame with rows, or a table in the clear.
    #[error("{frame:?} is no total of owners' sums; `cipherfn frame total` makes one")]
    NoTotal {
        /// The frame.
        frame: String,
    },
    /// Another number of tables, or of their entries.
    #[error("the total of {frame:?} has other numbers than its schema says")]
    Shape {
        /// The frame.
        frame: String,
    },
    /// Numbers that no rows have.
    #[error(
        "the total of {frame:?} at {key} is of no rows: {problem}; an owner sent something else, or more rows came together than the look-up has room for (rows)"
    )]
    Impossible {
        /// The frame.
        frame: String,
        /// The key, by its cells.
        key: String,
        /// What it contradicts.
        problem: String,
    },
}

/// Owners' sums of a schema.
#[derive(Clone, Copy)]
pub struct Totals<'s> {
    schema: &'s Schema,
    lookup: &'s LookupIndex,
}

impl<'s> Totals<'s> {
    /// Of a schema of sums.
    ///
    /// # Errors
    /// A schema of something else.
    pub fn of(schema: &'s Schema) -> Result<Self, TotalsError> {
        match (schema.owners(), schema.lookups()) {
            (Some(_), [lookup]) => Ok(Self { schema, lookup }),
            _ => Err(TotalsError::NoTotal {
                frame: schema.name().into(),
            }),
        }
    }

    /// The look-up that says what is summed by which keys.
    pub const fn lookup(&self) -> &'s LookupIndex {
        self.lookup
    }

    /// Number of tables.
    pub fn tables(&self) -> usize {
        self.units().len()
    }

    /// Entries of each table: one a combination of keys.
    pub fn entries(&self) -> usize {
        self.schema.lookup_size(self.lookup) as usize
    }

    /// Of each table what an entry of 1 is: the torus fraction `2^-this`.
    fn units(&self) -> Vec<u32> {
        let parts = self.schema.tables(self.lookup).into_iter();
        let units = parts.map(|part| self.schema.unit(self.lookup, part));
        units.chain([OWNERS_UNIT]).collect()
    }

    /// The torus words of an owner's tables, of the entries of the look-up's.
    pub fn words(&self, mut entries: Vec<Vec<i64>>) -> Vec<Vec<u64>> {
        // The first one has the number of rows.
        entries.extend(entries.first().cloned());
        let tables = entries.into_iter().zip(self.units());
        let tables = tables.map(|(entries, unit)| {
            let entries = entries.into_iter();
            entries.map(move |entry| (entry << (u64::BITS - unit)) as u64)
        });
        tables.map(Iterator::collect).collect()
    }

    /// The table of a total's decrypted words: a row a combination of keys that has rows, with their number
    /// and the sum of each column; of columns with missing cells also how many are there.
    ///
    /// # Errors
    /// Words that no rows of that many owners make.
    pub fn table(&self, words: &[&[u64]]) -> Result<Table, TotalsError> {
        let is_whole = |table: &&[u64]| table.len() == self.entries();
        if words.len() != self.tables() || !words.iter().all(is_whole) {
            return Err(TotalsError::Shape {
                frame: self.schema.name().into(),
            });
        }
        let units = self.units();
        let parts = self.schema.tables(self.lookup).into_iter();
        let parts: HashMap<TablePart, usize> = parts.zip(0..).collect();
        let layout = self.schema.lookup_layout(self.lookup);
        let mut rows = Vec::new();
        for place in 0..self.entries() {
            let numbers = words.iter().zip(&units);
            let numbers = numbers.map(|(table, unit)| integer(table[place], *unit));
            let key = self.key(place as u64, &layout);
            let row = numbers
                .collect::<Result<Vec<_>, _>>()
                .and_then(|numbers| self.row(&numbers, &parts, key.is_some()));
            let row = row.map_err(|problem| TotalsError::Impossible {
                frame: self.schema.name().into(),
                key: self.shown(key.as_deref(), place),
                problem,
            })?;
            if let (Some(row), Some(mut cells)) = (row, key) {
                cells.extend(row);
                rows.push(cells);
            }
        }
        Ok(Table {
            columns: self.columns(),
            rows,
        })
    }

    /// The cells of a key's numbers, which have the place of each table's; nothing where it has no rows. An error
    /// does not show a number: whoever sent chosen ciphertexts would read the key off it.
    fn row(
        &self,
        numbers: &[i64],
        parts: &HashMap<TablePart, usize>,
        is_key: bool,
    ) -> Result<Option<Vec<Cell>>, String> {
        let number = |wanted: TablePart| parts.get(&wanted).map(|place| numbers[*place]);
        let (rows, again) = (numbers[0], numbers[parts.len()]);
        if rows != again {
            return Err("its two numbers of rows differ".to_owned());
        }
        let most = if is_key {
            i64::from(self.lookup.added())
        } else {
            0
        };
        if !(0..=most).contains(&rows) {
            return Err(format!("its number of rows is none of 0 to {most}"));
        }
        let mut cells = vec![count(rows)];
        for column in self.summed() {
            let index = self.schema.position(&column.name).unwrap_or_default();
            let there = number(TablePart::Presence(index)).unwrap_or(rows);
            if !(0..=rows).contains(&there) {
                return Err(format!(
                    "the number of cells of column {:?} is none of its rows",
                    column.name
                ));
            }
            let mut units = 0;
            for (limb, range) in column.limbs().into_iter().enumerate() {
                let sum = number(TablePart::Limb(index, limb)).unwrap_or_default();
                if !(there * range.min..=there * range.max).contains(&sum) {
                    return Err(format!(
                        "limb {} of column {:?} adds up to what no cells of {} to {} do",
                        limb + 1,
                        column.name,
                        range.min,
                        range.max
                    ));
                }
                units += i128::from(sum) << (column.limb_bits * limb as u32);
            }
            let (low, high) = column.domain.range();
            let there = i128::from(there);
            if !(there * i128::from(low)..=there * i128::from(high)).contains(&units) {
                return Err(format!(
                    "column {:?} adds up to what no cells of {} do",
                    column.name,
                    column.domain.shown()
                ));
            }
            cells.push(sum(column, units));
            if column.nulls {
                cells.push(count(there as i64));
            }
        }
        Ok((rows > 0).then_some(cells))
    }

    /// The columns that are summed, in the look-up's order.
    fn summed(&self) -> impl Iterator<Item = &'s Column> {
        let names = self.lookup.columns.iter();
        names.filter_map(|name| Some(&self.schema.columns()[self.schema.position(name)?]))
    }

    /// The key columns.
    fn keys(&self) -> impl Iterator<Item = &'s Column> {
        let names = self.lookup.by.iter();
        names.filter_map(|name| Some(&self.schema.columns()[self.schema.position(name)?]))
    }

    /// The cells of a place's keys; nothing of a place between those of two keys.
    fn key(&self, place: u64, layout: &KeyLayout) -> Option<Vec<Cell>> {
        let mut rest = place;
        let keys: Vec<_> = self.keys().zip(&layout.strides).collect();
        let mut cells = Vec::with_capacity(keys.len());
        for (column, stride) in keys.into_iter().rev() {
            let code = rest / stride;
            rest %= stride;
            if code >= column.domain.size() {
                return None;
            }
            let units = i128::from(column.domain.range().0) + i128::from(code);
            cells.push(ResultType::of(&column.domain).cell(units));
        }
        cells.reverse();
        Some(cells)
    }

    fn shown(&self, key: Option<&[Cell]>, place: usize) -> String {
        let Some(cells) = key else {
            return format!("place {place}, which is no key");
        };
        let cells = self.keys().zip(cells);
        let cells = cells.map(|(column, cell)| format!("{} {cell}", column.name));
        cells.collect::<Vec<_>>().join(" and ")
    }

    fn columns(&self) -> Vec<(String, ResultType)> {
        let number = || ResultType::Number { places: 0 };
        // Names of the schema's columns are theirs.
        let made = |name: &str| {
            let mut name = name.to_owned();
            while self.schema.position(&name).is_some() {
                name.push('_');
            }
            name
        };
        let keys = self.keys();
        let keys = keys.map(|key| (key.name.clone(), ResultType::of(&key.domain)));
        let sums = self.summed().flat_map(|column| {
            let places = column.domain.places();
            let sum = (column.name.clone(), ResultType::Number { places });
            let cells = made(&format!("{}_cells", column.name));
            let there = column.nulls.then(|| (cells, number()));
            [Some(sum), there].into_iter().flatten()
        });
        let all = keys.chain([(made("rows"), number())]).chain(sums);
        all.collect()
    }
}

const fn count(rows: i64) -> Cell {
    Cell::Number {
        units: rows as i128,
        places: 0,
    }
}

/// A sum of a column's cells: of truths their number.
const fn sum(column: &Column, units: i128) -> Cell {
    Cell::Number {
        units,
        places: column.domain.places(),
    }
}

/// The integer that a word is next to, in units of 2^-`unit`.
fn integer(word: u64, unit: u32) -> Result<i64, String> {
    let shift = u64::BITS - unit;
    let rounded = word.wrapping_add(1 << (shift - 1)) as i64 >> shift;
    let error = word.wrapping_sub((rounded << shift) as u64) as i64;
    // Errors of as many owners as there may be are below that.
    if error.unsigned_abs() >= 1 << (u64::BITS - OWNERS_UNIT - 1) {
        return Err("it is next to no number".into());
    }
    Ok(rounded)
}

#[cfg(test)]
mod tests;
