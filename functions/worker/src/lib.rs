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
//! is told to the job's owner, in the chunk. Work that is longer than the function may run is kept as a
//! checkpoint, and a fresh invocation goes on from it.

mod predict;
mod work;

use cipherfn_answering::Answering;
use cipherfn_protocol::api::job::{JobId, JobKind};
use cipherfn_protocol::api::{Function, Problem, ProblemType};
use cipherfn_service::registry::{Attempt, Chunk, ChunkEvent};
use cipherfn_service::{Call, Failure, Workers, config, telemetry};
use lambda_http::Error;
use serde::Deserialize;
use std::time::Duration;
use work::{End, Work};

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
        workers: Workers::connect().await?,
        interval: config::checkpoint_interval()?,
    };
    cipherfn_service::run_events(Function::Worker, move |event, call| async move {
        Box::pin(worker.handle(event, &call)).await
    })
    .await
}

struct Worker {
    answering: Answering,
    /// Whoever goes on with what is not done in time.
    workers: Workers,
    /// How long to work before what is done is kept.
    interval: Duration,
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
        let claimed = claimed.map_err(|error| told(error.into()))?;
        let Ok(Chunk::Held {
            attempt: number,
            owner,
            checkpoint,
            ..
        }) = claimed
        else {
            tracing::info!(job = %id, chunk, "it is done, or somebody else's");
            return Ok(());
        };
        tracing::info!(request_id = call.request_id, job = %id, chunk, attempt = number, "begins");
        let by = Attempt { number, owner };
        let place = (&job, chunk);
        let mut work = Work::new(registry, place, (by.clone(), checkpoint), call);
        // On the heap: types of nested futures are deep.
        let outcome = match job.kind {
            JobKind::Predict => {
                Box::pin(predict::predict(&self.answering, &mut work, self.interval))
            }
        };
        let (problem, end) = match outcome.await {
            Ok(End::Over) => return Ok(()),
            Ok(End::GoOn) => {
                let detail = "a fresh invocation goes on";
                (Problem::new(ProblemType::OutOfTime, detail), End::GoOn)
            }
            Err(failure) => (told(failure), End::Over),
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
        match end {
            // Where this fails AWS Lambda tries again, from the same checkpoint.
            End::GoOn => self.workers.send(id, chunk).await.map_err(told),
            End::Over if again => Err(problem),
            End::Over => Ok(()),
        }
    }
}
