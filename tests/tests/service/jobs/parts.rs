//! Models in parts: several workers share a chunk, which has one reply or none, and what they made on
//! the way is nobody's to see.

use super::refusals::{problem, record_only};
use super::{Owner, kill_in_turn, now};
use crate::models::FOREST;
use crate::stack::{BUCKET, Stack, tenants};
use crate::wire;
use cipherfn_protocol::api::ProblemType;
use cipherfn_protocol::api::job::{ChunkState, JobDeclaration, JobId};
use cipherfn_service::bucket::{Bucket, Condition};
use cipherfn_service::registry::{Chunk, ChunkEvent, Share, UniqueId};
use serde_json::{Value, json};
use std::time::Duration;

const PARTS: u32 = 3;

/// A service with the forest.
async fn stack() -> Stack {
    let stack = Stack::start(|setup| setup.authorizer = tenants(&["alice"])).await;
    stack.publish("tree", &FOREST.bundle, 2).await;
    stack
}

impl<'a> Owner<'a> {
    pub(super) async fn of_forest(stack: &'a Stack) -> Self {
        Self {
            model: &FOREST,
            ..Self::new(stack, "alice-token").await
        }
    }

    /// A declaration in parts over uploaded chunks of so many rows.
    async fn in_parts(&self, rows: &[usize]) -> JobDeclaration {
        let uploaded = self.upload(&self.queries(rows)).await;
        JobDeclaration {
            parts: PARTS,
            ..self.declaration(uploaded)
        }
    }

    /// Has a worker do a part of the first chunk.
    async fn work_on_part(&self, job: JobId, part: u32) {
        let event = json!({ "job": job, "chunk": 0, "part": part }).to_string();
        let answer = self.stack.emulator.invoke("worker", event).await;
        assert_eq!(answer.expect("done").as_ref(), b"null");
    }

    async fn objects(&self, folder: &str) -> Vec<String> {
        let objects = self.stack.objects().await.into_iter();
        objects.filter(|key| key.starts_with(folder)).collect()
    }
}

/// Processes die as the kernel kills them; each chunk has one reply, equal to the whole model's.
#[tokio::test(flavor = "multi_thread")]
async fn workers_share_chunks_and_may_be_killed() {
    let stack = stack().await;
    let alice = Owner::of_forest(&stack).await;
    let rows = [30, 7];
    let declaration = alice.in_parts(&rows).await;
    let job = alice.begin(&declaration).await;
    kill_in_turn(&stack, &["worker", "worker"]).await;
    let status = alice.settled(job).await;
    alice.check(&status, &rows).await;
    assert_eq!(alice.objects("results/").await.len(), 2);
    assert_eq!(alice.objects("sums/").await, Vec::<String>::new(), "spent");
    let parts = alice.objects(&format!("jobs/{job}/parts/")).await;
    assert_eq!(parts.len(), 2 * PARTS as usize);
    let again = alice.post("/v2/jobs", &declaration).await;
    assert_eq!(again.status, 200);

    let target = format!("/v2/jobs/{job}");
    assert_eq!(alice.send("DELETE", &target, vec![]).await.status, 204);
    for folder in ["results/", "sums/", "uploads/", &format!("jobs/{job}/")] {
        assert_eq!(alice.objects(folder).await, Vec::<String>::new());
    }
    assert!(stack.emulator.dead_letters().is_empty());
}

/// Sums tell more of a model than its replies: no address of them is given, and without one the store
/// gives nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_parts_made_is_served_by_nobody() {
    let stack = stack().await;
    let alice = Owner::of_forest(&stack).await;
    let declaration = alice.in_parts(&[1]).await;
    let job = record_only(&stack, &alice, &declaration).await;
    for part in [0, 2] {
        alice.work_on_part(job, part).await;
    }
    let sums = alice.objects("sums/").await;
    assert_eq!(sums.len(), 2, "{sums:?}");
    let target = format!("/v2/jobs/{job}");
    let answer = alice.send("GET", &target, vec![]).await;
    let text = String::from_utf8(answer.body.to_vec()).expect("JSON");
    assert!(!text.contains("sums") && !text.contains(".cfs"), "{text}");
    let status: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(status["states"][0]["state"], "waiting", "not a reply yet");
    assert_eq!(status["done"], 0);
    let (address, _) = wire::split(stack.emulator.s3_endpoint());
    for sum in &sums {
        for path in [format!("/{BUCKET}/{sum}"), format!("/v2/jobs/{job}/{sum}")] {
            let at_store = wire::request("GET", &path, &[], Vec::new());
            let refused = wire::send(address, at_store).await.expect("an answer");
            assert!(refused.status >= 400, "{path}: {}", refused.status);
            assert!(alice.send("GET", &path, vec![]).await.status >= 400);
        }
    }
    // The last one adds them.
    alice.work_on_part(job, 1).await;
    alice.check(&alice.status(job).await, &[1]).await;
    assert_eq!(alice.objects("sums/").await, Vec::<String>::new());
}

/// A part that was altered or is gone fails its chunk by number: nothing less than all parts is a
/// reply.
#[tokio::test(flavor = "multi_thread")]
async fn altered_and_missing_parts_are_no_reply() {
    let stack = stack().await;
    let alice = Owner::of_forest(&stack).await;
    for is_there in [true, false] {
        let declaration = alice.in_parts(&[1]).await;
        let job = record_only(&stack, &alice, &declaration).await;
        for part in [0, 1] {
            alice.work_on_part(job, part).await;
        }
        let sums = alice.objects("sums/").await;
        let sums = sums.iter().find(|key| key.ends_with("/0-1-1.cfs"));
        let sums = sums.expect("of part 1");
        let registry = stack.registry();
        let bucket = registry.bucket();
        if is_there {
            let object = bucket.get(sums, 1 << 30).await.expect("read");
            let mut bytes = object.expect("there").bytes.to_vec();
            *bytes.last_mut().expect("bytes") ^= 1;
            let put = bucket.put(sums, bytes.into(), "", Condition::Always);
            put.await.expect("written");
        } else {
            bucket.delete(sums, None).await.expect("deleted");
        }
        alice.work_on_part(job, 2).await;
        let status = alice.status(job).await;
        let (kind, detail) = problem(&status.states[0]);
        let expected = if is_there {
            (ProblemType::ChunkAltered, "altered")
        } else {
            (ProblemType::UploadMissing, "gone")
        };
        assert_eq!(kind, expected.0, "{detail}");
        assert!(
            detail.starts_with("what part 1 made of chunk 0"),
            "{detail}"
        );
        assert!(detail.contains(expected.1), "{detail}");
        assert_eq!(alice.objects("results/").await, Vec::<String>::new());
        let target = format!("/v2/jobs/{job}");
        assert_eq!(alice.send("DELETE", &target, vec![]).await.status, 204);
    }
}

/// Whoever was to add them has died without a word: the same declaration again has them added.
#[tokio::test(flavor = "multi_thread")]
async fn parts_that_nobody_added_are_added_when_asked_for() {
    const LEASE: Duration = Duration::from_secs(10);
    let stack = stack().await;
    let alice = Owner::of_forest(&stack).await;
    let declaration = alice.in_parts(&[1]).await;
    let job = record_only(&stack, &alice, &declaration).await;
    for part in [0, 1] {
        alice.work_on_part(job, part).await;
    }
    let now = now();
    let claim = ChunkEvent::Claim {
        owner: "somebody who dies".to_owned(),
        until: now + LEASE,
        claim: UniqueId::random().expect("random"),
    };
    let registry = stack.registry();
    let claimed = registry.change_chunk(job, 0, &claim, now).await;
    assert!(matches!(claimed.expect("written"), Ok(Chunk::Held { .. })));
    alice.work_on_part(job, 2).await;
    let running = alice.status(job).await;
    let held = matches!(running.states[0], ChunkState::Running { .. });
    let waits = matches!(running.states[0], ChunkState::Waiting { .. });
    assert!(held || waits, "{running:?}");
    tokio::time::sleep(LEASE + Duration::from_secs(1)).await;
    assert_eq!(alice.post("/v2/jobs", &declaration).await.status, 200);
    let status = alice.settled(job).await;
    alice.check(&status, &[1]).await;
}

/// Three workers on a part have died without a word: the chunk has failed, by the part's number, and
/// nobody begins any of it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_nobody_ends_fails_its_chunk_by_number() {
    let stack = stack().await;
    let alice = Owner::of_forest(&stack).await;
    let declaration = alice.in_parts(&[1]).await;
    let job = record_only(&stack, &alice, &declaration).await;
    alice.work_on_part(job, 0).await;
    let (registry, now) = (stack.registry(), now());
    for attempt in 1..=3 {
        let share = Share {
            chunk: 0,
            part: Some(1),
        };
        let owner = format!("somebody who dies {attempt}");
        let claim = ChunkEvent::Claim {
            owner,
            until: now,
            claim: UniqueId::random().expect("random"),
        };
        let claimed = registry.change_chunk(job, share, &claim, now).await;
        assert!(matches!(claimed.expect("written"), Ok(Chunk::Held { .. })));
    }
    let status = alice.status(job).await;
    let (kind, detail) = problem(&status.states[0]);
    assert_eq!(kind, ProblemType::WorkerLost);
    assert!(detail.starts_with("part 1 of 3: "), "{detail}");
    let before = stack.objects().await;
    assert_eq!(alice.post("/v2/jobs", &declaration).await.status, 200);
    alice.work_on_part(job, 1).await;
    assert_eq!(stack.objects().await, before);
    assert_eq!(alice.status(job).await, status);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_parts_that_are_none_do_nothing() {
    let stack = stack().await;
    let alice = Owner::of_forest(&stack).await;
    let declaration = alice.in_parts(&[1]).await;
    let in_parts = record_only(&stack, &alice, &declaration).await;
    let uploaded = alice.upload(&alice.queries(&[1])).await;
    let whole = record_only(&stack, &alice, &alice.declaration(uploaded)).await;
    let before = stack.objects().await;
    for event in [
        json!({ "job": in_parts, "chunk": 0 }),
        json!({ "job": in_parts, "chunk": 0, "part": PARTS }),
        json!({ "job": in_parts, "chunk": 1, "part": 0 }),
        json!({ "job": whole, "chunk": 0, "part": 0 }),
    ] {
        let answer = stack.emulator.invoke("worker", event.to_string()).await;
        assert_eq!(answer.expect("nothing to do").as_ref(), b"null", "{event}");
    }
    for part in [json!(-1), json!("0"), json!(1.5)] {
        let event = json!({ "job": in_parts, "chunk": 0, "part": part }).to_string();
        assert!(stack.emulator.invoke("worker", event).await.is_err());
    }
    assert_eq!(stack.objects().await, before);
    for parts in [0, 33] {
        let declaration = JobDeclaration {
            parts,
            ..declaration.clone()
        };
        let refused = alice.post("/v2/jobs", &declaration).await.problem();
        assert_eq!(refused.kind, ProblemType::MalformedRequest);
        assert!(refused.detail.starts_with("parts: "), "{}", refused.detail);
    }
}
