//! Jobs over the chunks that have arrived.

use super::bulk::BulkRun;
use super::error::ServiceError;
use super::manifest::{Kept, KeptResult, Sent};
use super::predict::explain;
use cipherfn_client::ClientError;
use cipherfn_protocol::api::job::{
    ChunkState, IdempotencyKey, JobDeclaration, JobId, JobKind, JobStatus, MAX_CHUNKS,
};
use cipherfn_protocol::api::{ApiVersion, ProblemType, Route};
use cipherfn_protocol::message::Nonce;
use std::time::Instant;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

/// A job that was declared.
pub(super) struct Job {
    /// From 0.
    pub(super) number: usize,
    pub(super) id: JobId,
    /// When it was, in this run.
    pub(super) declared: Instant,
    pub(super) declaration: JobDeclaration,
    pub(super) chunks: Vec<Sent>,
    /// Its results, where they are kept here and the service has forgotten it.
    pub(super) kept: Option<Vec<KeptResult>>,
}

/// Where the jobs of a table have come to.
pub(super) struct Declaring {
    declared: UnboundedSender<Job>,
    /// Jobs whose answers were all taken.
    collected: UnboundedReceiver<Job>,
    /// Number of the next job, and of its first chunk.
    job: usize,
    chunk: usize,
    /// Jobs of this run that the service has.
    open: usize,
    /// Whether the service took no more jobs.
    is_full: bool,
    /// Most chunks of a job.
    most: usize,
}

impl Declaring {
    pub(super) fn new(
        declared: UnboundedSender<Job>,
        collected: UnboundedReceiver<Job>,
        most: usize,
    ) -> Self {
        Self {
            declared,
            collected,
            job: 0,
            chunk: 0,
            open: 0,
            is_full: false,
            most,
        }
    }

    /// Chunks of the next job.
    fn wanted(&self) -> usize {
        if self.is_full {
            self.most
        } else {
            chunks_of(self.job).min(self.most)
        }
    }
}

/// What the next job is.
struct Next {
    chunks: Vec<Sent>,
    /// As it was declared already.
    name: Option<IdempotencyKey>,
    parts: u32,
    kept: Option<Kept>,
}

/// Chunks of a job by its number: twice as many as the one before.
fn chunks_of(job: usize) -> usize {
    let doubled = u32::try_from(job)
        .ok()
        .and_then(|job| 1usize.checked_shl(job));
    doubled.unwrap_or(MAX_CHUNKS).min(MAX_CHUNKS)
}

impl BulkRun {
    /// Declares the jobs whose chunks have all arrived. Once the service takes no more, the rest
    /// becomes as few as can be, each as one that was collected makes room.
    pub(super) async fn declare_ready(
        &self,
        declaring: &mut Declaring,
    ) -> Result<(), ServiceError> {
        while let Some(next) = self.next_job(declaring) {
            let Next {
                chunks,
                name,
                parts,
                kept,
            } = next;
            let number = declaring.job;
            let name = match name {
                Some(name) => name,
                None => self.manifest.rename(number, (chunks.len(), parts))?,
            };
            let mut declaration = JobDeclaration {
                idempotency_key: name,
                kind: JobKind::Predict,
                model: self.model.clone(),
                specs: self.client.specs().hash(),
                key: self.secret.id(),
                upload: chunks[0].upload,
                chunks: chunks.iter().map(|chunk| chunk.file).collect(),
                parts,
            };
            let id = if let Some(kept) = &kept {
                // The run that kept it may have been killed before that.
                self.delete(kept.job).await?;
                kept.job
            } else {
                match self.declare_or_rename(number, &mut declaration).await {
                    Ok(id) => id,
                    Err(error) if error.is_of(ProblemType::JobQuota) => {
                        self.make_room(declaring, error).await?;
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            };
            let job = Job {
                number,
                id,
                declared: Instant::now(),
                declaration,
                chunks,
                kept: kept.map(|kept| kept.results),
            };
            declaring.job += 1;
            declaring.chunk += job.chunks.len();
            declaring.open += usize::from(job.kept.is_none());
            // Whoever does not hear it has ended, and with it all of the run.
            let _ = declaring.declared.send(job);
        }
        Ok(())
    }

    /// The next job, if its chunks have arrived. A run that goes on finds the same ones.
    fn next_job(&self, declaring: &Declaring) -> Option<Next> {
        let manifest = self.manifest.lock();
        let arrived = &manifest.chunks[declaring.chunk..];
        let named = manifest.jobs.get(&declaring.job);
        let wanted = named.map_or_else(|| declaring.wanted(), |named| named.chunks.max(1));
        if arrived.is_empty() || (arrived.len() < wanted && !manifest.ended) {
            return None;
        }
        let chunks = arrived[..wanted.min(arrived.len())].to_vec();
        let kept = manifest.kept.get(&declaring.job);
        let kept = kept.filter(|kept| kept.results.len() == chunks.len());
        Some(Next {
            chunks,
            name: named.map(|named| named.name),
            parts: named.map_or(self.pace.parts(), |named| named.parts),
            kept: kept.cloned(),
        })
    }

    async fn declare_or_rename(
        &self,
        number: usize,
        declaration: &mut JobDeclaration,
    ) -> Result<JobId, ServiceError> {
        let mut status = self.declare(declaration).await?;
        if status.states.iter().any(is_failed) {
            // It failed in an earlier run, under that name for good.
            let shape = (declaration.chunks.len(), declaration.parts);
            declaration.idempotency_key = self.manifest.rename(number, shape)?;
            status = self.declare(declaration).await?;
        }
        Ok(status.job)
    }

    /// After a first refusal the next job becomes as large as may be; after another one the next
    /// job that is collected ends, with its results kept here. Without any others have filled the quota.
    async fn make_room(
        &self,
        declaring: &mut Declaring,
        refusal: ServiceError,
    ) -> Result<(), ServiceError> {
        // Under this name there is no job, so what it names may change.
        self.manifest.lock().jobs.remove(&declaring.job);
        if !declaring.is_full {
            declaring.is_full = true;
            return Ok(());
        }
        if declaring.open == 0 {
            return Err(refusal);
        }
        // Where nobody collects any more, the run ends with what ended that.
        let job = declaring.collected.recv().await.ok_or(refusal)?;
        self.keep(&job).await?;
        declaring.open -= 1;
        Ok(())
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

pub(super) fn is_failed(state: &ChunkState) -> bool {
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
