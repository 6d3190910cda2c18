//! `cipherfn encrypt`.

use crate::files::{Content, Destination, InputSource};
use crate::shared::{Force, Threads};
use crate::table::{self, OnError, TableOptions};
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, anyhow, bail};
use cipherfn_client::{Client, Mark};
use cipherfn_client_http::KeyRing;
use cipherfn_protocol::specs;
use std::path::PathBuf;

/// Encrypt the rows of a table
///
/// Columns are matched by name. Rows stream: memory stays bounded whatever the file's size.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn encrypt fraud.specs.json --keys keys/ --input rows.csv -o query.cfq"
)]
pub(crate) struct Encrypt {
    /// The client specs
    specs: InputSource,
    /// The key ring
    #[arg(long, value_name = "DIRECTORY")]
    keys: PathBuf,
    /// The rows as CSV with a header, Parquet or Arrow, - for CSV on standard input
    #[arg(long, value_name = "FILE")]
    input: InputSource,
    /// The query to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    /// What becomes of a row that cannot be read: with mark it is sent as zeros, the key ring
    /// remembers it, and `decrypt` says why it has no prediction
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnError::Fail)]
    on_error: OnError,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    force: Force,
    #[command(flatten, next_help_heading = "Table")]
    table: TableOptions,
}

impl Encrypt {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        self.threads.apply()?;
        let client = read_client(&self.specs)?;
        let ring = KeyRing::at(&self.keys);
        let secret = ring.secret_key(client.parameter_set())?;
        self.output.outside(&self.keys)?;
        let inputs = [&self.specs, &self.input];
        let mut output = self
            .output
            .create(Content::Binary, self.force.force, &inputs)?;
        let (table, progress) = self.table.open(&self.input, terminal, "encrypting")?;
        let (rows, _) = table::select(&client, table, &[], u64::MAX)?;
        let rows = rows.map(|row| match row {
            Ok(Err(reason)) if self.on_error == OnError::Fail => Err(anyhow!(reason)),
            row => row,
        });
        let encrypted = client.encrypt(&secret, rows, &mut output, |rows| {
            progress.set_message(format!("{rows} rows"));
        })?;
        let unusable = |(row, mark): &(u64, Mark)| match mark {
            Mark::Unusable(reason) => Some((row + 1, reason.clone())),
            _ => None,
        };
        let failed: Vec<_> = encrypted.marks.iter().filter_map(unusable).collect();
        if let [(row, reason), ..] = failed.as_slice() {
            let what = format!(
                "{} of {} rows cannot be encoded; the first is row {row}: {reason}",
                failed.len(),
                encrypted.rows
            );
            if self.on_error == OnError::Fail {
                bail!("{what}; correct or remove them, or use --on-error mark");
            }
            if encrypted.nonce.is_none() {
                bail!(
                    "{what}; nothing in replies of format 1 tells which rows to leave out: correct or remove them, or get specs of a newer release"
                );
            }
            terminal::warning(&format!(
                "{what}; they are sent as zeros, and decrypted with this key ring as rows without prediction"
            ));
        }
        let limited = |(row, mark): &(u64, Mark)| match mark {
            Mark::Limited(remark) => Some((row + 1, remark.clone())),
            _ => None,
        };
        let limited: Vec<_> = encrypted.marks.iter().filter_map(limited).collect();
        if let [(row, remark), ..] = limited.as_slice() {
            terminal::warning(&format!(
                "{} of {} rows are unlike those that the model was compiled for; the first is row {row}: {remark}",
                limited.len(),
                encrypted.rows
            ));
        }
        // First what the answers are worth, then the query that they answer.
        if let Some(nonce) = encrypted.nonce {
            ring.remember(nonce, &encrypted)?;
        }
        output.finish()?;
        progress.finish_and_clear();
        // Where rows share ciphertexts, a row's part of the file.
        let rows = (encrypted.rows as usize).max(1);
        let row_bytes = match client.rows_a_group().min(rows) {
            1 => client.query_row_bytes(),
            _ => client.query_bytes(rows).div_ceil(rows),
        };
        let value = serde_json::json!({ "rows": encrypted.rows, "failed": failed.len(), "bytes_a_row": row_bytes, "key": secret.id().to_string() });
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || {
                terminal::facts([
                    ("query", self.output.name()),
                    (
                        "rows",
                        format!(
                            "{}, {} each",
                            encrypted.rows,
                            terminal::bytes(row_bytes as u64)
                        ),
                    ),
                ])
            })
    }
}

/// Reads client specs.
pub(crate) fn read_client(source: &InputSource) -> Result<Client> {
    let bytes = source.read_all(specs::MAX_BYTES)?;
    Client::from_specs(&bytes).with_context(|| source.name())
}
