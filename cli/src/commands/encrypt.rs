//! `cipherfn encrypt`.

use super::{Force, Threads};
use crate::files::{Content, Destination, Source};
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result};
use cipherfn_client::Client;
use cipherfn_client_http::KeyRing;
use cipherfn_protocol::specs;
use cipherfn_table::{Rows, Table};
use std::io::Read;
use std::path::PathBuf;

/// Encrypt the rows of a CSV file
///
/// Columns are matched by name. Rows stream: memory stays bounded whatever the file's size.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn encrypt fraud.specs.json --keys keys/ --input rows.csv -o query.cfq"
)]
pub(crate) struct Encrypt {
    /// The client specs
    specs: Source,
    /// The key ring
    #[arg(long, value_name = "DIRECTORY")]
    keys: PathBuf,
    /// The rows as CSV, its first line naming the columns, - for standard input
    #[arg(long, value_name = "FILE")]
    input: Source,
    /// The query to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    force: Force,
}

impl Encrypt {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        self.threads.apply()?;
        let client = read_client(&self.specs)?;
        let secret = KeyRing::at(&self.keys).secret_key(client.parameter_set())?;
        let mut output = self.output.create(Content::Binary, self.force.force)?;
        let (input, len) = self.input.open()?;
        let (input, progress) = terminal.watch(input, len, "encrypting");
        let rows = select(&client, Table::open(self.input.name(), input)?)?;
        let encrypted = client.encrypt(&secret, rows, &mut output, |rows| {
            progress.set_message(format!("{rows} rows"));
        })?;
        output.finish()?;
        progress.finish_and_clear();
        let row_bytes = client.query_row_bytes();
        let value = serde_json::json!({ "rows": encrypted.rows, "bytes_a_row": row_bytes, "key": secret.id().to_string() });
        terminal
            .beside_data(self.output.is_stdout())
            .report(&value, || {
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
pub(crate) fn read_client(source: &Source) -> Result<Client> {
    let bytes = source.read_all(specs::MAX_BYTES)?;
    Client::from_specs(&bytes).with_context(|| source.name())
}

/// The model's columns of a table, with a notice of the others.
pub(crate) fn select<R: Read>(client: &Client, table: Table<R>) -> Result<Rows<R>> {
    let rows = client.rows(table)?;
    let ignored = rows.ignored();
    if let [first, ..] = ignored {
        let more = if ignored.len() > 1 {
            format!(" and {} more", ignored.len() - 1)
        } else {
            String::new()
        };
        terminal::notice(&format!(
            "note: {}: ignoring column {first:?}{more}, which the model does not use",
            rows.source_name()
        ));
    }
    Ok(rows)
}
