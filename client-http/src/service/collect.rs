//! The results of jobs, in the order of the rows.

use super::blocking;
use super::bulk::{ADDRESSES, BulkProgress, BulkReport, BulkRun, presigned, sha256};
use super::declare::Job;
use super::error::ServiceError;
use super::manifest::{Kept, KeptResult, ManifestError, Sent, kept_result};
use super::predict::open;
use super::transfer::TransferFailure;
use super::transport::Call;
use bytes::Bytes;
use cipherfn_client::{Answer, Asked, InputRow};
use cipherfn_protocol::api::job::{ChunkState, JobId, JobStatus, MAX_CHUNK, MAX_STATES, Transfer};
use cipherfn_protocol::api::{ApiVersion, ProblemType, Route};
use http::Method;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

/// Waits between two looks at a job, the shortest and the longest.
const POLL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A job that nobody works on for so long is declared again, as its events may be lost; and again
/// after twice that time, as all workers may be busy elsewhere.
const STALLED: Duration = Duration::from_mins(2);

/// Where taking results has come to.
struct Taking<'a, I, P, T> {
    report: BulkReport,
    /// The table's next rows.
    rows: Option<I>,
    take: T,
    progress: &'a P,
}

impl BulkRun {
    /// Takes results as they come, job after job, and hands on the jobs that are over.
    pub(super) async fn collect<E, I>(
        &self,
        (mut declared, collected): (UnboundedReceiver<Job>, UnboundedSender<Job>),
        rows: I,
        progress: &(impl Fn(BulkProgress) + Sync),
        take: impl FnMut(Vec<Answer>) -> Result<(), E>,
    ) -> Result<(BulkReport, Vec<JobId>), E>
    where
        E: From<ServiceError> + Send + 'static,
        I: Iterator<Item = Result<InputRow, E>> + Send + 'static,
    {
        let mut jobs = Vec::new();
        let mut taking = Taking {
            report: BulkReport::default(),
            rows: Some(rows),
            take,
            progress,
        };
        while let Some(job) = declared.recv().await {
            taking.report.jobs += 1;
            if let Some(kept) = &job.kept {
                let path = self.manifest.lock().results(job.number);
                let mut before = 0;
                for (sent, KeptResult { file, milliseconds }) in job.chunks.iter().zip(kept) {
                    let (path, file) = (path.clone(), *file);
                    let read = blocking(move || kept_result(&path, before, file)).await?;
                    let reply = read.map_err(ServiceError::from)?;
                    before += file.bytes;
                    self.give(&mut taking, sent, reply, *milliseconds).await?;
                }
                continue;
            }
            jobs.push(job.id);
            let (mut next, mut expired) = (0, 0);
            while next < job.chunks.len() {
                let states = self.states(&job, next).await?;
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
                            let shape = (job.chunks.len(), job.declaration.parts);
                            self.manifest.rename(job.number, shape)?;
                            let first_row = taking.report.rows;
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
                    let Some(reply) = self.fetch_or_renew(&result, &mut expired).await? else {
                        break;
                    };
                    self.pace.learn(sent.rows, milliseconds);
                    self.give(&mut taking, &sent, reply, milliseconds).await?;
                    next += 1;
                }
            }
            // Nobody is there to hear it once all jobs are declared.
            let _ = collected.send(job);
        }
        let Taking { report, rows, .. } = taking;
        // Rows without an answer would be missing in silence.
        let more = blocking(move || rows.and_then(|mut rows| rows.next()).transpose());
        if more.await.map_err(E::from)??.is_some() {
            return Err(ServiceError::TableChanged.into());
        }
        Ok((report, jobs))
    }

    /// Opens a result, and gives its answers.
    async fn give<E, I, P, T>(
        &self,
        taking: &mut Taking<'_, I, P, T>,
        sent: &Sent,
        reply: Bytes,
        milliseconds: u64,
    ) -> Result<(), E>
    where
        E: From<ServiceError> + Send + 'static,
        I: Iterator<Item = Result<InputRow, E>> + Send + 'static,
        P: Fn(BulkProgress) + Sync,
        T: FnMut(Vec<Answer>) -> Result<(), E>,
    {
        let report = &mut taking.report;
        report.downloaded_bytes += reply.len() as u64;
        report.worker_milliseconds += milliseconds;
        let keys = (&self.client, &self.secret);
        let asked = Asked {
            nonce: sent.nonce,
            rows: sent.rows,
        };
        let answers = open(&self.model, keys, reply, asked, report.rows).await?;
        let (marked, rest) = self.mark(answers, taking.rows.take()).await?;
        taking.rows = rest;
        report.rows += sent.rows;
        report.chunks += 1;
        report.uploaded_bytes += sent.file.bytes;
        (taking.take)(marked)?;
        (taking.progress)(BulkProgress::Answered(report.rows));
        Ok(())
    }

    /// Fetches the results of a job that is over once more, to lie beside the manifest, and deletes it.
    pub(super) async fn keep(&self, job: &Job) -> Result<(), ServiceError> {
        let path = self.manifest.lock().results(job.number);
        let io = |source| ManifestError::Io {
            path: path.clone(),
            source,
        };
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(io)?;
        let mut results = Vec::new();
        let mut expired = 0;
        while results.len() < job.chunks.len() {
            for state in self.states(job, results.len()).await? {
                let ChunkState::Done {
                    result,
                    milliseconds,
                    ..
                } = state
                else {
                    return Err(ServiceError::Answer {
                        route: self.service.url().to_owned(),
                        reason: "a chunk that was done and no longer is".to_owned(),
                    });
                };
                let Some(reply) = self.fetch_or_renew(&result, &mut expired).await? else {
                    break;
                };
                file.write_all(&reply).map_err(io)?;
                results.push(KeptResult {
                    file: result.file,
                    milliseconds,
                });
            }
        }
        file.sync_data().map_err(io)?;
        let kept = Kept {
            job: job.id,
            results,
        };
        self.manifest.lock().keep(job.number, kept)?;
        self.delete(job.id).await
    }

    /// States of chunks from number `next` on, once that one is over.
    async fn states(&self, job: &Job, next: usize) -> Result<Vec<ChunkState>, ServiceError> {
        let expected = self.pace.time(job.chunks[next].rows);
        let (mut asked, mut patience) = (Instant::now(), STALLED);
        loop {
            let states = self.status(job, next).await?;
            match states.first() {
                Some(ChunkState::Done { .. } | ChunkState::Failed { .. }) => return Ok(states),
                _ if states.iter().any(is_running) => asked = Instant::now(),
                _ if asked.elapsed() > patience => {
                    self.declare(&job.declaration).await?;
                    asked = Instant::now();
                    patience *= 2;
                }
                _ => {}
            }
            tokio::time::sleep(wait(job.declared.elapsed(), expected)).await;
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

    /// A result as the status names it; `None` where its address has expired while results before it
    /// were fetched, which may be a few times in a row.
    async fn fetch_or_renew(
        &self,
        result: &Transfer,
        expired: &mut u32,
    ) -> Result<Option<Bytes>, ServiceError> {
        let reply = self.fetch(result).await?;
        if reply.is_some() {
            *expired = 0;
        } else if *expired < ADDRESSES {
            *expired += 1;
        } else {
            return Err(ServiceError::Transfer {
                what: "a result".to_owned(),
                to: self.service.url().to_owned(),
                attempts: *expired,
                cause: "the addresses that it gives are refused".to_owned(),
            });
        }
        Ok(reply)
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
            Err(error) if error.is_of(ProblemType::UnknownJob) => Ok(()),
            result => result.map(drop),
        }
    }
}

/// How long to wait after so much time for something that is expected to take so long: the closer it
/// is, the less, so that little is lost to waiting, and much less than it has taken, as it may be over
/// any time.
fn wait(elapsed: Duration, expected: Duration) -> Duration {
    let (shortest, longest) = POLL;
    let wait = (elapsed.abs_diff(expected) / 4).min(elapsed / 12);
    wait.clamp(shortest, longest)
}

fn is_running(state: &ChunkState) -> bool {
    matches!(state, ChunkState::Running { .. })
}

#[cfg(test)]
mod tests {
    use super::wait;
    use std::time::Duration;

    /// Looks at work that takes so long until it is seen to be over: how many, and how long after.
    fn looks(takes: Duration, expected: Duration) -> (usize, Duration) {
        let (mut elapsed, mut looks) = (Duration::ZERO, 1);
        while elapsed < takes {
            elapsed += wait(elapsed, expected);
            looks += 1;
        }
        (looks, elapsed.abs_diff(takes))
    }

    #[test]
    fn little_is_lost_to_waiting_and_few_looks_are_taken() {
        let seconds = Duration::from_secs;
        for takes in [1, 5, 20, 90, 450] {
            for percent in [80, 100, 120] {
                let expected = seconds(takes) * percent / 100;
                let (looks, late) = looks(seconds(takes), expected);
                let most = (seconds(takes) / 20).max(Duration::from_millis(100));
                assert!(late <= most, "{takes} s, {percent} %: {late:?}");
                assert!(looks <= 85 + takes as usize / 5, "{takes} s: {looks}");
            }
        }
        // Whatever is expected.
        for expected in [Duration::ZERO, seconds(3600), Duration::MAX] {
            let (looks, late) = looks(seconds(20), expected);
            assert!(late <= seconds(20) / 12 && looks <= 55, "{looks} {late:?}");
        }
    }
}
