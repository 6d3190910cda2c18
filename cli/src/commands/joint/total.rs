//! `cipherfn joint total`.

use crate::connection::Connection;
use crate::files::{Content, Destination};
use crate::grants::whose_chunks;
use crate::shared::{Force, block_on};
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, bail};
use cipherfn_client_http::ServiceError;
use cipherfn_frame::file::FileHead;
use cipherfn_protocol::api::ProblemType;
use cipherfn_protocol::api::trainings::{TrainingId, TrainingStatus};
use cipherfn_protocol::hash::Hash;
use cipherfn_training::Contribution;
use std::io::Write;

/// Have a service add what owners have contributed, and take the total
///
/// The total is encrypted under your key: statistics fit and statistics show decrypt it, as often as you like, and
/// frame decrypt that of sums by key, which plans merge with as well.
/// It is of all contributions, and made once: nothing can be contributed or left out after that. Once it is
/// written, contributions and grants are deleted at the service.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("rows_a_request", |argument| argument.hide(true)),
    after_help = "Example:\n  cipherfn joint total 0f1e2d3c4b5a69788796a5b4c3d2e1f0 --service https://abc123.execute-api.eu-central-1.amazonaws.com -o total.cft"
)]
pub(super) struct TakeTotal {
    /// The total, as `cipherfn joint declare` told it
    training: TrainingId,
    /// Address of the service
    #[arg(long, value_name = "URL")]
    service: String,
    /// The total to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    force: Force,
}

impl TakeTotal {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let mut output = self.output.create(Content::Binary, self.force.force, &[])?;
        let (status, bytes) = block_on(async {
            let service = self.connection.open(&self.service).await?;
            let status = service.training(self.training).await?;
            if status.least_owners.is_none() {
                bail!(
                    "training {} is on rows, and has no total; train by it with cipherfn train --joint",
                    self.training
                );
            }
            let taken = service.total(&status).await;
            let (job, bytes) = taken.map_err(|error| explained(error, &status))?;
            require(&status, &bytes)?;
            output.write_all(&bytes)?;
            output.finish()?;
            // The training last: as long as it is there, this command says what became of it.
            let deleted = async {
                service.delete_job(job).await?;
                service.delete_training(self.training).await
            };
            deleted.await.with_context(|| {
                format!(
                    "{} is whole, but what it was made of is still at the service; end it: cipherfn joint delete {}",
                    self.output.name(),
                    self.training
                )
            })?;
            Ok((status, bytes))
        })?;
        let owners = status.owners.len();
        let value = serde_json::json!({
            "training": self.training,
            "program": status.program,
            "version": status.specs,
            "key": status.key,
            "owners": owners,
            "bytes": bytes.len(),
        });
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || {
                terminal::facts([
                    ("total", self.training.to_string()),
                    (
                        "program",
                        format!("{}, {}", status.program, status.specs.short()),
                    ),
                    ("owners", owners.to_string()),
                    ("for key", status.key.to_string()),
                    ("file", self.output.name()),
                    ("size", terminal::bytes(bytes.len() as u64)),
                ])
            })
    }
}

/// What to do about a total that was not made.
fn explained(error: ServiceError, status: &TrainingStatus) -> anyhow::Error {
    let id = status.training;
    let problem = error.problem().map(|problem| problem.kind);
    let context = match error {
        // Of a job that has failed the message names a chunk; nothing else is a contribution's fault.
        ServiceError::TrainingFailed { .. } | ServiceError::ChunkFailed { .. } => {
            let owners = status.owners.iter();
            let chunks: Vec<_> = owners.flat_map(|owner| owner.chunks.clone()).collect();
            whose_chunks(status, &chunks)
        }
        // It stays the total's, though it was deleted.
        _ if problem == Some(ProblemType::JobConflict) => format!(
            "total {id} was taken before, or another command is at it. If none is, the contributions are no longer at the service, and the file that was written is whole; end what is left: cipherfn joint delete {id}. If there is no file, declare another total"
        ),
        // They were there when they were added, and go with their job.
        _ if problem == Some(ProblemType::UploadMissing) => format!(
            "the contributions to total {id} are no longer at the service: the total was taken before, by a command that did not come to its end. The file that it wrote is whole; end what is left: cipherfn joint delete {id}. If there is no file, declare another total"
        ),
        _ => return error.into(),
    };
    anyhow::Error::from(error).context(context)
}

/// That a file is the total of as many contributions as there are, for this key. What is in it, a service alone
/// knows.
fn require(status: &TrainingStatus, bytes: &[u8]) -> Result<()> {
    let found = owners_of(status, bytes).context("the service's total")?;
    let owners = status.owners.len();
    if found as usize != owners {
        bail!(
            "the service has given a total of {found} contributions, and there are {owners}; take it again, and tell its operator"
        );
    }
    Ok(())
}

/// How many owners a total is of, if it is by the program and under the key that were declared.
fn owners_of(status: &TrainingStatus, bytes: &[u8]) -> Result<u32> {
    let Ok(head) = FileHead::read(bytes) else {
        let total = Contribution::from_file_bytes(bytes)?;
        total.require(status.specs, status.key)?;
        return Ok(total.owners);
    };
    let owners = head.schema.owners().context("it is a frame with rows")?;
    let found = Hash::of(&head.schema.summed(1)?.to_json()?);
    if (found, head.key) != (status.specs, status.key) {
        bail!("it is by another schema, or for another key");
    }
    Ok(owners)
}
