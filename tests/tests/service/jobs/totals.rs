//! Totals of sums of several tenants: each encrypts its own under the key holder's public key and contributes them
//! by a grant; the service adds; the key holder gets the total, once, and nothing else.

mod few;
mod lost;
mod tables;

use super::joint::{SIGNS, add};
use super::training::{RING, left, publish, set};
use super::{Requests, refusals};
use crate::stack::{Setup, Stack, name, tenants};
use cipherfn_client::training::{contribute, error, open};
use cipherfn_client_http::{OwnSums, Service, ServiceError, public_key_hash};
use cipherfn_protocol::api::grant::{Grant, GrantId, GrantTarget, SignedGrant, TrainingTerms};
use cipherfn_protocol::api::grants::{Contributor, Revocation};
use cipherfn_protocol::api::job::{ChunkFile, IdempotencyKey, JobDeclaration, JobKind};
use cipherfn_protocol::api::trainings::{TrainingDeclaration, TrainingId, TrainingStatus};
use cipherfn_protocol::api::{Problem, ProblemType, PublicKeyFile, PublishedKind};
use cipherfn_protocol::hash::{Hash, SpecsHash};
use cipherfn_protocol::message::KeyId;
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::public::PublicKey;
use cipherfn_service::bucket::Bucket;
use cipherfn_service::registry::Published;
use cipherfn_serving::training::Total;
use cipherfn_training::fit::Fit;
use cipherfn_training::{Contribution, Moments, StatisticsSpec, Sums};
use std::time::Duration;
use time::OffsetDateTime;

fn spec(name: &str) -> StatisticsSpec {
    let text = format!(
        "format = 1\nname = \"{name}\"\nrows = 1000\n[[column]]\nname = \"age\"\nlow = 0\nhigh = 120\n[[column]]\nname = \"pulse\"\nlow = 30\nhigh = 220\n[target]\nname = \"days\"\nlow = 0\nhigh = 60\n"
    );
    StatisticsSpec::from_toml(&text).expect("a spec")
}

/// An owner's rows: no column follows from the others.
fn rows(owner: u32) -> Vec<[f64; 3]> {
    let row = |number: u32| {
        let (age, pulse) = ((20 + number * 37 % 70), (50 + number * 53 % 90));
        let noise = f64::from(number * 29 % 7) - 3.0;
        let days = f64::from(age) / 10.0 + f64::from(pulse) / 20.0 + noise;
        [age.into(), pulse.into(), days]
    };
    (owner * 100..owner * 100 + 40).map(row).collect()
}

fn sums<'a>(spec: &'a StatisticsSpec, rows: &[[f64; 3]]) -> Sums<'a> {
    let mut sums = Sums::new(spec);
    for row in rows {
        sums.add(row, &[]).expect("a row");
    }
    sums
}

/// Alice, whose key totals are under.
struct Holder<'a> {
    service: Service,
    requests: Requests<'a>,
    program: &'static str,
    specs: SpecsHash,
    secret: SecretKey,
    public: PublicKey,
    declared: TrainingStatus,
}

impl<'a> Holder<'a> {
    /// A total of two owners at least, by a program.
    async fn new(stack: &'a Stack, program: &'static str, specs: SpecsHash) -> Self {
        let service = stack.service_of("alice-token");
        let secret = RING.1.secret_key(set()).expect("a key");
        let public = PublicKey::generate(&secret).expect("a public key");
        let of = (&name(program), specs);
        let declared = service.declare_total(of, &public, 2).await;
        Self {
            declared: declared.expect("declared"),
            requests: Requests {
                stack,
                token: "alice-token",
            },
            service,
            program,
            specs,
            secret,
            public,
        }
    }

    /// A grant of sums of 50 rows, for an hour: offered.
    async fn grant(&self, number: u8, change: impl FnOnce(&mut Grant)) -> SignedGrant {
        let mut grant = Grant {
            id: GrantId::from_bytes([number; 16]),
            owner: self.declared.tenant,
            target: GrantTarget::Training(TrainingTerms {
                training: self.declared.training,
                program: name(self.program),
                specs: self.specs,
                key: self.secret.id(),
                public_key: public_key_hash(&self.public.to_file_bytes()),
                rows: 50,
                least_owners: Some(2),
            }),
            to: None,
            objects: 3,
            bytes: 100_000,
            expires: OffsetDateTime::now_utc() + Duration::from_hours(1),
        };
        grant.expires = grant.expires.replace_nanosecond(0).expect("a time");
        change(&mut grant);
        let grant = SIGNS.sign_grant(grant);
        let offered = self.service.offer_training_grant(&grant).await;
        offered.expect("a grant");
        grant
    }

    fn contribution(&self, owner: u32) -> Contribution {
        let spec = spec("stay");
        contribute(&self.public, &spec, &sums(&spec, &rows(owner))).expect("encrypted")
    }

    async fn status(&self) -> TrainingStatus {
        let status = self.service.training(self.declared.training).await;
        status.expect("a status")
    }

    /// A document of the bucket.
    async fn stored(&self, key: &str) -> serde_json::Value {
        let registry = self.requests.stack.registry();
        let stored = registry.bucket().get(key, 1 << 20).await;
        let stored = stored.expect("an answer").expect("a document");
        serde_json::from_slice(&stored.bytes).expect("JSON")
    }

    async fn revoke(&self, grant: &SignedGrant) -> TrainingStatus {
        let revocation = Revocation {
            grant: grant.grant.id,
            drop_rows: true,
        };
        let id = self.declared.training;
        let revoked = self.service.revoke_training_grant(id, &revocation).await;
        revoked.expect("revoked")
    }

    fn job(&self, number: u8, chunks: &[ChunkFile]) -> JobDeclaration {
        JobDeclaration {
            idempotency_key: IdempotencyKey::from_bytes([number; 16]),
            kind: JobKind::Train,
            model: name(self.program),
            specs: self.specs,
            key: self.secret.id(),
            upload: self.declared.training.into(),
            chunks: chunks.to_vec(),
            parts: 1,
        }
    }
}

fn own(contribution: &Contribution) -> OwnSums {
    OwnSums {
        program: contribution.spec,
        key: contribution.key,
        rows: 40,
        file: contribution.to_file_bytes().into(),
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, ServiceError>) -> Problem {
    let error = result.expect_err("it is refused");
    error.problem().expect("a problem").clone()
}

async fn stack(program: &str, specs: &[u8]) -> Stack {
    stack_with((program, specs), |_| ()).await
}

async fn stack_with((program, specs): (&str, &[u8]), change: impl FnOnce(&mut Setup)) -> Stack {
    let names = ["alice", "bob", "carol", "dave"];
    let stack = Stack::start(|setup| {
        setup.authorizer = tenants(&names);
        change(setup);
    })
    .await;
    let version = Published {
        hash: Hash::of(specs),
        bundle: None,
        specs: specs.to_vec().into(),
        specs_v1: None,
        report: None,
        kind: PublishedKind::Program,
    };
    stack.publish_version(program, &version, 2).await;
    stack
}

/// Two of four tenants make a total, by a service that no key was registered at.
#[tokio::test(flavor = "multi_thread")]
async fn owners_sums_are_added_by_a_service() {
    let stay = spec("stay");
    let stack = stack("stay", stay.canonical()).await;
    let alice = Holder::new(&stack, "stay", stay.hash()).await;
    let service = |token| stack.service_of(token);
    let (bob, carol, dave) = (
        service("bob-token"),
        service("carol-token"),
        service("dave-token"),
    );
    let nobody = alice.service.total(&alice.declared).await;
    let nobody = nobody.expect_err("no sums").to_string();
    assert!(nobody.contains("no owner has contributed"), "{nobody}");

    // Each once, by a grant of its own or by another one.
    let to = bob.frames().await.expect("a list").tenant;
    let for_bob = alice.grant(1, |grant| grant.to = Some(to)).await;
    let for_carol = alice.grant(2, |_| ()).await;
    let for_dave = alice.grant(3, |_| ()).await;
    let north = alice.contribution(1);
    for _ in 0..2 {
        bob.add_sums(&for_bob, &own(&north)).await.expect("added");
        assert_eq!(alice.status().await.owners.len(), 1, "added once");
    }
    for grant in [&for_bob, &for_carol] {
        let again = bob.add_sums(grant, &own(&alice.contribution(1))).await;
        let again = refused(again);
        assert_eq!(again.kind, ProblemType::GrantUsedUp);
        assert!(again.detail.contains("each owner does once"), "{again:?}");
    }
    let stolen = refused(dave.add_sums(&for_bob, &own(&north)).await);
    assert_eq!(stolen.kind, ProblemType::UnknownGrant);

    // The key holder's own sums are none of those that hide others.
    let for_alice = alice.grant(4, |_| ()).await;
    let mine = alice.contribution(0);
    let mine = alice.service.add_sums(&for_alice, &own(&mine)).await;
    mine.expect("added");
    let few = refused(alice.service.total(&alice.status().await).await);
    assert_eq!(few.kind, ProblemType::JobConflict);
    assert!(
        few.detail.contains("2 owners at least") && few.detail.contains("1 have contributed"),
        "{few:?}"
    );
    let status = alice.revoke(&for_alice).await;
    assert_eq!(status.owners.len(), 1);

    let south = alice.contribution(2);
    carol
        .add_sums(&for_carol, &own(&south))
        .await
        .expect("added");
    let taken = refused(dave.add_sums(&for_carol, &own(&north)).await);
    assert_eq!(taken.kind, ProblemType::GrantUsedUp);
    assert!(taken.detail.contains("another tenant"), "{taken:?}");
    stands(&alice, [&bob, &carol, &dave], [&for_bob, &for_carol]).await;
    let wrong = own(&alice.contribution(3));
    dave.add_sums(&for_dave, &wrong).await.expect("added");
    assert_eq!(alice.status().await.owners.len(), 3);
    let status = alice.revoke(&for_dave).await;
    assert_eq!((status.owners.len(), status.least_owners), (2, Some(2)));
    refuses_parts(&alice, &status).await;

    let (job, result) = alice.service.total(&status).await.expect("the total");
    let again = alice.service.total(&status).await.expect("the total");
    assert_eq!(again, (job, result.clone()), "whoever asks again");
    is_of(&alice, &result, [&north, &south]);

    // One total: nothing is added, and none without somebody.
    let late = alice.contribution(4);
    let late = refused(dave.add_sums(&for_carol, &own(&late)).await);
    assert_eq!(late.kind, ProblemType::GrantExpired);
    let without = alice.revoke(&for_carol).await;
    let without = refused(alice.service.total(&without).await);
    assert_eq!(without.kind, ProblemType::JobConflict);
    assert!(without.detail.contains(&job.to_string()), "{without:?}");

    alice.service.delete_job(job).await.expect("deleted");
    let without = refused(alice.service.total(&alice.status().await).await);
    assert_eq!(without.kind, ProblemType::JobConflict);
    assert!(without.detail.contains(&job.to_string()), "{without:?}");
    let deleted = alice.service.delete_training(alice.declared.training);
    deleted.await.expect("deleted");
    assert_eq!(left(&stack).await, Vec::<String>::new());
    is_not_declared_again(&alice).await;
}

/// Who asks is told before it sends anything; what was refused has used up nothing of a grant.
async fn stands(alice: &Holder<'_>, owners: [&Service; 3], grants: [&SignedGrant; 2]) {
    let ([bob, carol, dave], [for_bob, for_carol]) = (owners, grants);
    let (caller, another) = (Some(Contributor::Caller), Some(Contributor::Another));
    for (owner, grant, expected) in [
        (bob, for_bob, caller),
        (bob, for_carol, caller),
        (carol, for_carol, caller),
        (dave, for_carol, another),
    ] {
        let stand = owner.training_grant(grant).await.expect("a stand");
        assert_eq!((stand.contributed, stand.objects_used), (expected, 1));
    }
    for grant in alice.status().await.grants {
        assert!(grant.objects_used <= 1 && grant.contributed.is_none());
    }
}

/// Declared once more a total would take the same grants, and two totals tell by their difference what one owner has
/// that contributed to one of them.
async fn is_not_declared_again(alice: &Holder<'_>) {
    let declaration = TrainingDeclaration {
        training: alice.declared.training,
        program: name("stay"),
        specs: alice.specs,
        key: alice.secret.id(),
        parameter_set: set().tag(),
        public_key: PublicKeyFile::new(alice.public.to_file_bytes()),
        least_owners: Some(2),
    };
    let again = alice.requests.post("/v2/trainings", &declaration).await;
    assert_eq!(again.problem().kind, ProblemType::JobConflict);
    let deleted = alice.service.delete_training(alice.declared.training);
    let deleted = deleted.await.expect_err("it is gone");
    let kind = deleted.problem().map(|problem| problem.kind);
    assert_eq!(kind, Some(ProblemType::UnknownJob), "{deleted}");
}

/// A result is the total of contributions, to the bit, and its numbers are those of all rows.
fn is_of(alice: &Holder<'_>, result: &[u8], contributions: [&Contribution; 2]) {
    let spec = &spec("stay");
    let mut here = Total::new(spec);
    for contribution in contributions {
        here.add(contribution).expect("added");
    }
    let here = here.finish().expect("a total");
    let found = Contribution::from_file_bytes(result).expect("a total");
    assert!(found == here && found.owners == 2);
    let pooled = [rows(1), rows(2)].concat();
    let clear = sums(spec, &pooled).words();
    let clear = Moments::decode(spec, error(set(), 2), &clear).expect("moments");
    let found = open(&alice.secret, spec, &found).expect("moments");
    assert_eq!((found.count(), clear.count()), (80.0, 80.0));
    let ridge = Fit::Linear { penalty: 10.0 };
    let weights = [&found, &clear].map(|moments| {
        let model = ridge.of(spec, moments).expect("a model");
        let (weights, intercepts) = model.raw_weights().expect("weights");
        [weights.concat(), intercepts].concat()
    });
    let largest = weights[1]
        .iter()
        .fold(0.0, |most: f64, one| most.max(one.abs()));
    for (one, other) in weights[0].iter().zip(&weights[1]) {
        assert!((one - other).abs() < 1e-6 * largest, "{weights:?}");
    }
}

/// A job over a part of the contributions is none, nor is one over contributions that came to no total.
async fn refuses_parts(alice: &Holder<'_>, status: &TrainingStatus) {
    let all: Vec<ChunkFile> = status.owners.iter().map(|own| own.chunks[0]).collect();
    let (own, uploaded) = alice
        .requests
        .upload(&[alice.contribution(5).to_file_bytes()])
        .await;
    for (number, chunks) in [(1, vec![all[0]]), (2, vec![all[1], all[0]])] {
        let part = alice.job(number, &chunks);
        let part = alice.requests.post("/v2/jobs", &part).await.problem();
        assert_eq!(part.kind, ProblemType::JobConflict);
        assert!(part.detail.contains("not all rows"), "{part:?}");
    }
    let stray = JobDeclaration {
        upload: own,
        ..alice.job(3, &uploaded)
    };
    let job = alice.requests.begin(&stray).await;
    let failed = alice.requests.settled(job).await;
    let (kind, detail) = refusals::problem(&failed.states[0]);
    assert_eq!(kind, ProblemType::MalformedRows);
    assert!(detail.contains("under a public key"), "{detail}");
    alice.service.delete_job(job).await.expect("deleted");
}

/// What is no contribution to this total, whole, by one owner, never is in it.
#[tokio::test(flavor = "multi_thread")]
async fn sums_are_looked_at_before_they_are_in_a_total() {
    let stay = spec("stay");
    let stack = stack("stay", stay.canonical()).await;
    let alice = Holder::new(&stack, "stay", stay.hash()).await;
    let bob = Requests {
        stack: &stack,
        token: "bob-token",
    };
    let sound = alice.contribution(1);
    let changed = |change: &dyn Fn(&mut Contribution)| {
        let mut contribution = sound.clone();
        change(&mut contribution);
        contribution.to_file_bytes()
    };
    let mut damaged = sound.to_file_bytes();
    damaged[100] ^= 1;
    let short = changed(&|own| own.ciphertexts.truncate(12_000));
    let cases = [
        (
            vec![changed(&|own| own.spec = spec("other").hash())],
            "chunk 0: the contribution is to spec",
        ),
        (
            vec![changed(&|own| own.key = KeyId::from_bytes([9; 16]))],
            "is encrypted for key",
        ),
        (
            vec![changed(&|own| {
                own.parameter_set = cipherfn_protocol::frame::ParameterSetTag::NONE;
            })],
            "another parameter set",
        ),
        (
            vec![changed(&|own| own.owners = 2)],
            "the sum of 2 contributions",
        ),
        (vec![short], "bytes where contributions to this spec have"),
        (vec![damaged], "chunk 0: "),
        (
            vec![sound.to_file_bytes(), alice.contribution(1).to_file_bytes()],
            "2 chunks, and a contribution is one",
        ),
    ];
    for (number, (files, expected)) in (1..).zip(&cases) {
        let grant = alice.grant(number, |_| ()).await;
        let refused = add(&bob, &grant, files).await.expect_err(expected);
        assert_eq!(refused.kind, ProblemType::MalformedRows, "{expected}");
        assert!(refused.detail.contains(expected), "{expected}: {refused:?}");
        assert!(alice.revoke(&grant).await.owners.is_empty());
    }
    let objects = stack.objects().await;
    assert!(
        !objects.iter().any(|key| key.starts_with("uploads/")),
        "{objects:?}"
    );
    // What the grant allows, as far as the client can tell.
    let grant = alice.grant(30, |_| ()).await;
    let many = OwnSums {
        rows: 51,
        ..own(&sound)
    };
    let many = stack.service_of("bob-token").add_sums(&grant, &many).await;
    let many = many.expect_err("too many").to_string();
    assert!(
        many.contains("the grant allows 50 rows, and these are 51"),
        "{many}"
    );
    refuses_declarations(&stack, &alice).await;
}

/// A total says of how many owners it is, a training on rows does not.
async fn refuses_declarations(stack: &Stack, alice: &Holder<'_>) {
    let training = super::training::program(1);
    publish(stack, &training, 2).await;
    let declared = |program: &str, specs, least_owners| TrainingDeclaration {
        training: TrainingId::from_bytes([8; 16]),
        program: name(program),
        specs,
        key: alice.secret.id(),
        parameter_set: set().tag(),
        public_key: PublicKeyFile::new(alice.public.to_file_bytes()),
        least_owners,
    };
    let stay = alice.specs;
    // What a later build may have published: nobody here can tell what owners would add.
    let later = br#"{"format":9}"#;
    let version = Published {
        hash: Hash::of(later),
        bundle: None,
        specs: later.to_vec().into(),
        specs_v1: None,
        report: None,
        kind: PublishedKind::Program,
    };
    stack.publish_version("later", &version, 2).await;
    for (declaration, expected) in [
        (
            declared("later", version.hash, Some(2)),
            "of later is none that this service can read",
        ),
        (declared("stay", stay, None), "0 owners; a total is"),
        (declared("stay", stay, Some(1)), "1 owners; a total is"),
        (declared("stay", stay, Some(1001)), "of 2 to 1000 at least"),
        (
            declared("risk", training.hash(), Some(2)),
            "risk trains on rows",
        ),
    ] {
        let refused = alice.requests.post("/v2/trainings", &declaration).await;
        let refused = refused.problem();
        assert_eq!(refused.kind, ProblemType::MalformedRequest);
        assert!(refused.detail.contains(expected), "{refused:?}");
    }
    // Grants say the same as the declaration.
    let mut grant = alice.grant(40, |_| ()).await.grant;
    grant.id = GrantId::from_bytes([41; 16]);
    if let GrantTarget::Training(terms) = &mut grant.target {
        terms.least_owners = Some(3);
    }
    let grant = SIGNS.sign_grant(grant);
    let offered = refused(alice.service.offer_training_grant(&grant).await);
    assert_eq!(offered.kind, ProblemType::MalformedRequest);
    assert!(offered.detail.starts_with("least_owners"), "{offered:?}");
}
