//! `cipherfn frame explain`.

use super::models::LinearModels;
use super::plan::{PlanOptions, precision, read};
use super::stages;
use super::stored::Place;
use crate::files::InputSource;
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result};
use cipherfn_frame::plan::{PlanError, PlanStep};
use cipherfn_serving::frames::{FrameQueryError, PreparedQuery, choices, leading, prepare_stages};
use std::path::PathBuf;

/// Say what a plan takes and how exact its answer is, without evaluating it
///
/// The plan is shown as a tree, the last step first: beside each step the choices and the time that it adds,
/// and what the columns that it leaves are worth. Where one is worth less than below it, that step spends the
/// precision.
///
/// Of a plan that is not levelled it shows the stages that `frame query --stages` carries out, with the
/// bytes and the round trip of each.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("rows_a_request", |argument| argument.hide(true)),
    after_help = "Example:\n  cipherfn frame explain --plan plan.json sales.cff prices.cff")]
pub(super) struct Explain {
    /// The frames that the plan names, and tables in the clear, of which only schemas are read
    #[arg(required = true, value_name = "FRAME")]
    frames: Vec<InputSource>,
    /// The plan, JSON or SQL
    #[arg(long, value_name = "FILE")]
    plan: InputSource,
    /// The key ring: whose secret hashed names of frames, and with --table and --model whose tables and models
    /// the service has
    #[arg(long, value_name = "DIRECTORY")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    models: LinearModels,
    #[command(flatten)]
    options: PlanOptions,
    #[command(flatten)]
    place: Place,
}

impl Explain {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let given = self
            .place
            .given(&self.frames, &self.models, self.keys.as_deref())?;
        let plan = read(&self.plan, &given, &self.models)?;
        let (sums, demand) = (self.options.sums()?, self.options.demand()?);
        let (heads, tables) = (&given.heads, &given.tables);
        let stages = || prepare_stages(&plan, heads, tables, sums, demand);
        let gadget = leading(heads)?.gadget;
        let explained = |stages: &[_]| stages::explained(stages, gadget);
        let prepared = match PreparedQuery::new(plan.clone(), heads, tables, sums) {
            Err(FrameQueryError::Plan(PlanError::NotLevelled { .. })) => {
                let stages = stages().with_context(|| self.plan.name())?;
                let (value, lines) = explained(&stages)?;
                return terminal.report(&value, || lines.join("\n"));
            }
            prepared => prepared.with_context(|| self.plan.name())?,
        };
        let Described {
            steps,
            passes,
            mut lines,
        } = described(&prepared)?;
        let mut value = serde_json::json!({
            "steps": steps,
            "passes": passes,
            "rows_per_sum": prepared.rows_per_sum,
            "bits": precision(&prepared.columns),
        });
        // In one query it is worth too little, and in stages it is not.
        if let (Err(_), Ok(stages)) = (prepared.require(demand), stages()) {
            let (own, text) = explained(&stages)?;
            value["stages"] = own["stages"].clone();
            lines.push(
                "that is less than is asked for; `cipherfn frame query --stages` carries it out so that it is not:"
                    .to_owned(),
            );
            lines.extend(text);
        }
        terminal.report(&value, || lines.join("\n"))
    }
}

/// What a query takes and is worth.
pub(super) struct Described {
    /// Up to each of its steps, the scan first: for programs.
    pub(super) steps: Vec<serde_json::Value>,
    /// Of each pass, for programs.
    pub(super) passes: Vec<serde_json::Value>,
    /// All of it, for people.
    pub(super) lines: Vec<String>,
}

pub(super) fn described(prepared: &PreparedQuery) -> Result<Described> {
    let costs = prepared.steps();
    let tree = prepared.explain(&costs)?;
    let names = std::iter::once("scan").chain(prepared.plan.steps.iter().map(PlanStep::name));
    let steps = names.zip(&costs).map(|(step, cost)| match cost {
        Some(cost) => serde_json::json!({
            "step": step,
            "choices": cost.choices,
            "seconds": cost.seconds,
            "bits": precision(&cost.columns),
        }),
        None => serde_json::json!({ "step": step }),
    });
    let steps = steps.collect();
    let figures = prepared.passes.passes.iter().zip(&prepared.figures);
    let passes = figures.map(|(pass, figures)| {
        serde_json::json!({
            "frame": prepared.passes.frames[pass.over],
            "rows": prepared.rows[pass.over],
            "choices": choices(pass),
            "seconds": figures.seconds,
            "bytes": figures.bytes,
        })
    });
    let passes: Vec<_> = passes.collect();
    let mut lines = vec![tree.trim_end().to_owned()];
    lines.extend((1..).zip(&prepared.figures).map(|(number, figures)| {
        format!(
            "pass {number} takes {:.2} s of one core, its results {}",
            figures.seconds,
            terminal::bytes(figures.bytes)
        )
    }));
    let columns = prepared.columns.iter();
    lines.extend(columns.map(|column| format!("column {}: {}", column.name, column.worth())));
    Ok(Described {
        steps,
        passes,
        lines,
    })
}
