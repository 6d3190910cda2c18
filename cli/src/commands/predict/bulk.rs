//! `cipherfn predict --bulk`: rows as jobs.

use super::Predict;
use crate::files::{Destination, InputSource, Output};
use crate::price;
use crate::table::{self, InputRows};
use crate::terminal::{self, Terminal};
use crate::usage::bail_usage;
use anyhow::{Context, Result, bail};
use cipherfn_client::{Client, InputRow};
use cipherfn_client_http::{
    Bulk, BulkExpectation, BulkPass, BulkProgress, BulkReport, Fetched, KeyRing, Service,
};
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::api::job::RowCost;
use sha2::{Digest, Sha256};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
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
        (fetched, cost): (&Fetched, Option<RowCost>),
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
            parts: self.parts,
            cost,
        };
        if !self.agreed(client, &bulk, &input, terminal)? {
            bail!("nothing was sent");
        }
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
        let (mut sent, mut answers) = (0, 0);
        let told = |done| {
            match done {
                BulkProgress::Uploaded(rows) => sent = rows,
                BulkProgress::Answered(rows) => answers = rows,
            }
            progress.set_message(format!("{sent} rows sent, {answers} answered"));
        };
        let no_room = |error: anyhow::Error| self.remembered(error, &bulk.manifest);
        let take = |answers| predictions.take(answers).map_err(no_room);
        let done = at
            .service
            .predict_bulk(client, at.ring, &bulk, rows, told, take)
            .await;
        progress.finish_and_clear();
        let done = done?;
        let written = predictions.finish(&mut output, self.on_error);
        let written = written.map_err(no_room)?;
        output.finish().map_err(no_room)?;
        let report = done.report;
        // The predictions are there: what is left at the service is only what it costs to keep.
        if let Err(error) = done.forget().await {
            terminal::notice(&format!(
                "the jobs were not deleted and run out by themselves: {error}"
            ));
        }
        terminal::notice(&took(&report, bulk.cost.as_ref()));
        let seconds = start.elapsed().as_secs_f64();
        self.report(client, Some(fetched), written, seconds, terminal)
    }

    /// Tells what it is expected to take, and asks whether it may. A run that goes on was asked before.
    fn agreed(
        &self,
        client: &Client,
        bulk: &Bulk,
        input: &InputSource,
        terminal: Terminal,
    ) -> Result<bool> {
        let (table, progress) = self.table.open(input, terminal, "counting")?;
        let mut rows = table::select_rows(client, table, self.limit())?;
        let rows = rows.try_fold(0, |count, row| row.map(|_| count + 1))?;
        progress.finish_and_clear();
        let expected = bulk.expect(client, rows)?;
        terminal::notice(&expects(&expected));
        if self.yes || bulk.manifest.exists() {
            return Ok(true);
        }
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            bail_usage!("nobody is there to be asked whether it may cost that: add --yes");
        }
        eprint!("Send the rows? [y/N] ");
        io::stderr().flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// Where predictions cannot be written, what has been sent is not lost with them.
    fn remembered(&self, error: anyhow::Error, manifest: &Path) -> anyhow::Error {
        if !error.chain().any(<dyn std::error::Error>::is::<io::Error>) {
            return error;
        }
        let (output, manifest) = (self.output.name(), manifest.display());
        error.context(format!(
            "{output} is not written, and what was sent is remembered in {manifest}: run it again once that is mended"
        ))
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
        if let Some(parts) = self.parts {
            hash.update(format!(" {parts} parts").as_bytes());
        }
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

fn expects(expected: &BulkExpectation) -> String {
    let BulkExpectation {
        rows,
        chunks,
        uploaded_bytes,
        downloaded_bytes,
        cost,
        parts,
    } = expected;
    let shared = match parts {
        1 => String::new(),
        parts => format!(" that {parts} workers share, which takes more in all"),
    };
    let time = match (cost, expected.worker_seconds()) {
        (Some(cost), Some(seconds)) => {
            let price = price_of(*chunks, *downloaded_bytes, seconds, cost);
            format!("workers take {}, {price}", terminal::seconds(seconds))
        }
        _ => "the service does not tell what it costs".to_owned(),
    };
    format!(
        "expected: {rows} rows in {chunks} chunks{shared}; {} to send, {} to receive; {time}",
        terminal::bytes(*uploaded_bytes),
        terminal::bytes(*downloaded_bytes),
    )
}

fn took(report: &BulkReport, cost: Option<&RowCost>) -> String {
    let BulkReport {
        chunks,
        jobs,
        uploaded_bytes,
        downloaded_bytes,
        worker_milliseconds,
        ..
    } = report;
    let seconds = *worker_milliseconds as f64 / 1e3;
    let price = cost.map_or_else(String::new, |cost| {
        format!(
            ", {}",
            price_of(*chunks as u64, *downloaded_bytes, seconds, cost)
        )
    });
    format!(
        "{chunks} chunks in {jobs} jobs; {} sent, {} received; workers took {}{price}",
        terminal::bytes(*uploaded_bytes),
        terminal::bytes(*downloaded_bytes),
        terminal::seconds(seconds)
    )
}

fn price_of(chunks: u64, downloaded_bytes: u64, worker_seconds: f64, cost: &RowCost) -> String {
    let dollars = price::dollars(&price::Work {
        chunks,
        downloaded_bytes,
        worker_seconds,
        worker_memory_mb: cost.worker_memory_mb,
        architecture: &cost.architecture,
    });
    dollars.map_or_else(
        || format!("no price is known of {}", cost.architecture),
        |dollars| {
            let region = price::region();
            format!("{} at AWS's list prices of {region}", price::text(dollars))
        },
    )
}
