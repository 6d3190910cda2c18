//! `cipherfn demo`: the whole service on a real model, on this machine, over HTTP.

mod model;
mod outcome;

use super::register;
use crate::emulation::{self, KEEP, Setup};
use crate::shared::block_on;
use crate::signing::Developer;
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result};
use cipherfn_client::{Accept, Answer, Client, Prediction};
use cipherfn_client_http::{Existing, KeyRing};
use cipherfn_client_http::{Service, ServiceOptions};
use cipherfn_emulator::{Authorizer, Emulator, LogSink};
use cipherfn_protocol::api::{Function, ModelName};
use cipherfn_service::bucket::Bucket;
use outcome::{DemoOutcome, Engine};
use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Name of the model at the service.
const MODEL: &str = "fraud";

/// Show the whole service on a real model: XGBoost, breast cancer, 30 features
///
/// Compiles the model and publishes it to a service on this machine: HTTP API, functions in
/// processes of their own and S3 as on AWS. Then, as the client, fetches the specs, makes keys,
/// registers the evaluation key, sends encrypted test rows, decrypts the answers and sets them
/// beside the library's own. Exits with 1 if they disagree by more than the stated precision.
#[allow(clippy::doc_markdown, reason = "the text is for the terminal")]
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn demo --rows all")]
pub(crate) struct Demo {
    /// Test rows to run: a number or all
    #[arg(long, value_name = "N", default_value = "20")]
    rows: RowCount,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowCount {
    First(u64),
    All,
}

impl FromStr for RowCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "all" => Ok(Self::All),
            Ok(count) if count > 0 => Ok(Self::First(count)),
            _ => Err("a number above 0, or all".to_owned()),
        }
    }
}

impl RowCount {
    const fn limit(self) -> u64 {
        match self {
            Self::First(count) => count,
            Self::All => u64::MAX,
        }
    }
}

/// One step of the protocol.
struct DemoStep {
    who: &'static str,
    what: &'static str,
    time: Duration,
    bytes: u64,
    of_what: &'static str,
}

impl Demo {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        block_on(self.work(terminal))
    }

    async fn work(&self, terminal: Terminal) -> Result<()> {
        let directory = tempfile::Builder::new().prefix("cipherfn-demo-").tempdir();
        let directory = directory.context("cannot make a temporary directory")?;
        let progress = terminal.progress(Some(6), terminal::Unit::Steps, "demo");
        let mut steps = Vec::new();
        let mut step = |who, what, start: Instant, bytes, of_what| {
            let time = start.elapsed();
            steps.push(DemoStep {
                who,
                what,
                time,
                bytes,
                of_what,
            });
            progress.inc(1);
        };

        let start = Instant::now();
        let bundle = model::compile()?;
        step(
            "owner",
            "compile the model",
            start,
            cipherfn_engine::bundle::write(&bundle)?.len() as u64,
            "bundle",
        );

        let start = Instant::now();
        let measured = Measurements::default();
        let emulator = service(&directory.path().join("service"), measured.sink()).await?;
        let model: ModelName = MODEL.parse()?;
        let registry = emulation::dev_file(&emulator).registry();
        let developer = Developer::of_the_moment()?;
        emulation::publish(
            &registry,
            &model,
            &emulation::of_bundle(&model, &bundle)?,
            &developer,
            KEEP,
        )
        .await?;
        step(
            "owner",
            "start the service, publish",
            start,
            bundle.specs.len() as u64,
            "specs",
        );

        let start = Instant::now();
        let service = Service::new(emulator.url(), ServiceOptions::default())?;
        let ring = KeyRing::at(directory.path().join("keys"));
        let accept = Accept::Developer(developer.public());
        let client = service.client(&model, &ring, &accept).await?.client;
        register::fill(&ring, &client, Existing::Keep, terminal)?;
        let set = client.parameter_set();
        let parts = client.key_parts().iter();
        let key_bytes = parts.map(|part| part.file_bytes(set) as u64).sum();
        step(
            "client",
            "fetch specs, make keys",
            start,
            key_bytes,
            "evaluation key",
        );

        let start = Instant::now();
        register::register(&service, &ring, &client, terminal).await?;
        step(
            "client",
            "register the key",
            start,
            key_bytes,
            "evaluation key",
        );

        let query_bytes = client.query_row_bytes() as u64;
        let start = Instant::now();
        predict(&service, &model, &client, &ring, 1).await?;
        step(
            "client",
            "predict one row (cold start of the function)",
            start,
            query_bytes,
            "a query row",
        );

        let start = Instant::now();
        let predictions = predict(&service, &model, &client, &ring, self.rows.limit()).await?;
        step(
            "client",
            "predict all rows (warm)",
            start,
            client.reply_row_bytes() as u64,
            "a reply row",
        );
        progress.finish_and_clear();

        let stored = registry.bucket().list("").await?.into_iter();
        let stored = stored.map(|entry| (entry.key, entry.bytes)).collect();
        emulator.stop().await;
        let outcome = DemoOutcome::new(&client, &predictions, steps, &measured.last()?, stored)?;
        terminal.report(&outcome.json(), || outcome.to_string())?;
        outcome.verdict()
    }
}

/// The emulator on free ports.
async fn service(data: &Path, log: LogSink) -> Result<Emulator> {
    fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
    let setup = Setup {
        data,
        ports: (0, 0),
        pages: cipherfn_emulator::Pages::default(),
        authorizer: Authorizer::Single("demo".to_owned()),
        functions: None,
        log,
    };
    setup.start().await
}

/// Predictions of the first test rows.
async fn predict(
    service: &Service,
    model: &ModelName,
    client: &Arc<Client>,
    keys: &KeyRing,
    rows: u64,
) -> Result<Vec<Prediction>> {
    let specs = client.specs().specs();
    let rows = model::test_rows()?
        .select(&specs.columns, specs.preprocess.inputs())?
        .limit(rows)
        .map(|row| Ok(Ok(row?)));
    let mut predictions = Vec::new();
    let take = |answers: Vec<Answer>| {
        for answer in answers {
            let reason = || answer.remark.clone().unwrap_or_default();
            predictions.push(answer.prediction.clone().with_context(reason)?);
        }
        Ok::<_, anyhow::Error>(())
    };
    service.predict(model, client, keys, rows, take).await?;
    Ok(predictions)
}

/// What the function measured, from its log.
#[derive(Clone, Default)]
struct Measurements(Arc<Mutex<Vec<Engine>>>);

impl Measurements {
    fn sink(&self) -> LogSink {
        let measurements = self.clone();
        Arc::new(move |function, line| {
            if function == Function::Infer.name()
                && let Ok(engine) = serde_json::from_str(line)
            {
                measurements
                    .0
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(engine);
            }
        })
    }

    /// Of the last request.
    fn last(&self) -> Result<Engine> {
        let measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        measured
            .last()
            .copied()
            .context("the function reported no time")
    }
}
