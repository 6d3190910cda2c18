//! `cipherfn statistics add`.

use crate::files::{Content, Destination, InputSource};
use crate::shared::Force;
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result};
use cipherfn_serving::training::Total;
use std::io::Write;

/// Add the contributions of several owners, without any key
///
/// Sums can be added to sums. The same contribution given twice is refused; in files that hold sums
/// it goes unseen.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn statistics add --spec spec.toml north.cft south.cft -o total.cft"
)]
pub(super) struct Add {
    /// The contributions
    #[arg(required = true, value_name = "FILE")]
    contributions: Vec<InputSource>,
    /// The spec, TOML, the same for all owners
    #[arg(long, value_name = "FILE")]
    spec: InputSource,
    /// The sum to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    #[command(flatten)]
    force: Force,
}

impl Add {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let spec = super::read_spec(&self.spec)?;
        let mut inputs = vec![&self.spec];
        inputs.extend(&self.contributions);
        let mut output = self
            .output
            .create(Content::Binary, self.force.force, &inputs)?;
        let mut total = Total::new(&spec);
        for source in &self.contributions {
            let contribution = super::read_contribution(source)?;
            total.add(&contribution).with_context(|| source.name())?;
        }
        let total = total.finish()?;
        output.write_all(&total.to_file_bytes())?;
        output.finish()?;
        let value = serde_json::json!({ "owners": total.owners, "key": total.key.to_string() });
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || {
                terminal::facts([
                    ("owners", total.owners.to_string()),
                    ("for key", total.key.to_string()),
                    ("file", self.output.name()),
                ])
            })
    }
}
