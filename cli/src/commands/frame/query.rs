//! `cipherfn frame query`.

use super::plan::{PlanOptions, bits, precision, prepare};
use crate::files::{Content, Destination, InputSource};
use crate::server;
use crate::shared::{Force, Threads};
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, bail};
use cipherfn_scheme::EvaluationKey;
use cipherfn_serving::frames::{self, StoredFrame};
use std::time::Instant;

/// Evaluate a plan on encrypted frames: the server's part
///
/// Needs no secret. The evaluation key comes from a frame that carries it, or from a file. What the
/// answer is worth is known before anything runs: --min-bits refuses a plan that falls short.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn frame query --plan plan.json sales.cff prices.cff -o answer.cfa"
)]
pub(super) struct Query {
    /// The frames that the plan names
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
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    force: Force,
}

impl Query {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        self.threads.apply()?;
        let loaded = self.frames.iter().map(super::read);
        let loaded = loaded.collect::<Result<Vec<_>>>()?;
        let heads: Vec<_> = loaded
            .iter()
            .map(|loaded| (loaded.head.clone(), loaded.frame.rows()))
            .collect();
        let prepared = prepare(&self.plan, &heads, self.options.sums()?)?;
        prepared
            .require(self.options.demand()?)
            .with_context(|| self.plan.name())?;
        let key = if let Some(source) = &self.evaluation_key {
            server::read_key_part(source)?
        } else {
            let carried = loaded.iter().flat_map(|loaded| &loaded.keys).next();
            let bytes = carried.context(
                "no frame carries the evaluation key; name its file with --evaluation-key, or encrypt a frame with --with-key",
            )?;
            EvaluationKey::from_file_bytes(bytes).context("the evaluation key in the frame")?
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
        let stored: Vec<&StoredFrame> = prepared
            .places
            .iter()
            .map(|place| &loaded[*place].frame)
            .collect();
        let start = Instant::now();
        let results = frames::evaluate(&key, &prepared.passes.passes, &stored)?;
        let seconds = start.elapsed().as_secs_f64();
        let last = results.last().context("the plan has no pass")?;
        let bytes = prepared.reply(last)?.to_bytes();
        std::io::Write::write_all(&mut output, &bytes)?;
        output.finish()?;
        let value = serde_json::json!({
            "seconds": seconds,
            "bytes": bytes.len(),
            "bits": precision(&prepared.columns),
        });
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || {
                let mut facts = vec![
                    (
                        "answer",
                        format!(
                            "{}, {}",
                            self.output.name(),
                            terminal::bytes(bytes.len() as u64)
                        ),
                    ),
                    ("seconds", format!("{seconds:.2}")),
                ];
                let columns = prepared.columns.iter();
                facts.extend(columns.map(|column| (column.name.as_str(), bits(column))));
                terminal::facts(facts)
            })
    }
}
