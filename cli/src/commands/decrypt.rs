//! `cipherfn decrypt`.

use super::{Force, Threads};
use crate::files::{Content, Destination, Source};
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, bail};
use cipherfn_client::Decrypted;
use cipherfn_client_http::KeyRing;
use std::path::PathBuf;

/// Decrypt a reply to predictions
///
/// Writes label,probability_<class>... or label,score_<class>... for classifiers, prediction or
/// prediction_<i> for regressors: what the model itself gives, to the precision that the specs
/// state.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn decrypt fraud.specs.json --keys keys/ --input reply.cfr -o predictions.csv"
)]
pub(crate) struct Decrypt {
    /// The client specs that the query was made with
    specs: Source,
    /// The key ring that the query was made with
    #[arg(long, value_name = "DIRECTORY")]
    keys: PathBuf,
    /// The reply, - for standard input
    #[arg(long, value_name = "FILE")]
    input: Source,
    /// The predictions to write as CSV, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    /// If the server failed on some rows, write the others all the same, with empty cells for the
    /// failed ones; still exits with 1
    #[arg(long)]
    partial: bool,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    force: Force,
}

impl Decrypt {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        self.threads.apply()?;
        let client = super::encrypt::read_client(&self.specs)?;
        let secret = KeyRing::at(&self.keys).secret_key(client.parameter_set())?;
        let mut output = self.output.create(Content::Text, self.force.force)?;
        let (input, len) = self.input.open()?;
        let (input, progress) = terminal.watch(input, len, "decrypting");
        let decrypted = client
            .decrypt(&secret, input, &mut output, |rows| {
                progress.set_message(format!("{rows} rows"));
            })
            .with_context(|| self.input.name())?;
        progress.finish_and_clear();
        if decrypted.failed > 0 {
            return self.failed(&decrypted, output);
        }
        output.finish()?;
        let value =
            serde_json::json!({ "rows": decrypted.rows, "columns": client.prediction_columns() });
        terminal
            .beside_data(self.output.is_stdout())
            .report(&value, || {
                terminal::facts([
                    ("predictions", self.output.name()),
                    ("rows", decrypted.rows.to_string()),
                ])
            })
    }

    /// A reply with failed rows is never passed off as whole.
    fn failed(&self, decrypted: &Decrypted, output: crate::files::Output) -> Result<()> {
        for failure in &decrypted.failures {
            terminal::notice(&format!("row {}: {}", failure.row, failure.reason));
        }
        let unlisted = decrypted.failed - decrypted.failures.len() as u64;
        if unlisted > 0 {
            terminal::notice(&format!("and {unlisted} more"));
        }
        let (failed, rows) = (decrypted.failed, decrypted.rows);
        if self.partial {
            output.finish()?;
            bail!(
                "the server failed on {failed} of {rows} rows; their cells in {} are empty: send them again",
                self.output.name()
            );
        }
        bail!(
            "the server failed on {failed} of {rows} rows, so no predictions were written; send them again, or use --partial for the others"
        );
    }
}
