//! What can be wrong with a schema.

/// Why something is no schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A field of the frame itself.
    #[error("schema: field {field:?} {problem}")]
    Frame {
        /// Name in the document.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A field of a column.
    #[error("schema: column {column:?}: field {field:?} {problem}")]
    Column {
        /// The column's name.
        column: String,
        /// Name in the document.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A field of a look-up.
    #[error("schema: look-up {number}: field {field:?} {problem}")]
    Lookup {
        /// Which one, from 1.
        number: usize,
        /// Name in the document.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Not TOML, or not of this layout.
    #[error("not a schema: {problem}; `cipherfn frame schema` writes one")]
    Document {
        /// Place and cause.
        problem: String,
    },
    /// Another layout version.
    #[error(
        "schemas have format {found} here, this build reads {known}; write it anew with this build"
    )]
    Format {
        /// Version found.
        found: u16,
        /// Versions that are read.
        known: String,
    },
    /// A document above the limit.
    #[error("a schema of {len} bytes exceeds the limit of {limit} bytes; shorten its dictionaries")]
    TooLarge {
        /// Bytes found.
        len: usize,
        /// Limit in force.
        limit: usize,
    },
}

impl SchemaError {
    pub(crate) fn frame(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Frame {
            field,
            problem: problem.into(),
        }
    }

    pub(crate) fn column(column: &str, field: &'static str, problem: impl Into<String>) -> Self {
        Self::Column {
            column: column.into(),
            field,
            problem: problem.into(),
        }
    }

    pub(crate) fn lookup(index: usize, field: &'static str, problem: impl Into<String>) -> Self {
        Self::Lookup {
            number: index + 1,
            field,
            problem: problem.into(),
        }
    }
}
