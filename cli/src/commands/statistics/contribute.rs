//! `cipherfn statistics contribute`.

use crate::files::{Content, Destination, InputSource};
use crate::public_keys::PublicKeyTrust;
use crate::shared::Force;
use crate::table::TableOptions;
use crate::terminal::{self, Terminal};
use anyhow::Result;
use cipherfn_client::training;
use std::io::Write;

/// Encrypt an owner's sums over the rows of a table
///
/// The rows do not leave this machine, nor do their sums in the clear. Whoever made the public key can read the
/// sums: compare the fingerprint that is shown with the key holder's, or give it with --trust. Numbers outside of
/// their declared range count as its ends, and how many did is reported.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn statistics contribute --spec spec.toml --key public.cfu --input rows.csv -o north.cft"
)]
pub(super) struct Contribute {
    /// The spec, TOML, the same for all owners
    #[arg(long, value_name = "FILE")]
    spec: InputSource,
    /// The key holder's public key
    #[arg(long, value_name = "FILE")]
    key: InputSource,
    #[command(flatten)]
    trust: PublicKeyTrust,
    /// The rows as CSV with a header, Parquet or Arrow, - for CSV on standard input
    #[arg(long, value_name = "FILE")]
    input: InputSource,
    /// The contribution to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    format: TableOptions,
}

impl Contribute {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let terminal = terminal.beside_data(self.output.is_stdout());
        let spec = super::read_spec(&self.spec)?;
        let (key, fingerprint) = self.trust.read(&self.key)?;
        let inputs = [&self.spec, &self.key, &self.input];
        let mut output = self
            .output
            .create(Content::Binary, self.force.force, &inputs)?;
        let sums = super::read_sums(&spec, (&self.input, &self.format), terminal)?;
        let bytes = training::contribute(&key, &spec, &sums)?.to_file_bytes();
        output.write_all(&bytes)?;
        output.finish()?;
        let value = serde_json::json!({
            "rows": sums.rows(),
            "bytes": bytes.len(),
            "key": key.id().to_string(),
            "fingerprint": fingerprint,
            "clipped": super::clipped_json(&sums),
        });
        terminal.summary(&value, || {
            let mut facts = vec![
                ("rows", sums.rows().to_string()),
                ("for key", key.id().to_string()),
                ("fingerprint", fingerprint),
                ("file", self.output.name()),
                ("size", terminal::bytes(bytes.len() as u64)),
            ];
            facts.extend(super::clipped_of(&sums));
            terminal::facts(facts)
        })
    }
}
