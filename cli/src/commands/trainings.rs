//! `cipherfn trainings`.

use super::predict::known;
use crate::connection::Connection;
use crate::shared::block_on;
use crate::terminal::{self, Terminal};
use crate::usage::bail_usage;
use anyhow::{Result, bail};
use cipherfn_client_http::{KeptTraining, KeyRing, Service, ServiceError};
use cipherfn_protocol::api::ProblemType;
use cipherfn_protocol::api::job::JobId;
use std::path::PathBuf;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// List the trainings whose weights services keep encrypted under a key ring, or delete one
///
/// Weights that train --keep-encrypted has left are those of a job, and live as long as it does. predict
/// --trained JOB predicts by them, train --continue JOB trains on from them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  cipherfn trainings --keys keys/\n  \
                  cipherfn trainings --keys keys/ --service https://abc123.execute-api.eu-central-1.amazonaws.com\n  \
                  cipherfn trainings --keys keys/ --service https://abc123.execute-api.eu-central-1.amazonaws.com --delete 0f1e2d3c4b5a69788796a5b4c3d2e1f0")]
pub(crate) struct Trainings {
    /// The key ring
    #[arg(long, value_name = "DIRECTORY")]
    keys: PathBuf,
    /// Address of the service, which says until when it keeps weights
    #[arg(long, value_name = "URL")]
    service: Option<String>,
    /// Delete the weights of this job at the service, and forget them here
    #[arg(long, value_name = "JOB", requires = "service")]
    delete: Option<JobId>,
    #[command(flatten)]
    connection: Connection,
}

/// Until when weights are kept, as far as it is known.
enum Until {
    Unknown,
    Elsewhere,
    Time(OffsetDateTime),
    Gone,
    /// The service does not say, for this reason.
    Unclear(String),
}

impl Trainings {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        block_on(async {
            let ring = KeyRing::at(&self.keys);
            let service = match &self.service {
                Some(url) => Some(self.connection.open(url).await?),
                None => None,
            };
            if let Some(job) = self.delete {
                let Some(service) = service else {
                    bail_usage!("--delete needs --service URL");
                };
                return delete(&service, &ring, job, terminal).await;
            }
            let (mut list, mut unreadable) = (Vec::new(), Vec::new());
            for kept in ring.trainings()? {
                let kept = match kept {
                    Ok(kept) => kept,
                    Err(error) => {
                        unreadable.push(error.to_string());
                        continue;
                    }
                };
                let until = match &service {
                    None => Until::Unknown,
                    Some(service) if service.url() != kept.service => Until::Elsewhere,
                    Some(service) => match service.job_status(kept.job).await {
                        Ok(status) => Until::Time(status.expires),
                        Err(error) if is_gone(&error) => Until::Gone,
                        // Of this job alone, as it may be.
                        Err(error) if error.problem().is_some() => {
                            Until::Unclear(error.to_string())
                        }
                        Err(error) => return Err(error.into()),
                    },
                };
                list.push((kept, until));
            }
            let values = list.iter().map(value).collect::<Result<Vec<_>>>()?;
            let value = serde_json::json!({ "trainings": values, "unreadable": unreadable });
            for problem in &unreadable {
                terminal::warning(&format!(
                    "{problem}; move the file away, or delete it with what it tells of its weights"
                ));
            }
            terminal.report(&value, || text(&list))
        })
    }
}

async fn delete(service: &Service, ring: &KeyRing, job: JobId, terminal: Terminal) -> Result<()> {
    let (kept, _) = known(ring, job)?;
    if kept.service != service.url() {
        bail!(
            "training {job} is kept by the service at {}; give that",
            kept.service
        );
    }
    match service.delete_job(job).await {
        Err(error) if !is_gone(&error) => return Err(error.into()),
        _ => ring.forget_training(job)?,
    }
    let value = serde_json::json!({ "job": job, "state": "deleted" });
    terminal.report(&value, || {
        terminal::facts([
            ("training", job.to_string()),
            ("state", "deleted".to_owned()),
        ])
    })
}

/// Whether the service has no such job any more.
fn is_gone(error: &ServiceError) -> bool {
    error.problem().is_some_and(|problem| {
        matches!(
            problem.kind,
            ProblemType::UnknownJob | ProblemType::JobExpired
        )
    })
}

fn value((kept, until): &(KeptTraining, Until)) -> Result<serde_json::Value> {
    let mut value = serde_json::json!({
        "job": kept.job,
        "service": kept.service,
        "program": kept.name,
        "rows": kept.rows,
        "steps": kept.weights.steps,
        "weight_deviation": kept.weights.deviation,
    });
    match until {
        Until::Unknown | Until::Elsewhere => {}
        Until::Time(time) => value["expires"] = time.format(&Rfc3339)?.into(),
        Until::Gone => value["gone"] = true.into(),
        Until::Unclear(why) => value["problem"] = why.clone().into(),
    }
    Ok(value)
}

fn text(list: &[(KeptTraining, Until)]) -> String {
    if list.is_empty() {
        return "no weights are kept under this key ring; `cipherfn train --keep-encrypted` leaves some"
            .to_owned();
    }
    let header = ["training", "program", "rows", "steps", "kept until"];
    let rows = list.iter().map(|(kept, until)| {
        vec![
            kept.job.to_string(),
            kept.name.to_string(),
            kept.rows.to_string(),
            kept.weights.steps.to_string(),
            match until {
                Until::Unknown => "its job runs out".to_owned(),
                Until::Elsewhere => format!("at {}", kept.service),
                Until::Time(time) => terminal::date(*time),
                Until::Gone => "gone".to_owned(),
                Until::Unclear(why) => format!("not known: {why}"),
            },
        ]
    });
    terminal::table(header.map(ToOwned::to_owned).to_vec(), rows)
}
