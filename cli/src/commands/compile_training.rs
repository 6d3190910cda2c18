//! `cipherfn compile-training`.

mod leaves;
mod report;
mod statistics;

use super::train;
use crate::files::{Content, Destination, InputSource};
use crate::shared::Force;
use crate::table::TableOptions;
use crate::terminal::{self, Terminal};
use crate::usage::bail_usage;
use anyhow::{Context, Result, anyhow};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_serving::training::SET;
use cipherfn_training::descent::{Training, simulate, synthetic};
use cipherfn_training::leaves::LeafSpec;
use cipherfn_training::{StatisticsSpec, SummedSchema};
use report::Report;
use std::io::Write;

const MAX_SPEC: u64 = 1 << 20;

/// Check and simulate a training, and write its program
///
/// Of gradient descent, the simulation has the noise that encrypted steps have, on rows of a table or on
/// made-up ones. What diverges or drowns in noise is refused, with the number to change. Of leaves
/// (algorithm = "leaves" or "boosted-leaves") the trees come from a model file, and the form of sums is chosen
/// so that counts are exact. Of a tree that is grown (algorithm = "tree") the number of round trips is told.
/// Specs of statistics, and schemas of frames that sum by a look-up, have no algorithm, and become programs of
/// totals, to which owners contribute (joint).
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cipherfn compile-training spec.toml --data sample.csv -o training.cfn\n  cipherfn compile-training leaves.toml --structure forest.onnx -o leaves.cfn"
)]
pub(crate) struct CompileTraining {
    /// The spec, TOML
    spec: InputSource,
    /// Rows to simulate with, as CSV, Parquet or Arrow; made up if there are none
    #[arg(long, value_name = "FILE")]
    data: Option<InputSource>,
    /// Number of rows to make up
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 1000,
        conflicts_with = "data"
    )]
    rows: usize,
    /// The model whose trees' leaves are to be refitted: a forest, or with algorithm = "boosted-leaves" a
    /// boosted regressor; of leaves alone
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["data", "rows"])]
    structure: Option<InputSource>,
    /// The program to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    format: TableOptions,
}

impl CompileTraining {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        let terminal = terminal.beside_data(self.output.is_stdout());
        let text = String::from_utf8(self.spec.read_all(MAX_SPEC)?)
            .map_err(|_| anyhow!("{} is not UTF-8", self.spec.name()))?;
        if LeafSpec::is_spec(&text) {
            if self.data.is_some() {
                bail_usage!(
                    "--data is for descent, and {} is of trees",
                    self.spec.name()
                );
            }
            return self.leaves(&text, self.structure.as_ref(), terminal);
        }
        if self.structure.is_some() {
            bail_usage!(
                "--structure is for leaves, and {} has no algorithm = \"leaves\"",
                self.spec.name()
            );
        }
        let is_table = SummedSchema::is_spec(&text);
        if is_table || StatisticsSpec::is_spec(&text) {
            if self.data.is_some() {
                bail_usage!("--data is for descent, and {} is of sums", self.spec.name());
            }
            return if is_table {
                self.summed(terminal)
            } else {
                self.statistics(&text, terminal)
            };
        }
        let training = Training::from_toml(&text).with_context(|| self.spec.name())?;
        let rows = match &self.data {
            None => synthetic(&training, self.rows),
            Some(source) => train::read_rows(&training, None, &self.format, source, terminal)?.rows,
        };
        let set = ParameterSet::by_name(SET)?;
        let noise = train::noise(&training, &rows)?;
        let found = simulate(&training, &rows, &noise).with_context(|| self.spec.name())?;
        let schedule = training.schedule(rows.len())?;
        let report = Report {
            training: &training,
            rows: rows.len(),
            steps: &schedule,
            noise: &noise,
            simulated: &found,
            set,
        };
        let costs = report.costs()?;
        let inputs: Vec<&InputSource> = [&self.spec].into_iter().chain(&self.data).collect();
        let mut output = self
            .output
            .create(Content::Text, self.force.force, &inputs)?;
        output.write_all(&training.to_json()?)?;
        output.finish()?;
        terminal.summary(&report.json(&costs), || {
            terminal::facts(report.facts(&costs))
        })
    }
}
