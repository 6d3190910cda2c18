//! Columns that somebody else adds beside the rows of a frame.

use super::{Schema, SchemaError};

impl Schema {
    /// The schema of the same rows with columns behind its own, which are encrypted apart: names are used
    /// once, and none of the new columns is looked up.
    ///
    /// # Errors
    /// A name that is taken; another frame's columns, or of another number of rows; rows that pad, of which
    /// nobody else knows which they are; names hashed otherwise.
    pub fn beside(&self, columns: &Self) -> Result<Self, SchemaError> {
        let error = |field, problem: &str| Err(SchemaError::frame(field, problem));
        if columns.name != self.name {
            return error("name", "is that of another frame than the columns are for");
        }
        if self.owners.is_some() {
            return error(
                "owners",
                "is that of sums, which have no rows to add columns beside",
            );
        }
        if columns.rows != self.rows || self.rows.padded {
            return error(
                "rows",
                "are others than the frame's, or some of them pad, and columns are added beside rows that are known",
            );
        }
        if columns.names != self.names {
            return error(
                "names",
                "are hashed on one side only, or by another secret; let the frame's owner write the schema",
            );
        }
        if !columns.lookups.is_empty() {
            return error(
                "lookup",
                "is for rows that a frame was encrypted with; leave it out",
            );
        }
        let all = self.columns.iter().chain(&columns.columns).cloned();
        let whole = Self::new(
            self.name.clone(),
            self.rows,
            all.collect(),
            self.lookups.clone(),
        )?;
        Ok(Self {
            names: self.names.clone(),
            ..whole
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &str = "format = 1\nname = \"f\"\nrows = 3\n[[column]]\nname = \"a\"\ntype = \"boolean\"\nroles = [\"key\"]\nnulls = true\n";

    fn schema(text: &str) -> Schema {
        Schema::from_toml(text).expect("a schema")
    }

    #[test]
    fn inputs_of_columns_come_behind_those_of_the_frame() {
        let (frame, columns) = (schema(FRAME), schema(&FRAME.replace("\"a\"", "\"b\"")));
        let whole = frame.beside(&columns).expect("both");
        assert_eq!(whole.columns().len(), 2);
        let own = frame.row_inputs().len();
        assert_eq!(whole.row_inputs()[..own], frame.row_inputs());
        assert_eq!(whole.row_inputs().len(), own + columns.row_inputs().len());
    }

    #[test]
    fn columns_that_do_not_go_beside_a_frame_are_refused() {
        let other = FRAME.replace("\"a\"", "\"b\"");
        let lookup = format!("{other}[[lookup]]\nby = [\"b\"]\n");
        for (frame, columns, wanted) in [
            (FRAME, FRAME, "name of two columns"),
            (FRAME, &other.replace("\"f\"", "\"g\""), "another frame"),
            (FRAME, &other.replace("rows = 3", "rows = 4"), "others than"),
            (
                FRAME,
                &other.replace("rows = 3", "rows = 3\nhash-names = true"),
                "hashed",
            ),
            (FRAME, &lookup, "lookup"),
        ] {
            let error = schema(frame).beside(&schema(columns));
            let error = error.expect_err("it is refused").to_string();
            assert!(error.contains(wanted), "{error}");
        }
        let padded = |text: &str| schema(&text.replace("rows = 3", "rows = 3\npadded = true"));
        let error = padded(FRAME).beside(&padded(&other));
        assert!(error.expect_err("it pads").to_string().contains("pad"));
    }
}
