//! What is wrong with a job is said, by chunk, and harms no other chunk.

use super::{Owner, file, now, send, stack, stack_with, stack_with_quota};
use crate::live::change;
use crate::live::keys::expire_at;
use crate::models::{TREE, TREE_2};
use crate::stack::{Stack, wait_until};
use cipherfn_emulator::faults::Fault;
use cipherfn_protocol::api::ProblemType;
use cipherfn_protocol::api::job::{
    ChunkState, IdempotencyKey, JobDeclaration, JobId, UploadDeclaration, UploadPurpose, Uploads,
};
use cipherfn_service::bucket::{Bucket, Condition};
use cipherfn_service::config;
use cipherfn_service::registry::JobDeclared;
use serde_json::{Value, json};
use time::OffsetDateTime;

/// Why a chunk failed.
pub(super) fn problem(state: &ChunkState) -> (ProblemType, &str) {
    match state {
        ChunkState::Failed { problem, .. } => (problem.kind, &problem.detail),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_are_not_what_they_should_be_fail_by_number() {
    let stack = stack().await;
    let alice = Owner::new(&stack, "alice-token").await;
    let bob = Owner::new(&stack, "bob-token").await;
    let mut chunks = alice.queries(&[2, 3]);
    // Under another key; for another version; no query at all.
    chunks.push(bob.caller.query(&TREE.rows(0, 1)));
    let other = TREE_2.client();
    let rows = TREE_2.rows(0, 1);
    let rows = cipherfn_tests::input_rows(&other, rows.as_slice()).expect("rows");
    let mut query = Vec::new();
    let encrypted =
        other.encrypt::<Box<dyn std::error::Error>>(&alice.caller.secret, rows, &mut query, |_| ());
    encrypted.expect("a query");
    chunks.push(query);
    chunks.push(b"no query".to_vec());
    let (upload, files) = alice.upload(&chunks).await;
    // The second is altered once it is there.
    let objects = stack.objects().await;
    let altered = format!("{}.cfq", files[1].sha256);
    let altered = objects.iter().find(|key| key.ends_with(&altered));
    let registry = stack.registry();
    let mut bytes = chunks[1].clone();
    *bytes.last_mut().expect("bytes") ^= 1;
    let put = registry.bucket().put(
        altered.expect("the chunk"),
        bytes.into(),
        "application/octet-stream",
        Condition::Always,
    );
    put.await.expect("written");

    let job = alice.begin(&alice.declaration((upload, files))).await;
    let status = alice.settled(job).await;
    assert_eq!((status.chunks, status.done), (5, 1));
    alice.check_chunk(&status.states[0], (0, 2)).await;
    let (kind, detail) = problem(&status.states[1]);
    assert_eq!(kind, ProblemType::ChunkAltered);
    assert!(detail.starts_with("chunk 1 was altered"), "{detail}");
    for (number, state) in status.states.iter().enumerate().skip(2) {
        let (kind, detail) = problem(state);
        assert_eq!(
            kind,
            ProblemType::MalformedQuery,
            "chunk {number}: {detail}"
        );
    }
    let (_, detail) = problem(&status.states[2]);
    assert!(detail.contains(&bob.caller.key().to_string()), "{detail}");
    let (_, detail) = problem(&status.states[3]);
    let version = TREE_2.bundle.specs_hash().to_string();
    let version = format!("is for specs {}", &version[..8]);
    assert!(detail.contains(&version), "{detail}");
    assert!(stack.emulator.dead_letters().is_empty());
}

/// What goes between two chunks of a job, and what is said of the second one.
#[derive(Clone, Copy, Debug)]
enum Gone {
    Key,
    KeyInTime,
    Model,
}

/// Of one job, what was done stays readable; what was not fails with the reason.
#[tokio::test(flavor = "multi_thread")]
async fn without_its_key_or_its_model_a_job_ends_and_keeps_its_results() {
    let stack = stack().await;
    let alice = Owner::new(&stack, "alice-token").await;
    let mut last = None;
    for (gone, expected) in [
        (Gone::Key, ProblemType::UnknownKey),
        (Gone::KeyInTime, ProblemType::KeyExpired),
        (Gone::Model, ProblemType::UnknownModel),
    ] {
        alice.caller.register().await.expect("registered again");
        let uploaded = alice.upload(&alice.queries(&[2, 3])).await;
        let declaration = alice.declaration(uploaded);
        let job = record_only(&stack, &alice, &declaration).await;
        alice.work(job, 0).await;
        match gone {
            Gone::Key => {
                let deleted = alice.caller.service.delete_key(alice.caller.key()).await;
                deleted.expect("deleted");
            }
            Gone::KeyInTime => {
                expire_at(&stack, &alice.caller, OffsetDateTime::UNIX_EPOCH).await;
            }
            Gone::Model => {
                let registry = stack.registry();
                let removed = registry.remove(&declaration.model, None, &|_, _| None);
                removed.await.expect("removed");
            }
        }
        alice.work(job, 1).await;
        let status = alice.status(job).await;
        let (kind, detail) = problem(&status.states[1]);
        assert_eq!(kind, expected, "{gone:?}: {detail}");
        assert_eq!((status.chunks, status.done), (2, 1), "{gone:?}");
        alice.check_chunk(&status.states[0], (0, 2)).await;
        last = Some(declaration);
    }
    let more = JobDeclaration {
        idempotency_key: IdempotencyKey::from_bytes([254; 16]),
        ..last.expect("several")
    };
    let refused = alice.post("/v2/jobs", &more).await;
    assert_eq!(refused.problem().kind, ProblemType::UnknownModel);
}

/// Lets the time of a job be over.
async fn run_out(stack: &Stack, job: JobId) {
    change(stack, &format!("jobs/{job}/record.json"), |record| {
        let mut record: Value = serde_json::from_slice(record).expect("JSON");
        assert!(record["until"].is_string(), "{record}");
        record["until"] = "1970-01-01T00:00:00Z".into();
        record.to_string().into_bytes()
    })
    .await;
}

/// Whether it was done or not: its owner is told, and workers have nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_time_is_over_is_told_of_and_not_worked_on() {
    let stack = stack().await;
    let alice = Owner::new(&stack, "alice-token").await;
    let done = alice.declaration(alice.upload(&alice.queries(&[2])).await);
    let waiting = alice.declaration(alice.upload(&alice.queries(&[1])).await);
    let over = alice.begin(&done).await;
    alice.check(&alice.settled(over).await, &[2]).await;
    let unbegun = record_only(&stack, &alice, &waiting).await;
    for job in [over, unbegun] {
        run_out(&stack, job).await;
    }
    let before = stack.objects().await;
    alice.work(unbegun, 0).await;
    for (job, declaration) in [(over, &done), (unbegun, &waiting)] {
        let told = alice.send("GET", &format!("/v2/jobs/{job}"), vec![]).await;
        let told = (told.status, told.problem().kind);
        assert_eq!(told, (410, ProblemType::JobExpired));
        let again = alice.post("/v2/jobs", declaration).await;
        assert_eq!(again.problem().kind, ProblemType::JobExpired);
    }
    assert_eq!(stack.objects().await, before);
    assert!(stack.emulator.dead_letters().is_empty());
    for job in [over, unbegun] {
        let target = format!("/v2/jobs/{job}");
        assert_eq!(alice.send("DELETE", &target, vec![]).await.status, 204);
    }
}

/// What three attempts could not even begin is named by its letter, which is the event: sent again
/// once that is mended it is done, and once more it changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_an_event_that_can_be_sent_again() {
    let stack = stack_with(|setup| setup.faulty = true).await;
    let alice = Owner::new(&stack, "alice-token").await;
    let uploaded = alice.upload(&alice.queries(&[2])).await;
    // Reading any record, which the function `jobs` does not do for a new job.
    let reads = "/record.json?x-id=GetObject";
    stack.faults().always(reads, Fault::InternalError);
    let job = alice.begin(&alice.declaration(uploaded)).await;
    wait_until("a dead letter", || {
        !stack.emulator.dead_letters().is_empty()
    })
    .await;
    stack.faults().pass();
    let letters = stack.emulator.dead_letters();
    assert_eq!(letters.len(), 1, "{letters:?}");
    let event: Value = serde_json::from_slice(&letters[0].event).expect("JSON");
    assert_eq!(event, json!({ "job": job, "chunk": 0 }));
    let waiting = ChunkState::Waiting {
        attempts: 0,
        steps: 0,
    };
    assert_eq!(alice.status(job).await.states, [waiting]);

    let send_again = async || {
        let event = letters[0].event.clone();
        let answer = stack.emulator.invoke("worker", event).await;
        assert_eq!(answer.expect("done").as_ref(), b"null");
    };
    send_again().await;
    alice.check(&alice.status(job).await, &[2]).await;
    let before = stack.objects().await;
    send_again().await;
    assert_eq!(stack.objects().await, before);
}

/// A job as it is after its record was written and before its events were sent.
pub(super) async fn record_only(
    stack: &Stack,
    owner: &Owner<'_>,
    declaration: &JobDeclaration,
) -> JobId {
    let registry = stack.registry();
    let tenants = registry.bucket().folders("uploads/").await;
    let tenants = tenants.expect("a listing");
    let tenant = serde_json::from_value(json!(tenants[0])).expect("a tenant");
    assert_eq!(tenants.len(), 1, "{}'s only", owner.token);
    let rules = config::JobRules::from_env().expect("the defaults");
    let declared = registry.declare_job(&tenant, declaration, &rules, now());
    match declared.await.expect("declared") {
        JobDeclared::New(job) => job.id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn declarations_are_refused_before_anything_is_done() {
    let stack = stack_with_quota(1).await;
    let alice = Owner::new(&stack, "alice-token").await;
    let (upload, files) = alice.upload(&alice.queries(&[1])).await;
    let declaration = alice.declaration((upload, files.clone()));
    let kind =
        async |document: &JobDeclaration| alice.post("/v2/jobs", document).await.problem().kind;
    let mut missing = declaration.clone();
    missing.chunks.push(file(b"never uploaded"));
    let answer = alice.post("/v2/jobs", &missing).await.problem();
    assert_eq!(answer.kind, ProblemType::UploadMissing);
    assert!(answer.detail.starts_with("chunk 1 "), "{}", answer.detail);
    let mut doubled = declaration.clone();
    doubled.chunks.push(files[0]);
    assert_eq!(kind(&doubled).await, ProblemType::MalformedRequest);
    let mut stale = declaration.clone();
    stale.specs = TREE_2.bundle.specs_hash();
    assert_eq!(kind(&stale).await, ProblemType::StaleSpecs);
    let mut unknown = declaration.clone();
    unknown.model = "other".parse().expect("a name");
    assert_eq!(kind(&unknown).await, ProblemType::UnknownModel);
    assert!(stack.emulator.process_ids("worker").is_empty());

    // Bob has uploaded nothing of that name, so it is not his.
    let bob = Owner::new(&stack, "bob-token").await;
    let stolen = bob.post("/v2/jobs", &declaration).await.problem();
    assert_eq!(stolen.kind, ProblemType::UploadMissing);

    let job = alice.begin(&declaration).await;
    let mut conflict = declaration.clone();
    conflict.key = bob.caller.key();
    assert_eq!(kind(&conflict).await, ProblemType::JobConflict);
    let mut more = declaration.clone();
    more.idempotency_key = IdempotencyKey::from_bytes([255; 16]);
    assert_eq!(kind(&more).await, ProblemType::JobQuota);
    alice.settled(job).await;
    let target = format!("/v2/jobs/{job}");
    assert_eq!(alice.send("DELETE", &target, vec![]).await.status, 204);
    // Its chunks went with it.
    assert_eq!(kind(&more).await, ProblemType::UploadMissing);
    for target in ["/v2/jobs/x", "/v2/jobs/00", &format!("{target}?from=x")] {
        let refused = alice.send("GET", target, vec![]).await;
        assert!(matches!(refused.status, 400 | 404), "{target}");
    }
}

/// An address takes what was declared and nothing else, once.
#[tokio::test(flavor = "multi_thread")]
async fn upload_addresses_take_one_chunk_each() {
    let stack = stack().await;
    let alice = Owner::new(&stack, "alice-token").await;
    let declare = async |upload, bytes: &[u8]| {
        let declaration = UploadDeclaration {
            upload,
            chunks: vec![file(bytes)],
            purpose: UploadPurpose::Job,
        };
        let answer = alice.post("/v2/uploads", &declaration).await;
        serde_json::from_slice::<Uploads>(&answer.body).expect("addresses")
    };
    let uploads = declare(None, b"one").await;
    assert!(send(&uploads.chunks[0], b"two").await.status >= 400);
    assert!(send(&uploads.chunks[0], b"more").await.status >= 400);
    assert_eq!(send(&uploads.chunks[0], b"one").await.status, 200);
    assert_eq!(send(&uploads.chunks[0], b"one").await.status, 412);
    // More of the same upload, and an upload of another's name is a folder of one's own.
    let more = declare(Some(uploads.upload), b"two").await;
    assert_eq!(more.upload, uploads.upload);
    assert_eq!(send(&more.chunks[0], b"two").await.status, 200);
    let bob = Owner::new(&stack, "bob-token").await;
    let declaration = UploadDeclaration {
        upload: Some(uploads.upload),
        chunks: vec![file(b"one")],
        purpose: UploadPurpose::Job,
    };
    let answer = bob.post("/v2/uploads", &declaration).await;
    let others: Uploads = serde_json::from_slice(&answer.body).expect("addresses");
    assert_eq!(send(&others.chunks[0], b"one").await.status, 200);
    for chunks in [
        json!([]),
        json!([file(b"")]),
        json!([file(b"a"), file(b"a")]),
    ] {
        let refused = alice
            .post("/v2/uploads", &json!({ "chunks": chunks }))
            .await;
        assert_eq!(refused.problem().kind, ProblemType::MalformedRequest);
    }
    let unknown = alice.post("/v2/jobs", &json!({ "tenant": "bob" })).await;
    assert_eq!(unknown.status, 400);
}
