//! What others do between a change whose answer is lost and the second time that it is asked for.

use super::super::jobs::{Owner, claim, job};
use super::super::{NOW, ORDERS, alone, interleave};
use crate::registry::{Attempt, Chunk, Input, Kept};
use bytes::Bytes;
use futures_util::future::FutureExt;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

/// Two declarations of one job beside that of another, all in one index: each is a job that is there, one a name.
#[test]
fn declared_jobs_are_there() {
    for seed in 0..ORDERS {
        let owner = Owner::new(2);
        owner.registry.bucket().lose_answer(1 + seed as usize % 6);
        let told = Mutex::new(BTreeSet::new());
        let declare = |name: u8| {
            let (owner, told) = (&owner, &told);
            async move {
                let id = job(owner.declare(name).await).id;
                told.lock().unwrap().insert((name, id));
            }
            .boxed()
        };
        interleave(seed, vec![declare(1), declare(1), declare(2)], || ());
        let told = told.into_inner().unwrap();
        assert_eq!(told.len(), 2, "order {seed}: {told:?}");
        for (name, id) in told {
            assert_eq!(job(alone(owner.declare(name))).id, id, "order {seed}");
        }
        let records = owner.objects().into_iter();
        let records = records.filter(|key| key.ends_with("/record.json"));
        assert_eq!(records.count(), 2, "order {seed}");
    }
}

/// An invocation keeps what it has, and another one of its name takes the chunk over: what it goes on from is there.
#[test]
fn what_somebody_goes_on_from_is_kept() {
    let mut taken_over = 0;
    for seed in 0..ORDERS {
        let owner = Owner::new(1);
        let job = job(alone(owner.declare(1)));
        let begin = |owner: &Owner| {
            let (registry, claim) = (owner.registry.clone(), claim("a"));
            async move { registry.change_chunk(job.id, 0, &claim, NOW).await }
        };
        alone(begin(&owner)).unwrap().unwrap();
        // The object, then what names it.
        owner.registry.bucket().lose_answer(2);
        let by = Attempt {
            number: 1,
            owner: "a".to_owned(),
        };
        let kept = Kept {
            steps: 5,
            spent: Duration::from_secs(1),
            bytes: Bytes::from_static(b"five"),
        };
        let save = async {
            let saved = owner.registry.save((&job, 0), &by, (None, kept), NOW);
            saved.await.unwrap().ok();
        };
        let take_over = begin(&owner).map(|claimed| drop(claimed.unwrap().unwrap()));
        interleave(seed, vec![save.boxed(), take_over.boxed()], || ());
        let chunks = alone(owner.registry.chunks(&job, 0..1, NOW)).unwrap();
        let Some(Chunk::Held { checkpoint, .. }) = chunks[0] else {
            panic!("order {seed}: {chunks:?}");
        };
        if let Some(checkpoint) = checkpoint {
            let kept = alone(owner.registry.checkpoint(&job, 0, checkpoint)).unwrap();
            let expected = Input::Sound(Bytes::from_static(b"five"));
            assert_eq!(kept, expected, "order {seed}");
            taken_over += 1;
        }
    }
    assert!(taken_over > 0);
}

/// AWS Lambda may deliver one event twice, to two invocations that live at the same time under one name: the
/// chunk has one result, and it is there, whichever answer is lost.
#[test]
fn a_chunk_has_one_result() {
    for seed in 0..ORDERS {
        let owner = Owner::new(1);
        let job = job(alone(owner.declare(1)));
        owner.registry.bucket().lose_answer(1 + seed as usize % 7);
        assert_eq!(owner.work_at_once(seed, job.id), 1, "order {seed}");
        assert_eq!(alone(owner.registry.results(&job)).unwrap(), 1);
    }
}
