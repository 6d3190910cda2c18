//! A schema from data: the narrowest types and ranges that hold every cell.

use crate::cells::{CellError, is_missing_word};
use crate::date::Date;
use crate::number::Number;
use crate::plan::Literal;
use crate::schema::{Column, Domain, LIMB_BITS, Roles, Rows, Schema, SchemaError};
use std::collections::BTreeSet;

/// Most different texts of a column: more are no enumeration.
const MAX_TEXTS: usize = 1 << 12;
/// Most codes of a whole number that is a key unless its schema says otherwise: one ciphertext's.
const KEY_SIZE: u64 = 1 << 11;

/// What is known of data that are read row by row.
#[derive(Clone, Debug)]
pub struct Inference {
    columns: Vec<Guess>,
    rows: u64,
}

/// What is known of a column.
#[derive(Clone, Debug)]
struct Guess {
    name: String,
    nulls: bool,
    is_boolean: bool,
    /// Smallest and largest number, as long as all cells are numbers, and most decimals.
    numbers: Option<Numbers>,
    dates: Option<(Date, Date)>,
    /// The different texts, as long as they are few.
    texts: Option<BTreeSet<String>>,
    is_empty: bool,
}

#[derive(Clone, Copy, Debug)]
struct Numbers {
    min: Number,
    max: Number,
    places: u8,
}

/// What a cell can be, beside a text.
#[derive(Clone, Copy, Debug, Default)]
struct Kinds {
    is_boolean: bool,
    number: Option<Number>,
    date: Option<Date>,
}

impl Inference {
    /// Columns of these names, without rows.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let guess = |name| Guess {
            name,
            nulls: false,
            is_boolean: true,
            numbers: None,
            dates: None,
            texts: Some(BTreeSet::new()),
            is_empty: true,
        };
        Self {
            columns: names.into_iter().map(guess).collect(),
            rows: 0,
        }
    }

    /// Takes a row of texts.
    pub fn row<'t>(
        &mut self,
        texts: impl ExactSizeIterator<Item = &'t str>,
    ) -> Result<(), CellError> {
        self.next_row(texts.len())?;
        for (column, text) in self.columns.iter_mut().zip(texts) {
            column.take(text);
        }
        Ok(())
    }

    /// Takes a row of values, as data frames have them: texts stay texts, whatever they look like, but for
    /// dates.
    pub fn row_of_values(&mut self, values: &[Literal]) -> Result<(), CellError> {
        self.next_row(values.len())?;
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.take_value(value);
        }
        Ok(())
    }

    /// Counts a row of so many cells.
    fn next_row(&mut self, found: usize) -> Result<(), CellError> {
        self.rows += 1;
        let expected = self.columns.len();
        if found != expected {
            return Err(CellError::Ragged {
                row: self.rows,
                found,
                expected,
            });
        }
        Ok(())
    }

    /// The schema: booleans, dates, texts and small whole numbers are keys, numbers are values.
    pub fn finish(self, name: String) -> Result<Schema, SchemaError> {
        let columns: Result<_, _> = self.columns.into_iter().map(Guess::column).collect();
        // How many rows there are is the table's matter, of which there will be others.
        Schema::new(name, Rows::default(), columns?, Vec::new())
    }
}

impl Guess {
    fn take(&mut self, text: &str) {
        let trimmed = text.trim();
        if trimmed.is_empty() || is_missing_word(trimmed) {
            self.nulls = true;
            return;
        }
        let is_boolean = ["true", "false"]
            .iter()
            .any(|word| trimmed.eq_ignore_ascii_case(word));
        let kinds = Kinds {
            is_boolean,
            number: trimmed.parse().ok(),
            date: trimmed.parse().ok(),
        };
        self.take_cell(kinds, text);
    }

    fn take_value(&mut self, value: &Literal) {
        let mut kinds = Kinds::default();
        let text = match value {
            Literal::Null => {
                self.nulls = true;
                return;
            }
            Literal::Boolean(truth) => {
                kinds.is_boolean = true;
                truth.to_string()
            }
            Literal::Number(number) => {
                kinds.number = Some(*number);
                number.to_string()
            }
            Literal::Text(text) => {
                kinds.date = text.parse().ok();
                text.clone()
            }
        };
        self.take_cell(kinds, &text);
    }

    fn take_cell(&mut self, kinds: Kinds, text: &str) {
        self.is_boolean &= kinds.is_boolean;
        let first = std::mem::replace(&mut self.is_empty, false);
        self.numbers = match (kinds.number, self.numbers) {
            (Some(number), Some(own)) => Some(Numbers {
                min: own.min.min(number),
                max: own.max.max(number),
                places: own.places.max(number.places()),
            }),
            (Some(number), None) if first => Some(Numbers {
                min: number,
                max: number,
                places: number.places(),
            }),
            _ => None,
        };
        self.dates = match (kinds.date, self.dates) {
            (Some(date), Some((min, max))) => Some((min.min(date), max.max(date))),
            (Some(date), None) if first => Some((date, date)),
            _ => None,
        };
        if let Some(texts) = &mut self.texts
            && !texts.contains(text)
        {
            texts.insert(text.to_owned());
            if texts.len() > MAX_TEXTS {
                self.texts = None;
            }
        }
    }

    fn column(self) -> Result<Column, SchemaError> {
        let error = |problem: &str| SchemaError::Column {
            column: self.name.clone(),
            field: "type",
            problem: problem.into(),
        };
        if self.is_empty {
            return Err(error(
                "cannot be told: every cell is missing; leave the column out",
            ));
        }
        let domain = if self.is_boolean {
            Domain::Boolean
        } else if let Some(Numbers { min, max, places }) = self.numbers {
            let units = |number: Number| {
                number.units(places).ok_or_else(|| {
                    error("cannot be told: its numbers have too many digits; round them")
                })
            };
            let (min, max) = (units(min)?, units(max)?);
            if places == 0 {
                Domain::Integer { min, max }
            } else {
                Domain::Decimal { min, max, places }
            }
        } else if let Some((min, max)) = self.dates {
            Domain::Date { min, max }
        } else if let Some(texts) = self.texts {
            Domain::Text {
                dictionary: texts.into_iter().collect(),
            }
        } else {
            return Err(error(
                "cannot be told: it has more than 4096 different texts, too many for a dictionary; leave the column out",
            ));
        };
        let is_small = matches!(domain, Domain::Integer { .. }) && domain.size() <= KEY_SIZE;
        let is_value = matches!(domain, Domain::Integer { .. } | Domain::Decimal { .. });
        Ok(Column {
            roles: Roles {
                value: is_value,
                key: is_small || !is_value,
            },
            name: self.name,
            domain,
            nulls: self.nulls,
            limb_bits: LIMB_BITS,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_ranges_hold_every_cell() {
        let names = ["sku", "price", "day", "member", "city"].map(str::to_owned);
        let mut inference = Inference::new(names);
        let rows = [
            ["17", "1.50", "2024-02-29", "true", "Basel"],
            ["-3", "20", "2023-01-01", "False", "7"],
            ["", "n/a", "2024-01-01", "TRUE", ""],
        ];
        for row in &rows {
            inference.row(row.iter().copied()).expect("five cells");
        }
        assert!(inference.row(["1"].into_iter()).is_err());
        let schema = inference.finish("visits".into()).expect("a schema");
        let text = schema.to_toml().expect("TOML");
        assert_eq!(Schema::from_toml(&text).as_ref(), Ok(&schema), "{text}");
        let domains: Vec<&Domain> = schema
            .columns()
            .iter()
            .map(|column| &column.domain)
            .collect();
        assert_eq!(*domains[0], Domain::Integer { min: -3, max: 17 });
        assert_eq!(
            *domains[1],
            Domain::Decimal {
                min: 15,
                max: 200,
                places: 1
            }
        );
        assert_eq!(domains[2].size(), 425);
        assert_eq!(*domains[3], Domain::Boolean);
        assert_eq!(
            *domains[4],
            Domain::Text {
                dictionary: vec!["7".into(), "Basel".into()]
            }
        );
        for (number, row) in (1..).zip(&rows) {
            schema
                .row_of_texts(number, row.iter().copied())
                .expect("a row of it");
        }
    }
    #[test]
    fn texts_of_data_frames_stay_texts() {
        let names = ["code", "paid", "day", "price"].map(str::to_owned);
        let mut inference = Inference::new(names);
        let text = |text: &str| Literal::Text(text.into());
        let price = |text: &str| Literal::Number(text.parse().expect("a number"));
        let rows = [
            [
                text("7"),
                Literal::Boolean(true),
                text("2024-02-29"),
                price("1.5"),
            ],
            [
                text("NA"),
                Literal::Boolean(false),
                Literal::Null,
                price("20"),
            ],
        ];
        for row in &rows {
            inference.row_of_values(row).expect("four cells");
        }
        assert!(inference.row_of_values(&rows[0][..3]).is_err());
        let schema = inference.finish("codes".into()).expect("a schema");
        let domains: Vec<&'static str> = schema
            .columns()
            .iter()
            .map(|column| column.domain.type_name())
            .collect();
        assert_eq!(domains, ["text", "boolean", "date", "decimal"]);
        for (number, row) in (1..).zip(&rows) {
            schema.row_of_values(number, row).expect("a row of it");
        }
    }
}
