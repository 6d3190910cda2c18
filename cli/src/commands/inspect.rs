//! `cipherfn inspect`.

use crate::files::InputSource;
use crate::server;
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result};
use cipherfn_circuit::Circuit;
use cipherfn_compiler::Report;
use cipherfn_compiler::fit::streaming;
use cipherfn_protocol::specs::SpecsDocument;

/// Memories of functions, in MB, of which it is told what they take longer because they are small.
const FUNCTIONS_MB: [u64; 8] = [256, 512, 1024, 1769, 3538, 5307, 7076, 10_240];

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
        let mut value = serde_json::json!({ "bundle_bytes": bytes.len(), "specs_hash": specs.hash(), "columns": columns, "report": report });
        if terminal.is_json() {
            value["functions"] = functions(&bundle.circuit)?.into();
        }
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

/// What functions of these memories add to the predicted time of a row, as they do not hold all of its
/// selectors; those that have no room for a row are left out.
fn functions(circuit: &Circuit) -> Result<Vec<serde_json::Value>> {
    let mut functions = Vec::new();
    let mut more = None;
    for memory in FUNCTIONS_MB {
        // What fits into one fits into all larger ones.
        if more != Some(0.0) {
            more = streaming(circuit, memory << 20)?;
        }
        functions.extend(more.map(|seconds| {
            serde_json::json!({ "memory_mb": memory, "expanded_again_microseconds": seconds * 1e6 })
        }));
    }
    Ok(functions)
}
