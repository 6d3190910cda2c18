//! What others do between a change whose answer is lost and the second time that it is asked for.

use super::super::jobs::{Owner, job};
use super::super::{ORDERS, alone, interleave};
use futures_util::future::FutureExt;
use std::collections::BTreeSet;
use std::sync::Mutex;

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

/// AWS Lambda may deliver one event twice, to two invocations that live at the same time under one name: the
/// chunk has one result, and it is there, whichever answer is lost.
#[test]
fn a_chunk_has_one_result() {
    for seed in 0..ORDERS {
        let owner = Owner::new(1);
        let job = job(alone(owner.declare(1)));
        owner.registry.bucket().lose_answer(1 + seed as usize % 7);
        let counted = Mutex::new(0);
        let work = |name: &'static str| {
            let (owner, counted, id) = (&owner, &counted, job.id);
            async move {
                if owner.work(id, name).await {
                    *counted.lock().unwrap() += 1;
                }
            }
            .boxed()
        };
        interleave(seed, vec![work("a"), work("a"), work("b")], || ());
        assert_eq!(counted.into_inner().unwrap(), 1, "order {seed}");
        assert_eq!(alone(owner.registry.results(&job)).unwrap(), 1);
    }
}
