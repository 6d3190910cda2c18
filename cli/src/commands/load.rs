//! `cipherfn load`: a load test that looks at every answer.

mod outcome;

use super::register;
use crate::connection::Connection;
use crate::files::InputSource;
use crate::shared::block_on;
use crate::terminal::{Terminal, Unit};
use crate::trust::TrustArguments;
use anyhow::{Context, Result, anyhow, bail};
use cipherfn_client::{Answer, Client};
use cipherfn_client_http::{
    Authentication, Existing, KeyRing, Service, ServiceError, ServiceOptions, Token,
};
use cipherfn_program::Tensor;
use cipherfn_protocol::api::ModelName;
use cipherfn_table::Table;
use outcome::LoadOutcome;
use serde::Deserialize;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Largest tenants file that is read.
const MAX_TENANTS: u64 = 1 << 20;

/// Send single predictions from several clients at once, and check that each gets its own answer
///
/// Every tenant has keys of its own. First each row's answer is fetched once; then the clients draw
/// rows in turn, and an answer that is not that of its row, to the model's precision, is a failure.
/// Exits with 1 if an answer is lost or wrong.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn load --service http://127.0.0.1:9000 --model fraud --input rows.csv --clients 8 --predictions 2000"
)]
pub(crate) struct Load {
    /// Address of the service
    #[arg(long, value_name = "URL")]
    service: String,
    /// The model
    #[arg(long, value_name = "NAME")]
    model: ModelName,
    /// Rows to draw from, as CSV
    #[arg(long, value_name = "FILE")]
    input: InputSource,
    /// Clients at the same time
    #[arg(long, value_name = "N", default_value = "8")]
    clients: NonZeroUsize,
    /// Predictions in all
    #[arg(long, value_name = "N", default_value = "2000")]
    predictions: NonZeroUsize,
    /// Most rows to draw from
    #[arg(long, value_name = "N", default_value = "50")]
    rows: NonZeroUsize,
    /// Tenants with tokens, as for `cipherfn dev --tenants`; clients take turns [default: one
    /// tenant, as --auth says]
    #[arg(long, value_name = "FILE")]
    tenants: Option<InputSource>,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    trust: TrustArguments,
}

#[derive(Deserialize)]
struct TenantsFile {
    tenants: Vec<Tenant>,
}

#[derive(Deserialize)]
struct Tenant {
    name: String,
    token: Option<String>,
}

/// One tenant's connection and keys.
struct Caller {
    service: Service,
    client: Arc<Client>,
    ring: KeyRing,
    /// Gone with the last client.
    _keys: tempfile::TempDir,
}

/// One row as a table of its own.
struct RowTable {
    csv: Vec<u8>,
    /// Numeric predictions, fetched once.
    expected: Vec<f64>,
}

/// What a client saw.
#[derive(Default)]
struct Seen {
    latencies: Vec<Duration>,
    wrong: Vec<String>,
    lost: Vec<String>,
}

impl Load {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        let outcome = block_on(self.work(terminal))?;
        terminal.report(&outcome.json(), || outcome.to_string())?;
        outcome.verdict()
    }

    /// Whatever becomes of it, no tenant keeps a key that nobody holds: there are only so many.
    async fn work(&self, terminal: Terminal) -> Result<LoadOutcome> {
        let mut callers = Vec::new();
        let outcome = tokio::select! {
            outcome = self.score(&mut callers, terminal) => outcome,
            _ = tokio::signal::ctrl_c() => Err(anyhow!("stopped")),
        };
        for caller in callers {
            caller.delete_key().await?;
        }
        outcome
    }

    async fn score(
        &self,
        callers: &mut Vec<Arc<Caller>>,
        terminal: Terminal,
    ) -> Result<LoadOutcome> {
        self.callers(callers, terminal).await?;
        let rows = Arc::new(self.rows(&callers[0]).await?);
        let clients = self.clients.get();
        let progress = terminal.progress(Some(self.predictions.get() as u64), Unit::Rows, "load");
        let next = Arc::new(AtomicUsize::new(0));
        let start = Instant::now();
        let tasks: Vec<_> = (0..clients)
            .map(|index| {
                let (caller, rows, next) = (
                    Arc::clone(&callers[index % callers.len()]),
                    Arc::clone(&rows),
                    Arc::clone(&next),
                );
                let (model, total, progress) =
                    (self.model.clone(), self.predictions.get(), progress.clone());
                tokio::spawn(async move {
                    let mut seen = Seen::default();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= total {
                            return seen;
                        }
                        let row = &rows[number % rows.len()];
                        let begun = Instant::now();
                        match caller.predict(&model, &row.csv).await {
                            Ok(values) => {
                                seen.latencies.push(begun.elapsed());
                                if !agree(&values, &row.expected, &caller.client) {
                                    seen.wrong.push(format!(
                                        "prediction {number}: {values:?} in place of {:?}",
                                        row.expected
                                    ));
                                }
                            }
                            Err(error) => seen.lost.push(format!("prediction {number}: {error:#}")),
                        }
                        progress.inc(1);
                    }
                })
            })
            .collect();
        let mut all = Seen::default();
        for task in tasks {
            let seen = task.await.context("a client stopped unexpectedly")?;
            all.latencies.extend(seen.latencies);
            all.wrong.extend(seen.wrong);
            all.lost.extend(seen.lost);
        }
        progress.finish_and_clear();
        Ok(LoadOutcome::new(
            all,
            start.elapsed(),
            clients,
            callers.len(),
        ))
    }

    /// One caller a tenant, with a registered key.
    async fn callers(&self, callers: &mut Vec<Arc<Caller>>, terminal: Terminal) -> Result<()> {
        let mut services = Vec::new();
        if let Some(source) = &self.tenants {
            let file: TenantsFile = serde_json::from_slice(&source.read_all(MAX_TENANTS)?)
                .with_context(|| source.name())?;
            for tenant in file.tenants {
                let Some(token) = tenant.token else {
                    bail!(
                        "{}: tenant {} has no token; the load test calls by tokens",
                        source.name(),
                        tenant.name
                    );
                };
                let options = ServiceOptions {
                    authentication: Authentication::Bearer(
                        Token::new(token).with_context(|| format!("tenant {}", tenant.name))?,
                    ),
                    ..self.connection.options()
                };
                services.push(Service::new(&self.service, options)?);
            }
        } else {
            services.push(self.connection.open(&self.service).await?);
        }
        for service in services {
            let keys = tempfile::tempdir().context("cannot make a temporary directory")?;
            let ring = KeyRing::at(keys.path());
            let accept = self.trust.accept();
            let client = service.client(&self.model, &ring, &accept).await?.client;
            register::fill(&ring, &client, Existing::Keep, terminal)?;
            let caller = Arc::new(Caller {
                service,
                client,
                ring,
                _keys: keys,
            });
            callers.push(Arc::clone(&caller));
            register::register(&caller.service, &caller.ring, &caller.client, terminal).await?;
        }
        if callers.is_empty() {
            bail!("the tenants file names nobody");
        }
        Ok(())
    }

    /// The rows with their answers.
    async fn rows(&self, caller: &Caller) -> Result<Vec<RowTable>> {
        let (input, _) = self.input.open()?;
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(input);
        let mut lines = Vec::new();
        for record in reader.records().take(self.rows.get() + 1) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(&record.with_context(|| self.input.name())?)?;
            lines.push(
                writer
                    .into_inner()
                    .map_err(|error| anyhow::anyhow!("{error}"))?,
            );
        }
        let Some((header, lines)) = lines.split_first().filter(|(_, lines)| !lines.is_empty())
        else {
            bail!("{} has no rows", self.input.name());
        };
        let mut rows = Vec::new();
        for line in lines {
            let csv = [header.as_slice(), line].concat();
            let expected = caller.predict(&self.model, &csv).await?;
            rows.push(RowTable { csv, expected });
        }
        Ok(rows)
    }
}

impl Caller {
    /// The numeric predictions of one row.
    async fn predict(&self, model: &ModelName, csv: &[u8]) -> Result<Vec<f64>> {
        let specs = self.client.specs().specs();
        let rows = Table::open("row", std::io::Cursor::new(csv.to_vec()))?
            .select(&specs.columns, specs.preprocess.inputs())?
            .map(|row| Ok::<_, anyhow::Error>(Ok(row?)));
        let mut values = Vec::new();
        let take = |answers: Vec<Answer>| {
            for answer in answers {
                let reason = || answer.remark.clone().unwrap_or_default();
                let prediction = answer.prediction.as_ref().with_context(reason)?;
                values.extend(
                    prediction
                        .outputs
                        .iter()
                        .filter_map(Tensor::to_f64)
                        .flatten(),
                );
            }
            Ok(())
        };
        self.service
            .predict(model, &self.client, &self.ring, rows, take)
            .await?;
        Ok(values)
    }

    /// Deletes the registered key, if there is one.
    async fn delete_key(&self) -> Result<()> {
        if self.client.key_parts().is_empty() {
            return Ok(());
        }
        let key = self.ring.secret_key(self.client.parameter_set())?.id();
        match self.service.delete_key(key).await {
            Ok(()) | Err(ServiceError::UnknownKey { .. }) => Ok(()),
            Err(error) => Err(error).context("a key of this load test stays registered"),
        }
    }
}

/// Whether two answers are those of the same row: scores differ by two steps at most. Probabilities
/// move by less than their scores.
fn agree(values: &[f64], expected: &[f64], client: &Client) -> bool {
    let scores = &client.specs().specs().decoding.scores;
    let tolerance = scores
        .iter()
        .map(|score| 2.0 * score.precision.get())
        .fold(0.0, f64::max);
    values.len() == expected.len()
        && values
            .iter()
            .zip(expected)
            .all(|(value, expected)| (value - expected).abs() <= tolerance)
}
