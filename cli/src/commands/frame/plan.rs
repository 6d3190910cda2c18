//! A plan for frames, and what its answer has to be worth.

use super::models::LinearModels;
use super::{PlanInputs, names, stages};
use crate::files::InputSource;
use crate::usage::bail_usage;
use anyhow::{Context, Result};
use cipherfn_frame::plan::Plan;
use cipherfn_frame::schema::Schema;
use cipherfn_serving::frames::{ColumnPrecision, Demand, PreparedStage, SumRows, prepare_query};

/// Largest plan.
const MAX_BYTES: u64 = 1 << 20;
/// Bits that a column must have unless something else is asked for.
const MIN_BITS: f64 = 8.0;

/// What the answer has to be worth.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct PlanOptions {
    /// Bits of its range that every column of the answer must have; one of which nothing is guaranteed is
    /// refused even with 0 [default: 8]
    #[arg(
        long,
        value_name = "BITS",
        allow_negative_numbers = true,
        conflicts_with = "exact"
    )]
    min_bits: Option<f64>,
    /// Every column must be exact
    #[arg(long)]
    exact: bool,
    /// Rows that are summed in one ciphertext, beyond which decryption adds: fewer make sums more
    /// exact and the answer larger [default: as many as leave columns what is asked of them]
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..=2048))]
    rows_per_sum: Option<u32>,
}

impl PlanOptions {
    /// What every column must be worth.
    pub(super) fn demand(self) -> Result<Demand> {
        let bits = self.min_bits.unwrap_or(MIN_BITS);
        if !(bits >= 0.0 && bits.is_finite()) {
            bail_usage!("--min-bits is {bits}, a number of bits is 0 or more");
        }
        Ok(if self.exact {
            Demand::Exact
        } else {
            Demand::Bits(bits)
        })
    }

    /// Rows of a sum.
    pub(super) fn sums(self) -> Result<SumRows> {
        let demand = self.demand()?;
        Ok(self
            .rows_per_sum
            .map_or(SumRows::Fitting(demand), SumRows::Given))
    }
}

/// Makes circuits of a plan for what it is given, and what the key holder does with their answer, whose
/// columns are worth what is demanded.
pub(super) fn prepare(
    plan: &Plan,
    given: &PlanInputs,
    (sums, demand): (SumRows, Demand),
) -> Result<PreparedStage> {
    let stage = prepare_query(plan, &given.heads, &given.tables, sums, demand);
    let stage = stage.and_then(|stage| {
        stage.require()?;
        Ok(stage)
    });
    stage.map_err(|error| stages::refused(error, (plan, given), (sums, demand)))
}

/// Reads a plan, JSON or SQL, with the weights of the models that it names.
pub(super) fn read(
    source: &InputSource,
    given: &PlanInputs,
    models: &LinearModels,
) -> Result<Plan> {
    let PlanInputs { heads, tables, .. } = given;
    let frames = heads.iter().map(|(head, _)| head.schema.clone());
    let schemas: Vec<Schema> = frames.chain(tables.iter().cloned()).collect();
    let bytes = source.read_all(MAX_BYTES)?;
    let plan = match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => Plan::from_json(&bytes),
        _ => Plan::from_sql(&String::from_utf8_lossy(&bytes), &schemas),
    };
    let plan = plan.with_context(|| source.name());
    // A plan has the names that people use.
    let plan = match schemas.iter().find_map(names::not_at_hand) {
        Some(secret) => plan.with_context(|| secret),
        None => plan,
    };
    models.put_into(plan?, given)
}

/// What columns are worth, for programs: bits by column, null where it is exact.
pub(super) fn precision(columns: &[ColumnPrecision]) -> serde_json::Value {
    let columns = columns.iter();
    let bits = columns.map(|column| (column.name.clone(), column.bits.into()));
    serde_json::Value::Object(bits.collect())
}
