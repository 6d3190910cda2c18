//! `cipherfn frame schema`.

use crate::files::{Content, Destination, InputSource};
use crate::shared::Force;
use crate::table::TableOptions;
use crate::terminal::Terminal;
use anyhow::{Context, Result};
use cipherfn_frame::infer::Inference;
use cipherfn_program::{EntryKind, Tensor, TensorType};
use cipherfn_protocol::specs::{ColumnKind, InputColumn};
use std::io::Write;

/// Write the schema of a table: types, ranges and dictionaries that hold every cell, to be edited
///
/// Ranges and dictionaries are public. Widen them to what cells can be, so that they say nothing of
/// what they are; give frames that are merged the same ranges and dictionaries for their keys.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn frame schema sales.csv --name sales -o sales.toml")]
pub(super) struct SchemaOf {
    /// The table as CSV, - for standard input
    table: InputSource,
    /// Name of the frame, by which plans know it
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Where to write the schema, - for standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: Destination,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    format: TableOptions,
}

impl SchemaOf {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let terminal = terminal.beside_data(self.output.is_stdout());
        let mut output = self
            .output
            .create(Content::Text, self.force.force, &[&self.table])?;
        let (table, progress) = self.format.open(&self.table, terminal, "reading")?;
        let header = table.header().to_vec();
        let column = |name: &String| InputColumn {
            name: name.clone(),
            kind: ColumnKind::Text,
            missing: true,
        };
        let columns: Vec<InputColumn> = header.iter().map(column).collect();
        let input = TensorType {
            kind: EntryKind::Text,
            len: columns.len(),
        };
        let mut inference = Inference::new(header);
        for row in table.select(&columns, &[input])? {
            if let [Tensor::Text(cells)] = row?.as_slice() {
                inference
                    .row(cells.iter().map(String::as_str))
                    .with_context(|| self.table.name())?;
            }
        }
        progress.finish_and_clear();
        let schema = inference
            .finish(self.name)
            .with_context(|| self.table.name())?;
        output.write_all(schema.to_toml()?.as_bytes())?;
        output.finish()
    }
}
