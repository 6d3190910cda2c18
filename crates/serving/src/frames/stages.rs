//! A plan that is not levelled, stage by stage: what each takes and is worth before anything is evaluated.

use super::heads::{MOST_ROWS, circuit_form, leading, schemas};
use super::{Demand, FrameQueryError, PreparedQuery, SumRows};
use cipherfn_frame::file::FileHead;
use cipherfn_frame::pass::CircuitForm;
use cipherfn_frame::plan::{Plan, PlanError};
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
/// tables. Cells that decide about something are exact; `sums` and `demand` are of the last stage. An
/// aggregate over a merge that is worth less where it is pushed down takes a stage more.
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
    let prepared = |stages: Planned| {
        let stages = planned(plan, heads, tables, stages)?;
        prepare_each(stages, heads, tables, (sums, demand))
    };
    match prepared(Plan::stages) {
        Err(error) if error.is_imprecise() => prepared(Plan::stages_of_one_pass).map_err(|_| error),
        stages => stages,
    }
}

/// Stages as the server is asked for them, each with the frames that those before have made.
fn prepare_each(
    stages: Vec<Stage>,
    heads: &[(FileHead, usize)],
    tables: &[Schema],
    (sums, demand): (SumRows, Demand),
) -> Result<Vec<PreparedStage>, FrameQueryError> {
    let mut heads = heads.to_vec();
    let mut prepared = Vec::new();
    for (stage, number) in stages.into_iter().zip(1..) {
        let of_stage = |source| FrameQueryError::Stage {
            number,
            source: Box::new(source),
        };
        let own = PreparedStage::new(stage, &heads, tables, (sums, demand)).map_err(of_stage)?;
        own.require().map_err(of_stage)?;
        if let Some(refresh) = &own.stage.refresh {
            let rows = refresh.schema.rows().count.unwrap_or_default() as usize;
            let head = with_schema(leading(&heads)?, &refresh.schema);
            heads.push((head, rows));
        }
        prepared.push(own);
    }
    Ok(prepared)
}

/// A plan that takes one query of whoever evaluates: it is levelled, but for steps behind all others
/// that the key holder takes with the decrypted answer. What it is worth is not held to the demand.
///
/// # Errors
/// That the plan is not levelled, where it takes several stages.
pub fn prepare_query(
    plan: &Plan,
    heads: &[(FileHead, usize)],
    tables: &[Schema],
    sums: SumRows,
    demand: Demand,
) -> Result<PreparedStage, FrameQueryError> {
    let query = PreparedQuery::new(plan.clone(), heads, tables, sums);
    let error = match query {
        Ok(query) => {
            return Ok(PreparedStage {
                query,
                stage: Stage::levelled(plan.clone()),
                demand,
            });
        }
        Err(error @ FrameQueryError::Plan(PlanError::NotLevelled { .. })) => error,
        Err(error) => return Err(error),
    };
    match planned(plan, heads, tables, Plan::stages) {
        Ok(mut stages) if stages.len() == 1 => {
            let stage = stages.remove(0);
            PreparedStage::new(stage, heads, tables, (sums, demand))
        }
        _ => Err(error),
    }
}

/// How a plan is cut into stages.
type Planned = fn(&Plan, &[Schema], &CircuitForm) -> Result<Vec<Stage>, PlanError>;

/// The stages of a plan.
fn planned(
    plan: &Plan,
    heads: &[(FileHead, usize)],
    tables: &[Schema],
    stages: Planned,
) -> Result<Vec<Stage>, FrameQueryError> {
    let first = leading(heads)?;
    let set = ParameterSet::by_tag(first.parameter_set, "data frame")?;
    let form = circuit_form(set, first, MOST_ROWS);
    Ok(stages(plan, &schemas(heads, tables), &form)?)
}

impl PreparedStage {
    fn new(
        stage: Stage,
        heads: &[(FileHead, usize)],
        tables: &[Schema],
        (sums, demand): (SumRows, Demand),
    ) -> Result<Self, FrameQueryError> {
        let is_last = stage.refresh.is_none();
        let (sums, demand) = match sums {
            _ if !stage.needs_exact_cells() => (sums, demand),
            SumRows::Given(_) if is_last => (sums, Demand::Exact),
            _ => (SumRows::Fitting(Demand::Exact), Demand::Exact),
        };
        Ok(Self {
            query: PreparedQuery::new(stage.plan.clone(), heads, tables, sums)?,
            stage,
            demand,
        })
    }

    /// Refuses one of which a column is worth less than is demanded.
    ///
    /// # Errors
    /// The column, and the step that spends its bits.
    pub fn require(&self) -> Result<(), FrameQueryError> {
        self.query.require(self.demand)
    }
}

/// The head of a frame of another schema, encrypted alike.
fn with_schema(head: &FileHead, schema: &Schema) -> FileHead {
    FileHead {
        schema: schema.clone(),
        ..head.clone()
    }
}
