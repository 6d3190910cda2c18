//! `cipherfn specs`.

use crate::files::{Content, Destination, InputSource};
use crate::server;
use crate::shared::Force;
use crate::terminal::{self, Terminal};
use anyhow::Result;
use cipherfn_protocol::specs::SpecsDocument;
use std::io::Write;

/// Write the client specs of a bundle: all that a client needs
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn specs fraud.cfn -o fraud.specs.json")]
pub(crate) struct Specs {
    /// The bundle, - for standard input
    bundle: InputSource,
    /// The specs to write, - for standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: Destination,
    #[command(flatten)]
    force: Force,
}

impl Specs {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        let bundle = server::read_bundle(&self.bundle)?;
        let specs = SpecsDocument::from_json_bytes(&bundle.specs)?;
        let mut output = self
            .output
            .create(Content::Text, self.force.force, &[&self.bundle])?;
        output.write_all(specs.bytes())?;
        output.finish()?;
        if self.output.is_stdout() {
            return Ok(());
        }
        let document = specs.specs();
        let value = serde_json::json!({
            "model": document.model.name,
            "hash": specs.hash(),
            "parameter_set": document.parameter_set.name,
            "columns": document.columns.len(),
            "bytes": specs.bytes().len(),
        });
        terminal.summary(&value, || {
            terminal::facts([
                ("model", document.model.name.clone()),
                (
                    "specs",
                    format!(
                        "{}, {}",
                        self.output.name(),
                        terminal::bytes(specs.bytes().len() as u64)
                    ),
                ),
                ("hash", specs.hash().to_string()),
                ("parameters", document.parameter_set.name.clone()),
                ("columns", document.columns.len().to_string()),
            ])
        })
    }
}
