//! Where a plan spends time and precision: what it takes and is worth up to each of its steps.

use super::query::Candidate;
use super::{ColumnPrecision, FrameQueryError, PreparedQuery, choices, seconds};
use cipherfn_frame::explain::StepFigures;
use cipherfn_frame::plan::Plan;

/// What a plan takes and its columns are worth up to one of its steps, that step included.
#[derive(Clone, Debug, PartialEq)]
pub struct StepCost {
    /// CMUXes of a row, of all passes together.
    pub choices: usize,
    /// Seconds of one core, about.
    pub seconds: f64,
    /// How exact the columns are that the step leaves.
    pub columns: Vec<ColumnPrecision>,
}

impl PreparedQuery {
    /// What the plan takes and is worth up to each of its steps, the scan first, with as many rows a sum as
    /// the whole plan has. Nothing of a step that leaves what is no answer by itself, as rows of more
    /// columns than a result has.
    pub fn steps(&self) -> Vec<Option<StepCost>> {
        let steps = 0..=self.plan.steps.len();
        let cost = |steps| {
            let cut = self.cut(steps).ok()?;
            let passes = cut.passes.passes.iter();
            Some(StepCost {
                choices: passes.clone().map(choices).sum(),
                seconds: passes.map(|pass| seconds(pass, cut.rows[pass.over])).sum(),
                columns: cut.columns,
            })
        };
        steps.map(cost).collect()
    }

    /// The first steps of its plan as a plan of their own.
    fn cut(&self, steps: usize) -> Result<Candidate, FrameQueryError> {
        let plan = Plan {
            scan: self.plan.scan.clone(),
            steps: self.plan.steps[..steps].to_vec(),
        };
        let passes = plan.resolve(&self.schemas)?.lower(&self.form)?;
        let rows = passes.frames.iter().filter_map(|name| {
            let mut frames = self.passes.frames.iter().zip(&self.rows);
            frames.find(|(own, _)| *own == name).map(|(_, rows)| *rows)
        });
        let rows = rows.collect();
        Candidate::over(passes, rows)
    }

    /// The plan as a tree, with what each step takes and leaves of precision, and its passes.
    ///
    /// # Errors
    /// None of a query that was prepared.
    pub fn explain(&self, steps: &[Option<StepCost>]) -> Result<String, FrameQueryError> {
        let figures = |cost: &StepCost| StepFigures {
            choices: cost.choices,
            seconds: cost.seconds,
            worth: cost
                .columns
                .iter()
                .map(|column| (column.name.clone(), column.worth()))
                .collect(),
        };
        let figures: Vec<Option<StepFigures>> = steps
            .iter()
            .map(|cost| cost.as_ref().map(figures))
            .collect();
        let resolved = self.plan.resolve(&self.schemas)?;
        Ok(resolved.explain(&self.passes.passes, &figures))
    }
}
