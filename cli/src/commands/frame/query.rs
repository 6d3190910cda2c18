//! `cipherfn frame query`.

use super::plan::{PlanOptions, precision, prepare};
use super::stored::Place;
use super::{Loaded, PlanInputs};
use crate::files::{Content, Destination, InputSource};
use crate::server;
use crate::shared::{Force, Threads, block_on};
use crate::terminal::{self, Terminal};
use crate::usage::bail_usage;
use anyhow::{Context, Result, bail};
use cipherfn_frame::reply::Reply;
use cipherfn_protocol::api::ProblemType;
use cipherfn_protocol::api::frames::FrameQuery;
use cipherfn_scheme::EvaluationKey;
use cipherfn_serving::frames::{self, PreparedQuery, StoredFrame};
use std::path::PathBuf;
use std::time::Instant;

/// Evaluate a plan on encrypted frames: the server's part
///
/// Needs no secret. The evaluation key comes from a frame that carries it, or from a file. What the
/// answer is worth is known before anything runs: --min-bits refuses a plan that falls short.
///
/// With --service, frames are the names of those that a service keeps for you, and it evaluates.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("rows_a_request", |argument| argument.hide(true)),
    after_help = "Example:\n  cipherfn frame query --plan plan.json sales.cff prices.cff -o answer.cfa"
)]
pub(super) struct Query {
    /// The frames that the plan names, and tables in the clear (cipherfn frame table)
    #[arg(required = true, value_name = "FRAME")]
    frames: Vec<InputSource>,
    /// The plan, JSON or SQL
    #[arg(long, value_name = "FILE")]
    plan: InputSource,
    /// The evaluation key, where no frame carries it
    #[arg(long, value_name = "FILE")]
    evaluation_key: Option<InputSource>,
    /// The answer to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    #[command(flatten)]
    options: PlanOptions,
    /// With --table, the key ring that remembers whose tables the service has
    #[arg(long, value_name = "DIRECTORY", requires = "service")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
    /// With --service, let several invocations share the query, each so many rows; otherwise they do
    /// where it is too long for a request
    #[arg(long, value_name = "ROWS", requires = "service")]
    rows_a_part: Option<u64>,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    force: Force,
}

impl Query {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        if let Some(url) = &self.place.service {
            return self.ask(url, terminal);
        }
        self.threads.apply()?;
        let loaded = self.frames.iter().map(super::read);
        let loaded = loaded.collect::<Result<Vec<_>>>()?;
        let (mut given, mut carried) = (PlanInputs::default(), None);
        let (mut stored, mut tables) = (Vec::new(), Vec::new());
        for loaded in loaded {
            match loaded {
                Loaded::Frame { head, keys, frame } => {
                    given.heads.push((head, frame.rows()));
                    carried = carried.or_else(|| keys.into_iter().next());
                    stored.push(frame);
                }
                Loaded::Table(table) => {
                    given.tables.push(table.schema().clone());
                    tables.push(table);
                }
            }
        }
        let prepared = prepare(&self.plan, &given, self.options.sums()?)?;
        prepared
            .require(self.options.demand()?)
            .with_context(|| self.plan.name())?;
        let key = if let Some(source) = &self.evaluation_key {
            server::read_key_part(source)?
        } else {
            let bytes = carried.context(
                "no frame carries the evaluation key; name its file with --evaluation-key, or encrypt a frame with --with-key",
            )?;
            EvaluationKey::from_file_bytes(&bytes).context("the evaluation key in the frame")?
        };
        if key.id() != prepared.key {
            bail!(
                "the evaluation key is of key {}, the frames were encrypted under key {}; give the key of their key ring",
                key.id(),
                prepared.key
            );
        }
        let inputs = self.frames.iter().chain([&self.plan]);
        let inputs: Vec<&InputSource> = inputs.chain(&self.evaluation_key).collect();
        let mut output = self
            .output
            .create(Content::Binary, self.force.force, &inputs)?;
        let key = key.expand()?;
        let tables = tables.into_iter();
        stored.extend(tables.map(|table| StoredFrame::plain(prepared.set, table)));
        let places = prepared.places.iter();
        let stored: Vec<&StoredFrame> = places.map(|place| &stored[*place]).collect();
        let start = Instant::now();
        let results = frames::evaluate(&key, &prepared.passes.passes, &stored)?;
        let seconds = start.elapsed().as_secs_f64();
        let last = results.last().context("the plan has no pass")?;
        let bytes = prepared.reply(last)?.to_bytes();
        std::io::Write::write_all(&mut output, &bytes)?;
        output.finish()?;
        self.report(&prepared, bytes.len(), seconds, terminal)
    }

    /// Lets a service answer that keeps the frames.
    fn ask(&self, url: &str, terminal: Terminal) -> Result<()> {
        if self.evaluation_key.is_some() {
            bail_usage!(
                "--evaluation-key is for frames in files; a service takes the key that is registered with it"
            );
        }
        let demand = self.options.demand()?;
        block_on(async {
            let service = self.place.connection.open(url).await?;
            let found = self
                .place
                .at(&service, &self.frames, self.keys.as_deref())
                .await?;
            let prepared = prepare(&self.plan, &found.given, self.options.sums()?)?;
            prepared.require(demand).with_context(|| self.plan.name())?;
            let mut output =
                self.output
                    .create(Content::Binary, self.force.force, &[&self.plan])?;
            // Frames come first among what was given, then tables.
            let (mut frames, mut tables) = (Vec::new(), Vec::new());
            for place in &prepared.places {
                match place.checked_sub(found.frames.len()) {
                    Some(table) => tables.push(found.tables[table].clone()),
                    None => frames.push(found.frames[*place]),
                }
            }
            let query = FrameQuery {
                frames,
                tables,
                plan: serde_json::from_slice(&prepared.plan.to_json()?)?,
                rows_per_sum: prepared.rows_per_sum,
                min_bits: demand.bits(),
            };
            let start = Instant::now();
            let is_too_large = |problem: &cipherfn_protocol::api::Problem| {
                problem.kind == ProblemType::QueryTooLarge
            };
            let bytes = match self.rows_a_part {
                Some(rows) => service.query_frames_as_job(&query, rows).await?,
                None => match service.query_frames(&query).await {
                    Err(error) if error.problem().is_some_and(is_too_large) => {
                        let rows = prepared.rows_a_part();
                        service.query_frames_as_job(&query, rows).await?
                    }
                    answer => answer?,
                },
            };
            let seconds = start.elapsed().as_secs_f64();
            let reply = Reply::from_bytes(&bytes).context("what the service answered")?;
            if (reply.query, reply.key) != (prepared.hash, prepared.key) {
                bail!("the service answered another query than was asked; ask again");
            }
            std::io::Write::write_all(&mut output, &bytes)?;
            output.finish()?;
            self.report(&prepared, bytes.len(), seconds, terminal)
        })
    }

    fn report(
        &self,
        prepared: &PreparedQuery,
        bytes: usize,
        seconds: f64,
        terminal: Terminal,
    ) -> Result<()> {
        let value = serde_json::json!({
            "seconds": seconds,
            "bytes": bytes,
            "bits": precision(&prepared.columns),
        });
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || {
                let mut facts = vec![
                    (
                        "answer",
                        format!("{}, {}", self.output.name(), terminal::bytes(bytes as u64)),
                    ),
                    ("seconds", format!("{seconds:.2}")),
                ];
                let columns = prepared.columns.iter();
                facts.extend(columns.map(|column| (column.name.as_str(), column.worth())));
                terminal::facts(facts)
            })
    }
}
