//! Totals of owners' sums and their jobs: one result, of all contributions, or a way to it. Two totals that differ by
//! an owner would be that owner's sums.

use super::jobs::{chunk, claim};
use super::lost::World;
use super::lost::grants::{
    OBJECTS, TRAINING, bob, change_training, contribute, declared, grant_of_training, job_of_total,
    total, upload,
};
use super::{NOW, ORDERS, alone, interleave};
use crate::Tenant;
use crate::registry::{Attempt, Chunk, ChunkEvent, Granting, Job, JobDeclared};
use cipherfn_protocol::api::job::JobId;
use cipherfn_protocol::api::{Problem, ProblemType};
use futures_util::future::FutureExt;
use std::time::Duration;
use time::OffsetDateTime;

const LEASE: Duration = Duration::from_mins(15);

/// What is done with a declaration: the job is taken, then the training takes it, or else it is taken back.
async fn begin(world: &World) -> Option<Job> {
    let (registry, tenant) = (world.registry(), &world.owner.tenant);
    let (declaration, rules) = (job_of_total(world), &world.owner.rules);
    let declared = registry.declare_job(tenant, &declaration, rules, NOW).await;
    let (job, is_new) = match declared.unwrap() {
        JobDeclared::New(job) => (job, true),
        JobDeclared::Known(job) => (job, false),
        refused => panic!("{refused:?}"),
    };
    registry.open_joint(tenant, TRAINING, NOW).await.unwrap();
    let taken = registry
        .change_joint((tenant, TRAINING), |training| training.trained_by(&job))
        .await;
    let is_taken = taken.unwrap().expect("it is there").is_ok();
    if !is_taken && is_new {
        let problem = Problem::new(ProblemType::JobConflict, "why");
        let withdrawn = registry.withdraw_job(&job, problem, NOW).await;
        assert!(withdrawn.unwrap(), "nobody works on it");
    }
    is_taken.then_some(job)
}

async fn taken(world: &World, now: OffsetDateTime) -> Option<JobId> {
    let opened = world
        .registry()
        .open_joint(&world.owner.tenant, TRAINING, now);
    opened.await.unwrap().expect("it is there").job
}

/// One that was refused is taken back, while the same is declared again and taken, as the last contribution has come
/// between: a training never has a job that is gone.
#[test]
fn a_total_is_not_left_with_a_job_that_was_taken_back() {
    for seed in 0..ORDERS {
        let world = World::new();
        declared(&world, Some(2));
        let grants = [1, 2].map(|number| grant_of_training(&world, number, Some(2)));
        contribute(&world, &bob(), &grants[0], OBJECTS[0]);
        let (carol, files) = (Tenant::of("carol"), [chunk(OBJECTS[1])]);
        change_training(&world, |training| training.offered(&grants[1], NOW)).unwrap();
        change_training(&world, |training| {
            training.reserved(&grants[1], &carol, &files, NOW)
        })
        .unwrap();
        upload(&world, OBJECTS[1]);
        let at = (&world.owner.tenant, TRAINING);
        let add = async {
            let added = world.registry().change_joint(at, |training| {
                training.added(&grants[1], &carol, (0, &files), NOW)
            });
            added.await.unwrap().expect("it is there").unwrap();
        };
        if seed % 2 == 1 {
            let bucket = world.registry().bucket();
            bucket.lose_answer(1 + (seed / 2) as usize % 8);
        }
        let begin_once = || begin(&world).map(drop).boxed();
        interleave(seed, vec![begin_once(), begin_once(), add.boxed()], || ());
        if let Some(job) = alone(taken(&world, NOW)) {
            let job = alone(world.registry().job(job)).unwrap();
            assert!(job.is_some(), "order {seed}: it is gone");
        }
        let job = alone(begin(&world)).unwrap_or_else(|| panic!("order {seed}: refused"));
        assert_eq!(alone(taken(&world, NOW)), Some(job.id), "order {seed}");
        let chunks = alone(world.registry().chunks(&job, 0..1, NOW)).unwrap();
        assert_eq!(chunks, [None], "order {seed}: to be worked on");
    }
}

/// The last attempt's lease is over, and its worker is not, as clocks differ: either it has a result, and the training
/// stays closed, or others may be told that there is none.
#[test]
fn a_total_that_was_opened_again_has_no_result_of_its_former_job() {
    let (mut results, mut opened) = (0, 0);
    for seed in 0..ORDERS {
        let world = World::new();
        let job = total(&world);
        let registry = world.registry();
        change_training(&world, |training| training.trained_by(&job)).unwrap();
        for _ in 0..3 {
            let claim = claim("a");
            let claimed = registry.change_chunk(job.id, 0, &claim, NOW);
            alone(claimed).unwrap().unwrap();
        }
        let late = NOW + LEASE;
        let finish = async {
            let finish = ChunkEvent::Finish {
                by: Attempt {
                    number: 3,
                    owner: "a".to_owned(),
                },
                result: chunk(b"total"),
                milliseconds: 1,
            };
            let finished = registry.change_chunk(job.id, 0, &finish, late);
            finished.await.unwrap().ok();
        };
        let mut is_taken = None;
        let open = async { is_taken = taken(&world, late).await };
        interleave(seed, vec![finish.boxed(), open.boxed()], || ());
        let chunks = alone(registry.chunks(&job, 0..1, late)).unwrap();
        let is_done = matches!(chunks[0], Some(Chunk::Done { .. }));
        assert_eq!(is_taken.is_some(), is_done, "order {seed}: {chunks:?}");
        results += u32::from(is_done);
        opened += u32::from(!is_done);
    }
    assert!(
        results > 0 && opened > 0,
        "{results} results, {opened} opened"
    );
}
