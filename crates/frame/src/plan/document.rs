//! Plans as JSON.

use super::{Expression, Named, Plan, PlanStep};
use crate::plan::PlanError;
use cipherfn_protocol::versions::{Versions, json_version};
use serde::{Deserialize, Serialize};

/// Largest document.
pub const MAX_PLAN_BYTES: usize = 1 << 20;
/// Most steps.
const MAX_STEPS: usize = 64;
/// Most parts of all expressions.
const MAX_PARTS: usize = 1 << 14;
/// Deepest expression.
const MAX_DEPTH: usize = 32;
/// Most entries of a list.
const MAX_LIST: usize = 1 << 12;

cipherfn_protocol::versions! {
    /// Plans as documents.
    enum PlanVersions, read by serde_json::from_slice, error serde_json::Error {
        /// The first.
        V1(PlanV1) = 1,
        /// With steps of the key holder: sort and distinct.
        V2(PlanV1) = 2,
        /// With slice and model.
        V3(PlanV1) = 3,
    }
}

/// Steps are written as they are: a change of theirs is a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanV1 {
    format: u16,
    scan: String,
    #[serde(default)]
    steps: Vec<PlanStep>,
}

impl Plan {
    /// Reads JSON, bounded in bytes, steps, width and depth.
    pub fn from_json(bytes: &[u8]) -> Result<Self, PlanError> {
        if bytes.len() > MAX_PLAN_BYTES {
            return Err(PlanError::TooLarge {
                what: "bytes",
                found: bytes.len(),
                limit: MAX_PLAN_BYTES,
            });
        }
        let document = |error: serde_json::Error| PlanError::Document {
            problem: error.to_string(),
        };
        let found = json_version(bytes).map_err(|error| document(error.into()))?;
        let Some(versions) = PlanVersions::read(found, bytes) else {
            return Err(PlanError::Format { found });
        };
        let (PlanVersions::V1(plan) | PlanVersions::V2(plan) | PlanVersions::V3(plan)) =
            versions.map_err(document)?;
        let plan = Self {
            scan: plan.scan,
            steps: plan.steps,
        };
        if found < plan.format() {
            return Err(PlanError::Document {
                problem: format!(
                    "format {found} has no step that is newer: sort and distinct came with 2, slice and model with 3; write \"format\": {}",
                    plan.format()
                ),
            });
        }
        plan.check_size()?;
        Ok(plan)
    }

    /// Writes JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, PlanError> {
        self.check_size()?;
        let document = PlanV1 {
            format: self.format(),
            scan: self.scan.clone(),
            steps: self.steps.clone(),
        };
        serde_json::to_vec(&document).map_err(|error| PlanError::Document {
            problem: error.to_string(),
        })
    }

    /// The format that has all of its steps.
    fn format(&self) -> u16 {
        fn has_model(expression: &Expression) -> bool {
            matches!(expression, Expression::Model(..)) || expression.parts().iter().any(has_model)
        }
        let steps = self.steps.iter().map(|step| match step {
            PlanStep::Slice(_) => 3,
            PlanStep::Filter(of) | PlanStep::WithColumn(Named { of, .. }) if has_model(of) => 3,
            PlanStep::Sort(_) | PlanStep::Distinct => 2,
            _ => 1,
        });
        steps.max().unwrap_or(1)
    }

    /// That it is no larger than what is read, and that its names are names.
    pub(crate) fn check_size(&self) -> Result<(), PlanError> {
        limit("steps", self.steps.len(), MAX_STEPS)?;
        let mut parts = 0;
        for step in &self.steps {
            match step {
                PlanStep::Merge(merge) => {
                    limit("key columns", merge.on.len(), MAX_LIST)?;
                    merge.indicator.iter().try_for_each(|name| named(name))?;
                    if !merge.suffix.is_empty() {
                        named(&merge.suffix)?;
                    }
                }
                PlanStep::Select(names) => limit("columns", names.len(), MAX_LIST)?,
                PlanStep::Rename(names) => {
                    limit("columns", names.len(), MAX_LIST)?;
                    names.iter().try_for_each(|renaming| named(&renaming.to))?;
                }
                PlanStep::GroupBy(group) => {
                    limit("key columns", group.keys.len(), MAX_LIST)?;
                    limit("aggregates", group.aggregates.len(), MAX_LIST)?;
                    group
                        .aggregates
                        .iter()
                        .try_for_each(|own| named(&own.name))?;
                }
                PlanStep::Sort(keys) => limit("columns", keys.len(), MAX_LIST)?,
                PlanStep::Distinct | PlanStep::Slice(_) => {}
                PlanStep::Filter(expression) => count(expression, 1, &mut parts)?,
                PlanStep::WithColumn(column) => {
                    named(&column.name)?;
                    count(&column.of, 1, &mut parts)?;
                }
            }
        }
        Ok(())
    }
}

/// That a name which the plan makes is one that can be printed.
fn named(name: &str) -> Result<(), PlanError> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(PlanError::Document {
            problem: format!(
                "the name {name:?} is empty or has a control character; give the column another"
            ),
        });
    }
    Ok(())
}

fn count(expression: &Expression, depth: usize, parts: &mut usize) -> Result<(), PlanError> {
    limit("levels of an expression", depth, MAX_DEPTH)?;
    *parts += 1;
    let listed = match expression {
        Expression::IsIn(_, list) | Expression::Cut(_, list) => list.len(),
        Expression::Replace(_, pairs) => pairs.len(),
        _ => 0,
    };
    limit("entries of a list", listed, MAX_LIST)?;
    limit("parts of expressions", *parts, MAX_PARTS)?;
    for part in expression.parts() {
        count(part, depth + 1, parts)?;
    }
    Ok(())
}

fn limit(what: &'static str, found: usize, limit: usize) -> Result<(), PlanError> {
    if found > limit {
        return Err(PlanError::TooLarge { what, found, limit });
    }
    Ok(())
}
