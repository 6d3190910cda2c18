//! Cells to units: what a client encrypts.

use crate::date::Date;
use crate::number::Number;
use crate::plan::Literal;
use crate::schema::{Column, Domain, Schema};

/// What stands for a missing cell, beside nothing at all, in any case: what pandas, R, SQL and
/// spreadsheets write.
const MISSING: [&str; 7] = ["nan", "na", "n/a", "#n/a", "<na>", "null", "none"];

/// Why a row is none of a schema.
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
}

impl Column {
    fn of_text(&self, text: &str) -> Result<Option<i64>, String> {
        let trimmed = text.trim();
        let is_word = trimmed.is_empty() || is_missing_word(trimmed);
        // A text that the dictionary has is one.
        let is_missing = match &self.domain {
            Domain::Text { dictionary } => is_word && !dictionary.iter().any(|known| known == text),
            _ => is_word,
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
            _ if number.places() <= places => self.outside(text),
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
        Err(self.outside(text))
    }

    fn outside(&self, text: &str) -> String {
        format!(
            "{} is outside the range of the column, {}; widen \"min\" and \"max\" in the schema",
            shown(text),
            self.domain.shown()
        )
    }
}

/// Whether a text stands for a missing cell.
pub(crate) fn is_missing_word(text: &str) -> bool {
    MISSING.iter().any(|word| text.eq_ignore_ascii_case(word))
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
