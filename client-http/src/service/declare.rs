//! Jobs over the chunks that have arrived.

use super::bulk::BulkRun;
use super::error::ServiceError;
use super::manifest::Sent;
use super::predict::explain;
use cipherfn_client::ClientError;
use cipherfn_protocol::api::job::{
    ChunkState, IdempotencyKey, JobDeclaration, JobId, JobKind, JobStatus, MAX_CHUNKS,
};
use cipherfn_protocol::api::{ApiVersion, Route};
use cipherfn_protocol::message::Nonce;
use tokio::sync::mpsc::UnboundedSender;

/// A job that was declared.
pub(super) struct Job {
    /// From 0.
    pub(super) number: usize,
    pub(super) id: JobId,
    pub(super) declaration: JobDeclaration,
    /// Row of the table that its first chunk begins with, from 0.
    pub(super) first_row: u64,
    pub(super) chunks: Vec<Sent>,
}

/// Where the jobs of a table have come to.
pub(super) struct Declaring {
    declared: UnboundedSender<Job>,
    /// Number of the next job, of its first chunk, and of that one's first row.
    job: usize,
    chunk: usize,
    row: u64,
}

impl Declaring {
    pub(super) fn new(declared: UnboundedSender<Job>) -> Self {
        Self {
            declared,
            job: 0,
            chunk: 0,
            row: 0,
        }
    }
}

/// Chunks of a job by its number: twice as many as the one before. A run that goes on finds the
/// same.
fn chunks_of(job: usize) -> usize {
    let doubled = u32::try_from(job)
        .ok()
        .and_then(|job| 1usize.checked_shl(job));
    doubled.unwrap_or(MAX_CHUNKS).min(MAX_CHUNKS)
}

impl BulkRun {
    /// Declares the jobs whose chunks have all arrived.
    pub(super) async fn declare_ready(
        &self,
        declaring: &mut Declaring,
    ) -> Result<(), ServiceError> {
        loop {
            let (chunks, name) = {
                let manifest = self.manifest.lock();
                let arrived = &manifest.chunks[declaring.chunk..];
                let wanted = chunks_of(declaring.job);
                if arrived.is_empty() || (arrived.len() < wanted && !manifest.ended) {
                    return Ok(());
                }
                let chunks = arrived[..wanted.min(arrived.len())].to_vec();
                (chunks, manifest.jobs.get(&declaring.job).copied())
            };
            let name = match name {
                Some(name) => name,
                None => self.manifest.rename(declaring.job)?,
            };
            let mut declaration = JobDeclaration {
                idempotency_key: name,
                kind: JobKind::Predict,
                model: self.model.clone(),
                specs: self.client.specs().hash(),
                key: self.secret.id(),
                upload: chunks[0].upload,
                chunks: chunks.iter().map(|chunk| chunk.file).collect(),
            };
            let mut status = self.declare(&declaration).await?;
            if status.states.iter().any(is_failed) {
                // It failed in an earlier run, under that name for good.
                declaration.idempotency_key = self.manifest.rename(declaring.job)?;
                status = self.declare(&declaration).await?;
            }
            let job = Job {
                number: declaring.job,
                id: status.job,
                declaration,
                first_row: declaring.row,
                chunks,
            };
            declaring.job += 1;
            declaring.chunk += job.chunks.len();
            declaring.row += job.chunks.iter().map(|chunk| chunk.rows).sum::<u64>();
            // Whoever does not hear it has ended, and with it all of the run.
            let _ = declaring.declared.send(job);
        }
    }

    pub(super) async fn declare(
        &self,
        declaration: &JobDeclaration,
    ) -> Result<JobStatus, ServiceError> {
        let path = Route::DeclareJob.path(ApiVersion::V2, "");
        let declared = self.service.post(path, declaration).await;
        let (call, answer) =
            declared.map_err(|error| explain(error, &self.service, (&self.model, &self.client)))?;
        self.service.json(&call, &answer)
    }
}

fn is_failed(state: &ChunkState) -> bool {
    matches!(state, ChunkState::Failed { .. })
}

pub(super) fn new_name() -> Result<IdempotencyKey, ServiceError> {
    let random = Nonce::random().map_err(ClientError::from)?;
    Ok(IdempotencyKey::from_bytes(*random.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::chunks_of;
    use cipherfn_protocol::api::job::MAX_CHUNKS;

    #[test]
    fn jobs_double_up_to_the_largest() {
        let sizes: Vec<_> = (0..12).map(chunks_of).collect();
        assert_eq!(sizes[..5], [1, 2, 4, 8, 16]);
        assert_eq!(sizes[9..], [512, MAX_CHUNKS, MAX_CHUNKS]);
        for job in [63, 64, 65, usize::MAX] {
            assert_eq!(chunks_of(job), MAX_CHUNKS, "{job}");
        }
    }
}
