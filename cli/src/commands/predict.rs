//! `cipherfn predict`.

mod bulk;
mod trained;

use super::register;
use crate::connection::Connection;
use crate::files::{Content, Destination, InputSource, Output};
use crate::server::{self, Server};
use crate::shared::{Force, Threads, block_on};
use crate::table::{self, InputRows, OnError, Predictions, TableOptions};
use crate::terminal::{self, Terminal};
use crate::trust::{self, TrustArguments};
use crate::usage::bail_usage;
use anyhow::{Context, Result};
use cipherfn_client::{Asked, Client};
use cipherfn_client_http::{Existing, Fetched, KeyRing, ServiceError};
use cipherfn_protocol::api::job::{JobId, MAX_PARTS, RowCost};
use cipherfn_protocol::api::{ModelName, ProblemType};
use cipherfn_scheme::{EvaluationKey, SecretKey};
use indicatif::ProgressBar;
use std::io::Read;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::format_description::well_known::Rfc3339;
pub(super) use trained::{key_of, known, program_of, unknown};

/// Said before rows go as jobs that were not asked for.
const TOO_SLOW: &str =
    "this model is too slow for requests: sending the rows as jobs, as with --bulk";

/// Predict rows: by a service that never sees them, or with a bundle on this machine
///
/// With --service: fetches the model's specs, makes or reuses keys, registers the parts of the
/// evaluation key that the model needs, once, and sends the rows encrypted. With --bundle: encrypts, evaluates and decrypts here, to try
/// a bundle.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("by").required(true),
    after_help = "Examples:\n  cipherfn predict --service http://127.0.0.1:9000 --model fraud --keys keys/ --input rows.csv -o predictions.csv\n  \
                  cipherfn predict --service https://fraud.example.com --model fraud --keys keys/ --input million.csv -o predictions.csv --bulk --yes\n  \
                  cipherfn predict --service https://fraud.example.com --trained 0f1e2d3c4b5a69788796a5b4c3d2e1f0 --keys keys/ --input rows.csv -o predictions.csv\n  \
                  cipherfn predict --bundle fraud.cfn --input rows.csv -o predictions.csv --limit 100"
)]
pub(crate) struct Predict {
    /// The bundle
    #[arg(long, value_name = "FILE", group = "by", conflicts_with_all = [
        "auth", "token_file", "region", "in_flight", "rows_a_request", "trust", "specs", "accept_specs",
    ])]
    bundle: Option<InputSource>,
    /// Address of the service
    #[arg(long, value_name = "URL", group = "by", requires_all = ["what", "keys"])]
    service: Option<String>,
    /// The service's model
    #[arg(long, value_name = "NAME", requires = "service", group = "what")]
    model: Option<ModelName>,
    /// The training whose weights the service keeps encrypted (train --keep-encrypted), by its job: weights and
    /// rows stay encrypted there
    #[arg(long, value_name = "JOB", requires = "service", group = "what", conflicts_with_all = [
        "bulk", "keep", "in_flight", "rows_a_request", "trust", "specs", "accept_specs",
    ])]
    trained: Option<JobId>,
    /// The rows as CSV, Parquet or Arrow, - for CSV on standard input
    #[arg(long, value_name = "FILE")]
    input: InputSource,
    /// The predictions to write as CSV, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    /// Send the rows as jobs: for large tables, and for models that are too slow for a request,
    /// where it is done without being asked for. A run that was killed goes on where it stopped:
    /// what has been sent is remembered beside the output, in OUTPUT.job
    #[arg(long, requires = "service")]
    bulk: bool,
    /// Most rows of a chunk, which one worker answers in at most 15 minutes [default: what is
    /// predicted to take a minute and a half, at most 64 MiB]
    #[arg(long, value_name = "N", requires = "bulk")]
    rows_a_chunk: Option<NonZeroUsize>,
    /// Have N workers share each chunk, a part of the model each (1 to 32): few rows of a large model
    /// are answered sooner, for more work in all [default: 1, more where a row is predicted to take
    /// over 450 s of a worker]
    #[arg(long, value_name = "N", requires = "bulk", value_parser = parts)]
    parts: Option<NonZeroU32>,
    /// Send jobs without asking: what they are expected to cost is told either way
    #[arg(long, requires = "service")]
    yes: bool,
    /// Only the first N rows
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,
    /// Use this key ring, and make its keys where they are missing [default with --bundle: fresh
    /// keys, forgotten afterwards]
    #[arg(long, value_name = "DIRECTORY")]
    keys: Option<PathBuf>,
    /// Columns of the rows to carry into the predictions, such as an id; may be repeated
    #[arg(long, value_name = "COLUMN")]
    keep: Vec<String>,
    /// What becomes of a row that cannot be read or answered
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnError::Mark)]
    on_error: OnError,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    force: Force,
    #[command(flatten, next_help_heading = "Table")]
    table: TableOptions,
    #[command(flatten, next_help_heading = "Service")]
    connection: Connection,
    #[command(flatten, next_help_heading = "Service")]
    trust: TrustArguments,
}

/// Parts that a job takes.
pub(super) fn parts(text: &str) -> Result<NonZeroU32, String> {
    let parts = text.parse().ok();
    let parts = parts.filter(|parts: &NonZeroU32| parts.get() <= MAX_PARTS);
    parts.ok_or_else(|| format!("give a number from 1 to {MAX_PARTS}"))
}

impl Predict {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        self.threads.apply()?;
        if let Some(keys) = &self.keys {
            self.output.outside(keys)?;
        }
        if let (Some(job), Some(url), Some(keys)) = (self.trained, &self.service, &self.keys) {
            let output = self
                .output
                .create(Content::Text, self.force.force, &[&self.input])?;
            return block_on(self.trained(url, (job, KeyRing::at(keys)), output, terminal));
        }
        match (&self.bundle, &self.service, &self.model, &self.keys) {
            (Some(bundle), ..) => self.here(bundle, terminal),
            (None, Some(url), Some(model), Some(keys)) => {
                let output = self
                    .output
                    .create(Content::Text, self.force.force, &[&self.input])?;
                block_on(self.elsewhere(url, model, KeyRing::at(keys), output, terminal))
            }
            _ => {
                bail_usage!(
                    "give --bundle FILE, or --service URL with --model NAME or --trained JOB, and --keys DIRECTORY"
                )
            }
        }
    }

    /// Encrypts, evaluates and decrypts a batch of rows after the other.
    fn here(&self, source: &InputSource, terminal: Terminal) -> Result<()> {
        let bundle = server::read_bundle(source)?;
        let client = Client::from_specs(&bundle.specs).with_context(|| source.name())?;
        let inputs = [source, &self.input];
        let mut output = self
            .output
            .create(Content::Text, self.force.force, &inputs)?;
        let (mut rows, mut predictions, progress) = self.rows(&self.input, &client, terminal)?;
        let (secret, parts) = self.keys(&client)?;
        let server = Server::new(&bundle, &parts)?;
        let size = client.rows_a_chunk();
        let mut time = Duration::ZERO;
        loop {
            let batch = rows.by_ref().take(size).collect::<Result<Vec<_>>>()?;
            if batch.is_empty() {
                break;
            }
            let encoded = client.encode(&batch);
            let nonce = client.nonce()?;
            let query = client.query(&secret, nonce, &encoded.rows)?;
            let mut reply = Vec::new();
            time += server.answer(query.as_slice(), &mut reply, |_| ())?.time;
            let asked = Asked {
                nonce,
                rows: batch.len() as u64,
            };
            let answers = client.open(&secret, asked, predictions.rows(), &reply)?;
            let marked = answers.into_iter().zip(encoded.marks);
            predictions.take(marked.map(|(answer, mark)| answer.marked(mark)).collect())?;
            progress.set_message(format!("{} rows", predictions.rows()));
        }
        progress.finish_and_clear();
        let done = predictions.finish(&mut output, self.on_error)?;
        output.finish()?;
        self.report(&client, None, done, time.as_secs_f64(), terminal)
    }

    async fn elsewhere(
        &self,
        url: &str,
        model: &ModelName,
        ring: KeyRing,
        mut output: Output,
        terminal: Terminal,
    ) -> Result<()> {
        // What the file alone shows is refused before anybody hears of it; what specs say of its
        // values never is, or a service could read rows through refusals.
        let input = match self.on_error {
            OnError::Fail => self.table.check(&self.input, self.limit())?,
            OnError::Mark => self.input.clone(),
        };
        let service = self.connection.open(url).await?;
        let accept = self.trust.accept();
        let mut fetched = service.client(model, &ring, &accept).await?;
        let mut again = !matches!(input, InputSource::Stdin);
        loop {
            let client = Arc::clone(&fetched.client);
            register::fill(&ring, &client, Existing::Keep, terminal)?;
            register::register(&service, &ring, &client, terminal).await?;
            let at = bulk::At {
                service: &service,
                model,
                ring: &ring,
            };
            let can_switch = !matches!(input, InputSource::Stdin) && !self.output.is_stdout();
            let cost = if self.bulk || can_switch {
                service.row_cost(model, client.specs().hash()).await
            } else {
                Ok(None)
            };
            let cost = match cost {
                // For requests a prediction is a hint: without it the service says what is too slow.
                Err(_) if !self.bulk => None,
                cost => cost?,
            };
            let is_slow = !self.bulk && cost.as_ref().is_some_and(RowCost::needs_jobs);
            if is_slow {
                terminal::notice(TOO_SLOW);
            }
            if self.bulk || is_slow {
                let told = (&fetched, cost);
                return self.in_bulk(at, told, &input, output, terminal).await;
            }
            let (rows, mut predictions, progress) = self.rows(&input, &client, terminal)?;
            let start = Instant::now();
            let take = |answers| {
                predictions.take(answers)?;
                progress.set_message(format!("{} rows", predictions.rows()));
                Ok::<_, anyhow::Error>(())
            };
            let done = service.predict(model, &client, &ring, rows, take).await;
            progress.finish_and_clear();
            match done {
                // The model was published anew between specs and rows: start over with its new
                // specs, once, if they are newer ones of the same developer. Whether a service
                // says so cannot depend on the values of rows, and it cannot make up specs.
                Err(error) if again && is_stale(&error) => {
                    again = false;
                    let accept = self.trust.accept_again();
                    fetched = service.client(model, &ring, &accept).await?;
                }
                // Not even a row ends within a request. How long a row takes does not depend on its
                // values.
                Err(error) if is_too_slow(&error) && can_switch => {
                    terminal::notice(TOO_SLOW);
                    let told = (&fetched, cost);
                    return self.in_bulk(at, told, &input, output, terminal).await;
                }
                Err(error) => return Err(error),
                Ok(_) => {
                    let done = predictions.finish(&mut output, self.on_error)?;
                    output.finish()?;
                    let seconds = start.elapsed().as_secs_f64();
                    return self.report(&client, Some(&fetched), done, seconds, terminal);
                }
            }
        }
    }

    /// The rows under a progress bar, and where their answers go.
    fn rows(
        &self,
        input: &InputSource,
        client: &Client,
        terminal: Terminal,
    ) -> Result<(
        InputRows<impl Read + Send + use<>>,
        Predictions,
        ProgressBar,
    )> {
        let (table, progress) = self.table.open(input, terminal, "predicting")?;
        let (rows, predictions) = table::select(client, table, &self.keep, self.limit())?;
        Ok((rows, predictions, progress))
    }

    /// Most rows to read.
    fn limit(&self) -> u64 {
        self.limit.map_or(u64::MAX, |limit| limit.get() as u64)
    }

    fn report(
        &self,
        client: &Client,
        fetched: Option<&Fetched>,
        (rows, failed): (u64, u64),
        seconds: f64,
        terminal: Terminal,
    ) -> Result<()> {
        let specs = fetched.map(trust::whose);
        let mut value = serde_json::json!({
            "rows": rows,
            "failed": failed,
            "columns": client.prediction_columns(),
            "seconds": seconds,
            "seconds_a_row": seconds / rows as f64,
        });
        if let Some(fetched) = fetched {
            value["specs"] = fetched.client.specs().hash().to_string().into();
            value["developer"] = serde_json::to_value(fetched.developer)?;
            value["signed"] = serde_json::to_value(
                fetched
                    .signed
                    .map(|time| time.format(&Rfc3339))
                    .transpose()?,
            )?;
            value["trust"] = fetched.verdict.to_string().into();
        }
        let what = if self.service.is_some() {
            "time"
        } else {
            "engine"
        };
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || {
                let mut facts = vec![
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
                ];
                facts.extend(specs.map(|specs| ("specs", specs)));
                terminal::facts(facts)
            })
    }

    fn keys(&self, client: &Client) -> Result<(SecretKey, Vec<EvaluationKey>)> {
        let set = client.parameter_set();
        let parts = client.key_parts().iter();
        if let Some(directory) = &self.keys {
            let ring = KeyRing::at(directory);
            ring.fill(client, Existing::Keep)?;
            let parts = parts.map(|part| ring.key_part(set, part));
            return Ok((ring.secret_key(set)?, parts.collect::<Result<_, _>>()?));
        }
        let secret = SecretKey::generate(set)?;
        let parts = parts.map(|part| EvaluationKey::generate_part(&secret, part.name));
        let parts = parts.collect::<Result<_, _>>()?;
        Ok((secret, parts))
    }
}

fn is_too_slow(error: &anyhow::Error) -> bool {
    let error: Option<&ServiceError> = error.downcast_ref();
    let problem = error.and_then(ServiceError::problem);
    problem.is_some_and(|problem| {
        matches!(
            problem.kind,
            ProblemType::OutOfTime | ProblemType::TooManyRows
        )
    })
}

fn is_stale(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ServiceError::StaleSpecs { .. }))
}
