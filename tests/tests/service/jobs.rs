//! Jobs: chunks uploaded, worked on by real worker processes, results fetched.

mod bulk;
mod checkpoints;
mod joint;
mod leaves;
mod parts;
mod refusals;
mod totals;
mod training;

use crate::models::{Caller, TREE, Trained};
use crate::stack::{Setup, Stack, kill, tenants, wait_until};
use crate::uploads::registration::sha256;
use crate::wire::{self, Answer};
use cipherfn_protocol::api::JSON;
use cipherfn_protocol::api::job::{
    ChunkFile, ChunkState, IdempotencyKey, JobDeclaration, JobId, JobKind, JobStatus, Transfer,
    UploadDeclaration, UploadFolder, UploadPurpose, Uploads,
};
use cipherfn_service::bucket::Bucket;
use cipherfn_service::config;
use serde::Serialize;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// Longest wait for a job.
const PATIENCE: Duration = Duration::from_mins(2);

/// Somebody with a registered key and the rows of what is published as `tree`.
struct Owner<'a> {
    requests: Requests<'a>,
    caller: Caller,
    model: &'static Trained,
}

/// Somebody's requests for jobs.
struct Requests<'a> {
    stack: &'a Stack,
    token: &'static str,
}

impl<'a> std::ops::Deref for Owner<'a> {
    type Target = Requests<'a>;

    fn deref(&self) -> &Self::Target {
        &self.requests
    }
}

impl<'a> Owner<'a> {
    async fn new(stack: &'a Stack, token: &'static str) -> Self {
        let caller = Caller::registered(stack.service_of(token), "tree").await;
        Self {
            requests: Requests { stack, token },
            caller,
            model: &TREE,
        }
    }

    /// Queries of so many rows each, one after the other.
    fn queries(&self, rows: &[usize]) -> Vec<Vec<u8>> {
        let mut first = 0;
        let query = |rows: &usize| {
            first += rows;
            self.caller.query(&self.model.rows(first - rows, *rows))
        };
        rows.iter().map(query).collect()
    }

    fn declaration(&self, (upload, chunks): (UploadFolder, Vec<ChunkFile>)) -> JobDeclaration {
        static NAMES: AtomicU8 = AtomicU8::new(0);
        JobDeclaration {
            idempotency_key: IdempotencyKey::from_bytes(
                [NAMES.fetch_add(1, Ordering::Relaxed); 16],
            ),
            kind: JobKind::Predict,
            model: "tree".parse().expect("a name"),
            specs: self.caller.client.specs().hash(),
            key: self.caller.key(),
            upload,
            chunks,
            parts: 1,
        }
    }

    /// Checks the results of a job over chunks of so many rows each.
    async fn check(&self, status: &JobStatus, rows: &[usize]) {
        assert_eq!((status.chunks, status.done), (rows.len(), rows.len()));
        let mut first = 0;
        for (state, rows) in status.states.iter().zip(rows) {
            self.check_chunk(state, (first, *rows)).await;
            first += rows;
        }
    }

    /// Checks the result of a chunk of so many rows from the first one on.
    async fn check_chunk(&self, state: &ChunkState, (first, rows): (usize, usize)) {
        let ChunkState::Done { result, .. } = state else {
            panic!("{state:?}");
        };
        let reply = send(result, &[]).await;
        assert_eq!(file(&reply.body), result.file);
        let answers = self.caller.open(&reply.body);
        self.model.check(first, rows, &answers);
    }
}

impl Requests<'_> {
    async fn send(&self, method: &str, target: &str, body: Vec<u8>) -> Answer {
        let authorization = format!("Bearer {}", self.token);
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", JSON),
        ];
        self.stack.send(method, target, &headers, body).await
    }

    async fn post(&self, target: &str, document: &impl Serialize) -> Answer {
        let body = serde_json::to_vec(document).expect("JSON");
        self.send("POST", target, body).await
    }

    /// Uploads chunks, and gives what a job says of them.
    async fn upload(&self, chunks: &[Vec<u8>]) -> (UploadFolder, Vec<ChunkFile>) {
        let files: Vec<_> = chunks.iter().map(|chunk| file(chunk)).collect();
        let declaration = UploadDeclaration {
            upload: None,
            chunks: files.clone(),
            purpose: UploadPurpose::Job,
        };
        let answer = self.post("/v2/uploads", &declaration).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let uploads: Uploads = serde_json::from_slice(&answer.body).expect("addresses");
        for (transfer, chunk) in uploads.chunks.iter().zip(chunks) {
            assert_eq!(send(transfer, chunk).await.status, 200);
        }
        (uploads.upload, files)
    }

    /// Has a worker do a chunk, as an event does.
    async fn work(&self, job: JobId, chunk: usize) {
        let event = serde_json::json!({ "job": job, "chunk": chunk }).to_string();
        let answer = self.stack.emulator.invoke("worker", event).await;
        assert_eq!(answer.expect("told to the owner").as_ref(), b"null");
    }

    /// A new job.
    async fn begin(&self, declaration: &JobDeclaration) -> JobId {
        let answer = self.post("/v2/jobs", declaration).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        status_of(&answer).job
    }

    /// Keys of what jobs have in the bucket, of everybody's.
    async fn objects_of_jobs(&self) -> Vec<String> {
        let mut objects = self.stack.objects().await;
        objects.retain(|key| {
            let mut folders = ["uploads/", "results/", "sums/", "jobs/"].iter();
            folders.any(|folder| key.starts_with(folder)) && !key.starts_with("jobs/index/")
        });
        objects
    }

    async fn status(&self, job: JobId) -> JobStatus {
        let answer = self.send("GET", &format!("/v2/jobs/{job}"), vec![]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        status_of(&answer)
    }

    /// Waits until nobody works on any chunk any more.
    async fn settled(&self, job: JobId) -> JobStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status(job).await;
            let over = |state: &ChunkState| {
                matches!(state, ChunkState::Done { .. } | ChunkState::Failed { .. })
            };
            if status.states.iter().all(over) {
                return status;
            }
            let logs = self.stack.logs();
            assert!(Instant::now() < deadline, "{status:?}\n{logs:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// In whole seconds, as documents have it.
fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc().replace_nanosecond(0);
    now.expect("0 is a number of them")
}

fn file(bytes: &[u8]) -> ChunkFile {
    ChunkFile {
        bytes: bytes.len() as u64,
        sha256: sha256(bytes),
    }
}

fn status_of(answer: &Answer) -> JobStatus {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// Makes a presigned request.
async fn send(transfer: &Transfer, body: &[u8]) -> Answer {
    let headers = transfer.headers.iter();
    let headers = headers.filter(|(name, _)| !matches!(name.as_str(), "host" | "content-length"));
    let headers: Vec<_> = headers
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let (address, target) = wire::split(&transfer.url);
    let request = wire::request(&transfer.method, target, &headers, body.to_vec());
    wire::send(address, request).await.expect("S3 answers")
}

/// A service with the tree, for alice and bob.
async fn stack() -> Stack {
    stack_with(|_| ()).await
}

/// One where each of them may have so many jobs.
async fn stack_with_quota(jobs: u64) -> Stack {
    stack_with(|setup| {
        let quota = (config::JOB_QUOTA, jobs.to_string());
        setup.environment.push(quota);
    })
    .await
}

async fn stack_with(change: impl FnOnce(&mut Setup)) -> Stack {
    let stack = Stack::start(|setup| {
        setup.authorizer = tenants(&["alice", "bob"]);
        change(setup);
    })
    .await;
    stack.publish("tree", &TREE.bundle, 2).await;
    stack
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_become_results_in_their_order() {
    let stack = stack().await;
    let alice = Owner::new(&stack, "alice-token").await;
    let rows = [3, 1, 20];
    let uploaded = alice.upload(&alice.queries(&rows)).await;
    let declaration = alice.declaration(uploaded);
    let job = alice.begin(&declaration).await;
    let again = alice.post("/v2/jobs", &declaration).await;
    assert_eq!((again.status, status_of(&again).job), (200, job));
    let status = alice.settled(job).await;
    alice.check(&status, &rows).await;
    let attempts = |state: &ChunkState| matches!(state, ChunkState::Done { attempts: 1, .. });
    assert!(status.states.iter().all(attempts), "{status:?}");
    let target = format!("/v2/jobs/{job}?from=2");
    let rest = status_of(&alice.send("GET", &target, vec![]).await);
    assert_eq!((rest.from, rest.states.len(), rest.done), (2, 1, 3));

    // Nobody else's, and gone when its owner says so.
    let bob = Owner::new(&stack, "bob-token").await;
    let target = format!("/v2/jobs/{job}");
    for method in ["GET", "DELETE"] {
        let refused = bob.send(method, &target, vec![]).await;
        assert_eq!(refused.problem().kind.slug(), "unknown-job", "{method}");
    }
    assert_eq!(alice.send("DELETE", &target, vec![]).await.status, 204);
    for method in ["GET", "DELETE"] {
        let gone = alice.send(method, &target, vec![]).await;
        assert_eq!(gone.status, 404, "{method}");
    }
    assert_eq!(alice.objects_of_jobs().await, Vec::<String>::new());
    assert!(stack.emulator.dead_letters().is_empty());
}

/// Kills a process of each function, as soon as there is one that was not killed already: what was
/// killed is on the list until its end is noticed.
pub(crate) async fn kill_in_turn(stack: &Stack, functions: &[&str]) {
    let mut killed = Vec::new();
    for function in functions {
        let mut found = None;
        let is_there = || {
            let mut processes = stack.emulator.process_ids(function).into_iter();
            found = processes.find(|process| !killed.contains(process));
            found.is_some()
        };
        wait_until(function, is_there).await;
        let process = found.expect("one was there");
        kill(process);
        killed.push(process);
    }
}

/// Processes die as the kernel kills them; AWS Lambda's second and third attempts do the work.
#[tokio::test(flavor = "multi_thread")]
async fn killed_workers_lose_no_chunk_and_double_none() {
    let stack = stack().await;
    let alice = Owner::new(&stack, "alice-token").await;
    let rows = [40; 6];
    let uploaded = alice.upload(&alice.queries(&rows)).await;
    let job = alice.begin(&alice.declaration(uploaded)).await;
    kill_in_turn(&stack, &["worker", "worker"]).await;
    let status = alice.settled(job).await;
    alice.check(&status, &rows).await;
}

/// The same by the state machine, which large jobs go to: one execution a job, however often it is
/// declared.
#[tokio::test(flavor = "multi_thread")]
async fn large_jobs_are_executions_of_a_state_machine() {
    let stack = stack_with(|setup| {
        setup.environment.push((config::MAP_ABOVE, "5".to_owned()));
    })
    .await;
    let alice = Owner::new(&stack, "alice-token").await;
    let rows = [30; 6];
    let uploaded = alice.upload(&alice.queries(&rows)).await;
    let declaration = alice.declaration(uploaded);
    let job = alice.begin(&declaration).await;
    let again = alice.post("/v2/jobs", &declaration).await;
    assert_eq!(again.status, 200, "{again:?}");
    kill_in_turn(&stack, &["worker", "worker"]).await;
    let status = alice.settled(job).await;
    alice.check(&status, &rows).await;
    assert_eq!(stack.emulator.executions(), [format!("{job}")]);

    // As after an execution that failed before anybody worked: of two declarations one starts another.
    let registry = stack.registry();
    for key in stack.objects().await {
        if key.starts_with(&format!("jobs/{job}/chunks/")) || key.starts_with("results/") {
            registry.bucket().delete(&key, None).await.expect("deleted");
        }
    }
    let (one, other) = tokio::join!(
        alice.post("/v2/jobs", &declaration),
        alice.post("/v2/jobs", &declaration)
    );
    assert_eq!((one.status, other.status), (200, 200));
    let status = alice.settled(job).await;
    alice.check(&status, &rows).await;
    assert_eq!(
        stack.emulator.executions(),
        [format!("{job}"), format!("{job}-1")]
    );
}

/// The work of one job only ever makes results of that job, whatever an event says.
#[tokio::test(flavor = "multi_thread")]
async fn events_made_by_hand_gain_nothing() {
    let stack = stack().await;
    let alice = Owner::new(&stack, "alice-token").await;
    let rows = [2];
    let uploaded = alice.upload(&alice.queries(&rows)).await;
    let job = alice.begin(&alice.declaration(uploaded)).await;
    alice.settled(job).await;
    let before = stack.objects().await;
    let invoke = |event: serde_json::Value| {
        let emulator = &stack.emulator;
        async move { emulator.invoke("worker", event.to_string()).await }
    };
    let unknown = "00112233445566778899aabbccddeeff";
    for event in [
        serde_json::json!({ "job": unknown, "chunk": 0 }),
        serde_json::json!({ "job": job, "chunk": 0 }),
        serde_json::json!({ "job": job, "chunk": 1 }),
        serde_json::json!({ "job": job, "chunk": u64::MAX }),
    ] {
        let answer = invoke(event.clone()).await;
        assert_eq!(answer.expect("nothing to do").as_ref(), b"null", "{event}");
    }
    for event in [
        serde_json::json!({ "job": job, "chunk": 0, "tenant": "another" }),
        serde_json::json!({ "job": "../../keys", "chunk": 0 }),
        serde_json::json!({ "job": job, "chunk": -1 }),
        serde_json::json!({ "job": job }),
        serde_json::json!([]),
    ] {
        assert!(invoke(event.clone()).await.is_err(), "{event}");
    }
    assert_eq!(stack.objects().await, before);
    alice.check(&alice.status(job).await, &rows).await;
}
