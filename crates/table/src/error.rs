//! What can be wrong with a table.

use crate::cell::CellError;
use std::fmt;
use std::io;

/// A cell: file, line (from 1, the header's included) and column name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// File name, or what stands for it.
    pub source: String,
    /// Line where the row starts.
    pub line: u64,
    /// Header name.
    pub column: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, line {}, column {:?}",
            self.source, self.line, self.column
        )
    }
}

/// Why a table cannot be read, or one of its rows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// Not one line.
    #[error("{source_name} is empty; give a CSV file whose first line names the columns")]
    Empty {
        /// File.
        source_name: String,
    },
    /// A header and nothing else.
    #[error("{source_name} has a header and no rows; add at least one row")]
    NoRows {
        /// File.
        source_name: String,
    },
    /// A name given to two columns.
    #[error("{source_name}: columns {first} and {second} are both named {name:?}; rename one")]
    DuplicateColumn {
        /// File.
        source_name: String,
        /// The name.
        name: String,
        /// Number of the first, from 1.
        first: usize,
        /// Number of the second, from 1.
        second: usize,
    },
    /// Columns that the model needs and the header lacks.
    #[error("{source_name}, header: {}; {hint}", missing_columns(.names))]
    MissingColumns {
        /// File.
        source_name: String,
        /// Names that are missing.
        names: Vec<String>,
        /// What the header looks like, and what to do about it.
        hint: Hint,
    },
    /// Cells that another byte than the comma separates hold numbers with decimal commas.
    #[error(
        "{source_name}: the numbers have decimal commas, as in \"1,5\"; say so when reading the table, or write decimal points"
    )]
    DecimalComma {
        /// File.
        source_name: String,
    },
    /// Text of 16-bit characters.
    #[error("{source_name} is UTF-16 text; save the file as UTF-8 CSV")]
    Utf16 {
        /// File.
        source_name: String,
    },
    /// A row with more or fewer cells than the header.
    #[error(
        "{source_name}, line {line}: {found} cells where the header has {expected}; quote cells that contain the separator, and close every quote"
    )]
    Ragged {
        /// File.
        source_name: String,
        /// Line where the row starts.
        line: u64,
        /// Columns of the header.
        expected: usize,
        /// Cells of the row.
        found: usize,
    },
    /// A quote that is never closed: every row after it would be one cell.
    #[error(
        "{source_name}, line {line}: a quote that is opened here is never closed; close it, or write \"\"\"\" for a quote in a cell"
    )]
    UnclosedQuote {
        /// File.
        source_name: String,
        /// Line of the quote.
        line: u64,
    },
    /// A row above the limit.
    #[error("{source_name}, line {line}: the row is longer than {limit} bytes; shorten it")]
    TooLong {
        /// File.
        source_name: String,
        /// Line where the row starts.
        line: u64,
        /// Limit in bytes.
        limit: u64,
    },
    /// A cell that the model cannot take.
    #[error("{place}: {source}")]
    Cell {
        /// Which one.
        place: Place,
        /// What is wrong with it.
        source: CellError,
    },
    /// The stream failed.
    #[error("reading {source_name} failed: {cause}")]
    Io {
        /// File.
        source_name: String,
        /// Cause.
        cause: io::Error,
    },
    /// Predictions cannot be written.
    #[error("writing the predictions failed: {0}")]
    Write(#[source] io::Error),
}

/// Why columns were not found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// The header looks like one column because another byte separates its names.
    Separator(u8),
    /// The first line starts with a byte that often marks comments.
    Comment(u8),
    /// The first line holds numbers.
    NoHeader,
    /// Names of the header that differ in case, white space or punctuation only, each with the
    /// name that is wanted.
    Near(Vec<(String, String)>),
    /// The header's names.
    Header(Vec<String>),
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Separator(separator) => write!(
                f,
                "the header seems to be separated by {:?}: say so when reading the table, or separate cells by commas",
                char::from(*separator)
            ),
            Self::Comment(mark) => write!(
                f,
                "the first line seems to be a comment, marked by {:?}: say so when reading the table, or remove it",
                char::from(*mark)
            ),
            Self::NoHeader => {
                f.write_str("the first line holds numbers: put the column names there")
            }
            Self::Near(pairs) => {
                let shown: Vec<String> = pairs
                    .iter()
                    .take(SHOWN)
                    .map(|(found, wanted)| format!("{found:?} to {wanted:?}"))
                    .collect();
                write!(
                    f,
                    "names must be equal to the letter: rename {}{}",
                    shown.join(", "),
                    more(pairs.len())
                )
            }
            Self::Header(names) => write!(
                f,
                "the header has {}{}: add or rename columns",
                list(names),
                more(names.len())
            ),
        }
    }
}

/// Most names that are shown.
const SHOWN: usize = 8;

fn missing_columns(names: &[String]) -> String {
    match names {
        [name] => format!("column {name:?} is missing"),
        _ => format!("columns {}{} are missing", list(names), more(names.len())),
    }
}

fn list(names: &[String]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("{name:?}"))
        .collect();
    shown.join(", ")
}

fn more(names: usize) -> String {
    match names.saturating_sub(SHOWN) {
        0 => String::new(),
        unshown => format!(" and {unshown} more"),
    }
}
