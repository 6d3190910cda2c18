//! A plan that is not levelled, stage by stage: what each takes and is worth before anything is evaluated.

use super::query::{MOST_ROWS, circuit_form, schemas};
use super::{Demand, FrameQueryError, PreparedQuery, SumRows};
use cipherfn_frame::file::FileHead;
use cipherfn_frame::plan::Plan;
use cipherfn_frame::schema::Schema;
use cipherfn_frame::stages::Stage;
use cipherfn_scheme::parameters::ParameterSet;

/// A stage that was made circuits of.
#[derive(Debug)]
pub struct PreparedStage {
    /// What is evaluated, and what its answer is worth.
    pub query: PreparedQuery,
    /// What the key holder does with it.
    pub stage: Stage,
    /// What its columns have to be worth.
    pub demand: Demand,
}

/// A plan in stages, for frames of these heads and numbers of rows, and tables in the clear of these
/// schemas. The frames that refreshes make come behind those that were given, in order, and before the
/// tables. Cells that decide about something are exact; `sums` and `demand` are of the last stage.
///
/// # Errors
/// What no refresh helps against; a stage of which a column is worth less.
pub fn prepare_stages(
    plan: &Plan,
    heads: &[(FileHead, usize)],
    tables: &[Schema],
    sums: SumRows,
    demand: Demand,
) -> Result<Vec<PreparedStage>, FrameQueryError> {
    let (first, _) = heads.first().ok_or(FrameQueryError::NoFrames)?;
    let schemas = schemas(heads, tables);
    let set = ParameterSet::by_tag(first.parameter_set, "data frame")?;
    let form = circuit_form(set, first, MOST_ROWS);
    let mut heads = heads.to_vec();
    let mut prepared = Vec::new();
    for (stage, number) in plan.stages(&schemas, &form)?.into_iter().zip(1..) {
        let of_stage = |source| FrameQueryError::Stage {
            number,
            source: Box::new(source),
        };
        let (sums, demand) = if stage.needs_exact_cells() {
            (SumRows::Fitting(Demand::Exact), Demand::Exact)
        } else {
            (sums, demand)
        };
        let query = PreparedQuery::new(stage.plan.clone(), &heads, tables, sums);
        let query = query.map_err(of_stage)?;
        query.require(demand).map_err(of_stage)?;
        if let Some(refresh) = &stage.refresh {
            let rows = refresh.schema.rows().count.unwrap_or_default() as usize;
            heads.push((with_schema(&heads[0].0, &refresh.schema), rows));
        }
        prepared.push(PreparedStage {
            query,
            stage,
            demand,
        });
    }
    Ok(prepared)
}

/// The head of a frame of another schema, encrypted alike.
fn with_schema(head: &FileHead, schema: &Schema) -> FileHead {
    FileHead {
        schema: schema.clone(),
        ..head.clone()
    }
}
