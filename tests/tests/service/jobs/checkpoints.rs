//! Work that is longer than a worker's life, or than it lives: what is kept on the way, and what goes on
//! from it.

use super::refusals::{problem, record_only};
use super::{Owner, kill_in_turn, now, send, stack, stack_with, status_of};
use crate::live::keys::expire_at;
use crate::models::{FOREST, WIDE_TREE};
use crate::stack::{Setup, Stack, name, tenants, wait_until};
use cipherfn_emulator::faults::Fault;
use cipherfn_protocol::api::ProblemType;
use cipherfn_protocol::api::job::{ChunkState, JobId};
use cipherfn_protocol::hash::Sha256;
use cipherfn_service::bucket::{Bucket, Condition};
use cipherfn_service::config;
use cipherfn_service::registry::{Attempt, ChunkEvent, Kept, UniqueId};
use cipherfn_serving::{Progress, Query};
use cipherfn_tests::Server;
use serde_json::json;
use std::time::Duration;
use time::OffsetDateTime;

/// A worker that keeps what it has done after every few rows.
pub(super) fn often(setup: &mut Setup) {
    let often = (config::CHECKPOINT_SECONDS, "0".to_owned());
    setup.environment.push(often);
}

/// Rows that the only chunk of a job has behind it for certain.
async fn steps(owner: &Owner<'_>, job: JobId) -> u64 {
    match owner.status(job).await.states[0] {
        ChunkState::Waiting { steps, .. } | ChunkState::Running { steps, .. } => steps,
        _ => panic!("it is over too soon"),
    }
}

async fn steps_beyond(owner: &Owner<'_>, job: JobId, before: u64) -> u64 {
    loop {
        let now = steps(owner, job).await;
        if now > before {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a worker of at least the `least`-th attempt is beyond a step.
async fn worked_beyond(owner: &Owner<'_>, job: JobId, least: u32, before: u64) {
    loop {
        match owner.status(job).await.states[0] {
            ChunkState::Running {
                attempts, steps, ..
            } if attempts >= least && steps > before => return,
            ChunkState::Waiting { .. } | ChunkState::Running { .. } => {}
            ref over => panic!("it is over too soon: {over:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The one reply of a job, which must be that of a server that nothing has interrupted.
async fn check_bits(owner: &Owner<'_>, job: JobId, query: &[u8]) -> u32 {
    let status = owner.settled(job).await;
    let ChunkState::Done {
        attempts, result, ..
    } = &status.states[0]
    else {
        panic!("{status:?}");
    };
    let reply = send(result, &[]).await;
    let bundle = owner.stack.registry().bucket().list("models/tree/").await;
    let bundle = bundle.expect("a listing").into_iter();
    let mut bundle = bundle.map(|object| object.key);
    let bundle = bundle.rfind(|key| key.ends_with("/bundle.cfn"));
    let bundle = owner
        .stack
        .registry()
        .bucket()
        .get(&bundle.expect("a bundle"), u64::MAX)
        .await;
    let bundle = bundle.expect("read").expect("it is there").bytes;
    let key = owner.caller.key_file();
    let alone = Server::new(&bundle, Some(&key)).expect("a server");
    let expected = alone.answer(query).expect("a reply");
    assert!(reply.body == expected, "the bits are others");
    *attempts
}

/// A worker that dies while it replaces a checkpoint leaves the one before: it goes with the job.
async fn check_removal(owner: &Owner<'_>, job: JobId) {
    let target = format!("/v2/jobs/{job}");
    assert_eq!(owner.send("DELETE", &target, vec![]).await.status, 204);
    assert_eq!(checkpoints(owner.stack).await, Vec::<String>::new());
}

async fn checkpoints(stack: &Stack) -> Vec<String> {
    let mut objects = stack.objects().await;
    objects.retain(|key| std::path::Path::new(key).extension() == Some("cfc".as_ref()));
    objects
}

/// How far workers had come each time they kept what they had, in the order of their lines.
pub(super) fn kept(stack: &Stack) -> Vec<u64> {
    let lines = stack.logs().into_iter();
    let lines = lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok());
    lines
        .filter_map(|line| {
            let fields = line.get("fields").unwrap_or(&line);
            fields["steps"].as_u64()
        })
        .collect()
}

/// Two workers die between checkpoints: the third goes on where the second was, and packs results of
/// rows that the first has answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_loses_what_it_did_since_its_checkpoint() {
    let stack = Stack::start(|setup| {
        setup.authorizer = tenants(&["alice"]);
        often(setup);
    })
    .await;
    stack.publish("tree", &WIDE_TREE.bundle, 2).await;
    let alice = Owner::new(&stack, "alice-token").await;
    let queries = alice.queries(&[300]);
    let uploaded = alice.upload(&queries).await;
    let job = alice.begin(&alice.declaration(uploaded)).await;
    let mut reached = 0;
    for attempt in 1..=2 {
        worked_beyond(&alice, job, attempt, reached).await;
        kill_in_turn(&stack, &["worker"]).await;
        reached = steps(&alice, job).await;
    }
    let attempts = check_bits(&alice, job, &queries[0]).await;
    // One more where a busy machine keeps a worker from telling in time that it lives.
    assert!(attempts >= 3, "{attempts}");
    let kept = kept(&stack);
    assert!(kept.len() > 2 && kept.is_sorted(), "{kept:?}");
    check_removal(&alice, job).await;
}

/// A chunk of several workers' lives: each keeps what it has when its time is nearly over, and has
/// another one go on. That is no failed attempt, so there may be more of them than three.
#[tokio::test(flavor = "multi_thread")]
async fn work_that_is_longer_than_a_workers_time_goes_on_in_others() {
    const MOST: usize = 14_000;
    // Shorter ones get nothing done where other tests take the processors.
    let stack = Stack::start(|setup| {
        setup.authorizer = tenants(&["alice"]);
        setup.worker_timeout = Some(Duration::from_secs(6));
    })
    .await;
    stack.publish("tree", &FOREST.bundle, 2).await;
    let alice = Owner::of_forest(&stack).await;
    // How long rows take differs from machine to machine, and with what else runs there: more of them
    // until a life is not enough. The reply to the most is as large as one may be.
    let mut rows = 200;
    let (job, attempts) = loop {
        let queries = alice.queries(&[rows]);
        let uploaded = alice.upload(&queries).await;
        let job = alice.begin(&alice.declaration(uploaded)).await;
        let attempts = check_bits(&alice, job, &queries[0]).await;
        if attempts > 1 || rows == MOST {
            break (job, attempts);
        }
        let target = format!("/v2/jobs/{job}");
        assert_eq!(alice.send("DELETE", &target, vec![]).await.status, 204);
        rows = MOST.min(3 * rows);
    };
    assert!(attempts > 1, "one attempt at {rows} rows");
    let kept = kept(&stack);
    assert!(!kept.is_empty() && kept.is_sorted(), "{kept:?}");
    check_removal(&alice, job).await;
}

/// Nothing goes on from what is not the checkpoint that was written, and it goes with its job.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_is_not_what_was_written_is_a_named_failure() {
    let stack = stack().await;
    let alice = Owner::new(&stack, "alice-token").await;
    let registry = stack.registry();
    let bucket = registry.bucket();
    let now = now();
    for (what, expected) in [
        ("foreign", "made from another query"),
        ("altered", "its SHA-256"),
        ("longer", "bytes"),
        ("missing", "it is gone"),
    ] {
        let queries = alice.queries(&[5]);
        let uploaded = alice.upload(&queries).await;
        let job = record_only(&stack, &alice, &alice.declaration(uploaded)).await;
        let record = registry.job(job).await.expect("read").expect("a job");
        // An attempt that has kept something, and whose time is over.
        let by = Attempt {
            number: 1,
            owner: "a worker".to_owned(),
        };
        let claim = ChunkEvent::Claim {
            owner: by.owner.clone(),
            until: now,
            claim: UniqueId::random().expect("random"),
        };
        let claimed = registry.change_chunk(job, 0, &claim, now).await;
        claimed.expect("written").expect("free");
        let query = Query::parse(&queries[0]).expect("a query");
        let other = Sha256::from_bytes([7; 32]);
        let kept = Kept {
            steps: 3,
            spent: Duration::from_secs(1),
            bytes: Progress::default().to_file_bytes(other, query.tag()).into(),
        };
        let saved = registry.save((&record, 0), &by, (None, kept), now).await;
        saved.expect("written").expect("its attempt");
        let files = checkpoints(&stack).await;
        let file = &files[0];
        let object = bucket.get(file, u64::MAX).await.expect("read");
        let mut bytes = object.expect("it is there").bytes.to_vec();
        match what {
            "altered" => bytes[60] ^= 1,
            "longer" => bytes.push(0),
            _ => {}
        }
        if what == "missing" {
            bucket.delete(file, None).await.expect("deleted");
        } else {
            let binary = "application/octet-stream";
            let put = bucket.put(file, bytes.into(), binary, Condition::Always);
            put.await.expect("written");
        }
        let status = alice.status(job).await;
        let waiting = ChunkState::Waiting {
            attempts: 1,
            steps: 3,
        };
        assert_eq!((status.done, &status.states[0]), (0, &waiting), "{what}");
        let event = json!({ "job": job, "chunk": 0 }).to_string();
        let worked = stack.emulator.invoke("worker", event).await;
        worked.expect("told to the owner");
        let status = alice.status(job).await;
        let (kind, detail) = problem(&status.states[0]);
        assert_eq!(kind, ProblemType::CheckpointAltered, "{what}");
        assert!(detail.contains(expected), "{what}: {detail}");
        let target = format!("/v2/jobs/{job}");
        assert_eq!(alice.send("DELETE", &target, vec![]).await.status, 204);
        assert_eq!(checkpoints(&stack).await, Vec::<String>::new(), "{what}");
    }
}

/// Model and key are looked at again at every checkpoint.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_goes_while_a_chunk_is_worked_on_ends_it() {
    let stack = stack_with(often).await;
    let alice = Owner::new(&stack, "alice-token").await;
    let uploaded = alice.upload(&alice.queries(&[4_000])).await;
    let job = alice.begin(&alice.declaration(uploaded)).await;
    steps_beyond(&alice, job, 0).await;
    let deleted = alice.caller.service.delete_key(alice.caller.key()).await;
    deleted.expect("deleted");
    let status = alice.settled(job).await;
    assert_eq!(problem(&status.states[0]).0, ProblemType::UnknownKey);
}

/// Storage writes a chunk's document and loses its answer, so that it is asked again and refuses: the
/// attempt goes on with what it has kept, and keeps its result.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_the_store_that_is_lost_loses_no_work() {
    const WRITES: &str = "/chunks/0.json?x-id=PutObject";
    for (rows, interval) in [(2, "120"), (400, "0")] {
        let stack = stack_with(|setup| {
            setup.faulty = true;
            let interval = (config::CHECKPOINT_SECONDS, interval.to_owned());
            setup.environment.push(interval);
        })
        .await;
        let alice = Owner::new(&stack, "alice-token").await;
        let uploaded = alice.upload(&alice.queries(&[rows])).await;
        let job = record_only(&stack, &alice, &alice.declaration(uploaded)).await;
        // The claim is answered; the result, or the first checkpoint, is written without an answer.
        stack.faults().next(1, WRITES, Fault::Delay(Duration::ZERO));
        stack.faults().next(1, WRITES, Fault::LostAnswer);
        alice.work(job, 0).await;
        let status = alice.status(job).await;
        let done = matches!(status.states[0], ChunkState::Done { attempts: 1, .. });
        assert!(done, "{status:?}");
        alice.check(&status, &[rows]).await;
        assert_eq!(checkpoints(&stack).await, Vec::<String>::new());
    }
}

/// The same of a declaration: what was written is the job, and the same again is the same one. It is worked on.
#[tokio::test(flavor = "multi_thread")]
async fn a_declaration_whose_answer_is_lost_is_a_job() {
    let stack = stack_with(|setup| setup.faulty = true).await;
    let alice = Owner::new(&stack, "alice-token").await;
    let tenant = stack.service_of("alice-token").frames().await;
    let tenant = tenant.expect("a list").tenant;
    let index = format!("/jobs/index/{tenant}.json?x-id=PutObject");
    for lost in [index.as_str(), "/record.json?x-id=PutObject"] {
        let rows = [2];
        let uploaded = alice.upload(&alice.queries(&rows)).await;
        let declaration = alice.declaration(uploaded);
        let before = stack.faults().requests().len();
        stack.faults().next(1, lost, Fault::LostAnswer);
        let job = alice.begin(&declaration).await;
        let asked = stack.faults().requests();
        let asked = asked[before..].iter();
        assert_eq!(asked.filter(|asked| asked.contains(lost)).count(), 2);
        let again = alice.post("/v2/jobs", &declaration).await;
        assert_eq!((again.status, status_of(&again).job), (200, job));
        let status = alice.settled(job).await;
        alice.check(&status, &rows).await;
        let target = format!("/v2/jobs/{job}");
        assert_eq!(alice.send("DELETE", &target, vec![]).await.status, 204);
        assert_eq!(alice.objects_of_jobs().await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_goes_while_a_chunk_is_worked_on_ends_it() {
    let stack = stack_with(often).await;
    let alice = Owner::new(&stack, "alice-token").await;
    let uploaded = alice.upload(&alice.queries(&[4_000])).await;
    let job = alice.begin(&alice.declaration(uploaded)).await;
    steps_beyond(&alice, job, 0).await;
    let (registry, name) = (stack.registry(), name("tree"));
    let removed = registry.remove(&name, None, &|_, _| None);
    removed.await.expect("removed");
    let status = alice.settled(job).await;
    let (kind, detail) = problem(&status.states[0]);
    assert_eq!(kind, ProblemType::UnknownModel, "{detail}");
}

/// Its owner ends a job while a worker is at it, which learns of it when it keeps what it has: nothing
/// of the job is left, then and after the worker's end, and that is no failure.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_ended_while_it_is_worked_on_leaves_nothing() {
    let stack = stack_with(often).await;
    let alice = Owner::new(&stack, "alice-token").await;
    let uploaded = alice.upload(&alice.queries(&[4_000])).await;
    let job = alice.begin(&alice.declaration(uploaded)).await;
    steps_beyond(&alice, job, 0).await;
    let request = stack.logs().iter().find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let fields = line.get("fields").unwrap_or(&line);
        let begins = fields["message"] == "begins";
        begins.then(|| fields["request_id"].as_str().map(str::to_owned))?
    });
    let request = request.expect("the worker says that it begins");
    assert!(!stack.has_ended(&request));
    let target = format!("/v2/jobs/{job}");
    assert_eq!(alice.send("DELETE", &target, vec![]).await.status, 204);
    wait_until("the worker's end", || stack.has_ended(&request)).await;
    assert_eq!(alice.objects_of_jobs().await, Vec::<String>::new());
    assert!(stack.emulator.dead_letters().is_empty());
    let gone = alice.send("GET", &target, vec![]).await;
    assert_eq!(gone.status, 404);
}

/// A key may run out while a worker lives, which is up to a quarter of an hour: at the next checkpoint
/// that is the reason. What was done before stays readable.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_expires_while_a_chunk_is_worked_on_ends_it() {
    let stack = stack_with(often).await;
    let alice = Owner::new(&stack, "alice-token").await;
    let done = alice.upload(&alice.queries(&[2])).await;
    let done = alice.begin(&alice.declaration(done)).await;
    alice.settled(done).await;
    let uploaded = alice.upload(&alice.queries(&[4_000])).await;
    let job = alice.begin(&alice.declaration(uploaded)).await;
    steps_beyond(&alice, job, 0).await;
    expire_at(&stack, &alice.caller, OffsetDateTime::now_utc()).await;
    let status = alice.settled(job).await;
    let (kind, detail) = problem(&status.states[0]);
    assert_eq!(kind, ProblemType::KeyExpired, "{detail}");
    let attempts = matches!(status.states[0], ChunkState::Failed { attempts: 1, .. });
    assert!(attempts, "by the worker that had begun: {status:?}");
    alice.check(&alice.status(done).await, &[2]).await;
}
