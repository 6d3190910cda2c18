//! `cipherfn frame explain`.

use super::plan::{PlanOptions, Prepared, bits, choices};
use crate::files::InputSource;
use crate::terminal::Terminal;
use anyhow::Result;
use cipherfn_engine::PreparedCircuit;
use cipherfn_frame::pass::Collect;

/// Say what a plan takes and how exact its answer is, without evaluating it
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn frame explain --plan plan.json sales.cff prices.cff")]
pub(super) struct Explain {
    /// The frames that the plan names, of which only schemas are read
    #[arg(required = true, value_name = "FRAME")]
    frames: Vec<InputSource>,
    /// The plan, JSON
    #[arg(long, value_name = "FILE")]
    plan: InputSource,
    #[command(flatten)]
    options: PlanOptions,
}

impl Explain {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let heads = self.frames.iter().map(|source| {
            let head = super::read_head(source)?;
            let rows = head.schema.rows().count.unwrap_or_default();
            Ok((head, rows as usize))
        });
        let heads = heads.collect::<Result<Vec<_>>>()?;
        let prepared = Prepared::new(&self.plan, &heads, self.options.rows_per_sum)?;
        let mut lines = vec![format!("scan {}", prepared.plan.scan)];
        let steps = (1..).zip(&prepared.plan.steps);
        lines.extend(steps.map(|(number, step)| format!("{number} {step}")));
        let mut passes = Vec::new();
        for (number, pass) in (1..).zip(&prepared.passes.passes) {
            let rows = prepared.rows[pass.over];
            let statistics = PreparedCircuit::new(&pass.circuit)?.statistics();
            let collected = match pass.collect {
                Collect::Rows => "packed".to_owned(),
                Collect::Sum { rows } => format!("summed, {rows} rows a sum"),
            };
            lines.push(format!(
                "pass {number} over {rows} rows of {}: {} choices and {} selectors a row, {} results, {collected}",
                prepared.passes.frames[pass.over],
                choices(pass),
                statistics.expanded,
                pass.circuit.outputs.len()
            ));
            passes.push(serde_json::json!({
                "frame": prepared.passes.frames[pass.over],
                "rows": rows,
                "choices": choices(pass),
                "selectors": statistics.expanded,
                "results": pass.circuit.outputs.len(),
            }));
        }
        let columns = prepared.columns.iter();
        lines.extend(columns.map(|column| format!("column {}: {}", column.name, bits(column))));
        let columns = prepared.columns.iter();
        let precision: serde_json::Map<_, _> = columns
            .map(|column| (column.name.clone(), column.bits.into()))
            .collect();
        let value = serde_json::json!({ "passes": passes, "bits": precision });
        terminal.report(&value, || lines.join("\n"))
    }
}
