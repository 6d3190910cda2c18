//! Weights that stay encrypted at a service.

use super::{Given, Train, Trained};
use crate::commands::predict::{key_of, program_of, unknown};
use crate::files::Output;
use crate::terminal::{self, Terminal};
use anyhow::{Result, bail};
use cipherfn_client_http::{GoingOn, KeptTraining, KeyRing, Service, UploadedRows};
use cipherfn_protocol::api::job::JobId;
use cipherfn_training::descent::{DescentStart, Training};
use std::io::Write;

impl Train {
    /// Leaves the weights where they are, and writes what there is to know of them.
    pub(super) fn keep(
        &self,
        (given, kept): (&Given<'_>, &KeptTraining),
        trained: &Trained<'_>,
        (ring, (mut output, whose)): (&KeyRing, (Output, String)),
        terminal: Terminal,
    ) -> Result<()> {
        let Given {
            training,
            rows,
            simulated,
            ..
        } = given;
        // Whoever goes on from them, or has rows predicted by them, takes no others than these.
        given.weights(trained)?;
        ring.keep_training(kept)?;
        output.write_all(&serde_json::to_vec_pretty(kept)?)?;
        output.finish()?;
        let (job, seconds) = (kept.job, trained.seconds);
        let mut value = serde_json::json!({
            "job": job,
            "rows": kept.rows,
            "steps": kept.weights.steps,
            "seconds": seconds,
            "upload_bytes": trained.upload_bytes,
            "simulated_accuracy": simulated.accuracy,
            "weight_deviation": kept.weights.deviation,
            "clipped": rows.clipped,
            "version": training.hash(),
        });
        let before = self.started(given).map(|(name, right)| {
            value["start_accuracy"] = right.into();
            let text = format!("{name}: {:.1} % of these rows right", 100.0 * right);
            ("start", text)
        });
        terminal.summary(&value, || {
            let mut facts = vec![
                ("kept", format!("training {job}, until its job runs out")),
                ("rows", kept.rows.to_string()),
                ("upload", terminal::bytes(trained.upload_bytes)),
                (
                    "steps",
                    format!("{} in all, {seconds:.1} s", kept.weights.steps),
                ),
            ];
            facts.extend(before);
            facts.push((
                "right",
                format!(
                    "simulated {:.1} % of these rows",
                    100.0 * simulated.accuracy
                ),
            ));
            facts.push(("program", whose));
            facts.extend(super::clipped(rows));
            terminal::facts(facts)
        })
    }
}

/// The start from the weights that an earlier training has left, and these. A run that was interrupted has
/// `remembered` them, which the service may no longer keep.
pub(super) async fn start(
    service: &Service,
    ring: &KeyRing,
    training: &Training,
    (job, remembered): (JobId, Option<UploadedRows>),
) -> Result<(DescentStart, GoingOn)> {
    let remembered = remembered.and_then(|uploaded| uploaded.going_on);
    let remembered = remembered.filter(|own| own.training.job == job);
    let kept = match (ring.training(job)?, &remembered) {
        (None, Some(own)) => own.training.clone(),
        // The key ring's is the one that others cannot write.
        (Some(kept), _) => kept,
        (None, None) => return Err(unknown(job)),
    };
    if kept.service != service.url() {
        bail!(
            "training {job} is kept by the service at {}; give that",
            kept.service
        );
    }
    let of = program_of(&kept)?.hash();
    if of != training.hash() {
        bail!(
            "training {job} is by version {of} of program {}, and {} is taken now; have that one published again (models roll-back), or train anew",
            kept.name,
            training.hash()
        );
    }
    let secret = key_of(ring, &kept)?;
    let own = service.going_on(&kept, remembered).await?;
    Ok((kept.start(&secret, training, &own.result)?, own))
}
