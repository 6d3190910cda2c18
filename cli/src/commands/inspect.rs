//! `cipherfn inspect`.

use crate::files::InputSource;
use crate::server;
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result};
use cipherfn_compiler::Report;
use cipherfn_protocol::specs::SpecsDocument;

/// Show what a bundle holds: model, precision, sizes, what its specs reveal
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn inspect fraud.cfn")]
pub(crate) struct Inspect {
    /// The bundle, - for standard input
    bundle: InputSource,
}

impl Inspect {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        let bytes = self.bundle.read_all(server::MAX_BUNDLE)?;
        let bundle = server::parse_bundle(&bytes, &self.bundle)?;
        let specs =
            SpecsDocument::from_json_bytes(&bundle.specs).with_context(|| self.bundle.name())?;
        let report: Report = serde_json::from_slice(&bundle.report)
            .with_context(|| format!("{}: the report cannot be read", self.bundle.name()))?;
        let columns: Vec<_> = specs
            .specs()
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        let value = serde_json::json!({ "bundle_bytes": bytes.len(), "specs_hash": specs.hash(), "columns": columns, "report": report });
        terminal.report(&value, || {
            let facts = terminal::facts([
                (
                    "bundle",
                    format!(
                        "{}, {}",
                        self.bundle.name(),
                        terminal::bytes(bytes.len() as u64)
                    ),
                ),
                ("specs hash", specs.hash().to_string()),
                ("columns", columns.join(", ")),
            ]);
            terminal::wrapped(&format!("{facts}\n\n{report}"))
        })
    }
}
