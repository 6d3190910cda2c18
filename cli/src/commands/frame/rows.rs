//! The rows of a table for frames, as texts.

use crate::files::InputSource;
use crate::table::TableOptions;
use crate::terminal::Terminal;
use anyhow::{Context, Result, anyhow, bail};
use cipherfn_frame::cells::Units;
use cipherfn_frame::schema::{Domain, Schema};
use cipherfn_program::{EntryKind, Tensor, TensorType};
use cipherfn_protocol::specs::{ColumnKind, InputColumn};
use cipherfn_table::{Table, TableError};
use std::borrow::Cow;
use std::io::Read;

/// Largest schema.
const MAX_SCHEMA: u64 = 16 << 20;

/// Reads the schema of an encrypted frame or of a table before it is one.
pub(super) fn read_schema(source: &InputSource) -> Result<Schema> {
    let text = String::from_utf8(source.read_all(MAX_SCHEMA)?)
        .map_err(|_| anyhow!("{} is not UTF-8", source.name()))?;
    let schema = Schema::from_toml(&text).with_context(|| source.name())?;
    if schema.cells().is_some() {
        bail!(
            "{} is the schema of a table in the clear with its cells; take the line \"cells\" out",
            source.name()
        );
    }
    if schema.owners().is_some() {
        bail!(
            "{} is the schema of owners' sums; take the line \"owners\" out",
            source.name()
        );
    }
    Ok(schema)
}

/// Gives each row of a table, of the schema's columns, as units. Gives back how many there are. `named`
/// is the table by the name that its user gave it.
pub(super) fn each_of_schema(
    (input, named, format): (&InputSource, &InputSource, &TableOptions),
    schema: &Schema,
    (terminal, what): (Terminal, &'static str),
    mut take: impl FnMut(Units) -> Result<()>,
) -> Result<u64> {
    let (table, progress) = format.open(input, terminal, what)?;
    let columns = schema.columns();
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let rows = each_row(input, table, &names, |number, cells| {
        let cells = cells
            .iter()
            .zip(columns)
            .map(|(cell, column)| match column.domain {
                Domain::Integer { .. } | Domain::Decimal { .. } => {
                    Cow::Owned(format.with_point(cell))
                }
                _ => Cow::Borrowed(cell.as_str()),
            });
        let cells: Vec<Cow<'_, str>> = cells.collect();
        let row = schema.row_of_texts(number, cells.iter().map(AsRef::as_ref));
        row.map_err(anyhow::Error::from)
            .and_then(&mut take)
            .with_context(|| named.name())
    })?;
    progress.finish_and_clear();
    Ok(rows)
}

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
