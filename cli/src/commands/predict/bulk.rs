//! `cipherfn predict --bulk`: rows as jobs.

use super::Predict;
use crate::files::{Destination, InputSource, Output};
use crate::table::{self, InputRows};
use crate::terminal::{self, Terminal};
use crate::usage::bail_usage;
use anyhow::{Context, Result};
use cipherfn_client::InputRow;
use cipherfn_client_http::{Bulk, BulkPass, BulkProgress, BulkReport, Fetched, KeyRing, Service};
use cipherfn_protocol::api::ModelName;
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Instant;

/// Where the rows go.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) service: &'a Service,
    pub(super) model: &'a ModelName,
    pub(super) ring: &'a KeyRing,
}

/// Rows of either pass.
type Rows = Box<dyn Iterator<Item = Result<InputRow>> + Send>;

impl Predict {
    pub(super) async fn in_bulk(
        &self,
        at: At<'_>,
        fetched: &Fetched,
        input: &InputSource,
        mut output: Output,
        terminal: Terminal,
    ) -> Result<()> {
        let client = &fetched.client;
        // The rows are read twice.
        let input = input.repeatable()?;
        let bulk = Bulk {
            model: at.model.clone(),
            manifest: self.manifest()?,
            table: self.identity(&input)?,
            rows_a_chunk: self.rows_a_chunk,
        };
        let (answered, mut predictions, progress) = self.rows(&input, client, terminal)?;
        let mut answered = Some(boxed(answered));
        let rows = |pass| match (pass, answered.take()) {
            (BulkPass::Collect, Some(rows)) => Ok(rows),
            (_, rows) => {
                answered = rows;
                let (table, _) = self.table.open(&input, terminal, "encrypting")?;
                Ok(boxed(table::select_rows(client, table, self.limit())?))
            }
        };
        let start = Instant::now();
        let told = |done| {
            progress.set_message(match done {
                BulkProgress::Uploaded(rows) => format!("{rows} rows sent"),
                BulkProgress::Answered(rows) => format!("{rows} rows answered"),
            });
        };
        let take = |answers| predictions.take(answers);
        let done = at
            .service
            .predict_bulk(client, at.ring, &bulk, rows, told, take)
            .await;
        progress.finish_and_clear();
        let done = done?;
        let written = predictions.finish(&mut output, self.on_error)?;
        output.finish()?;
        let report = done.report;
        // The predictions are there: what is left at the service is only what it costs to keep.
        if let Err(error) = done.forget().await {
            terminal::notice(&format!(
                "note: the jobs were not deleted and run out by themselves: {error}"
            ));
        }
        terminal::notice(&took(&report));
        let seconds = start.elapsed().as_secs_f64();
        self.report(client, Some(fetched), written, seconds, terminal)
    }

    /// What has been sent is remembered beside the output.
    fn manifest(&self) -> Result<PathBuf> {
        let Destination::File(path) = &self.output else {
            bail_usage!(
                "--bulk remembers beside its output what has been sent: give a file, -o predictions.csv"
            );
        };
        let mut name = path.clone().into_os_string();
        name.push(".job");
        Ok(name.into())
    }

    /// Names the rows and how they are read: a run goes on over the same ones only.
    fn identity(&self, input: &InputSource) -> Result<String> {
        let (mut content, _) = input.open()?;
        let mut hash = Sha256::new();
        io::copy(&mut content, &mut hash).with_context(|| input.name())?;
        let how = format!("{:?} {:?} {:?}", self.table, self.limit, self.rows_a_chunk);
        hash.update(how.as_bytes());
        let digits = hash
            .finalize()
            .into_iter()
            .map(|byte| format!("{byte:02x}"));
        Ok(digits.collect())
    }
}

fn boxed(rows: InputRows<impl Read + Send + 'static>) -> Rows {
    Box::new(rows)
}

fn took(report: &BulkReport) -> String {
    let BulkReport {
        chunks,
        jobs,
        uploaded_bytes,
        downloaded_bytes,
        worker_milliseconds,
        ..
    } = report;
    format!(
        "note: {chunks} chunks in {jobs} jobs; {} sent, {} received; workers took {}",
        terminal::bytes(*uploaded_bytes),
        terminal::bytes(*downloaded_bytes),
        terminal::seconds(*worker_milliseconds as f64 / 1e3)
    )
}
