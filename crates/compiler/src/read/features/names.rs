//! Names of a file's columns.

/// Names of a file's columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Names {
    /// In the file.
    Own(Vec<String>),
    /// The file has none: the table's columns are taken in order.
    Position(usize),
}

impl Names {
    /// Number of columns.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Own(names) => names.len(),
            Self::Position(count) => *count,
        }
    }

    /// A column's name for errors.
    pub(crate) fn show(&self, column: usize) -> String {
        match self {
            Self::Own(names) => names.get(column).cloned(),
            Self::Position(_) => None,
        }
        .unwrap_or_else(|| format!("column {column}"))
    }
}
