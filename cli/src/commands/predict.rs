//! `cipherfn predict`.

use super::{Force, Threads, encrypt};
use crate::files::{Content, Destination, Source};
use crate::server::{self, Answered, Server};
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, anyhow, bail};
use cipherfn_client::{Client, Decrypted, Existing, KeyRing};
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_table::{Rows, Table};
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;

/// Encrypt, evaluate and decrypt on this machine: to try a bundle
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn predict --bundle fraud.cfn --input rows.csv -o predictions.csv --limit 100")]
pub(crate) struct Predict {
    /// The bundle
    #[arg(long, value_name = "FILE")]
    bundle: Source,
    /// The rows as CSV, - for standard input
    #[arg(long, value_name = "FILE")]
    input: Source,
    /// The predictions to write as CSV, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    /// Only the first N rows
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,
    /// Use this key ring, and make its keys where they are missing [default: fresh keys, forgotten afterwards]
    #[arg(long, value_name = "DIRECTORY")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    force: Force,
}

impl Predict {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        self.threads.apply()?;
        let bundle = server::read_bundle(&self.bundle)?;
        let client = Client::from_specs(&bundle.specs).with_context(|| self.bundle.name())?;
        let mut output = self.output.create(Content::Text, self.force.force)?;
        let (secret, evaluation) = self.keys(&client)?;
        let server = Server::new(&bundle, evaluation.as_ref())?;

        let (input, len) = self.input.open()?;
        let (input, progress) = terminal.watch(input, len, "predicting");
        let limit = self.limit.map_or(u64::MAX, |limit| limit.get() as u64);
        let rows = encrypt::select(&client, Table::open(self.input.name(), input)?)?.limit(limit);
        let message = |rows| progress.set_message(format!("{rows} rows"));
        let (answered, decrypted) = pipeline(&client, &secret, &server, rows, &mut output, message)?;
        progress.finish_and_clear();
        if decrypted.failed > 0 {
            bail!(
                "{} of {} rows failed, so no predictions were written; the first: {}",
                decrypted.failed,
                decrypted.rows,
                decrypted.failures[0].reason
            );
        }
        output.finish()?;
        let seconds = answered.time.as_secs_f64();
        let value = serde_json::json!({
            "rows": decrypted.rows,
            "columns": client.prediction_columns(),
            "seconds": seconds,
            "seconds_a_row": seconds / decrypted.rows as f64,
        });
        terminal.beside_data(self.output.is_stdout()).report(&value, || {
            terminal::facts([
                ("predictions", self.output.name()),
                ("rows", decrypted.rows.to_string()),
                (
                    "engine",
                    format!(
                        "{}, {} a row",
                        terminal::seconds(seconds),
                        terminal::seconds(seconds / decrypted.rows as f64)
                    ),
                ),
            ])
        })
    }

    fn keys(&self, client: &Client) -> Result<(SecretKey, Option<EvaluationKey>)> {
        let set = client.parameter_set();
        let wanted = client.needs_evaluation_key();
        if let Some(directory) = &self.keys {
            let ring = KeyRing::at(directory);
            ring.fill(client, Existing::Keep)?;
            return Ok((ring.secret_key(set)?, wanted.then(|| ring.evaluation_key(set)).transpose()?));
        }
        let secret = SecretKey::generate(set);
        let evaluation = wanted.then(|| EvaluationKey::generate(&secret)).transpose()?;
        Ok((secret, evaluation))
    }
}

/// Runs client and server side by side, joined by pipes: chunks stream from the table to the predictions.
fn pipeline(
    client: &Client,
    secret: &SecretKey,
    server: &Server,
    rows: Rows<impl Read + Send>,
    predictions: impl Write,
    progress: impl FnMut(u64),
) -> Result<(Answered, Decrypted)> {
    let (query_out, query_in) = io::pipe()?;
    let (reply_out, reply_in) = io::pipe()?;
    let (encrypted, answered, decrypted) = thread::scope(|scope| {
        let encrypting = scope.spawn(move || client.encrypt(secret, rows, query_in, |_| ()));
        let answering = scope.spawn(move || server.answer(query_out, reply_in, |_| ()));
        let decrypted = client.decrypt(secret, reply_out, predictions, progress);
        (encrypting.join(), answering.join(), decrypted)
    });
    let joined = |_| anyhow!("a thread stopped unexpectedly");
    let (encrypted, answered) = (encrypted.map_err(joined)?.map_err(anyhow::Error::from), answered.map_err(joined)?);
    // One failure breaks the pipes of the others: report the one that came first.
    if let Err(error) = encrypted
        && !crate::is_broken_pipe(&error)
    {
        return Err(error);
    }
    let answered = match answered {
        Err(error) if crate::is_broken_pipe(&error) => None,
        answered => Some(answered?),
    };
    let decrypted = decrypted?;
    Ok((answered.ok_or_else(|| anyhow!("the evaluation stopped early"))?, decrypted))
}
