//! The function that does the work of jobs: a chunk in, which is a query, a result out, its reply.
//!
//! An event names a job, a chunk and, where the job is in parts, one of them, and nothing else. Whose
//! job it is, model and key are what the job's record says, so that an event that somebody made by
//! hand does nothing but its owner's work.
//!
//! ```text
//!   {job, chunk} ──► record: tenant, model, key ──► claim ──► chunk ──► answer ──► result ──► finish
//!                    gone, over, run out: done      held by another: done
//!
//!   {job, chunk, part} ──► claim the part ──► sums ──► finish it ──► all done? claim the chunk ──► add ──► finish
//!                          it is done ─────────────────────────────────^
//! ```
//!
//! AWS Lambda tries an event three times. What can fare better next time is told to it; what cannot
//! is told to the job's owner, in the chunk.

mod attempt;

use attempt::Task;
use cipherfn_answering::Answering;
use cipherfn_protocol::api::job::JobId;
use cipherfn_protocol::api::{Function, Problem};
use cipherfn_service::registry::{Attempt, Chunk, ChunkEvent, ChunkRefusal, Job};
use cipherfn_service::{Call, Failure, telemetry};
use lambda_http::Error;
use serde::Deserialize;
use std::time::{Duration, Instant};

/// What is to be done.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    job: JobId,
    chunk: usize,
    /// In jobs whose model is evaluated in parts.
    #[serde(default)]
    part: Option<u32>,
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

/// What became of a claim.
enum Claimed {
    /// The work is over: done or failed, by this attempt or before.
    Over,
    /// Somebody else works on it.
    Elsewhere,
}

impl Worker {
    /// Works on a chunk, or on a part of it; whoever finishes the last part adds them. An error is
    /// for AWS Lambda, to try again.
    async fn handle(&self, event: Event, call: &Call) -> Result<(), Problem> {
        let start = Instant::now();
        let told = |failure: Failure| call.explain(failure);
        let Event { job: id, chunk, .. } = event;
        let registry = self.answering.registry();
        let job = registry.job(id).await.map_err(|error| told(error.into()))?;
        let job = job.filter(|job| !job.is_expired(call.now) && event.is_of(job));
        let Some(job) = job else {
            tracing::info!(job = %id, chunk, "there is no such work, or no longer");
            return Ok(());
        };
        let Some(part) = event.part else {
            let answer = self.work(&job, Task::Answer { chunk }, call.now, call);
            return answer.await.map(drop);
        };
        let sums = self.work(&job, Task::Sums { chunk, part }, call.now, call);
        if let Claimed::Elsewhere = sums.await? {
            return Ok(());
        }
        // What comes of all parts is a lease of its own, which begins now.
        let now = call.now + Duration::from_secs(start.elapsed().as_secs());
        let parts = registry.parts(&job, chunk, now).await;
        let parts = parts.map_err(|error| told(error.into()))?;
        if !Chunk::are_done(&parts) {
            return Ok(());
        }
        let task = Task::Add { chunk, part, parts };
        self.work(&job, task, now, call).await.map(drop)
    }

    /// Does what is to be done, unless it is over or somebody else's.
    async fn work(
        &self,
        job: &Job,
        task: Task,
        now: time::OffsetDateTime,
        call: &Call,
    ) -> Result<Claimed, Problem> {
        let told = |failure: Failure| call.explain(failure);
        let registry = self.answering.registry();
        let share = task.share();
        let claim = ChunkEvent::Claim {
            owner: call.owner.clone(),
            // Documents have whole seconds, and a lease may not end before its holder does.
            until: now + Duration::from_secs(call.remaining().as_secs() + 2),
        };
        let claimed = registry.change_chunk(job.id, share, &claim, now).await;
        let by = match claimed.map_err(|error| told(error.into()))? {
            Ok(Chunk::Held { attempt, owner, .. }) => Attempt {
                number: attempt,
                owner,
            },
            not_ours => {
                tracing::info!(job = %job.id, ?share, "it is done, or somebody else's");
                return Ok(match not_ours {
                    Ok(_) | Err(ChunkRefusal::Over) => Claimed::Over,
                    Err(ChunkRefusal::Held | ChunkRefusal::Superseded) => Claimed::Elsewhere,
                });
            }
        };
        // On the heap: types of nested futures are deep.
        let outcome = Box::pin(self.attempt(job, task, &by, call)).await;
        let problem = match outcome {
            Ok(()) => return Ok(Claimed::Over),
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
        let changed = registry.change_chunk(job.id, share, &event, now).await;
        changed.map_err(|error| told(error.into()))?.ok();
        if again {
            Err(problem)
        } else {
            Ok(Claimed::Over)
        }
    }
}

impl Event {
    /// Whether a job has what it names.
    fn is_of(self, job: &Job) -> bool {
        let part = match self.part {
            None => job.parts == 1,
            Some(part) => job.parts > 1 && part < job.parts,
        };
        part && self.chunk < job.chunks.len()
    }
}
