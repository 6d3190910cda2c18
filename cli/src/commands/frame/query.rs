//! `cipherfn frame query`.

use super::columns::TableOutput;
use super::evaluator::Evaluator;
use super::models::LinearModels;
use super::names;
use super::plan::{PlanOptions, precision, prepare, read};
use super::stages::{Taken, carry_out};
use super::stored::Place;
use super::{Loaded, PlanInputs};
use crate::files::{Content, Destination, InputSource};
use crate::server;
use crate::shared::{Force, Threads, block_on};
use crate::terminal::{self, Terminal};
use crate::usage::bail_usage;
use anyhow::{Context, Result, bail};
use cipherfn_client_http::KeyRing;
use cipherfn_frame::answer::Table;
use cipherfn_frame::plain::PlainTable;
use cipherfn_frame::schema::NameHasher;
use cipherfn_protocol::message::KeyId;
use cipherfn_scheme::EvaluationKey;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_serving::frames::{
    Demand, PreparedQuery, PreparedStage, StoredFrame, leading, prepare_stages,
};
use std::path::PathBuf;
use std::time::Instant;

/// Evaluate a plan on encrypted frames: the server's part
///
/// Needs no secret. The evaluation key comes from a frame that carries it, or from a file. What the
/// answer is worth is known before anything runs: --min-bits refuses a plan that falls short.
///
/// Of a plan whose last steps are the key holder's (conditions on what the server computes, orders, LIMIT)
/// the steps before are evaluated, and frame decrypt takes the others. What the server would have to go
/// on with is refused by its step; with --stages the key holder carries it out, with a round trip between
/// stages. frame explain shows both.
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
    models: LinearModels,
    #[command(flatten)]
    options: PlanOptions,
    /// Carry out a plan that is not levelled: between stages, what the server cannot choose by is
    /// decrypted here and encrypted as keys. Needs --keys; the output is the decrypted answer, as frame
    /// decrypt writes it
    #[arg(long)]
    stages: bool,
    /// The key ring: with --stages the secret key, with --table and --model whose tables and models the
    /// service has, and the secret that hashed names of frames
    #[arg(long, value_name = "DIRECTORY")]
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
        if self.stages && self.keys.is_none() {
            bail_usage!(
                "--stages needs --keys: between stages the key holder decrypts and encrypts"
            );
        }
        let demand = self.options.demand()?;
        if let Some(url) = &self.place.service {
            if self.evaluation_key.is_some() {
                bail_usage!(
                    "--evaluation-key is for frames in files; a service takes the key that is registered with it"
                );
            }
            return block_on(async {
                let service = self.place.connection.open(url).await?;
                let found = self
                    .place
                    .at(&service, (&self.frames, &self.models), self.keys.as_deref())
                    .await?;
                let evaluator = |_: KeyId| {
                    Ok(Evaluator::Service {
                        service: &service,
                        frames: found.frames,
                        tables: found.tables,
                        rows_a_part: self.rows_a_part,
                        added: Vec::new(),
                    })
                };
                self.evaluate(&found.given, evaluator, demand, terminal)
                    .await
            });
        }
        self.threads.apply()?;
        let hasher = names::hasher(self.keys.as_deref())?;
        let local = Local::read(&self.frames, hasher.as_ref())?;
        let evaluator = |key: KeyId| {
            let given = self.evaluation_key.as_ref();
            local.files.evaluator(given, key)
        };
        block_on(self.evaluate(&local.given, evaluator, demand, terminal))
    }

    /// Has the plan evaluated, by whom `evaluator` says of the key that it needs.
    async fn evaluate<'s>(
        &self,
        given: &PlanInputs,
        evaluator: impl FnOnce(KeyId) -> Result<Evaluator<'s>>,
        demand: Demand,
        terminal: Terminal,
    ) -> Result<()> {
        let files = match self.place.service {
            Some(_) => &[][..],
            None => self.frames.as_slice(),
        };
        let inputs = files.iter().chain([&self.plan]);
        let inputs: Vec<&InputSource> = inputs.chain(&self.evaluation_key).collect();
        let start = Instant::now();
        let plan = read(&self.plan, given, &self.models)?;
        let sums = self.options.sums()?;
        if let (true, Some(ring)) = (self.stages, &self.keys) {
            let stages = prepare_stages(&plan, &given.heads, &given.tables, sums, demand);
            let stages = stages.with_context(|| self.plan.name())?;
            let first = &stages.first().context("the plan has no stage")?.query;
            let secret = KeyRing::at(ring).secret_key(first.set)?;
            if secret.id() != first.key {
                bail!(
                    "the frames are encrypted under key {}, the key ring has key {}",
                    first.key,
                    secret.id()
                );
            }
            self.output.outside(ring)?;
            let output = TableOutput::create(&self.output, self.force.force, &inputs)?;
            let mut evaluator = evaluator(first.key)?;
            let keys = (&secret, leading(&given.heads)?.gadget);
            let (table, taken) = carry_out(&stages, &mut evaluator, keys).await?;
            output.write(&table)?;
            return self.report_stages(&stages, &table, taken, (start, terminal));
        }
        let stage = prepare(&plan, given, (sums, demand));
        let stage = stage.with_context(|| self.plan.name())?;
        let (prepared, demand) = (stage.query, stage.demand);
        let evaluator = evaluator(prepared.key)?;
        let mut output = self
            .output
            .create(Content::Binary, self.force.force, &inputs)?;
        let start = Instant::now();
        let bytes = evaluator.answer(&prepared, demand).await?.to_bytes();
        let seconds = start.elapsed().as_secs_f64();
        std::io::Write::write_all(&mut output, &bytes)?;
        output.finish()?;
        self.report(&prepared, bytes.len(), seconds, terminal)
    }

    fn report_stages(
        &self,
        stages: &[PreparedStage],
        table: &Table,
        taken: Taken,
        (start, terminal): (Instant, Terminal),
    ) -> Result<()> {
        let seconds = start.elapsed().as_secs_f64();
        let value = serde_json::json!({
            "seconds": seconds,
            "rows": table.rows.len(),
            "stages": stages.len(),
            "answer_bytes": taken.down,
            "refresh_bytes": taken.up,
            "bits": stages.last().map(|last| precision(&last.query.columns)),
        });
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || {
                terminal::facts([
                    ("rows", table.rows.len().to_string()),
                    ("stages", stages.len().to_string()),
                    ("answers", terminal::bytes(taken.down)),
                    ("encrypted again", terminal::bytes(taken.up)),
                    ("seconds", format!("{seconds:.2}")),
                ])
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

/// What files hold.
struct Local {
    given: PlanInputs,
    files: LocalFiles,
}

/// Frames, tables and the key that one of the frames carries.
struct LocalFiles {
    frames: Vec<StoredFrame>,
    tables: Vec<PlainTable>,
    set: Option<&'static ParameterSet>,
    carried: Option<Vec<u8>>,
}

impl Local {
    fn read(sources: &[InputSource], hasher: Option<&NameHasher>) -> Result<Self> {
        let loaded = sources.iter().map(|source| super::read(source, hasher));
        let loaded = loaded.collect::<Result<Vec<_>>>()?;
        let (mut given, mut carried) = (PlanInputs::default(), None);
        let (mut frames, mut tables) = (Vec::new(), Vec::new());
        let mut set = None;
        for loaded in loaded {
            match loaded {
                Loaded::Frame { head, keys, frame } => {
                    set = ParameterSet::by_tag(head.parameter_set, "data frame")
                        .ok()
                        .or(set);
                    given.heads.push((head, frame.rows()));
                    carried = carried.or_else(|| keys.into_iter().next());
                    frames.push(frame);
                }
                Loaded::Table(table) => {
                    given.tables.push(table.schema().clone());
                    tables.push(table);
                }
            }
        }
        Ok(Self {
            given,
            files: LocalFiles {
                frames,
                tables,
                set,
                carried,
            },
        })
    }
}

impl LocalFiles {
    /// This process, with the evaluation key of the frames.
    fn evaluator(self, named: Option<&InputSource>, id: KeyId) -> Result<Evaluator<'static>> {
        let key = if let Some(source) = named {
            server::read_key_part(source)?
        } else {
            let bytes = self.carried.context(
                "no frame carries the evaluation key; name its file with --evaluation-key, or encrypt a frame with --with-key",
            )?;
            EvaluationKey::from_file_bytes(&bytes).context("the evaluation key in the frame")?
        };
        if key.id() != id {
            bail!(
                "the evaluation key is of key {}, the frames were encrypted under key {id}; give the key of their key ring",
                key.id(),
            );
        }
        let set = self.set.context("give an encrypted frame")?;
        let tables = self.tables.into_iter();
        Ok(Evaluator::Here {
            key: Box::new(key.expand()?),
            frames: self.frames,
            tables: tables.map(|table| StoredFrame::plain(set, table)).collect(),
        })
    }
}
