//! Trainings as jobs: rows in, the weights of a run on this machine out, whatever happens between.

use super::checkpoints::{kept, often};
use super::refusals::problem;
use super::{Requests, kill_in_turn, send};
use crate::live::keys::expire_key_at;
use crate::stack::{DEVELOPER, Setup, Stack, name, tenants};
use cipherfn_client::training::{DescentRow, KeptModel, RowsEncryption, decrypt_weights};
use cipherfn_client::{Accept, Verdict};
use cipherfn_client_http::{
    Existing, KeptTraining, KeyRing, RowsName, Service, ServiceError, UploadedRows,
};
use cipherfn_protocol::api::job::{
    ChunkState, IdempotencyKey, JobDeclaration, JobId, JobKind, JobStatus,
};
use cipherfn_protocol::api::{ProblemType, PublishedKind, QUERY};
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::descent::{BatchShape, encrypt_batch};
use cipherfn_scheme::parameters::{KeyPart, ParameterSet};
use cipherfn_service::bucket::Bucket;
use cipherfn_service::config;
use cipherfn_service::registry::Published;
use cipherfn_serving::training::{Descent, SET, required_parts};
use cipherfn_training::descent::{
    DescentStart, DescentState, DescentUpload, KeptWeights, RowsChunk, RowsForm, Simulation,
    Training, rows_hash, synthetic,
};
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use time::OffsetDateTime;

/// Keys for all of these tests: making them takes longer than the trainings.
pub(super) static RING: LazyLock<(TempDir, KeyRing)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory");
    let ring = KeyRing::at(directory.path().join("keys"));
    ring.fill_parts(set(), &parts(), Existing::Keep)
        .expect("keys");
    (directory, ring)
});

pub(super) fn set() -> &'static ParameterSet {
    ParameterSet::by_name(SET).expect("a set")
}

pub(super) fn parts() -> Vec<&'static KeyPart> {
    required_parts(set()).expect("parts")
}

/// Two features, eight rows a step.
pub(super) fn program(epochs: u32) -> Training {
    let text = format!(
        "format = 1\nname = \"risk\"\nalgorithm = \"logistic\"\nbatch = 8\nepochs = {epochs}\nrate = 1.0\n[[column]]\nname = \"a\"\nlow = -3\nhigh = 3\n[[column]]\nname = \"b\"\nlow = -3\nhigh = 3\n[target]\nname = \"y\"\nclasses = [\"no\", \"yes\"]\n"
    );
    Training::from_toml(&text).expect("a program")
}

pub(super) async fn publish(stack: &Stack, training: &Training, keep: usize) {
    let version = Published {
        hash: training.hash(),
        bundle: None,
        specs: training.canonical().to_vec().into(),
        specs_v1: None,
        report: None,
        kind: PublishedKind::Program,
    };
    stack.publish_version("risk", &version, keep).await;
}

/// A service with the program, for alice and bob.
pub(super) async fn stack_with(training: &Training, change: impl FnOnce(&mut Setup)) -> Stack {
    let stack = Stack::start(|setup| {
        setup.authorizer = tenants(&["alice", "bob"]);
        change(setup);
    })
    .await;
    publish(&stack, training, 2).await;
    stack
}

/// Alice, who trains on 20 rows in three batches.
struct Learner<'a> {
    requests: Requests<'a>,
    service: Service,
    training: Training,
    rows: Arc<[DescentRow]>,
    secret: Arc<SecretKey>,
}

impl<'a> Learner<'a> {
    async fn new(stack: &'a Stack, training: Training) -> Self {
        let learner = Self::without_key(stack, training);
        learner.register(&parts()).await;
        learner
    }

    fn without_key(stack: &'a Stack, training: Training) -> Self {
        let token = "alice-token";
        Self {
            requests: Requests { stack, token },
            service: stack.service_of(token),
            rows: synthetic(&training, 20).into(),
            training,
            secret: Arc::new(RING.1.secret_key(set()).expect("a key")),
        }
    }

    /// Registers parts of the key.
    async fn register(&self, parts: &[&'static KeyPart]) {
        let supplied = self.service.supply_parts(&RING.1, set(), parts, |_| ());
        supplied.await.expect("registered");
    }

    /// All rows in one ciphertext.
    fn encryption(&self, secret: &Arc<SecretKey>, training: &Training) -> RowsEncryption {
        let rows = Arc::clone(&self.rows);
        let one = Some(NonZeroUsize::MIN);
        RowsEncryption::new(Arc::clone(secret), training, rows, one).expect("rows")
    }

    /// The rows as earlier clients encrypt them: three chunks of a batch each, which share no ciphertext.
    fn chunks(&self) -> Vec<Vec<u8>> {
        let shape = BatchShape::new(set(), self.training.features()).expect("a shape");
        let chunk = |(number, rows): (usize, &[DescentRow])| {
            let fold = |(features, class): &DescentRow| self.training.folded(0, features, *class);
            let folded: Vec<Vec<i32>> = rows.iter().map(fold).collect();
            let folded: Vec<&[i32]> = folded.iter().map(Vec::as_slice).collect();
            let chunk = RowsChunk {
                program: self.training.hash(),
                key: self.secret.id(),
                parameter_set: set().tag(),
                rows: self.rows.len() as u64,
                first: number as u64,
                form: RowsForm::Apart,
                batches: encrypt_batch(&self.secret, &shape, &folded).expect("encrypted"),
            };
            chunk.to_file_bytes()
        };
        let batches = self.rows.chunks(self.training.batch());
        batches.enumerate().map(chunk).collect()
    }

    /// Uploads chunks, and declares a training on them.
    async fn declaration(&self, chunks: &[Vec<u8>]) -> JobDeclaration {
        static NAMES: AtomicU8 = AtomicU8::new(0);
        let (upload, chunks) = self.requests.upload(chunks).await;
        JobDeclaration {
            idempotency_key: IdempotencyKey::from_bytes(
                [NAMES.fetch_add(1, Ordering::Relaxed); 16],
            ),
            kind: JobKind::Train,
            model: name("risk"),
            specs: self.training.hash(),
            key: self.secret.id(),
            upload,
            chunks,
            parts: 1,
        }
    }

    /// Begins a training on these chunks.
    async fn begin(&self, chunks: &[Vec<u8>]) -> JobId {
        let declaration = self.declaration(chunks).await;
        self.requests.begin(&declaration).await
    }

    /// The state after the last step, and the attempts that it took.
    async fn result(&self, status: &JobStatus) -> (Vec<u8>, u32) {
        let ChunkState::Done {
            attempts, result, ..
        } = &status.states[0]
        else {
            panic!("{status:?}");
        };
        (send(result, &[]).await.body.to_vec(), *attempts)
    }

    /// The same on this machine, without interruptions.
    fn alone(&self, chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut upload = DescentUpload::default();
        for chunk in chunks {
            upload.add(chunk).expect("a chunk");
        }
        run_here(&self.training, upload)
    }

    /// Steps that are behind a job for certain.
    async fn steps(&self, job: JobId) -> u64 {
        match self.requests.status(job).await.states[0] {
            ChunkState::Waiting { steps, .. } | ChunkState::Running { steps, .. } => steps,
            ref over => panic!("it is over too soon: {over:?}"),
        }
    }

    async fn steps_beyond(&self, job: JobId, before: u64) {
        while self.steps(job).await <= before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// What there is of jobs, apart from the index that counts them.
pub(super) async fn left(stack: &Stack) -> Vec<String> {
    let mut objects = stack.objects().await;
    let folders = ["uploads/", "results/", "jobs/", "sums/"];
    objects.retain(|key| folders.iter().any(|folder| key.starts_with(folder)));
    // The tenant's index stays, and the ids of trainings that owners had grants of.
    let stays = ["jobs/index/", "jobs/joint/"];
    objects.retain(|key| !stays.iter().any(|folder| key.starts_with(folder)));
    objects
}

/// All steps of a training on this machine, under the key ring's key.
pub(super) fn run_here(training: &Training, upload: DescentUpload) -> Vec<u8> {
    let parts = parts().into_iter();
    let mut files = parts.map(|part| RING.1.key_part(set(), part).expect("a part"));
    let mut key = files.next().expect("a part").expand().expect("a key");
    files.for_each(|part| key.add(&part).expect("a part"));
    let mut descent = Descent::new(training, &key, upload).expect("a training");
    while descent.step(&key).expect("a step") {}
    descent.finish().expect("trained")
}

/// By the client's library: program fetched and checked, rows in one ciphertext, weights decrypted. The
/// state has the bits of a run on this machine.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_trains_as_this_machine_does() {
    let training = program(2);
    let stack = stack_with(&training, |_| ()).await;
    let alice = Learner::new(&stack, training.clone()).await;
    let directory = tempfile::tempdir().expect("a directory");
    let pins = KeyRing::at(directory.path().join("pins"));
    let developer = DEVELOPER.public();
    let accept = Accept::Developer(developer);
    let fetched = alice.service.program(&name("risk"), &pins, &accept).await;
    let fetched = fetched.expect("a program");
    assert_eq!(fetched.training, training);
    assert_eq!(fetched.developer, Some(developer));

    let (risk, encryption) = (name("risk"), alice.encryption(&alice.secret, &training));
    let bytes = encryption.file_bytes();
    let mut sent = Vec::new();
    let named = RowsName {
        table: Hash::of(b"table"),
        start: None,
    };
    let uploaded = alice.service.upload_rows(&risk, encryption, named, |rows| {
        sent.push(rows.chunks);
    });
    let uploaded = uploaded.await.expect("uploaded");
    assert_eq!(sent, [1]);
    let chunks = uploaded.declaration.chunks.iter();
    assert_eq!(chunks.map(|chunk| chunk.bytes).sum::<u64>(), bytes);
    // As a file that another run reads.
    let document = serde_json::to_vec(&uploaded).expect("JSON");
    let uploaded = UploadedRows::from_json(&document).expect("the same");
    let (job, result) = alice
        .service
        .train(&uploaded, |_| ())
        .await
        .expect("trained");
    // There is one result, whoever asks for it again.
    let mut taken = uploaded.clone();
    assert!(taken.take_result(0, &result).expect("the first"));
    let document = serde_json::to_vec(&taken).expect("JSON");
    let mut taken = UploadedRows::from_json(&document).expect("the same");
    assert!(!taken.take_result(0, &result).expect("the same"));
    for _ in 0..2 {
        let second = taken.take_result(0, b"another").expect_err("a second one");
        assert!(matches!(second, ServiceError::OtherResult), "{second}");
    }
    assert!(taken.take_result(1, b"another").expect("of a level"));
    let registry = stack.registry();
    let mut chunks = Vec::new();
    for file in &uploaded.declaration.chunks {
        let end = format!("{}.cfq", file.sha256);
        let objects = stack.objects().await;
        let chunk = objects.iter().find(|key| key.ends_with(&end));
        let chunk = registry.bucket().get(chunk.expect("a chunk"), u64::MAX);
        chunks.push(chunk.await.expect("read").expect("there").bytes.to_vec());
    }
    assert!(result == alice.alone(&chunks), "the bits are others");
    let named = (uploaded.rows, uploaded.rows_hash);
    let weights = decrypt_weights(&alice.secret, &training, named, &result).expect("weights");
    assert_eq!((weights.len(), weights[0].len()), (1, 3));
    let unnamed = (uploaded.rows, Hash::of(b"other rows"));
    assert!(decrypt_weights(&alice.secret, &training, unnamed, &result).is_err());
    let mut early = DescentState::from_file_bytes(&result).expect("a state");
    early.steps -= 1;
    let early = decrypt_weights(&alice.secret, &training, named, &early.to_file_bytes());
    let early = early.unwrap_err().to_string();
    assert!(early.contains("step 5 of 6"), "{early}");

    // Nobody else's.
    let bob = Requests {
        stack: &stack,
        token: "bob-token",
    };
    let target = format!("/v2/jobs/{job}");
    for method in ["GET", "DELETE"] {
        let refused = bob.send(method, &target, vec![]).await;
        assert_eq!(refused.problem().kind, ProblemType::UnknownJob, "{method}");
    }
    let stolen = bob.post("/v2/jobs", &uploaded.declaration).await;
    assert_eq!(stolen.problem().kind, ProblemType::UploadMissing);
    alice.service.delete_job(job).await.expect("deleted");
    assert_eq!(left(&stack).await, Vec::<String>::new());
}

/// What is known of weights that were trained on all rows, were they these.
fn kept_weights(training: &Training, rows: usize, fractions: &[Vec<f64>]) -> KeptWeights {
    let steps = training.schedule(rows).expect("steps");
    let sets = fractions
        .iter()
        .map(|own| training.weights(&steps, own, 0.0));
    let sets: Vec<Vec<f64>> = sets.collect();
    let simulated = Simulation {
        sets: sets.clone(),
        unrounded: sets,
        largest: 1.0,
        accuracy: 1.0,
        deviation: 0.0,
        error: 0.0,
    };
    let begun = (&DescentStart::zero(training), rows);
    KeptWeights::of(training, begun, &simulated).expect("within reach")
}

/// Weights that stay encrypted at the service answer encrypted rows of their tenant, as the weights in the
/// clear do, and are what another training goes on from; for nobody else they are there.
#[tokio::test(flavor = "multi_thread")]
async fn kept_weights_answer_their_tenant_alone_and_are_trained_on() {
    let training = program(2);
    let stack = stack_with(&training, |_| ()).await;
    let alice = Learner::new(&stack, training.clone()).await;
    let chunks = alice.chunks();
    let job = alice.begin(&chunks).await;
    let status = alice.requests.settled(job).await;
    let (result, _) = alice.result(&status).await;
    let hash = rows_hash_of(&chunks);
    let fractions =
        decrypt_weights(&alice.secret, &training, (20, hash), &result).expect("weights");

    let weights = kept_weights(&training, 20, &fractions);
    let kept = |job| {
        let program = (&name("risk"), training.canonical());
        Arc::new(KeptTraining::new(
            (alice.service.url(), job),
            program,
            (20, hash),
            (alice.secret.id(), Hash::of(&result)),
            weights,
        ))
    };
    let owner = (&Arc::new(training.clone()), &alice.secret);
    let features: Vec<Vec<i32>> = alice.rows.iter().map(|row| row.0.clone()).collect();
    let ask = async |job| {
        let (kept, features) = (kept(job), features.clone());
        alice.service.predict_trained(&kept, owner, features).await
    };
    let found = ask(job).await.expect("predictions");
    assert_eq!(found.len(), 20);
    for (found, (features, _)) in found.iter().zip(alice.rows.iter()) {
        let products = features.iter().zip(&fractions[0]);
        let z: f64 = products.map(|(x, own)| f64::from(*x) * own * 64.0).sum();
        // Twenty rows of two features: the error is a ten thousandth.
        assert!((found.scores[0] - z).abs() < 1e-3, "{found:?} {z}");
    }

    // The state is the caller's alone, a training's, and there after the last step.
    let bob = Requests {
        stack: &stack,
        token: "bob-token",
    };
    let model = KeptModel {
        training: &training,
        weights: &weights,
        owners: &[20],
    };
    let query = model.ask(&alice.secret, &features).expect("a query").query;
    let send = async |token: &str, job: JobId, query: &[u8]| {
        let authorization = format!("Bearer {token}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", QUERY),
        ];
        let target = format!("/v2/jobs/{job}/predict");
        let sent = stack.send("POST", &target, &headers, query.to_vec());
        sent.await
    };
    let answer = send("alice-token", job, &query).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let stolen = send(bob.token, job, &query).await.problem();
    assert_eq!(stolen.kind, ProblemType::UnknownJob, "{stolen:?}");
    let nobody = JobId::from_bytes([9; 16]);
    let unknown = send("alice-token", nobody, &query).await.problem();
    assert_eq!(unknown.kind, ProblemType::UnknownJob);
    let malformed = send("alice-token", job, b"no query").await.problem();
    assert_eq!(malformed.kind, ProblemType::MalformedQuery);
    let newer = Training::from_json(program(3).canonical()).expect("a program");
    let newer = KeptModel {
        training: &newer,
        weights: &weights,
        owners: &[20],
    };
    let other = newer.ask(&alice.secret, &features).expect("a query").query;
    let other = send("alice-token", job, &other).await.problem();
    assert_eq!(other.kind, ProblemType::MalformedQuery);
    assert!(other.detail.contains("another program"), "{other:?}");
    let failed = alice.begin(&chunks[..1]).await;
    alice.requests.settled(failed).await;
    let untrained = ask(failed).await.unwrap_err();
    let kind = untrained.problem().map(|problem| problem.kind);
    assert_eq!(kind, Some(ProblemType::NotTrained), "{untrained}");
    let refused = alice.service.kept_weights(failed).await.unwrap_err();
    assert!(
        matches!(refused, ServiceError::TrainingFailed { .. }),
        "{refused}"
    );

    // Further rows, from the weights as they are kept.
    let bytes = alice.service.kept_weights(job).await.expect("weights");
    assert!(bytes == result, "the state is another one");
    let steps = training.schedule(20).expect("steps");
    let start = DescentStart::after((0, &steps), &fractions, 0.0);
    let encryption = alice.encryption(&alice.secret, &training);
    let encryption = encryption.starting_from(&start).expect("a start");
    let first = encryption.start().expect("a start").to_vec();
    let rest = encryption.map(|chunk| chunk.expect("a chunk").to_file_bytes());
    let files: Vec<Vec<u8>> = [first].into_iter().chain(rest).collect();
    let on = alice.begin(&files).await;
    let status = alice.requests.settled(on).await;
    let (newer, _) = alice.result(&status).await;
    assert!(newer == alice.alone(&files), "the bits are others");
    let without = decrypt_weights(
        &alice.secret,
        &training,
        (20, rows_hash_of(&files[1..])),
        &newer,
    );
    assert!(without.is_err(), "the start is part of the name");
    let named = (20, rows_hash_of(&files));
    let moved = decrypt_weights(&alice.secret, &training, named, &newer).expect("weights");
    assert!((moved[0][0] - fractions[0][0]).abs() > 1e-4, "{moved:?}");

    alice.service.delete_job(job).await.expect("deleted");
    let gone = ask(job).await.unwrap_err();
    let kind = gone.problem().map(|problem| problem.kind);
    assert_eq!(kind, Some(ProblemType::UnknownJob), "{gone}");
}

/// What names an upload, from its files.
fn rows_hash_of(files: &[Vec<u8>]) -> Hash {
    let mut upload = DescentUpload::default();
    for file in files {
        upload.add(file).expect("a file");
    }
    let start = upload.start.map(|start| Hash::of(&start.to_file_bytes()));
    let chunks = upload.chunks.iter();
    let hashes = chunks.flat_map(|chunk| chunk.hashes(chunk.batches.len()));
    rows_hash(start.into_iter().chain(hashes))
}

/// Programs and models have one set of names, and lists of their own.
#[tokio::test(flavor = "multi_thread")]
async fn programs_are_published_as_models_are() {
    let (old, new) = (program(2), program(3));
    let stack = stack_with(&old, |_| ()).await;
    let alice = Learner::without_key(&stack, old.clone());
    let directory = tempfile::tempdir().expect("a directory");
    let pins = KeyRing::at(directory.path());
    let risk = name("risk");
    let fetch = async || alice.service.program(&risk, &pins, &Accept::Pinned).await;
    assert_eq!(fetch().await.expect("a program").verdict, Verdict::First);
    publish(&stack, &new, 2).await;
    let fetched = fetch().await.expect("newer, of the same developer");
    assert_eq!(fetched.training, new);

    let listed = alice.service.programs().await.expect("a list").programs;
    assert_eq!((listed.len(), listed[0].versions.len()), (1, 2));
    assert_eq!(listed[0].current, new.hash());
    let models = alice.service.models().await.expect("a list").models;
    assert!(models.is_empty(), "a program is no model");
    let no_model = alice.requests.send("GET", "/v2/models/risk", vec![]).await;
    assert_eq!(no_model.problem().kind, ProblemType::UnknownModel);
    let target = format!("/v2/programs/risk?specs={}", Hash::of(b"another"));
    let stale = alice.requests.send("GET", &target, vec![]).await.problem();
    assert_eq!(
        (stale.kind, stale.current_specs),
        (ProblemType::StaleProgram, Some(new.hash()))
    );
    let none = alice
        .requests
        .send("GET", "/v2/programs/other", vec![])
        .await;
    assert_eq!(none.problem().kind, ProblemType::UnknownProgram);

    // Back to the one before, of which the developer's earlier statement is too old.
    let registry = stack.registry();
    let sign = |_: Option<&_>, _| None;
    let back = registry.roll_back(&risk, None, &sign).await;
    assert_eq!(
        back.expect("written").expect("a version").current,
        old.hash()
    );
    assert!(fetch().await.is_err(), "nobody has signed that");
    let sign = |_: Option<&_>, specs| Some(crate::stack::statement(&risk, specs));
    let back = registry.roll_back(&risk, Some(old.hash()), &sign).await;
    back.expect("written").expect("a version");
    assert_eq!(fetch().await.expect("signed anew").training, old);

    // A model under a program's name would be taken for it by nobody, and is not published.
    let bundle = crate::models::TREE.bundle.specs.clone();
    let model = Published {
        hash: Hash::of(&bundle),
        bundle: Some(bundle.clone().into()),
        specs: bundle.into(),
        specs_v1: None,
        report: Some(Vec::new().into()),
        kind: PublishedKind::Model,
    };
    let (keep, now) = (NonZeroUsize::MIN, time::OffsetDateTime::now_utc());
    let sign = |_: Option<&_>, _| None;
    let refused = registry.publish(&risk, &model, &sign, keep, now).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("under another name"), "{refused}");
}

/// A worker dies between two checkpoints: the next one goes on from the last, to the same bits.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_loses_the_steps_since_its_checkpoint_alone() {
    let training = program(12);
    let stack = stack_with(&training, often).await;
    let alice = Learner::new(&stack, training).await;
    let chunks = alice.chunks();
    let job = alice.begin(&chunks).await;
    alice.steps_beyond(job, 2).await;
    kill_in_turn(&stack, &["worker"]).await;
    let reached = alice.steps(job).await;
    let status = alice.requests.settled(job).await;
    let (result, attempts) = alice.result(&status).await;
    assert!(result == alice.alone(&chunks), "the bits are others");
    assert!(attempts >= 2, "{attempts}");
    let kept = kept(&stack);
    assert!(kept.is_sorted() && kept.len() >= 30, "{kept:?}");
    // The line of the last one may have died with the worker.
    assert!(kept.contains(&(reached + 1)), "{reached}: {kept:?}");

    // Cancelled while it is worked on: nothing stays, and nothing comes of it.
    let job = alice.begin(&chunks).await;
    alice.steps_beyond(job, 1).await;
    alice.service.delete_job(job).await.expect("deleted");
    let target = format!("/v2/jobs/{job}");
    let gone = alice.requests.send("GET", &target, vec![]).await;
    assert_eq!(gone.problem().kind, ProblemType::UnknownJob);
    let over = "the job that was deleted is let go";
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if left(&stack)
            .await
            .iter()
            .all(|key| !key.contains(&job.to_string()))
        {
            return;
        }
    }
    panic!("{over}: {:?}", left(&stack).await);
}

/// A worker whose time is nearly over keeps its state and has another one go on, as often as it takes: no step is
/// lost, nor done twice, and the bits are those of one run.
#[tokio::test(flavor = "multi_thread")]
async fn a_training_that_is_longer_than_a_workers_time_goes_on_in_others() {
    const MOST: u32 = 810;
    // Shorter ones get nothing done where other tests take the processors.
    let life = |setup: &mut Setup| setup.worker_timeout = Some(Duration::from_secs(6));
    // How long steps take differs from machine to machine: more of them until a life is not enough.
    let mut epochs = 30;
    loop {
        let training = program(epochs);
        let stack = stack_with(&training, life).await;
        let alice = Learner::new(&stack, training).await;
        let chunks = alice.chunks();
        let job = alice.begin(&chunks).await;
        let status = alice.requests.settled(job).await;
        let (result, attempts) = alice.result(&status).await;
        if attempts == 1 && epochs < MOST {
            epochs *= 3;
            continue;
        }
        assert!(attempts > 1, "one attempt at {epochs} epochs");
        assert!(result == alice.alone(&chunks), "the bits are others");
        let states = kept(&stack);
        assert!(states.is_sorted_by(|one, next| one < next), "{states:?}");
        return;
    }
}

/// Rows that are missing, doubled, in another order, of another program or key: named, before a step.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_not_those_of_the_training_are_refused() {
    let training = program(2);
    let stack = stack_with(&training, |_| ()).await;
    let alice = Learner::new(&stack, training).await;
    let chunks = alice.chunks();

    // Before the start: a chunk that was never uploaded, another kind of job, another version.
    let sound = alice.declaration(&chunks).await;
    let refused = async |change: &dyn Fn(&mut JobDeclaration)| {
        let mut declaration = sound.clone();
        change(&mut declaration);
        let problem = alice
            .requests
            .post("/v2/jobs", &declaration)
            .await
            .problem();
        (problem.kind, problem.detail)
    };
    let (kind, detail) = refused(&|it| it.chunks[1].bytes += 1).await;
    assert_eq!(kind, ProblemType::UploadMissing);
    assert!(detail.starts_with("chunk 1 is not there"), "{detail}");
    let (kind, detail) = refused(&|it| it.parts = 2).await;
    assert_eq!(kind, ProblemType::MalformedRequest);
    assert!(detail.starts_with("parts"), "{detail}");
    let (kind, _) = refused(&|it| it.specs = program(3).hash()).await;
    assert_eq!(kind, ProblemType::StaleProgram);
    let (kind, _) = refused(&|it| it.model = name("other")).await;
    assert_eq!(kind, ProblemType::UnknownProgram);
    let (kind, _) = refused(&|it| it.kind = JobKind::Predict).await;
    assert_eq!(kind, ProblemType::UnknownModel);

    // By a worker, in its first attempt.
    let other = Arc::new(SecretKey::generate(set()).expect("a key"));
    let of = |secret: &Arc<SecretKey>, training: &Training| {
        let chunk = alice.encryption(secret, training).next();
        chunk.expect("a chunk").expect("encrypted").to_file_bytes()
    };
    let (foreign, newer) = (of(&other, &alice.training), of(&alice.secret, &program(3)));
    let [first, second, third] = <[Vec<u8>; 3]>::try_from(chunks.clone()).expect("three");
    for (rows, expected) in [
        (vec![&first, &second], "chunks are missing at the end"),
        (
            vec![&first, &third],
            "chunk 1 of the rows begins with ciphertext 2 where ciphertext 1",
        ),
        (
            vec![&second, &first, &third],
            "chunk 0 of the rows begins with ciphertext 1",
        ),
        (
            vec![&foreign, &second, &third],
            "chunk 0 of the rows is of another key",
        ),
        (
            vec![&newer, &second, &third],
            "chunk 0 of the rows is of another program",
        ),
        (
            vec![&first, &b"no rows".to_vec(), &third],
            "chunk 1: not a cipherfn file",
        ),
    ] {
        let rows: Vec<Vec<u8>> = rows.into_iter().cloned().collect();
        let job = alice.begin(&rows).await;
        let status = alice.requests.settled(job).await;
        let (kind, detail) = problem(&status.states[0]);
        assert_eq!(kind, ProblemType::MalformedRows, "{detail}");
        assert!(detail.contains(expected), "{expected}: {detail}");
        let once = matches!(status.states[0], ChunkState::Failed { attempts: 1, .. });
        assert!(once, "{status:?}");
    }
}

/// Key and program are looked at again at every checkpoint: what is gone ends the training, without a
/// result.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_or_a_program_that_goes_ends_a_training_under_way() {
    let training = program(200);
    let stack = stack_with(&training, often).await;
    let alice = Learner::without_key(&stack, training);
    let chunks = alice.chunks();
    let job = alice.begin(&chunks).await;
    let status = alice.requests.settled(job).await;
    assert_eq!(problem(&status.states[0]).0, ProblemType::UnknownKey);
    alice.register(&parts()[..1]).await;
    let job = alice.begin(&chunks).await;
    let status = alice.requests.settled(job).await;
    let (kind, detail) = problem(&status.states[0]);
    assert_eq!(kind, ProblemType::MissingKeyPart, "{detail}");

    let ends = async |kind| {
        alice.register(&parts()).await;
        let declaration = alice.declaration(&chunks).await;
        let job = alice.requests.begin(&declaration).await;
        alice.steps_beyond(job, 1).await;
        match kind {
            ProblemType::UnknownKey => {
                let deleted = alice.service.delete_key(alice.secret.id()).await;
                deleted.expect("deleted");
            }
            ProblemType::KeyExpired => {
                let now = OffsetDateTime::now_utc();
                expire_key_at(&stack, alice.secret.id(), now).await;
            }
            _ => {
                let sign = |_: Option<&_>, _| None;
                let removed = stack.registry().remove(&name("risk"), None, &sign).await;
                removed.expect("removed");
            }
        }
        let status = alice.requests.settled(job).await;
        assert_eq!(problem(&status.states[0]).0, kind);
        assert_eq!(status.done, 0);
        // Whoever declares it again is told of it, and can have it deleted.
        let again = alice.requests.post("/v2/jobs", &declaration).await;
        assert_eq!(again.status, 200, "{again:?}");
        alice.service.delete_job(job).await.expect("deleted");
        let again = alice.requests.post("/v2/jobs", &declaration).await;
        let expected = match kind {
            ProblemType::UnknownProgram => kind,
            _ => ProblemType::UploadMissing,
        };
        assert_eq!(again.problem().kind, expected);
    };
    ends(ProblemType::UnknownKey).await;
    ends(ProblemType::KeyExpired).await;
    ends(ProblemType::UnknownProgram).await;
    let results = left(&stack).await;
    assert!(
        results.iter().all(|key| !key.contains(".cfr")),
        "{results:?}"
    );
}

/// Ten trainings, each of whose workers is killed at a random moment: the same weights to the bit, and no step
/// that was behind a state for certain is done again.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: cargo test --workspace --test service ten_kills -- --ignored --nocapture"]
async fn ten_kills_at_random_moments_leave_the_same_weights() {
    let training = program(12);
    let stack = stack_with(&training, |setup| {
        let second = (config::CHECKPOINT_SECONDS, "1".to_owned());
        setup.environment.push(second);
    })
    .await;
    let alice = Learner::new(&stack, training).await;
    let chunks = alice.chunks();
    // A moment within the work: a worker takes longer than the engine alone.
    let alone = Instant::now();
    let expected = alice.alone(&chunks);
    let alone = u64::try_from(alone.elapsed().as_millis()).expect("a short training");
    let random = RandomState::new();
    for round in 0..10u32 {
        let job = alice.begin(&chunks).await;
        let before = kept(&stack).len();
        let wait = random.hash_one(round) % alone.max(1);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        kill_in_turn(&stack, &["worker"]).await;
        let reached = alice.requests.status(job).await;
        let status = alice.requests.settled(job).await;
        let (result, attempts) = alice.result(&status).await;
        assert!(result == expected, "round {round}: the bits are others");
        // States of both workers, in the order in which they were kept: none twice, none behind.
        let states = kept(&stack).split_off(before);
        assert!(states.is_sorted_by(|one, next| one < next), "{states:?}");
        println!(
            "round {round}: killed after {wait} ms, {attempts} attempts, states {states:?}, {reached:?}"
        );
        alice.service.delete_job(job).await.expect("deleted");
    }
}
