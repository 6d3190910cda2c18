//! Jobs of one result: declared, waited for, fetched.

use super::Service;
use super::bulk::{ADDRESSES, presigned, sha256};
use super::error::ServiceError;
use super::transfer::TransferFailure;
use super::transport::Call;
use bytes::Bytes;
use cipherfn_protocol::api::job::{ChunkState, JobId, JobStatus, MAX_CHUNK, Transfer};
use cipherfn_protocol::api::{ApiVersion, Problem, Route};
use http::Method;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Waits between two looks at a job, the shortest and the longest.
const POLL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A job that nobody works on for so long is declared again, as its events may be lost.
const STALLED: Duration = Duration::from_mins(2);

/// A job whose result is waited for.
pub(super) struct Awaited<'a, D> {
    /// Where it is declared.
    pub(super) route: Route,
    /// The same again is the same job.
    pub(super) declaration: &'a D,
    /// The result, in a sentence.
    pub(super) what: &'a str,
    /// What it is called when workers have given it up, after so many attempts.
    pub(super) failed: fn(u32, Box<Problem>) -> ServiceError,
}

impl Service {
    /// Declares a job, and waits for its result. `progress` hears of each look how many steps are behind
    /// the job for certain.
    pub(super) async fn result_of_job<D: Serialize + Sync>(
        &self,
        awaited: &Awaited<'_, D>,
        mut progress: impl FnMut(u64),
    ) -> Result<(JobId, Bytes), ServiceError> {
        let job = self.declared(awaited).await?;
        let start = Instant::now();
        let (mut idle, mut addresses) = (Instant::now(), 1);
        loop {
            match self.only_state(job).await? {
                Some(ChunkState::Done { result, .. }) => match self.fetch_result(&result).await {
                    Ok(bytes) if sha256(&bytes) == result.file.sha256 => {
                        return Ok((job, bytes));
                    }
                    Ok(_) => return Err(self.other_checksum(awaited.what)),
                    Err(TransferFailure::Failed { renew: true, .. }) if addresses < ADDRESSES => {
                        addresses += 1;
                    }
                    Err(failure) => return Err(self.transfer_error(failure, awaited.what)),
                },
                Some(ChunkState::Failed { attempts, problem }) => {
                    return Err((awaited.failed)(attempts, Box::new(problem)));
                }
                Some(ChunkState::Running { steps, .. }) => {
                    progress(steps);
                    idle = Instant::now();
                }
                Some(ChunkState::Waiting { .. }) | None if idle.elapsed() > STALLED => {
                    self.declared(awaited).await?;
                    idle = Instant::now();
                }
                Some(ChunkState::Waiting { steps, .. }) => progress(steps),
                None => {}
            }
            let (shortest, longest) = POLL;
            let wait = (start.elapsed() / 12).clamp(shortest, longest);
            tokio::time::sleep(wait).await;
        }
    }

    /// Ends a job, and deletes what was uploaded for it and what came of it.
    pub async fn delete_job(&self, job: JobId) -> Result<(), ServiceError> {
        let path = Route::DeleteJob.path(ApiVersion::V2, &job.to_string());
        self.call(&Call::new(Method::DELETE, path)).await.map(drop)
    }

    pub(super) async fn declared<D: Serialize + Sync>(
        &self,
        awaited: &Awaited<'_, D>,
    ) -> Result<JobId, ServiceError> {
        let path = awaited.route.path(ApiVersion::V2, "");
        let (call, answer) = self.send_document(path, awaited.declaration).await?;
        let status: JobStatus = self.json(&call, &answer)?;
        Ok(status.job)
    }

    async fn only_state(&self, job: JobId) -> Result<Option<ChunkState>, ServiceError> {
        Ok(self.job_status(job).await?.states.into_iter().next())
    }

    /// A result by an address that was just given out.
    pub(super) async fn fetched(
        &self,
        result: &Transfer,
        what: &str,
    ) -> Result<Bytes, ServiceError> {
        let fetched = self.fetch_result(result).await;
        let bytes = fetched.map_err(|failure| self.transfer_error(failure, what))?;
        if sha256(&bytes) == result.file.sha256 {
            return Ok(bytes);
        }
        Err(self.other_checksum(what))
    }

    fn other_checksum(&self, what: &str) -> ServiceError {
        ServiceError::Answer {
            route: self.url().to_owned(),
            reason: format!("{what} with another checksum than was said"),
        }
    }

    async fn fetch_result(&self, transfer: &Transfer) -> Result<Bytes, TransferFailure> {
        let most = usize::try_from(transfer.file.bytes.min(MAX_CHUNK)).unwrap_or(usize::MAX);
        self.transfer(Method::GET, presigned(transfer), Bytes::new(), most)
            .await
    }
}
