//! Jobs and their chunks.

use super::super::jobs::{Owner, chunk, claim, job};
use super::super::{NOW, alone};
use super::{Operation, World, told, whichever_answer_is_lost};
use crate::registry::{Attempt, Checkpoint, ChunkEvent, Job, Kept, Share};
use bytes::Bytes;
use cipherfn_protocol::api::{Problem, ProblemType};
use std::time::Duration;

const LEASE: Duration = Duration::from_mins(15);

fn by(number: u32) -> Attempt {
    Attempt {
        number,
        owner: "a".to_owned(),
    }
}

fn problem() -> Problem {
    Problem::new(ProblemType::StorageUnavailable, "why")
}

fn release(number: u32) -> ChunkEvent {
    let (by, problem) = (by(number), problem());
    ChunkEvent::Release { by, problem }
}

fn finish() -> ChunkEvent {
    ChunkEvent::Finish {
        by: by(1),
        result: chunk(b"result"),
        milliseconds: 5,
    }
}

fn happens(owner: &Owner, job: &Job, event: &ChunkEvent) -> String {
    let share = Share::from(0);
    told(alone(owner.registry.change_chunk(job.id, share, event, NOW)).unwrap())
}

fn withdraw(owner: &Owner, job: &Job) -> String {
    let withdrawn = owner.registry.withdraw_job(job, problem(), NOW);
    told(alone(withdrawn).unwrap())
}

fn claimed(owner: &Owner) -> Job {
    let job = job(alone(owner.declare(1)));
    happens(owner, &job, &claim("a"));
    job
}

#[test]
fn jobs_are_declared_withdrawn_and_deleted() {
    whichever_answer_is_lost("declare", |world| {
        Box::new(|| told(alone(world.owner.declare(1))))
    });
    whichever_answer_is_lost("declare one too many", |world| {
        let first = job(alone(world.owner.declare(1)));
        job(alone(world.owner.declare(2)));
        Box::new(move || {
            let told_first = told(alone(world.owner.declare(3)));
            // Room for it, again.
            told_first + &withdraw(&world.owner, &first)
        })
    });
    whichever_answer_is_lost("withdraw", |world| {
        let job = job(alone(world.owner.declare(1)));
        Box::new(move || withdraw(&world.owner, &job))
    });
    whichever_answer_is_lost("delete", |world| {
        let job = claimed(&world.owner);
        happens(&world.owner, &job, &finish());
        Box::new(move || {
            let deleted = world.owner.registry.delete_job(&world.owner.tenant, job.id);
            told(alone(deleted).unwrap())
        })
    });
}

/// An event that happens to a chunk which an attempt has begun.
fn event(event: ChunkEvent) -> impl Fn(&World) -> Operation<'_> {
    move |world| {
        let (job, event) = (claimed(&world.owner), event.clone());
        Box::new(move || happens(&world.owner, &job, &event))
    }
}

#[test]
fn whatever_happens_to_a_chunk_has_happened_once() {
    whichever_answer_is_lost("claim", |world| {
        let job = job(alone(world.owner.declare(1)));
        let claim = claim("a");
        Box::new(move || happens(&world.owner, &job, &claim))
    });
    // The last attempt: taken for one that had ended, the chunk would have failed.
    whichever_answer_is_lost("claim for the last time", |world| {
        let job = claimed(&world.owner);
        happens(&world.owner, &job, &claim("a"));
        let claim = claim("a");
        Box::new(move || happens(&world.owner, &job, &claim))
    });
    let save = ChunkEvent::Save {
        owner: "a".to_owned(),
        checkpoint: Checkpoint {
            attempt: 1,
            steps: 5,
            milliseconds: 40,
            file: chunk(b"five"),
        },
    };
    whichever_answer_is_lost("save", event(save));
    whichever_answer_is_lost("finish", event(finish()));
    whichever_answer_is_lost("release", event(release(1)));
    whichever_answer_is_lost("release for the last time", |world| {
        let job = claimed(&world.owner);
        for _ in 0..2 {
            happens(&world.owner, &job, &claim("a"));
        }
        Box::new(move || happens(&world.owner, &job, &release(3)))
    });
    whichever_answer_is_lost("take back", |world| {
        let job = job(alone(world.owner.declare(1)));
        let problem = problem();
        let event = ChunkEvent::Withdraw { problem };
        Box::new(move || happens(&world.owner, &job, &event))
    });
    let fail = ChunkEvent::Fail {
        by: by(1),
        problem: problem(),
    };
    whichever_answer_is_lost("fail", event(fail));
}

/// The object and then what names it; what was kept before goes.
#[test]
fn checkpoints_are_kept_once() {
    let kept = |steps, bytes: &'static [u8]| Kept {
        steps,
        spent: LEASE,
        bytes: Bytes::from_static(bytes),
    };
    whichever_answer_is_lost("keep", |world| {
        let (registry, job) = (&world.owner.registry, claimed(&world.owner));
        let keep = move |before, next| {
            let (place, by) = ((&job, 0), by(1));
            alone(registry.save(place, &by, (before, next), NOW)).unwrap()
        };
        let first = keep(None, kept(5, b"five")).unwrap();
        Box::new(move || told(keep(Some(first), kept(7, b"seven"))))
    });
}
