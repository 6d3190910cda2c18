//! Typed rows of a CSV file, by column name, one at a time.
//!
//! The first line names the columns. A [`Table`] has read that line; [`Table::select`] looks up the
//! columns that a model needs and gives [`Rows`], an iterator of rows that holds one line in
//! memory, whatever the file's size. A row comes as the inputs of a row program. Every error names
//! the file, the line and the column, and says what to do.
//!
//! ```
//! use cipherfn_program::{EntryKind, Tensor, TensorType};
//! use cipherfn_program::{ColumnKind, InputColumn};
//! use cipherfn_table::Table;
//!
//! let csv = "age,city,bmi\n31,Basel,22.5\n47,Lyon,nan\n";
//! let table = Table::open("people.csv", csv.as_bytes())?;
//! assert_eq!(table.header(), ["age", "city", "bmi"]);
//!
//! // One input of two floats: the columns "bmi" and "age".
//! let columns = ["bmi", "age"].map(|name| InputColumn { name: name.into(), kind: ColumnKind::Float32, missing: false });
//! let mut rows = table.select(&columns, &[TensorType { kind: EntryKind::F32, len: 2 }])?;
//! assert_eq!(rows.ignored(), ["city"]);
//! assert_eq!(rows.next().unwrap()?, [Tensor::F32(vec![22.5, 31.0])]);
//! assert_eq!(
//!     rows.next().unwrap().unwrap_err().to_string(),
//!     "people.csv, line 3, column \"bmi\": the value is missing and the model has no rule for missing values; fill it in or leave the row out",
//! );
//! # Ok::<(), cipherfn_table::TableError>(())
//! ```
//!
//! Text is RFC 4180 (commas, optional double quotes, UTF-8 with or without a byte order mark) or in
//! another [`Format`]; lines end in LF, CRLF or CR; gzip is read as it is. Blank lines are skipped.
//! A row that cannot be read does not lose the others: see [`Rows::next_row`].
//! [`PredictionWriter`] is the way back.

mod cell;
mod error;
mod format;
mod predictions;
mod records;
mod rows;

pub use cell::CellError;
pub use error::{Hint, Place, TableError};
pub use format::{Decimal, Format, Separator};
pub use predictions::{ERROR, PredictionWriter, REMARK};
pub use rows::{Row, Rows, Table, comment};
