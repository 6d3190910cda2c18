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
//! A training is one piece of work on all chunks together: all of its steps, by one worker after the
//! other. The parts of a query over frames are rows of its passes: whoever finishes the last part of a pass
//! begins those of the next one.
//!
//! AWS Lambda tries an event three times. What can fare better next time is told to it; what cannot
//! is told to the job's owner, in the chunk. Work that is longer than the function may run is kept as a
//! checkpoint, and a fresh invocation goes on from it.

mod owners;
mod predict;
mod query;
mod train;
mod work;

use cipherfn_answering::Answering;
use cipherfn_protocol::api::job::JobId;
use cipherfn_protocol::api::{Function, Problem, ProblemType};
use cipherfn_service::registry::{
    Attempt, Chunk, ChunkEvent, ChunkRefusal, Job, Share, SharedQuery, UniqueId, Work as Order,
};
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
    /// In jobs whose model is evaluated in parts.
    #[serde(default)]
    part: Option<u32>,
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

/// What is to be made.
#[derive(Clone, Debug)]
enum Task {
    /// The result of a chunk.
    Whole,
    /// What a part of the model makes of it.
    Part(u32),
    /// Its result, of all parts, which are done; one of them is ready here.
    Added(u32, Vec<Option<Chunk>>),
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claimed {
    /// The work is over: done or failed, by this attempt or before; or others go on with it.
    Over,
    /// Somebody else works on it.
    Elsewhere,
}

impl Worker {
    /// Works on a chunk, or on a part of it; whoever finishes the last part adds them. An error is
    /// for AWS Lambda, to try again.
    async fn handle(&self, event: Event, call: &Call) -> Result<(), Problem> {
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
            let whole = self.work((&job, chunk), Task::Whole, call);
            return whole.await.map(drop);
        };
        if let Order::Query(shared) = &job.work {
            return self.share((&job, shared), part, call).await;
        }
        let claimed = self.work((&job, chunk), Task::Part(part), call);
        if claimed.await? == Claimed::Elsewhere {
            return Ok(());
        }
        let parts = registry.parts(&job, chunk, call.time()).await;
        let parts = parts.map_err(|error| told(error.into()))?;
        if !Chunk::are_done(&parts) {
            return Ok(());
        }
        let added = self.work((&job, chunk), Task::Added(part, parts), call);
        added.await.map(drop)
    }

    /// Works on a part of a query. Whoever finishes the last one of a pass begins the next pass, or
    /// makes the answer; so does whoever comes for a part that is done.
    async fn share(
        &self,
        (job, shared): (&Job, &SharedQuery),
        part: u32,
        call: &Call,
    ) -> Result<(), Problem> {
        let told = |failure: Failure| call.explain(failure);
        let Some((pass, _)) = shared.part(part) else {
            return Ok(());
        };
        let registry = self.answering.registry();
        let states = || async {
            let parts = registry.parts(job, 0, call.time()).await;
            parts.map_err(|error| told(error.into()))
        };
        let own = shared.parts_of_pass(pass);
        let before = 0..own.start as usize;
        if !Chunk::are_done(&states().await?[before]) {
            // It is begun again once they are.
            return Ok(());
        }
        let claimed = Box::pin(self.work((job, 0), Task::Part(part), call));
        if claimed.await? == Claimed::Elsewhere {
            return Ok(());
        }
        let parts = states().await?;
        if !Chunk::are_done(&parts[..own.end as usize]) {
            return Ok(());
        }
        let next = shared.parts_of_pass(pass + 1);
        if next.is_empty() {
            let added = Box::pin(self.work((job, 0), Task::Added(part, parts), call));
            return added.await.map(drop);
        }
        for part in next {
            let free = Chunk::is_free(parts[part as usize].as_ref(), call.time());
            if free {
                let share = Share {
                    chunk: 0,
                    part: Some(part),
                };
                self.workers.send(job.id, share).await.map_err(told)?;
            }
        }
        Ok(())
    }

    /// Does what is to be done, unless it is over or somebody else's.
    async fn work(
        &self,
        (job, chunk): (&Job, usize),
        task: Task,
        call: &Call,
    ) -> Result<Claimed, Problem> {
        let told = |failure: Failure| call.explain(failure);
        let (registry, id) = (self.answering.registry(), job.id);
        let share = Share {
            chunk,
            part: match task {
                Task::Part(part) => Some(part),
                Task::Whole | Task::Added(..) => None,
            },
        };
        let claim = UniqueId::random().map_err(|error| told(error.into()))?;
        let claim = ChunkEvent::Claim {
            claim,
            owner: call.owner.clone(),
            // Documents have whole seconds, and a lease may not end before its holder does.
            until: call.time() + Duration::from_secs(call.remaining().as_secs() + 2),
        };
        let claimed = registry.change_chunk(id, share, &claim, call.time());
        let claimed = claimed.await;
        let (number, owner, checkpoint) = match claimed.map_err(|error| told(error.into()))? {
            Ok(Chunk::Held {
                attempt,
                owner,
                checkpoint,
                ..
            }) => (attempt, owner, checkpoint),
            not_ours => {
                tracing::info!(job = %id, ?share, "it is done, or somebody else's");
                return Ok(match not_ours {
                    Ok(_) | Err(ChunkRefusal::Over) => Claimed::Over,
                    Err(_) => Claimed::Elsewhere,
                });
            }
        };
        tracing::info!(request_id = call.request_id, job = %id, ?share, attempt = number, "begins");
        let by = Attempt { number, owner };
        let mut work = Work::new(registry, (job, share), (by.clone(), checkpoint), call);
        let answering = &self.answering;
        // On the heap: types of nested futures are deep.
        let outcome = match (&job.work, &task) {
            (Order::Predict(prediction), Task::Whole) => {
                let predict = predict::predict(answering, prediction, &mut work, self.interval);
                Box::pin(predict).await
            }
            (Order::Predict(prediction), Task::Part(part)) => {
                Box::pin(predict::sums(answering, prediction, &mut work, *part)).await
            }
            (Order::Predict(prediction), Task::Added(part, parts)) => {
                let add = predict::add(answering, prediction, &mut work, (*part, parts));
                Box::pin(add).await
            }
            (Order::Query(shared), Task::Part(part)) => {
                Box::pin(query::part(answering, shared, &mut work, *part)).await
            }
            (Order::Query(shared), Task::Added(_, parts)) => {
                Box::pin(query::reply(answering, shared, &mut work, parts)).await
            }
            (Order::Train(order), Task::Whole) => {
                Box::pin(train::train(answering, order, &mut work, self.interval)).await
            }
            (Order::Query(_), Task::Whole) | (Order::Train(_), _) => Ok(End::Over),
        };
        let (problem, end) = match outcome {
            Ok(End::Over) => return Ok(Claimed::Over),
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
        let changed = registry.change_chunk(id, share, &event, call.time());
        changed.await.map_err(|error| told(error.into()))?.ok();
        match end {
            // Where this fails AWS Lambda tries again, from the same checkpoint.
            End::GoOn => self.workers.send(id, share).await.map_err(told)?,
            End::Over if again => return Err(problem),
            End::Over => {}
        }
        Ok(Claimed::Over)
    }
}

impl Event {
    /// Whether a job has what it names.
    fn is_of(self, job: &Job) -> bool {
        let is_part = match self.part {
            None => !job.is_in_parts(),
            Some(part) => job.is_in_parts() && part < job.parts,
        };
        is_part && self.chunk < job.chunks()
    }
}
