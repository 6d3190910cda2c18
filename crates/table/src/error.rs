//! What can be wrong with a table.

use cipherfn_protocol::specs::ColumnKind;
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

/// Why a table cannot be read.
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
    #[error(
        "{source_name}, line 1: columns {first} and {second} are both named {name:?}; rename one"
    )]
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
    #[error("{source_name}, line 1: {}; {way_out}", missing_columns(.names))]
    MissingColumns {
        /// File.
        source_name: String,
        /// Names that are missing.
        names: Vec<String>,
        /// What to do.
        way_out: String,
    },
    /// A row with more or fewer cells than the header.
    #[error(
        "{source_name}, line {line}: {found} cells where the header has {expected}; quote cells that contain commas, and close every quote"
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
    /// Bytes that are not UTF-8.
    #[error("{source_name}, line {line}: not UTF-8 text; save the file as UTF-8 CSV")]
    NotUtf8 {
        /// File.
        source_name: String,
        /// Line where the row starts.
        line: u64,
    },
    /// A row above the limit, mostly after a quote that is never closed.
    #[error(
        "{source_name}, line {line}: the row is longer than {limit} bytes; check for a quote that is never closed"
    )]
    TooLong {
        /// File.
        source_name: String,
        /// Line where the row starts.
        line: u64,
        /// Limit in bytes.
        limit: u64,
    },
    /// Text where a number must be.
    #[error("{place}: {text:?} is not {}; correct the cell", kind_name(*.kind))]
    NotANumber {
        /// Cell.
        place: Place,
        /// What it holds, shortened.
        text: String,
        /// What it should hold.
        kind: ColumnKind,
    },
    /// An empty cell or NaN without a meaning.
    #[error(
        "{place}: the value is missing and the model has no rule for missing values; fill it in or leave the row out"
    )]
    Missing {
        /// Cell.
        place: Place,
    },
    /// Infinite, or too large for the type.
    #[error("{place}: {text:?} is not finite as {}; give a finite value", kind_name(*.kind))]
    NotFinite {
        /// Cell.
        place: Place,
        /// What it holds, shortened.
        text: String,
        /// What it should hold.
        kind: ColumnKind,
    },
    /// The stream failed.
    #[error("reading {source_name} failed: {cause}")]
    Io {
        /// File.
        source_name: String,
        /// Cause.
        cause: io::Error,
    },
}

fn missing_columns(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("{name:?}"))
        .collect();
    let more = if names.len() > SHOWN {
        format!(" and {} more", names.len() - SHOWN)
    } else {
        String::new()
    };
    match names.len() {
        1 => format!("column {} is missing", shown[0]),
        _ => format!("columns {}{more} are missing", shown.join(", ")),
    }
}

const fn kind_name(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Float32 => "a 32-bit number",
        ColumnKind::Float64 => "a 64-bit number",
        ColumnKind::Int64 => "a whole number",
        ColumnKind::Text => "text",
    }
}
