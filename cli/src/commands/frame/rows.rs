//! The rows of a table for frames, as texts.

use crate::files::InputSource;
use anyhow::{Result, bail};
use cipherfn_program::{EntryKind, Tensor, TensorType};
use cipherfn_protocol::specs::{ColumnKind, InputColumn};
use cipherfn_table::{Table, TableError};
use std::io::Read;

/// Gives each row, by its number from 1, the cells of the columns of these names. Gives back how many
/// rows there are.
pub(super) fn each_row(
    source: &InputSource,
    table: Table<impl Read>,
    names: &[String],
    mut take: impl FnMut(u64, &[String]) -> Result<()>,
) -> Result<u64> {
    let is_one_column = table.header().len() == 1;
    let column = |name: &String| InputColumn {
        name: name.clone(),
        kind: ColumnKind::Text,
        missing: true,
    };
    let columns: Vec<InputColumn> = names.iter().map(column).collect();
    let input = TensorType {
        kind: EntryKind::Text,
        len: columns.len(),
    };
    let mut rows = table.select(&columns, &[input])?;
    let mut count = 0;
    for row in rows.by_ref() {
        let row = match row {
            // A frame without rows is one.
            Err(TableError::NoRows { .. }) => break,
            row => row?,
        };
        count += 1;
        if let [Tensor::Text(cells)] = row.as_slice() {
            take(count, cells)?;
        }
    }
    if let (true, Some(line)) = (is_one_column, rows.blank_line()) {
        bail!(
            "{}, line {line} is blank, which in a table of one column may stand for a missing cell; write \"\" where the cell is missing, or remove the line",
            source.name()
        );
    }
    Ok(count)
}
