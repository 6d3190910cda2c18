//! `cipherfn frame schema`.

use super::rows::each_row;
use crate::files::{Content, Destination, InputSource};
use crate::shared::Force;
use crate::table::TableOptions;
use crate::terminal::Terminal;
use anyhow::{Context, Result};
use cipherfn_frame::infer::Inference;
use cipherfn_frame::number::Number;
use std::io::Write;

/// Write the schema of a table: types, ranges and dictionaries that hold every cell, to be edited
///
/// Ranges and dictionaries are public. Widen them to what cells can be, so that they say nothing of
/// what they are; give frames that are merged the same ranges and dictionaries for their keys.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn frame schema sales.csv --name sales -o sales.toml")]
pub(super) struct SchemaOf {
    /// The table: CSV, Parquet or Arrow, - for standard input
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
        let source = self.table.repeatable()?;
        let (table, progress) = self.format.open(&source, terminal, "reading")?;
        let header = table.header().to_vec();
        let mut inference = Inference::new(header.clone());
        each_row(&source, table, &header, |_, cells| {
            let numbers = cells.iter().map(|cell| {
                let number = self.format.with_point(cell);
                let is_number = number.trim().parse::<Number>().is_ok();
                if is_number { number } else { cell.clone() }
            });
            let cells: Vec<String> = numbers.collect();
            let row = inference.row(cells.iter().map(String::as_str));
            row.with_context(|| self.table.name())
        })?;
        progress.finish_and_clear();
        let schema = inference
            .finish(self.name)
            .with_context(|| self.table.name())?;
        output.write_all(schema.to_toml()?.as_bytes())?;
        output.finish()
    }
}
