//! `cipherfn frame explain`.

use super::plan::{PlanOptions, Prepared, bits, choices};
use crate::files::InputSource;
use crate::terminal::{self, Terminal};
use anyhow::Result;

/// Say what a plan takes and how exact its answer is, without evaluating it
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn frame explain --plan plan.json sales.cff prices.cff")]
pub(super) struct Explain {
    /// The frames that the plan names, of which only schemas are read
    #[arg(required = true, value_name = "FRAME")]
    frames: Vec<InputSource>,
    /// The plan, JSON or SQL
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
        let resolved = prepared.plan.resolve(&prepared.schemas)?;
        let tree = resolved.explain(&prepared.passes.passes);
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
        lines.extend(columns.map(|column| format!("column {}: {}", column.name, bits(column))));
        let columns = prepared.columns.iter();
        let precision: serde_json::Map<_, _> = columns
            .map(|column| (column.name.clone(), column.bits.into()))
            .collect();
        let value = serde_json::json!({ "passes": passes, "bits": precision });
        terminal.report(&value, || lines.join("\n"))
    }
}
