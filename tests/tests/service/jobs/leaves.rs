//! Rows counted in leaves as jobs: the counts of this machine, whatever happens between; trees grown by them.

use super::checkpoints::{kept, often};
use super::refusals::problem;
use super::training::{RING, left, parts, program as descent, set};
use super::{Requests, kill_in_turn};
use crate::stack::{DEVELOPER, Setup, Stack, name, tenants};
use cipherfn_client::Accept;
use cipherfn_client::training::RowsEncryption;
use cipherfn_client::training::leaves::{LeafRowsEncryption, decrypt_result};
use cipherfn_client_http::{KeyRing, Service, ServiceError, UploadedRows};
use cipherfn_protocol::api::job::{ChunkState, IdempotencyKey, JobDeclaration, JobId, JobKind};
use cipherfn_protocol::api::{ProblemType, PublishedKind, QUERY};
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::public::PublicKey;
use cipherfn_service::bucket::Bucket;
use cipherfn_service::registry::Published;
use cipherfn_serving::training::leaves::{LeafPass, choose_sums};
use cipherfn_training::TrainingProgram;
use cipherfn_training::descent::synthetic;
use cipherfn_training::leaves::{
    GrownTree, LeafCounts, LeafRow, LeafRowsChunk, LeafSpec, LeafTraining, LeafUpload, SumForm,
};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// Rows of a sum.
const IN_SUM: usize = 7;

/// A tree of two levels over two columns.
fn program() -> LeafTraining {
    let text = "format = 1\nname = \"risk\"\nalgorithm = \"tree\"\ndepth = 2\n[[column]]\nname = \"a\"\ncuts = [1.0]\n[[column]]\nname = \"b\"\ncuts = [1.0, 2.0, 3.0]\n[target]\nname = \"y\"\nclasses = [\"no\", \"yes\"]\n";
    let seed = LeafSpec::from_toml(text).and_then(|spec| spec.seed());
    let training = choose_sums(&seed.expect("a program"), set()).expect("exact counts");
    let sums = SumForm {
        count_bits: (IN_SUM + 1).ilog2(),
        ..training.sums()
    };
    training.with_sums(sums).expect("a program")
}

async fn stack_with(training: &LeafTraining, change: impl FnOnce(&mut Setup)) -> Stack {
    let stack = Stack::start(|setup| {
        setup.authorizer = tenants(&["alice", "bob"]);
        change(setup);
    })
    .await;
    let version = Published {
        hash: training.hash(),
        bundle: None,
        specs: training.to_json().expect("JSON").into(),
        specs_v1: None,
        report: None,
        kind: PublishedKind::Program,
    };
    stack.publish_version("risk", &version, 2).await;
    stack
}

/// Alice, whose key has the part that counting needs.
struct Counter<'a> {
    requests: Requests<'a>,
    service: Service,
    training: LeafTraining,
    rows: Arc<[LeafRow]>,
    secret: Arc<SecretKey>,
}

impl<'a> Counter<'a> {
    async fn new(stack: &'a Stack, training: LeafTraining, rows: usize) -> Self {
        let token = "alice-token";
        let service = stack.service_of(token);
        let needed = parts();
        let supplied = service.supply_parts(&RING.1, set(), &needed[..1], |_| ());
        supplied.await.expect("registered");
        // Ill are those above both cuts, and some others.
        let row = |number: usize| {
            let bins = vec![number as u32 % 2, number as u32 / 2 % 4];
            let ill = bins[0] == 1 && bins[1] > 1 || number.is_multiple_of(11);
            LeafRow {
                bins,
                label: u64::from(ill),
            }
        };
        Self {
            requests: Requests { stack, token },
            service,
            training,
            rows: (0..rows).map(row).collect(),
            secret: Arc::new(RING.1.secret_key(set()).expect("a key")),
        }
    }

    /// So many sums a chunk.
    fn encryption(&self, sums: usize) -> LeafRowsEncryption {
        let rows = Arc::clone(&self.rows);
        let key = Arc::clone(&self.secret);
        LeafRowsEncryption::new(key, &self.training, rows, NonZeroUsize::new(sums)).expect("rows")
    }

    fn chunks(&self, sums: usize) -> Vec<LeafRowsChunk> {
        let chunks = self.encryption(sums);
        chunks.collect::<Result<_, _>>().expect("encrypted")
    }

    /// What a training on these files fails with.
    async fn failure(&self, number: u8, files: &[Vec<u8>]) -> String {
        let (upload, chunks) = self.requests.upload(files).await;
        let declaration = JobDeclaration {
            idempotency_key: IdempotencyKey::from_bytes([number; 16]),
            kind: JobKind::Train,
            model: name("risk"),
            specs: self.training.hash(),
            key: self.secret.id(),
            upload,
            chunks,
            parts: 1,
        };
        let job = self.requests.begin(&declaration).await;
        let status = self.requests.settled(job).await;
        let (kind, detail) = problem(&status.states[0]);
        assert_eq!(kind, ProblemType::MalformedRows, "{detail}");
        detail.to_owned()
    }

    /// Waits until some rows are behind a job for certain.
    async fn counted_some(&self, job: JobId) {
        loop {
            match self.requests.status(job).await.states[0] {
                ChunkState::Waiting { steps, .. } | ChunkState::Running { steps, .. } => {
                    if steps > 0 {
                        return;
                    }
                }
                ref over => panic!("it is over too soon: {over:?}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The chunks as the bucket has them.
    async fn stored(&self, uploaded: &UploadedRows) -> Vec<LeafRowsChunk> {
        let (registry, mut chunks) = (self.requests.stack.registry(), Vec::new());
        for file in &uploaded.declaration.chunks {
            let end = format!("{}.cfq", file.sha256);
            let objects = self.requests.stack.objects().await;
            let path = objects.iter().find(|key| key.ends_with(&end));
            let chunk = registry.bucket().get(path.expect("a chunk"), u64::MAX);
            let chunk = chunk.await.expect("read").expect("there");
            chunks.push(LeafRowsChunk::from_file_bytes(&chunk.bytes).expect("a chunk"));
        }
        chunks
    }
}

/// By the client's library: the program fetched and checked, rows uploaded once, a job a level. Whoever counts
/// the second level is killed, and the sums have the bits of a pass on this machine.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_grows_a_tree_as_this_machine_does() {
    let training = program();
    let stack = stack_with(&training, often).await;
    let alice = Counter::new(&stack, training.clone(), 60 * IN_SUM + 3).await;
    let directory = tempfile::tempdir().expect("a directory");
    let pins = KeyRing::at(directory.path().join("pins"));
    let accept = Accept::Developer(DEVELOPER.public());
    let risk = name("risk");
    let fetched = alice.service.any_program(&risk, &pins, &accept).await;
    let TrainingProgram::Leaves(fetched) = fetched.expect("a program").training else {
        panic!("it is of trees");
    };
    assert_eq!(*fetched, training);
    let refused = alice.service.program(&risk, &pins, &accept).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("the program is of trees"), "{refused}");

    let encryption = alice.encryption(50);
    let bytes = encryption.file_bytes();
    let (table, mut sent) = (Hash::of(b"table"), Vec::new());
    let uploaded = alice
        .service
        .upload_leaf_rows(&risk, encryption, table, |rows| sent.push(rows.bytes));
    let uploaded = uploaded.await.expect("uploaded");
    assert_eq!((sent.len(), sent.last()), (2, Some(&bytes)));
    let (first, result) = alice
        .service
        .train(&uploaded, |_| ())
        .await
        .expect("counts");
    let named = (alice.rows.len(), uploaded.rows_hash);
    let counts = decrypt_result(&alice.secret, &training, named, &result).expect("counts");
    assert_eq!(counts, LeafCounts::of(&training, &alice.rows));
    let grown = training.grow(alice.rows.len(), &counts).expect("a tree");
    let level = grown.training;

    let tree = GrownTree {
        program: training.hash(),
        tree: level.trees()[0].clone(),
    };
    let next = alice.service.upload_tree(&uploaded, (1, &tree)).await;
    let next = next.expect("uploaded");
    // As a file that another run reads; what is there is not uploaded again, and another tree is none of it.
    let document = serde_json::to_vec(&next).expect("JSON");
    let next = UploadedRows::from_json(&document).expect("the same");
    let again = alice.service.upload_tree(&next, (1, &tree)).await;
    assert_eq!(again.expect("the same"), next);
    let other = GrownTree {
        tree: training.trees()[0].clone(),
        ..tree.clone()
    };
    let other = alice.service.upload_tree(&next, (1, &other)).await;
    assert!(matches!(other, Err(ServiceError::OtherTree { level: 1 })));
    let declared = next.level(1).expect("it is prepared");
    let job = alice.requests.begin(declared).await;
    alice.counted_some(job).await;
    kill_in_turn(&stack, &["worker"]).await;
    let (same, result) = alice
        .service
        .train_by(declared, |_| ())
        .await
        .expect("counts");
    assert_eq!(same, job);
    let upload = LeafUpload {
        tree: Some(tree),
        chunks: alice.stored(&next).await,
    };
    let part = RING.1.key_part(set(), parts()[0]).expect("a part");
    let key = part.expand().expect("a key");
    let mut alone = LeafPass::new(&training, &key, upload).expect("a pass");
    while alone.step(&key).expect("sums") {}
    assert!(result == alone.state(), "the bits are others");
    let counts = decrypt_result(&alice.secret, &level, named, &result).expect("counts");
    assert_eq!(counts, LeafCounts::of(&level, &alice.rows));
    let error = decrypt_result(&alice.secret, &training, named, &result).unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
    let status = alice.requests.status(job).await;
    let attempts = matches!(status.states[0], ChunkState::Done { attempts, .. } if attempts >= 2);
    assert!(attempts, "{status:?}");
    let kept = kept(&stack);
    assert!(kept.iter().all(|rows| rows.is_multiple_of(IN_SUM as u64)) && kept.len() > 60);

    // Nobody else's, and no weights to predict by.
    let bob = stack.service_of("bob-token");
    assert!(bob.train(&uploaded, |_| ()).await.is_err());
    let headers = [
        ("authorization", "Bearer alice-token"),
        ("content-type", QUERY),
    ];
    let target = format!("/v2/jobs/{first}/predict");
    let refused = stack
        .send("POST", &target, &headers, b"rows".to_vec())
        .await;
    assert_eq!(refused.problem().kind, ProblemType::NotTrained);
    let cancelled = alice.service.cancel_training(&next).await;
    cancelled.expect("both jobs are deleted");
    assert_eq!(left(&stack).await, Vec::<String>::new());
}

/// Each named, before anything is counted.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_not_those_of_an_upload_are_not_counted() {
    let training = program();
    let stack = stack_with(&training, |_| ()).await;
    let alice = Counter::new(&stack, training, 2 * IN_SUM + 3).await;
    let chunks = alice.chunks(1);
    let files = |order: &[usize]| -> Vec<Vec<u8>> {
        let files = order.iter().map(|own| chunks[*own].to_file_bytes());
        files.collect()
    };
    let changed = |change: &dyn Fn(&mut LeafRowsChunk)| {
        let mut last = chunks[2].clone();
        change(&mut last);
        [files(&[0, 1]), vec![last.to_file_bytes()]].concat()
    };
    let tree = |program: Hash| {
        let seed = alice.training.trees()[0].clone();
        let tree = GrownTree {
            program,
            tree: seed,
        };
        let tree = tree.to_file_bytes().expect("a file");
        [vec![tree], files(&[0, 1, 2])].concat()
    };
    let cases = [
        (files(&[1, 0, 2]), "chunk 0 of the rows begins with row 7"),
        (files(&[0, 1]), "chunks are missing at the end"),
        (
            changed(&|own| own.group.truncate(9)),
            "chunk 2 of the rows has",
        ),
        (
            changed(&|own| own.program = Hash::of(b"another")),
            "another program",
        ),
        (vec![b"no rows".to_vec()], "chunk 0: not a cipherfn file"),
        (tree(Hash::of(b"another")), "the tree before the rows"),
    ];
    for (number, (files, expected)) in (0..).zip(cases) {
        let error = alice.failure(number, &files).await;
        assert!(error.contains(expected), "{error}");
    }
    // Rows of descent: another kind of file.
    let rows = synthetic(&descent(1), 8).into();
    let key = Arc::clone(&alice.secret);
    let rows = RowsEncryption::new(key, &descent(1), rows, None);
    let file = rows
        .expect("rows")
        .next()
        .expect("a chunk")
        .expect("encrypted");
    let error = alice.failure(100, &[file.to_file_bytes()]).await;
    assert!(error.contains("a chunk of rows for leaves"), "{error}");

    // Owners encrypt under a public key, which these rows cannot be.
    let of = (&name("risk"), alice.training.hash());
    let public = PublicKey::generate(&alice.secret).expect("a public key");
    let declared = alice.service.declare_training(of, &public);
    let error = declared.await.unwrap_err().to_string();
    assert!(error.contains("counts rows in trees"), "{error}");
}
