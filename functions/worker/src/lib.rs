//! The function that does the work of jobs: a chunk in, which is a query, a result out, its reply.
//!
//! An event names a job and a chunk and nothing else. Whose job it is, model and key are what the
//! job's record says, so that an event that somebody made by hand does nothing but its owner's work.
//!
//! ```text
//!   {job, chunk} ──► record: tenant, model, key ──► claim ──► chunk ──► answer ──► result ──► finish
//!                    gone, over, run out: done      held by another: done
//! ```
//!
//! AWS Lambda tries an event three times. What can fare better next time is told to it; what cannot
//! is told to the job's owner, in the chunk.

use cipherfn_answering::{Answering, Asked};
use cipherfn_protocol::api::job::{ChunkFile, JobId, JobKind, MAX_CHUNK};
use cipherfn_protocol::api::{ApiVersion, Function, Problem, ProblemType};
use cipherfn_protocol::hash::Sha256;
use cipherfn_service::registry::{Attempt, Chunk, ChunkEvent, ChunkRefusal, Input, Job};
use cipherfn_service::{Call, Failure, telemetry};
use lambda_http::Error;
use serde::Deserialize;
use sha2::Digest;
use std::time::{Duration, Instant};

/// What is to be done.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    job: JobId,
    chunk: usize,
}

/// The function: reads its configuration, then works until the environment ends.
pub async fn run() -> Result<(), Error> {
    telemetry::init();
    let worker = &Worker {
        answering: Answering::connect().await?,
    };
    cipherfn_service::run_events(Function::Worker, move |event, call| async move {
        Box::pin(worker.handle(event, &call)).await
    })
    .await
}

struct Worker {
    answering: Answering,
}

impl Worker {
    /// Works on a chunk. An error is for AWS Lambda, to try again.
    async fn handle(&self, event: Event, call: &Call) -> Result<(), Problem> {
        let told = |failure: Failure| call.explain(failure);
        let Event { job: id, chunk } = event;
        let registry = self.answering.registry();
        let job = registry.job(id).await.map_err(|error| told(error.into()))?;
        let job = job.filter(|job| !job.is_expired(call.now) && chunk < job.chunks.len());
        let Some(job) = job else {
            tracing::info!(job = %id, chunk, "there is no such work, or no longer");
            return Ok(());
        };
        let claim = ChunkEvent::Claim {
            owner: call.owner.clone(),
            // Documents have whole seconds, and a lease may not end before its holder does.
            until: call.now + Duration::from_secs(call.remaining().as_secs() + 2),
        };
        let claimed = registry.change_chunk(id, chunk, &claim, call.now).await;
        let by = match claimed.map_err(|error| told(error.into()))? {
            Ok(Chunk::Held { attempt, owner, .. }) => Attempt {
                number: attempt,
                owner,
            },
            Ok(_) | Err(ChunkRefusal::Over | ChunkRefusal::Held | ChunkRefusal::Superseded) => {
                tracing::info!(job = %id, chunk, "it is done, or somebody else's");
                return Ok(());
            }
        };
        // On the heap: types of nested futures are deep.
        let outcome = Box::pin(self.attempt(&job, chunk, &by, call)).await;
        let problem = match outcome {
            Ok(()) => return Ok(()),
            Err(failure) => told(failure),
        };
        let again = problem.is_retryable();
        let event = if again {
            let problem = problem.clone();
            ChunkEvent::Release { by, problem }
        } else {
            let problem = problem.clone();
            ChunkEvent::Fail { by, problem }
        };
        // Where not even this can be written, the lease runs out.
        let changed = registry.change_chunk(id, chunk, &event, call.now).await;
        changed.map_err(|error| told(error.into()))?.ok();
        if again { Err(problem) } else { Ok(()) }
    }

    async fn attempt(
        &self,
        job: &Job,
        chunk: usize,
        by: &Attempt,
        call: &Call,
    ) -> Result<(), Failure> {
        let start = Instant::now();
        let registry = self.answering.registry();
        let input = match registry.input(job, chunk).await? {
            Input::Sound(bytes) => bytes,
            Input::Missing => {
                let detail = format!("chunk {chunk} is gone; upload it again, for a new job");
                return Err(Problem::new(ProblemType::UploadMissing, detail).into());
            }
            Input::Altered(how) => {
                let detail =
                    format!("chunk {chunk} was altered: {how}; upload it again, for a new job");
                return Err(Problem::new(ProblemType::ChunkAltered, detail).into());
            }
        };
        let JobKind::Predict = job.kind;
        let query = cipherfn_answering::parse(&input)?;
        let head = query.head();
        if (head.specs, head.key) != (job.specs, job.key) {
            let detail = format!(
                "chunk {chunk} is for specs {} and key {}, the job is for specs {} and key {}; declare a job of its own for it",
                head.specs.short(),
                head.key,
                job.specs.short(),
                job.key
            );
            return Err(Problem::new(ProblemType::MalformedQuery, detail).into());
        }
        let asked = Asked {
            api: ApiVersion::V2,
            model: &job.model,
            tenant: &job.tenant,
            reply_limit: MAX_CHUNK as usize,
        };
        let answer = Box::pin(self.answering.answer(asked, &query, call));
        let reply = answer.await?.bytes;
        let result = ChunkFile {
            bytes: reply.len() as u64,
            sha256: Sha256::from_bytes(sha2::Sha256::digest(&reply).into()),
        };
        let place = (chunk, by.number);
        registry.put_result(job, place, reply.into()).await?;
        let finish = ChunkEvent::Finish {
            by: by.clone(),
            result,
            milliseconds: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        let finished = registry.change_chunk(job.id, chunk, &finish, call.now);
        if finished.await?.is_err() {
            // The job was deleted, or somebody else has the chunk: this is nobody's.
            registry.remove_result(job, place).await?;
        }
        Ok(())
    }
}
