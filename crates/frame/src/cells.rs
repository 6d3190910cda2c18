//! Cells to codes, limbs and bits: what a client encrypts.

use crate::date::Date;
use crate::number::Number;
use crate::plan::Literal;
use crate::schema::{Column, Domain, Duplicates, LookupIndex, RowInput, Schema, TablePart};
use std::collections::HashMap;

/// What stands for a missing cell, beside nothing at all, in any case: what pandas, R, SQL and
/// spreadsheets write.
const MISSING: [&str; 7] = ["nan", "na", "n/a", "#n/a", "<na>", "null", "none"];

/// Why a row cannot be encrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CellError {
    /// A cell that its column cannot hold.
    #[error("row {row}, column {column:?}: {problem}")]
    Cell {
        /// The row, from 1.
        row: u64,
        /// The column.
        column: String,
        /// What is wrong, and what would do.
        problem: String,
    },
    /// Another number of cells than columns.
    #[error(
        "row {row}: {found} cells where the schema has {expected} columns; give each column its cell"
    )]
    Ragged {
        /// The row, from 1.
        row: u64,
        /// Cells.
        found: usize,
        /// Columns.
        expected: usize,
    },
    /// Two rows of one key.
    #[error(
        "rows {first} and {second} have equal keys ({columns}), by which the frame is looked up; remove one, or let the look-up have duplicates = \"sum\""
    )]
    Duplicate {
        /// The first row, from 1.
        first: u64,
        /// The second.
        second: u64,
        /// The key columns.
        columns: String,
    },
    /// More rows of one key than limbs have room for.
    #[error(
        "more than {limit} rows have equal keys ({columns}), by which the frame is looked up; there is no room for their sum"
    )]
    TooMany {
        /// Most rows.
        limit: u64,
        /// The key columns.
        columns: String,
    },
}

/// A row: of each column the units of its cell, nothing where it is missing.
pub type Units = Vec<Option<i64>>;

impl Schema {
    /// The units of a row of texts, as CSV files have them; `row` counts from 1.
    pub fn row_of_texts<'t>(
        &self,
        row: u64,
        texts: impl ExactSizeIterator<Item = &'t str>,
    ) -> Result<Units, CellError> {
        let (found, expected) = (texts.len(), self.columns().len());
        if found != expected {
            return Err(CellError::Ragged {
                row,
                found,
                expected,
            });
        }
        let cells = self.columns().iter().zip(texts);
        cells
            .map(|(column, text)| {
                column
                    .of_text(text)
                    .map_err(|problem| place(row, column, problem))
            })
            .collect()
    }

    /// The units of a row of values, as data frames have them; `row` counts from 1.
    pub fn row_of_values(&self, row: u64, values: &[Literal]) -> Result<Units, CellError> {
        let (found, expected) = (values.len(), self.columns().len());
        if found != expected {
            return Err(CellError::Ragged {
                row,
                found,
                expected,
            });
        }
        let cells = self.columns().iter().zip(values);
        cells
            .map(|(column, value)| {
                column
                    .of_value(value)
                    .map_err(|problem| place(row, column, problem))
            })
            .collect()
    }

    /// The bits of an input of a row; of a row that pads, without units.
    pub fn bits(&self, input: RowInput, row: Option<&Units>) -> Vec<bool> {
        let cell = |column: usize| row.and_then(|row| row.get(column).copied().flatten());
        match input {
            RowInput::Live => vec![row.is_some()],
            RowInput::Presence(column) => vec![cell(column).is_some()],
            RowInput::Code(column) => {
                let own = &self.columns()[column];
                let code = cell(column).map(|units| own.code(units));
                // A row that pads is left out by its own bit: any code will do.
                let code = code.unwrap_or(if own.nulls { own.domain.size() } else { 0 });
                (0..own.code_bits())
                    .map(|bit| code >> bit & 1 == 1)
                    .collect()
            }
            RowInput::Limbs(_) => Vec::new(),
        }
    }

    /// The limbs of an input of a row; zero where the cell is missing.
    pub fn limbs(&self, input: RowInput, row: Option<&Units>) -> Vec<i64> {
        let RowInput::Limbs(column) = input else {
            return Vec::new();
        };
        let own = &self.columns()[column];
        match row.and_then(|row| row.get(column).copied().flatten()) {
            Some(units) => own.domain.split(units, own.limb_bits),
            None => vec![0; own.limbs().len()],
        }
    }
}

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
    /// Most rows of a key where they are added: what limbs have room for.
    const MAX_ADDED: i64 = 1 << 11;

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
    pub fn add(&mut self, row: &Units) -> Result<(), CellError> {
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
            place += self.schema.columns()[column].code(units) * stride;
        }
        if self.lookup.duplicates == Duplicates::Refuse
            && let Some(first) = self.seen.insert(place, self.row)
        {
            return Err(CellError::Duplicate {
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
            if *part == TablePart::Matched && *entry > Self::MAX_ADDED {
                return Err(CellError::TooMany {
                    limit: Self::MAX_ADDED as u64,
                    columns: self.lookup.by.join(", "),
                });
            }
        }
        Ok(())
    }

    /// The tables with their entries.
    pub fn finish(self) -> impl Iterator<Item = (TablePart, Vec<i64>)> {
        self.parts.into_iter().zip(self.entries)
    }
}

impl Column {
    /// The code of units in its range.
    pub fn code(&self, units: i64) -> u64 {
        units.abs_diff(self.domain.range().0)
    }

    fn of_text(&self, text: &str) -> Result<Option<i64>, String> {
        let trimmed = text.trim();
        // In a column of texts only what is empty is missing, unless the dictionary has it.
        let is_missing = match &self.domain {
            Domain::Text { dictionary } => {
                text.is_empty() && !dictionary.iter().any(String::is_empty)
            }
            _ => {
                trimmed.is_empty()
                    || MISSING
                        .iter()
                        .any(|word| trimmed.eq_ignore_ascii_case(word))
            }
        };
        if is_missing {
            return self.missing();
        }
        let units = match &self.domain {
            Domain::Integer { .. } | Domain::Decimal { .. } => {
                let number: Number = trimmed
                    .parse()
                    .map_err(|error| format!("{} {error}", shown(text)))?;
                self.of_number(number, text)?
            }
            Domain::Boolean => match trimmed {
                "1" => 1,
                "0" => 0,
                _ if trimmed.eq_ignore_ascii_case("true") => 1,
                _ if trimmed.eq_ignore_ascii_case("false") => 0,
                _ => return Err(format!("{} is not true or false", shown(text))),
            },
            Domain::Date { .. } => {
                let date: Date = trimmed
                    .parse()
                    .map_err(|error| format!("{} {error}", shown(text)))?;
                date.days()
            }
            Domain::Text { dictionary } => of_dictionary(dictionary, text)?,
        };
        self.in_range(units, text).map(Some)
    }

    fn of_value(&self, value: &Literal) -> Result<Option<i64>, String> {
        let units = match (&self.domain, value) {
            (_, Literal::Null) => return self.missing(),
            (Domain::Integer { .. } | Domain::Decimal { .. }, Literal::Number(number)) => {
                self.of_number(*number, &number.to_string())?
            }
            (Domain::Boolean, Literal::Boolean(truth)) => (*truth).into(),
            (Domain::Date { .. }, Literal::Text(text)) => {
                let date: Date = text
                    .parse()
                    .map_err(|error| format!("{} {error}", shown(text)))?;
                date.days()
            }
            (Domain::Text { dictionary }, Literal::Text(text)) => of_dictionary(dictionary, text)?,
            _ => {
                return Err(format!(
                    "{value} is no cell of a column of type {}",
                    self.domain.type_name()
                ));
            }
        };
        self.in_range(units, &value.to_string()).map(Some)
    }

    fn of_number(&self, number: Number, text: &str) -> Result<i64, String> {
        let places = self.domain.places();
        number.units(places).ok_or_else(|| match places {
            0 => format!(
                "{} is no whole number; round it, or let the column be a decimal",
                shown(text)
            ),
            _ => format!(
                "{} has more than {places} decimals; round it, or give the column more places",
                shown(text)
            ),
        })
    }

    fn missing(&self) -> Result<Option<i64>, String> {
        if self.nulls {
            Ok(None)
        } else {
            Err("the cell is missing; fill it in, or let the column have nulls = true".into())
        }
    }

    fn in_range(&self, units: i64, text: &str) -> Result<i64, String> {
        let (min, max) = self.domain.range();
        if (min..=max).contains(&units) {
            return Ok(units);
        }
        Err(format!(
            "{} is outside the range of the column; widen \"min\" and \"max\" in the schema",
            shown(text)
        ))
    }
}

fn place(row: u64, column: &Column, problem: String) -> CellError {
    CellError::Cell {
        row,
        column: column.name.clone(),
        problem,
    }
}

fn of_dictionary(dictionary: &[String], text: &str) -> Result<i64, String> {
    let place = dictionary.iter().position(|known| known == text);
    place.map(|place| place as i64).ok_or_else(|| {
        format!(
            "{} is not in the dictionary; add it to the schema of every frame that has it",
            shown(text)
        )
    })
}

/// A cell for people, shortened.
fn shown(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}", format!("{}...", &text[..end])),
        None => format!("{text:?}"),
    }
}
