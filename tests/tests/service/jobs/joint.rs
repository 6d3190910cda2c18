//! Trainings on rows of several tenants: each encrypts under the key holder's public key, and adds rows by a
//! grant; the key holder trains on all of them.

mod expired;
mod looked_at;

use super::refusals::problem;
use super::training::{RING, left, parts, program, run_here, set, stack_with};
use super::{Requests, file, send};
use crate::stack::{Stack, name, tenants};
use cipherfn_client::training::{DescentRow, RowsEncryption, decrypt_weights};
use cipherfn_client_http::{RowsName, Service, ServiceError, public_key_hash};
use cipherfn_protocol::api::grant::{Grant, GrantId, GrantTarget, SignedGrant, TrainingTerms};
use cipherfn_protocol::api::grants::{GrantStatus, GrantedPieces, Revocation};
use cipherfn_protocol::api::job::{IdempotencyKey, JobDeclaration, Uploads};
use cipherfn_protocol::api::trainings::{TrainingDeclaration, TrainingId, TrainingStatus};
use cipherfn_protocol::api::{Problem, ProblemType, PublicKeyFile};
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::descent::{BatchShape, Weights};
use cipherfn_scheme::public::PublicKey;
use cipherfn_service::bucket::Bucket;
use cipherfn_serving::training::noise_of;
use cipherfn_signing::SigningKey;
use cipherfn_training::descent::{
    DescentState, DescentUpload, RowsChunk, RowsForm, Training, mean_square, synthetic,
};
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use time::OffsetDateTime;

pub(super) static SIGNS: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate().expect("a key"));

/// Alice, whose key the training is under.
struct Holder<'a> {
    service: Service,
    requests: Requests<'a>,
    training: Training,
    secret: Arc<SecretKey>,
    public: Arc<PublicKey>,
    declared: TrainingStatus,
}

impl<'a> Holder<'a> {
    async fn new(stack: &'a Stack, training: Training) -> Self {
        let service = stack.service_of("alice-token");
        let secret = Arc::new(RING.1.secret_key(set()).expect("a key"));
        let public = Arc::new(PublicKey::generate(&secret).expect("a public key"));
        let version = training.hash();
        let risk = name("risk");
        let declared = service.declare_training((&risk, version), &public);
        Self {
            declared: declared.await.expect("declared"),
            requests: Requests {
                stack,
                token: "alice-token",
            },
            service,
            training,
            secret,
            public,
        }
    }

    /// A grant of so many rows, three chunks and a megabyte, for an hour: offered.
    async fn grant(&self, number: u8, rows: u64, change: impl FnOnce(&mut Grant)) -> SignedGrant {
        let mut grant = Grant {
            id: GrantId::from_bytes([number; 16]),
            owner: self.declared.tenant,
            target: GrantTarget::Training(TrainingTerms {
                training: self.declared.training,
                program: name("risk"),
                specs: self.training.hash(),
                key: self.secret.id(),
                public_key: public_key_hash(&self.public.to_file_bytes()),
                rows,
                least_owners: None,
            }),
            to: None,
            objects: 3,
            bytes: 1 << 20,
            expires: OffsetDateTime::now_utc() + Duration::from_hours(1),
        };
        grant.expires = grant.expires.replace_nanosecond(0).expect("a time");
        change(&mut grant);
        let grant = SIGNS.sign_grant(grant);
        let offered = self.service.offer_training_grant(&grant).await;
        offered.expect("a grant");
        grant
    }

    fn encryption(&self, rows: &[DescentRow]) -> RowsEncryption {
        let one = Some(NonZeroUsize::MIN);
        let key = Arc::clone(&self.public);
        RowsEncryption::new(key, &self.training, rows.into(), one).expect("rows")
    }

    /// An owner's chunks, of a ciphertext each.
    fn chunks(&self, rows: &[DescentRow]) -> Vec<RowsChunk> {
        let chunks = self.encryption(rows);
        chunks.collect::<Result<_, _>>().expect("encrypted")
    }

    async fn status(&self) -> TrainingStatus {
        let status = self.service.training(self.declared.training).await;
        status.expect("a status")
    }

    /// Rows on which a training is run on this machine, from the files of the bucket.
    async fn alone(&self, stack: &Stack, names: &[String]) -> Vec<u8> {
        let (registry, objects) = (stack.registry(), stack.objects().await);
        let mut upload = DescentUpload {
            public_key: Some(self.public.to_file_bytes()),
            ..DescentUpload::default()
        };
        for name in names {
            let path = objects.iter().find(|key| key.contains(name));
            let chunk = registry.bucket().get(path.expect("a chunk"), u64::MAX);
            let chunk = chunk.await.expect("read").expect("there");
            upload.add(&chunk.bytes).expect("a chunk");
        }
        run_here(&self.training, upload)
    }
}

/// Uploads files by a grant, whatever they hold, and asks for them to be added.
pub(super) async fn add(
    owner: &Requests<'_>,
    grant: &SignedGrant,
    files: &[Vec<u8>],
) -> Result<GrantStatus, Problem> {
    let pieces = GrantedPieces {
        grant: grant.clone(),
        pieces: files.iter().map(|bytes| file(bytes)).collect(),
    };
    let answer = owner.post("/v2/grants/uploads", &pieces).await;
    if answer.status != 201 {
        return Err(answer.problem());
    }
    let uploads: Uploads = serde_json::from_slice(&answer.body).expect("addresses");
    for (transfer, bytes) in uploads.chunks.iter().zip(files) {
        assert_eq!(send(transfer, bytes).await.status, 200);
    }
    let answer = owner.post("/v2/grants/rows", &pieces).await;
    if answer.status != 200 {
        return Err(answer.problem());
    }
    Ok(serde_json::from_slice(&answer.body).expect("a status"))
}

fn unknown<T: std::fmt::Debug>(result: Result<T, ServiceError>) {
    let error = result.expect_err("it is refused");
    let kind = error.problem().map(|problem| problem.kind);
    assert_eq!(kind, Some(ProblemType::UnknownJob), "{error}");
}

/// A declaration whose public key is that of another key, or none.
async fn refuses_public_keys(alice: &Holder<'_>) {
    let other = SecretKey::generate(set()).expect("a key");
    let other = PublicKey::generate(&other).expect("a public key");
    for (file, expected) in [
        (other.to_file_bytes(), "public_key: it is of another key"),
        (b"cipherfn".to_vec(), "public_key: "),
    ] {
        let declaration = TrainingDeclaration {
            training: TrainingId::from_bytes([8; 16]),
            program: name("risk"),
            specs: alice.training.hash(),
            key: alice.secret.id(),
            parameter_set: set().tag(),
            public_key: PublicKeyFile::new(file),
            least_owners: None,
        };
        let refused = alice.requests.post("/v2/trainings", &declaration).await;
        let refused = refused.problem();
        assert_eq!(refused.kind, ProblemType::MalformedRequest);
        assert!(refused.detail.starts_with(expected), "{refused:?}");
    }
}

/// Each of two runs begins with an encryption of zero of its own, so the bits are others, and the weights the same.
fn same_weights(alice: &Holder<'_>, (rows, owners): (&[DescentRow], &[usize]), states: [&[u8]; 2]) {
    let training = &alice.training;
    assert!(states[0] != states[1], "weights begin with what is known");
    let weights = |state: &[u8]| {
        let shape = BatchShape::new(set(), training.features()).expect("a shape");
        let state = DescentState::from_file_bytes(state).expect("a state");
        let sets = Weights::read_sets(&shape, 1, &state.weights).expect("weights");
        sets[0].decrypt(&alice.secret, &shape).expect("decrypted")
    };
    let steps = training.schedule_of(0, owners).expect("steps");
    let mean = mean_square(training, rows);
    let noise = noise_of(training, set(), mean, RowsForm::Public).expect("noise");
    let bound = 18.0 * training.deviation(&steps, mean, &noise);
    let [here, found] = states.map(weights);
    for (one, other) in here.iter().zip(&found) {
        let off = one.wrapping_sub(*other) as i64 as f64 * 2f64.powi(-64);
        assert!(off.abs() < bound, "{off} of {bound}");
    }
}

/// Bob and carol add rows, alice has some of her own: one training, with the weights of a run on this machine. Nobody
/// sees anything of the others; rows that break it are named, and go with their grant.
#[tokio::test(flavor = "multi_thread")]
async fn owners_train_together_by_a_service() {
    let training = program(1);
    let names = ["alice", "bob", "carol"];
    let stack = stack_with(&training, |setup| setup.authorizer = tenants(&names)).await;
    let alice = Holder::new(&stack, training.clone()).await;
    let needed = parts();
    let supplied = alice.service.supply_parts(&RING.1, set(), &needed, |_| ());
    supplied.await.expect("registered");
    let (bob, carol) = (
        stack.service_of("bob-token"),
        stack.service_of("carol-token"),
    );
    refuses_public_keys(&alice).await;
    let nobody = alice
        .service
        .upload_beside(&alice.declared, None, named(), |_| ());
    let nobody = nobody.await.expect_err("no rows").to_string();
    assert!(nobody.contains("no owner has added rows"), "{nobody}");

    // Each by a grant, for a tenant or for whoever has it.
    let all = synthetic(&training, 60);
    let (own, rest) = all.split_at(16);
    let (north, south) = rest.split_at(20);
    let to = bob.frames().await.expect("a list").tenant;
    let for_bob = alice.grant(1, 30, |grant| grant.to = Some(to)).await;
    let for_carol = alice.grant(2, 24, |_| ()).await;
    let rows = alice.encryption(north);
    let added = bob.add_training_rows(&for_bob, rows, |_| ()).await;
    let added = added.expect("added");
    assert_eq!((added.rows, added.most_rows), (20, Some(30)));
    let garbage = Requests {
        stack: &stack,
        token: "carol-token",
    };
    let mut damaged = alice.chunks(&all[..8])[0].to_file_bytes();
    *damaged.last_mut().expect("a byte") ^= 1;
    let for_mallory = alice.grant(3, 8, |_| ()).await;
    add(&garbage, &for_mallory, &[damaged])
        .await
        .expect("added");
    let rows = alice.encryption(south);
    let added = carol.add_training_rows(&for_carol, rows, |_| ()).await;
    assert_eq!(added.expect("added").rows, 24);

    // The training is the key holder's alone, a grant its tenant's.
    let id = alice.declared.training;
    let listed = alice.service.trainings().await.expect("a list").trainings;
    let listed = listed
        .iter()
        .map(|own| (own.training, own.rows, own.owners));
    assert_eq!(listed.collect::<Vec<_>>(), [(id, 52, 3)]);
    assert_eq!(bob.trainings().await.expect("a list").trainings, []);
    unknown(bob.training(id).await);
    unknown(bob.delete_training(id).await);
    unknown(bob.offer_training_grant(&for_bob).await);
    let revocation = Revocation {
        grant: for_carol.grant.id,
        drop_rows: true,
    };
    unknown(bob.revoke_training_grant(id, &revocation).await);
    let stolen = carol.add_training_rows(&for_bob, alice.encryption(south), |_| ());
    let stolen = stolen.await.expect_err("it is refused");
    let kind = stolen.problem().map(|problem| problem.kind);
    assert_eq!(kind, Some(ProblemType::UnknownGrant), "{stolen}");

    // A file that is not as it was made is named by the worker. It goes with its grant.
    let status = alice.status().await;
    assert_eq!((status.rows, status.owners.len()), (52, 3));
    let begun = alice.service.upload_beside(&status, None, named(), |_| ());
    let begun = begun.await.expect("uploaded");
    assert_eq!(begun.owners, [20, 8, 24]);
    refuses_parts(&alice, &begun.declaration).await;
    let answer = alice.requests.post("/v2/jobs", &begun.declaration).await;
    let job = super::status_of(&answer).job;
    let failed = alice.requests.settled(job).await;
    let (kind, detail) = problem(&failed.states[0]);
    assert_eq!(kind, ProblemType::MalformedRows);
    assert!(
        detail.starts_with("chunk 1: ") && detail.contains("corrupt"),
        "{detail}"
    );
    let revocation = Revocation {
        grant: for_mallory.grant.id,
        drop_rows: true,
    };
    let status = alice.service.revoke_training_grant(id, &revocation).await;
    let status = status.expect("revoked");
    assert_eq!((status.rows, status.owners.len()), (44, 2));

    let one = Some(NonZeroUsize::MIN);
    let key = Arc::clone(&alice.secret);
    let mine = RowsEncryption::new(key, &training, own.into(), one).expect("rows");
    let uploaded = alice
        .service
        .upload_beside(&status, Some(mine), named(), |_| ());
    let uploaded = uploaded.await.expect("uploaded");
    let document = serde_json::to_vec(&uploaded).expect("JSON");
    let uploaded = cipherfn_client_http::UploadedRows::from_json(&document).expect("the same");
    assert_eq!(
        (uploaded.rows, &uploaded.owners[..]),
        (60, &[16, 20, 24][..])
    );
    let trained = alice.service.train(&uploaded, |_| ()).await;
    let (trained, result) = trained.expect("trained");
    let files = uploaded.declaration.chunks.iter();
    let files: Vec<String> = files.map(|file| file.sha256.to_string()).collect();
    let here = alice.alone(&stack, &files).await;
    // Another job would tell of the same rows again, and who comes now would not be in this one.
    let again = JobDeclaration {
        idempotency_key: IdempotencyKey::from_bytes([9; 16]),
        ..uploaded.declaration.clone()
    };
    let again = alice.requests.post("/v2/jobs", &again).await.problem();
    assert_eq!(again.kind, ProblemType::JobConflict);
    assert!(again.detail.contains(&trained.to_string()), "{again:?}");
    let late = add(&garbage, &for_carol, &[b"more".to_vec()]).await;
    let late = late.expect_err("it is refused");
    assert_eq!(late.kind, ProblemType::GrantExpired);
    assert!(late.detail.contains("has begun"), "{}", late.detail);
    same_weights(&alice, (&all, &uploaded.owners), [&here, &result]);
    let weights = decrypt_weights(&alice.secret, &training, uploaded.trained(), &result);
    assert_eq!(weights.expect("weights")[0].len(), 3);

    for job in [job, trained] {
        alice.service.delete_job(job).await.expect("deleted");
    }
    alice.service.delete_training(id).await.expect("deleted");
    unknown(alice.service.training(id).await);
    unknown(alice.service.delete_training(id).await);
    assert_eq!(left(&stack).await, Vec::<String>::new());
}

/// A job over a part of what owners have added is none, and one over an owner's ciphertexts that came to no
/// training trains on nothing: from weights that the key holder chooses one owner's rows would follow.
async fn refuses_parts(alice: &Holder<'_>, whole: &JobDeclaration) {
    let named = |number| IdempotencyKey::from_bytes([number; 16]);
    for (number, chunks) in [(1, &whole.chunks[..1]), (2, &whole.chunks[1..])] {
        let part = JobDeclaration {
            idempotency_key: named(number),
            chunks: chunks.to_vec(),
            ..whole.clone()
        };
        let refused = alice.requests.post("/v2/jobs", &part).await.problem();
        assert_eq!(refused.kind, ProblemType::JobConflict);
        assert!(refused.detail.contains("not all rows"), "{refused:?}");
    }
    let rows = synthetic(&alice.training, 8);
    let files = [alice.chunks(&rows)[0].to_file_bytes()];
    let (upload, chunks) = alice.requests.upload(&files).await;
    let stray = JobDeclaration {
        idempotency_key: named(3),
        upload,
        chunks,
        ..whole.clone()
    };
    let job = alice.requests.begin(&stray).await;
    let failed = alice.requests.settled(job).await;
    let (kind, detail) = problem(&failed.states[0]);
    assert_eq!(kind, ProblemType::MalformedRows);
    assert!(detail.contains("under a public key"), "{detail}");
    alice.service.delete_job(job).await.expect("deleted");
}

fn named() -> RowsName {
    RowsName {
        table: Hash::of(b"table"),
        start: None,
    }
}
