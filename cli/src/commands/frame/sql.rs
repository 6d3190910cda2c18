//! `cipherfn frame plan`.

use super::PlanInputs;
use super::models::LinearModels;
use crate::files::{Content, Destination, InputSource};
use crate::shared::Force;
use crate::terminal::Terminal;
use crate::usage::bail_usage;
use anyhow::{Context, Result};
use cipherfn_frame::pass::CircuitForm;
use cipherfn_frame::plan::{Plan, PlanError};
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::specs::{BaseLog, Bits, Gadget, Levels};
use std::io::Write;

/// Largest document.
const MAX_DOCUMENT: u64 = 16 << 20;

/// Check a plan against schemas, without data, and show it as a tree; make one of SQL
///
/// SQL: SELECT columns, expressions and aggregates FROM a frame, LEFT or INNER JOIN ... ON, WHERE, GROUP
/// BY. What is not possible on encrypted data is refused by its step, with what would do.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn frame plan --schema sales.toml -o plan.json \\\n    --sql 'SELECT region, sum(amount) AS total FROM sales WHERE age > 30 GROUP BY region'"
)]
pub(super) struct PlanOf {
    /// The plan as JSON, - for standard input
    #[arg(
        value_name = "PLAN",
        required_unless_present = "sql",
        conflicts_with = "sql"
    )]
    plan: Option<InputSource>,
    /// The plan as SQL
    #[arg(long, value_name = "QUERY")]
    sql: Option<String>,
    /// Schema of a frame that the plan names, TOML; once a frame
    #[arg(long = "schema", value_name = "FILE", required = true)]
    schemas: Vec<InputSource>,
    /// Where to write the plan as JSON, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<Destination>,
    #[command(flatten)]
    models: LinearModels,
    #[command(flatten)]
    force: Force,
}

impl PlanOf {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let schemas = self.schemas.iter().map(schema);
        let schemas: Vec<Schema> = schemas.collect::<Result<_>>()?;
        let plan = match (&self.plan, &self.sql) {
            (Some(source), _) => {
                let bytes = source.read_all(MAX_DOCUMENT)?;
                Plan::from_json(&bytes).with_context(|| source.name())?
            }
            (None, Some(sql)) => Plan::from_sql(sql, &schemas)?,
            (None, None) => bail_usage!("give a plan, or --sql"),
        };
        let plan = self.models.put_into(plan, &PlanInputs::default())?;
        let tree = match tree(&plan, &schemas) {
            Err(error @ PlanError::NotLevelled { .. }) => format!(
                "{error}\n`cipherfn frame explain` shows of encrypted frames what is left to the key holder"
            ),
            tree => tree?,
        };
        let is_stdout = self.output.as_ref().is_some_and(Destination::is_stdout);
        if let Some(destination) = &self.output {
            let inputs: Vec<&InputSource> = self.schemas.iter().chain(&self.plan).collect();
            let mut output = destination.create(Content::Text, self.force.force, &inputs)?;
            output.write_all(&plan.to_json()?)?;
            output.finish()?;
        }
        let value = serde_json::json!({ "tree": tree });
        terminal
            .beside_data(is_stdout)
            .summary(&value, || tree.clone())
    }
}

/// Steps and passes.
fn tree(plan: &Plan, schemas: &[Schema]) -> Result<String, PlanError> {
    let resolved = plan.resolve(schemas)?;
    let passes = resolved.lower(&form())?.passes;
    Ok(resolved.explain(&passes, &[]))
}

fn schema(source: &InputSource) -> Result<Schema> {
    let bytes = source.read_all(MAX_DOCUMENT)?;
    let text = std::str::from_utf8(&bytes);
    let text = text.with_context(|| format!("{}: the schema is not UTF-8 text", source.name()))?;
    Schema::from_toml(text).with_context(|| source.name())
}

/// That of the wide set: the tree does not depend on it.
fn form() -> CircuitForm {
    CircuitForm {
        parameter_set: "cipherfn-128-n2048-m11-v1".into(),
        gadget: Gadget::new(BaseLog::new(6), Levels::new(4)),
        reply_bits: Bits::new(24),
        rows_per_sum: 1 << 11,
    }
}
