//! `cipherfn predict`.

use super::{Force, Threads, block_on, encrypt, register};
use crate::connection::Connection;
use crate::files::{Content, Destination, Output, Source};
use crate::server::{self, Answered, Server};
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, anyhow, bail};
use cipherfn_client::{Client, Decrypted};
use cipherfn_client_http::ServiceError;
use cipherfn_client_http::{Existing, KeyRing};
use cipherfn_protocol::api::ModelName;
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_table::{Rows, Table};
use indicatif::ProgressBar;
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// Predict rows: by a service that never sees them, or with a bundle on this machine
///
/// With --service: fetches the model's specs, makes or reuses keys, registers the evaluation key
/// once, and sends the rows encrypted. With --bundle: encrypts, evaluates and decrypts here, to try
/// a bundle.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("by").required(true),
    after_help = "Examples:\n  cipherfn predict --service http://127.0.0.1:9000 --model fraud --keys keys/ --input rows.csv -o predictions.csv\n  \
                  cipherfn predict --bundle fraud.cfn --input rows.csv -o predictions.csv --limit 100"
)]
pub(crate) struct Predict {
    /// The bundle
    #[arg(long, value_name = "FILE", group = "by")]
    bundle: Option<Source>,
    /// Address of the service
    #[arg(long, value_name = "URL", group = "by", requires_all = ["model", "keys"])]
    service: Option<String>,
    /// The service's model
    #[arg(long, value_name = "NAME", requires = "service")]
    model: Option<ModelName>,
    /// The rows as CSV, - for standard input
    #[arg(long, value_name = "FILE")]
    input: Source,
    /// The predictions to write as CSV, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    /// Only the first N rows
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,
    /// Use this key ring, and make its keys where they are missing [default with --bundle: fresh
    /// keys, forgotten afterwards]
    #[arg(long, value_name = "DIRECTORY")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    force: Force,
    #[command(flatten, next_help_heading = "Service")]
    connection: Connection,
}

impl Predict {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        self.threads.apply()?;
        match (&self.bundle, &self.service, &self.model, &self.keys) {
            (Some(bundle), ..) => self.here(bundle, terminal),
            (None, Some(url), Some(model), Some(keys)) => {
                let output = self.output.create(Content::Text, self.force.force)?;
                block_on(self.elsewhere(url, model, KeyRing::at(keys), output, terminal))
            }
            _ => {
                bail!("give --bundle FILE, or --service URL with --model NAME and --keys DIRECTORY")
            }
        }
    }

    fn here(&self, source: &Source, terminal: Terminal) -> Result<()> {
        let bundle = server::read_bundle(source)?;
        let client = Client::from_specs(&bundle.specs).with_context(|| source.name())?;
        let mut output = self.output.create(Content::Text, self.force.force)?;
        let (secret, evaluation) = self.keys(&client)?;
        let server = Server::new(&bundle, evaluation.as_ref())?;

        let (rows, progress) = self.rows(&client, terminal)?;
        let message = |rows| progress.set_message(format!("{rows} rows"));
        let (answered, decrypted) =
            pipeline(&client, &secret, &server, rows, &mut output, message)?;
        progress.finish_and_clear();
        complete(&decrypted)?;
        output.finish()?;
        self.report(
            &client,
            decrypted.rows,
            answered.time.as_secs_f64(),
            terminal,
        )
    }

    async fn elsewhere(
        &self,
        url: &str,
        model: &ModelName,
        ring: KeyRing,
        mut output: Output,
        terminal: Terminal,
    ) -> Result<()> {
        let service = self.connection.open(url).await?;
        let mut client = service.client(model).await?;
        let mut again = !matches!(self.input, Source::Stdin);
        loop {
            ring.fill(&client, Existing::Keep)?;
            register::register(&service, &ring, &client, terminal).await?;
            let secret = Arc::new(ring.secret_key(client.parameter_set())?);
            let (rows, progress) = self.rows(&client, terminal)?;
            let start = Instant::now();
            let message = |rows| progress.set_message(format!("{rows} rows"));
            let done = service
                .predict(model, &client, &secret, rows, &mut output, message)
                .await;
            progress.finish_and_clear();
            match done {
                // The model was published anew between specs and rows: start over with its new
                // specs, once.
                Err(ServiceError::StaleSpecs { .. }) if again => {
                    again = false;
                    output = self.output.create(Content::Text, self.force.force)?;
                    client = service.client(model).await?;
                }
                Err(error) => return Err(error.into()),
                Ok(decrypted) => {
                    complete(&decrypted)?;
                    output.finish()?;
                    return self.report(
                        &client,
                        decrypted.rows,
                        start.elapsed().as_secs_f64(),
                        terminal,
                    );
                }
            }
        }
    }

    /// The rows under a progress bar.
    fn rows(
        &self,
        client: &Client,
        terminal: Terminal,
    ) -> Result<(Rows<impl Read + Send + use<>>, ProgressBar)> {
        let (input, len) = self.input.open()?;
        let (input, progress) = terminal.watch(input, len, "predicting");
        let limit = self.limit.map_or(u64::MAX, |limit| limit.get() as u64);
        let rows = encrypt::select(client, Table::open(self.input.name(), input)?)?.limit(limit);
        Ok((rows, progress))
    }

    fn report(&self, client: &Client, rows: u64, seconds: f64, terminal: Terminal) -> Result<()> {
        let value = serde_json::json!({
            "rows": rows,
            "columns": client.prediction_columns(),
            "seconds": seconds,
            "seconds_a_row": seconds / rows as f64,
        });
        let what = if self.service.is_some() {
            "time"
        } else {
            "engine"
        };
        terminal
            .beside_data(self.output.is_stdout())
            .report(&value, || {
                terminal::facts([
                    ("predictions", self.output.name()),
                    ("rows", rows.to_string()),
                    (
                        what,
                        format!(
                            "{}, {} a row",
                            terminal::seconds(seconds),
                            terminal::seconds(seconds / rows as f64)
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
            return Ok((
                ring.secret_key(set)?,
                wanted.then(|| ring.evaluation_key(set)).transpose()?,
            ));
        }
        let secret = SecretKey::generate(set);
        let evaluation = wanted
            .then(|| EvaluationKey::generate(&secret))
            .transpose()?;
        Ok((secret, evaluation))
    }
}

/// Predictions are written for all rows or for none.
fn complete(decrypted: &Decrypted) -> Result<()> {
    match decrypted.failures.first() {
        Some(first) if decrypted.failed > 0 => bail!(
            "{} of {} rows failed, so no predictions were written; the first: {}",
            decrypted.failed,
            decrypted.rows,
            first.reason
        ),
        _ => Ok(()),
    }
}

/// Runs client and server side by side, joined by pipes: chunks stream from the table to the
/// predictions.
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
    let (encrypted, answered) = (
        encrypted.map_err(joined)?.map_err(anyhow::Error::from),
        answered.map_err(joined)?,
    );
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
    Ok((
        answered.ok_or_else(|| anyhow!("the evaluation stopped early"))?,
        decrypted,
    ))
}
