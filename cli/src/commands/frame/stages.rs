//! Plans that are not levelled: stages with the key holder between them.

use super::PlanInputs;
use super::columns::decrypted;
use super::evaluator::{Evaluator, Leftover};
use super::explain::Described;
use super::plan::precision;
use crate::terminal;
use anyhow::{Result, anyhow, bail};
use cipherfn_client::frames::{Behind, KeyHolder, refresh_bytes};
use cipherfn_frame::answer::Table;
use cipherfn_frame::plan::{Plan, PlanError};
use cipherfn_protocol::specs::Gadget;
use cipherfn_scheme::SecretKey;
use cipherfn_serving::frames::{Demand, FrameQueryError, PreparedStage, SumRows, prepare_stages};

/// What stages took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    /// Bytes of answers.
    pub(super) down: u64,
    /// Bytes of frames that were encrypted again.
    pub(super) up: u64,
}

/// Why a plan is refused: with the stages that would carry it out, if some would.
pub(super) fn refused(
    error: FrameQueryError,
    (plan, given): (&Plan, &PlanInputs),
    (sums, demand): (SumRows, Demand),
) -> anyhow::Error {
    let (sums, demand) = match &error {
        error if is_not_levelled(error) => (SumRows::Fitting(Demand::Exact), Demand::Bits(0.0)),
        error if error.is_imprecise() => (sums, demand),
        _ => return error.into(),
    };
    match prepare_stages(plan, &given.heads, &given.tables, sums, demand) {
        Ok(stages) => anyhow!(
            "{error}; `cipherfn frame query --stages` carries it out in {}, with the key holder behind each, and `cipherfn frame explain` says what they take",
            counted(stages.len())
        ),
        Err(other) if is_not_levelled(&other) || error.is_imprecise() => error.into(),
        Err(other) => anyhow!("{error}; in stages: {other}"),
    }
}

fn is_not_levelled(error: &FrameQueryError) -> bool {
    matches!(error, FrameQueryError::Plan(PlanError::NotLevelled { .. }))
}

fn counted(stages: usize) -> String {
    match stages {
        1 => "one stage".to_owned(),
        several => format!("{several} stages"),
    }
}

/// Carries out stages, with the secret key between them. Frames that a service was given are deleted as
/// soon as they were read, and whatever happened; those that stay are named.
pub(super) async fn carry_out(
    stages: &[PreparedStage],
    evaluator: &mut Evaluator<'_>,
    (secret, gadget): (&SecretKey, Gadget),
) -> Result<(Table, Taken)> {
    let mut left = Vec::new();
    let outcome = each(stages, evaluator, (secret, gadget), &mut left).await;
    left.append(&mut evaluator.clear().await);
    if let Some(first) = left.first() {
        let ids: Vec<String> = left.iter().map(|own| own.frame.to_string()).collect();
        terminal::warning(&format!(
            "the service did not delete what stages encrypted for it, {} ({}); `cipherfn frame list --delete ID` does, or they stay until they run out",
            ids.join(", "),
            first.why
        ));
    }
    outcome
}

async fn each(
    stages: &[PreparedStage],
    evaluator: &mut Evaluator<'_>,
    (secret, gadget): (&SecretKey, Gadget),
    left: &mut Vec<Leftover>,
) -> Result<(Table, Taken)> {
    let mut taken = Taken::default();
    let mut holder = KeyHolder::new(secret, gadget);
    for PreparedStage {
        query,
        stage,
        demand,
    } in stages
    {
        let reply = evaluator.answer(query, *demand).await?;
        // A stage reads the frame of the one before and no other.
        left.append(&mut evaluator.clear().await);
        taken.down += reply.to_bytes().len() as u64;
        let table = decrypted(query, secret, &reply)?;
        match holder.behind(stage, table)? {
            Behind::Answer(table) => return Ok((table, taken)),
            Behind::Frame(file) => {
                taken.up += file.len() as u64;
                evaluator.add(&file).await?;
            }
        }
    }
    bail!("the plan has no stage")
}

/// What stages take, for people and for programs.
pub(super) fn explained(
    stages: &[PreparedStage],
    gadget: Gadget,
) -> Result<(serde_json::Value, Vec<String>)> {
    let (mut values, mut lines) = (Vec::new(), Vec::new());
    for (PreparedStage { query, stage, .. }, number) in stages.iter().zip(1..) {
        let Described {
            steps,
            passes,
            lines: mut text,
        } = super::explain::described(query)?;
        lines.push(format!("stage {number} of {}", stages.len()));
        lines.append(&mut text);
        let answer = query.figures.last().map_or(0, |figures| figures.bytes);
        let mut value = serde_json::json!({
            "steps": steps,
            "passes": passes,
            "rows_per_sum": query.rows_per_sum,
            "bits": precision(&query.columns),
            "answer_bytes": answer,
        });
        if let Some(because) = &stage.because {
            lines.push(format!("then the key holder: {because}"));
            value["because"] = because.as_str().into();
        }
        for step in &stage.then {
            lines.push(format!("  {}: {step}", step.name()));
        }
        if let Some(refresh) = &stage.refresh {
            let schema = &refresh.schema;
            let bytes = refresh_bytes(query.set, gadget, schema);
            let columns = schema.columns().iter().map(|column| {
                let role = if column.roles.key { "key" } else { "value" };
                format!("{} ({role})", column.name)
            });
            let rows = schema.rows();
            lines.push(format!(
                "  one round trip: {} of answer, decrypted and encrypted as {:?}, {}{} rows of {}, {}",
                terminal::bytes(answer),
                schema.name(),
                if rows.padded { "padded to " } else { "" },
                rows.count.unwrap_or_default(),
                columns.collect::<Vec<_>>().join(", "),
                terminal::bytes(bytes),
            ));
            value["refresh_bytes"] = bytes.into();
        }
        values.push(value);
    }
    Ok((serde_json::json!({ "stages": values }), lines))
}
