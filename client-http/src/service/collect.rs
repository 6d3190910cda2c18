//! The jobs over uploaded chunks, and their results in the order of the rows.

use super::blocking;
use super::bulk::{ADDRESSES, BulkProgress, BulkReport, BulkRun, presigned, sha256};
use super::error::ServiceError;
use super::manifest::{Manifest, Sent};
use super::predict::{explain, open};
use super::transfer::TransferFailure;
use super::transport::Call;
use bytes::Bytes;
use cipherfn_client::{Answer, Asked, ClientError, InputRow};
use cipherfn_protocol::api::job::{
    ChunkState, IdempotencyKey, JobDeclaration, JobId, JobKind, JobStatus, MAX_CHUNK, MAX_CHUNKS,
    MAX_STATES, Transfer,
};
use cipherfn_protocol::api::{ApiVersion, ProblemType, Route};
use cipherfn_protocol::message::Nonce;
use http::Method;
use std::time::{Duration, Instant};

/// Waits between two looks at a job, the first and the longest.
const POLL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A chunk that nobody works on for so long is asked for again: its event may be lost.
const STALLED: Duration = Duration::from_mins(2);

/// A job that was declared.
struct Job {
    number: usize,
    id: JobId,
    declaration: JobDeclaration,
    /// Row of the table that its first chunk begins with, from 0.
    first_row: u64,
    chunks: Vec<Sent>,
}

impl BulkRun {
    /// Declares the jobs, and takes results as they come.
    pub(super) async fn collect<E, I>(
        &self,
        manifest: &mut Manifest,
        rows: I,
        progress: &mut impl FnMut(BulkProgress),
        mut take: impl FnMut(Vec<Answer>) -> Result<(), E>,
    ) -> Result<(BulkReport, Vec<JobId>), E>
    where
        E: From<ServiceError> + Send + 'static,
        I: Iterator<Item = Result<InputRow, E>> + Send + 'static,
    {
        let mut report = BulkReport::default();
        let jobs = self.declare_all(manifest).await?;
        report.jobs = jobs.len();
        let mut rows = Some(rows);
        for job in &jobs {
            let mut first_row = job.first_row;
            let (mut next, mut expired) = (0, 0);
            while next < job.chunks.len() {
                let states = self.states(job, next).await?;
                for state in states {
                    let sent = job.chunks[next];
                    let (result, milliseconds) = match state {
                        ChunkState::Done {
                            result,
                            milliseconds,
                            ..
                        } => (result, milliseconds),
                        ChunkState::Failed { attempts, problem } => {
                            // Under this name it has failed for good.
                            manifest
                                .name_job(job.number, new_name()?)
                                .map_err(ServiceError::from)?;
                            return Err(ServiceError::ChunkFailed {
                                model: self.model.clone(),
                                first: first_row + 1,
                                last: first_row + sent.rows,
                                attempts,
                                problem: Box::new(problem),
                            }
                            .into());
                        }
                        ChunkState::Waiting { .. } | ChunkState::Running { .. } => break,
                    };
                    let reply = match self.fetch(&result).await? {
                        Some(reply) => reply,
                        // The address has expired while results before it were fetched.
                        None if expired < ADDRESSES => {
                            expired += 1;
                            break;
                        }
                        None => {
                            let url = self.service.url().to_owned();
                            return Err(ServiceError::Transfer {
                                what: "a result".to_owned(),
                                to: url,
                                attempts: expired,
                                cause: "the addresses that it gives are refused".to_owned(),
                            }
                            .into());
                        }
                    };
                    report.downloaded_bytes += reply.len() as u64;
                    report.worker_milliseconds += milliseconds;
                    let keys = (&self.client, &self.secret);
                    let asked = Asked {
                        nonce: sent.nonce,
                        rows: sent.rows,
                    };
                    let answers = open(&self.model, keys, reply, asked, first_row).await?;
                    let (marked, rest) = self.mark(answers, rows.take()).await?;
                    rows = rest;
                    report.rows += sent.rows;
                    report.chunks += 1;
                    report.uploaded_bytes += sent.file.bytes;
                    take(marked)?;
                    progress(BulkProgress::Answered(report.rows));
                    first_row += sent.rows;
                    next += 1;
                    expired = 0;
                }
            }
        }
        // Rows without an answer would be missing in silence.
        let more = blocking(move || rows.and_then(|mut rows| rows.next()).transpose());
        if more.await.map_err(E::from)??.is_some() {
            return Err(ServiceError::TableChanged.into());
        }
        Ok((report, jobs.iter().map(|job| job.id).collect()))
    }

    async fn declare_all(&self, manifest: &mut Manifest) -> Result<Vec<Job>, ServiceError> {
        let mut jobs = Vec::new();
        let mut first_row = 0;
        let chunks = manifest.chunks.clone();
        for (number, chunks) in chunks.chunks(MAX_CHUNKS).enumerate() {
            let name = if let Some(name) = manifest.jobs.get(&number) {
                *name
            } else {
                let name = new_name()?;
                manifest.name_job(number, name)?;
                name
            };
            let declaration = JobDeclaration {
                idempotency_key: name,
                kind: JobKind::Predict,
                model: self.model.clone(),
                specs: self.client.specs().hash(),
                key: self.secret.id(),
                upload: chunks[0].upload,
                chunks: chunks.iter().map(|chunk| chunk.file).collect(),
            };
            let id = self.declare(&declaration).await?;
            jobs.push(Job {
                number,
                id,
                declaration,
                first_row,
                chunks: chunks.to_vec(),
            });
            first_row += chunks.iter().map(|chunk| chunk.rows).sum::<u64>();
        }
        Ok(jobs)
    }

    async fn declare(&self, declaration: &JobDeclaration) -> Result<JobId, ServiceError> {
        let path = Route::DeclareJob.path(ApiVersion::V2, "");
        let declared = self.service.post(path, declaration).await;
        let (call, answer) =
            declared.map_err(|error| explain(error, &self.service, (&self.model, &self.client)))?;
        let status: JobStatus = self.service.json(&call, &answer)?;
        Ok(status.job)
    }

    /// States of chunks from number `next` on, once that one is over.
    async fn states(&self, job: &Job, next: usize) -> Result<Vec<ChunkState>, ServiceError> {
        let (mut wait, longest) = POLL;
        let mut asked = Instant::now();
        loop {
            let states = self.status(job, next).await?;
            match states.first() {
                Some(ChunkState::Done { .. } | ChunkState::Failed { .. }) => return Ok(states),
                Some(ChunkState::Waiting { .. }) if asked.elapsed() > STALLED => {
                    self.declare(&job.declaration).await?;
                    asked = Instant::now();
                }
                _ => {}
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 3 / 2).min(longest);
        }
    }

    async fn status(&self, job: &Job, next: usize) -> Result<Vec<ChunkState>, ServiceError> {
        let path = Route::JobStatus.path(ApiVersion::V2, &job.id.to_string());
        let call = Call::new(Method::GET, format!("{path}?from={next}"));
        let (answer, _) = self.service.call(&call).await?;
        let status: JobStatus = self.service.json(&call, &answer)?;
        let expected = (job.chunks.len() - next).min(MAX_STATES);
        let sound = status.job == job.id
            && status.chunks == job.chunks.len()
            && status.from == next
            && status.states.len() == expected;
        if sound {
            Ok(status.states)
        } else {
            let reason = "the status of other chunks than were asked for";
            Err(self.service.answer_error(&call, reason))
        }
    }

    /// A result as the status names it; `None` where its address has expired.
    async fn fetch(&self, result: &Transfer) -> Result<Option<Bytes>, ServiceError> {
        let request = presigned(result);
        let fetched = self
            .service
            .transfer(Method::GET, request, Bytes::new(), MAX_CHUNK as usize)
            .await;
        let bytes = match fetched {
            Ok(bytes) => bytes,
            Err(TransferFailure::Failed {
                renew: true,
                attempts: 1,
                ..
            }) => return Ok(None),
            Err(failure) => return Err(self.service.transfer_error(failure, "a result")),
        };
        let found = bytes.clone();
        let sum = blocking(move || sha256(&found)).await?;
        if (bytes.len() as u64, sum) == (result.file.bytes, result.file.sha256) {
            return Ok(Some(bytes));
        }
        Err(ServiceError::Transfer {
            what: "a result".to_owned(),
            to: self.service.url().to_owned(),
            attempts: 1,
            cause: "what arrived is not what the service names".to_owned(),
        })
    }

    /// Answers with what there is to say about their rows, which are the table's next ones.
    async fn mark<E, I>(
        &self,
        answers: Vec<Answer>,
        rows: Option<I>,
    ) -> Result<(Vec<Answer>, Option<I>), E>
    where
        E: From<ServiceError> + Send + 'static,
        I: Iterator<Item = Result<InputRow, E>> + Send + 'static,
    {
        let Some(mut source) = rows else {
            return Ok((answers, None));
        };
        let client = self.client.clone();
        let mark = move || {
            let rows = source.by_ref().take(answers.len());
            let rows = rows.collect::<Result<Vec<_>, E>>()?;
            if rows.len() < answers.len() {
                return Err(ServiceError::TableChanged.into());
            }
            let marks: Vec<_> = client.marks(&rows).collect();
            let marked = answers.into_iter().zip(marks);
            let marked = marked.map(|(answer, mark)| answer.marked(mark)).collect();
            Ok((marked, Some(source)))
        };
        blocking(mark).await.map_err(E::from)?
    }

    pub(super) async fn delete(&self, job: JobId) -> Result<(), ServiceError> {
        let path = Route::DeleteJob.path(ApiVersion::V2, &job.to_string());
        match self.service.call(&Call::new(Method::DELETE, path)).await {
            // A run before this one, or an attempt whose answer was lost, has done it.
            Err(ServiceError::Problem { problem, .. })
                if problem.kind == ProblemType::UnknownJob =>
            {
                Ok(())
            }
            result => result.map(drop),
        }
    }
}

fn new_name() -> Result<IdempotencyKey, ServiceError> {
    let random = Nonce::random().map_err(ClientError::from)?;
    Ok(IdempotencyKey::from_bytes(*random.as_bytes()))
}
