//! How many rows a frame has.

use super::{MAX_ROWS, SchemaError};

/// How many rows a frame has, as far as that is public.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Rows, those that pad included; `None` before there are data.
    pub count: Option<u64>,
    /// Whether some of them are there to hide how many there are. Each row then says, encrypted,
    /// whether it is one.
    pub padded: bool,
}

impl Rows {
    /// What a frame says that is encrypted by a schema which says this, of a table of `rows` rows, padded
    /// to `pad_to` if that is given.
    ///
    /// # Errors
    /// A table of other rows than the schema says; more rows than there may be.
    pub fn holding(self, rows: u64, pad_to: Option<u64>) -> Result<Self, SchemaError> {
        let error = |problem: String| Err(SchemaError::frame("rows", problem));
        let count = match (pad_to, self.count) {
            (Some(most), _) if most < rows => {
                return error(format!(
                    "would be {most}, and the table has {rows}; pad to more"
                ));
            }
            (Some(most), _) => most,
            (None, Some(most)) if self.padded && most >= rows => most,
            (None, Some(count)) if count != rows => {
                return error(format!(
                    "is {count}{}, and the table has {rows}; take it out of the schema, or give the table that it is of",
                    if self.padded {
                        " with padded = true"
                    } else {
                        ""
                    }
                ));
            }
            (None, None) if self.padded => {
                return error(
                    "is missing beside padded = true; give it, or say how many rows to pad to"
                        .into(),
                );
            }
            (None, _) => rows,
        };
        if count > MAX_ROWS {
            return error(format!(
                "would be {count}; a frame has at most {MAX_ROWS} rows: encrypt parts of the table"
            ));
        }
        Ok(Self {
            count: Some(count),
            padded: pad_to.is_some() || self.padded,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_of_the_table_or_pad() {
        let rows = |count, padded| Rows { count, padded };
        let cases = [
            (rows(None, false), None, Some(rows(Some(5), false))),
            (rows(None, false), Some(8), Some(rows(Some(8), true))),
            (rows(Some(7), true), None, Some(rows(Some(7), true))),
            (rows(Some(5), false), None, Some(rows(Some(5), false))),
            (rows(Some(4), false), None, None),
            (rows(Some(4), true), None, None),
            (rows(None, true), None, None),
            (rows(None, false), Some(4), None),
            (rows(None, false), Some(MAX_ROWS + 1), None),
        ];
        for (said, pad_to, expected) in cases {
            assert_eq!(
                said.holding(5, pad_to).ok(),
                expected,
                "{said:?} {pad_to:?}"
            );
        }
    }
}
