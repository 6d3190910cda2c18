//! `cipherfn frame contribute`.

use super::rows::{each_of_schema, read_schema};
use crate::files::{Content, Destination, InputSource};
use crate::public_keys::PublicKeyTrust;
use crate::shared::Force;
use crate::table::TableOptions;
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result};
use cipherfn_client::frames::OwnerSums;
use cipherfn_frame::schema::Schema;
use std::io::Write;

/// Encrypt an owner's sums over the rows of a table, by key, under somebody else's public key
///
/// The schema says by which columns rows are summed, and which are: by one look-up with duplicates = "sum".
/// Rows do not leave this machine, nor do their sums in the clear. Sums of several owners are added by
/// cipherfn frame total; the holder of the key decrypts the total, or merges it with frames. Whoever made the
/// public key (cipherfn statistics key) can read the sums: compare the fingerprint that is shown with the
/// key holder's, by another way than the one by which the file came, or give it with --trust.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn frame contribute --schema sales.toml --key public.cfu --input north.csv -o north.cff"
)]
pub(super) struct ContributeSums {
    /// The schema, TOML, the same for all owners
    #[arg(long, value_name = "FILE")]
    schema: InputSource,
    /// The key holder's public key
    #[arg(long, value_name = "FILE")]
    key: InputSource,
    #[command(flatten)]
    trust: PublicKeyTrust,
    /// The rows: CSV whose first line names the columns, Parquet or Arrow; - for standard input
    #[arg(long, value_name = "FILE")]
    input: InputSource,
    /// The sums to write, a frame, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    #[command(flatten)]
    format: TableOptions,
    #[command(flatten)]
    force: Force,
}

impl ContributeSums {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let terminal = terminal.beside_data(self.output.is_stdout());
        let schema = read_summed(&self.schema)?;
        let (key, fingerprint) = self.trust.read(&self.key)?;
        let inputs = [&self.schema, &self.key, &self.input];
        let mut output = self
            .output
            .create(Content::Binary, self.force.force, &inputs)?;
        let sums = sum_rows(&schema, (&self.input, &self.format), terminal)?;
        let (rows, without_key) = (sums.rows(), sums.without_key());
        let bytes = sums.encrypt(&key).with_context(|| self.key.name())?;
        output.write_all(&bytes)?;
        output.finish()?;
        let value = serde_json::json!({
            "frame": schema.name(),
            "rows": rows,
            "without_key": without_key,
            "bytes": bytes.len(),
            "key": key.id().to_string(),
            "fingerprint": fingerprint,
        });
        terminal.summary(&value, || {
            let mut facts = vec![
                ("frame", schema.name().to_owned()),
                ("rows", rows.to_string()),
                ("for key", key.id().to_string()),
                ("fingerprint", fingerprint),
                ("file", self.output.name()),
                ("size", terminal::bytes(bytes.len() as u64)),
            ];
            facts.extend(left_out(without_key));
            terminal::facts(facts)
        })
    }
}

/// The schema of an owner's sums.
pub(in crate::commands) fn read_summed(source: &InputSource) -> Result<Schema> {
    let schema = read_schema(source)?.summed(1);
    schema.with_context(|| source.name())
}

/// An owner's sums over the rows of a table, by a schema of sums.
pub(in crate::commands) fn sum_rows<'s>(
    schema: &'s Schema,
    (input, format): (&InputSource, &TableOptions),
    terminal: Terminal,
) -> Result<OwnerSums<'s>> {
    let mut sums = OwnerSums::new(schema)?;
    each_of_schema(
        (input, input, format),
        schema,
        (terminal, "summing"),
        |row| Ok(sums.add(&row)?),
    )?;
    Ok(sums)
}

/// That rows without a key count for none, where there are some.
pub(in crate::commands) fn left_out(without_key: u64) -> Option<(&'static str, String)> {
    (without_key > 0).then(|| {
        let left_out = format!("{without_key} rows have no key and count for none");
        ("left out", left_out)
    })
}
