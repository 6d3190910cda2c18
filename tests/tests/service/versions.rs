//! Clients of version 1 and of version 2 at the same service.

use crate::live::change;
use crate::models::{Caller, TREE, TREE_OF_ALL_PARTS, TREE_OF_WIDE_SET, fetch};
use crate::stack::Stack;
use crate::uploads::registration::{Registration, put, sha256};
use crate::wire::Answer;
use cipherfn_client::Client;
use cipherfn_protocol::api::v2::{KeyDeclaration, KeyStatus, KeyUpload, PartDeclaration, Pieces};
use cipherfn_protocol::api::{
    ApiVersion, JSON, KeyState, ModelList, PartUpload, ProblemType, QUERY, Route,
};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::specs::ParameterSetRef;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_service::config;
use std::collections::BTreeMap;

/// The first two parts of a key of a set with several.
pub(crate) struct Key {
    set: &'static ParameterSet,
    pub(crate) secret: SecretKey,
    /// Files by part.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Key {
    pub(crate) fn new() -> Self {
        let mut sets = ParameterSet::all().iter();
        let set = sets.find(|set| set.parts.len() > 1);
        let set = set.expect("a set with several parts");
        let secret = SecretKey::generate(set).expect("random bytes");
        let file = |name: &str| {
            let part = EvaluationKey::generate_part(&secret, name).expect("a part");
            (name.to_owned(), part.to_file_bytes())
        };
        let files = set.parts[..2].iter().map(|part| file(part.name)).collect();
        Self { set, secret, files }
    }

    /// Declares these parts.
    pub(crate) async fn declare(
        &self,
        stack: &Stack,
        parts: &[&str],
        pieces: Option<u64>,
    ) -> Answer {
        let declare = |name: &&str| {
            let file = &self.files[*name];
            let part = PartDeclaration {
                bytes: file.len() as u64,
                sha256: sha256(file),
                pieces: pieces.map(|bytes| Pieces {
                    bytes,
                    sha256: file.chunks(bytes as usize).map(sha256).collect(),
                }),
            };
            ((*name).to_owned(), part)
        };
        let declaration = KeyDeclaration {
            key: self.secret.id(),
            parameter_set: ParameterSetRef {
                name: self.set.name.to_owned(),
                hash: self.set.hash(),
            },
            parts: parts.iter().map(declare).collect(),
        };
        let body = serde_json::to_vec(&declaration).expect("JSON");
        let path = Route::DeclareKey.path(ApiVersion::V2, "");
        stack
            .send("POST", &path, &[("content-type", JSON)], body)
            .await
    }

    /// Sends what is missing, with `change`d bytes.
    pub(crate) async fn upload(&self, answer: &Answer, change: impl Fn(&mut Vec<u8>)) {
        let upload: KeyUpload = serde_json::from_slice(&answer.body).expect("an upload");
        for piece in upload.pieces {
            let file = &self.files[&piece.part];
            let mut bytes = file[piece.offset as usize..][..piece.bytes as usize].to_vec();
            change(&mut bytes);
            let part = PartUpload::from(piece);
            assert_eq!(put(&part, &bytes).await.status, 200);
        }
    }

    pub(crate) async fn send(&self, stack: &Stack, route: Route, version: ApiVersion) -> Answer {
        let path = route.path(version, &self.secret.id().to_string());
        stack.send(route.method(), &path, &[], "").await
    }

    pub(crate) async fn states(&self, stack: &Stack) -> Vec<(String, KeyState)> {
        let answer = self.send(stack, Route::KeyStatus, ApiVersion::V2).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let status: KeyStatus = serde_json::from_slice(&answer.body).expect("a status");
        let parts = status.parts.into_iter();
        parts.map(|(name, part)| (name, part.state)).collect()
    }
}

fn names(states: &[(&str, KeyState)]) -> Vec<(String, KeyState)> {
    let states = states.iter();
    states
        .map(|(name, state)| ((*name).to_owned(), *state))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_registered_in_parts() {
    let stack = Stack::start(|setup| {
        setup
            .environment
            .push((config::MIN_PART_BYTES, "1024".to_owned()));
        setup.part_bytes = 1024;
    })
    .await;
    let key = Key::new();
    let complete = async || key.send(&stack, Route::CompleteKey, ApiVersion::V2).await;
    // One part after the other, the second in pieces.
    let declared = key.declare(&stack, &["expansion"], None).await;
    assert_eq!(declared.status, 201, "{declared:?}");
    assert_eq!(complete().await.problem().kind, ProblemType::UploadMissing);
    key.upload(&declared, |_| ()).await;
    assert_eq!(complete().await.status, 200);
    assert_eq!(
        key.states(&stack).await,
        names(&[("expansion", KeyState::Active)])
    );
    let declared = key.declare(&stack, &["inverse"], Some(16 << 10)).await;
    assert_eq!(
        key.states(&stack).await,
        names(&[
            ("expansion", KeyState::Active),
            ("inverse", KeyState::Pending)
        ])
    );
    let upload: KeyUpload = serde_json::from_slice(&declared.body).expect("an upload");
    assert!(upload.pieces.len() > 1 && upload.pieces.iter().all(|it| it.part == "inverse"));
    key.upload(&declared, |_| ()).await;
    assert_eq!(complete().await.status, 200);
    let both = names(&[
        ("expansion", KeyState::Active),
        ("inverse", KeyState::Active),
    ]);
    assert_eq!(key.states(&stack).await, both);

    // Nothing is missing; a client of version 1 sees the part that it knows.
    let declared = key.declare(&stack, &["inverse", "expansion"], None).await;
    assert_eq!(declared.status, 200);
    let seen = key.send(&stack, Route::KeyStatus, ApiVersion::V1).await;
    let bytes = key.files["expansion"].len();
    assert_eq!((seen.status, &seen.json()["bytes"]), (200, &bytes.into()));

    // One deletion takes all of it.
    let deleted = key.send(&stack, Route::DeleteKey, ApiVersion::V2).await;
    assert_eq!(deleted.status, 204);
    assert_eq!(stack.key_objects().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_cannot_be() {
    let stack = Stack::start(|_| {}).await;
    let mut key = Key::new();
    let complete = async |key: &Key| key.send(&stack, Route::CompleteKey, ApiVersion::V2).await;
    for name in ["other", "../expansion", ""] {
        let file = key.files["inverse"].clone();
        key.files.insert(name.to_owned(), file);
        let answer = key.declare(&stack, &[name], None).await;
        assert_eq!(answer.problem().kind, ProblemType::MalformedRequest);
    }
    let answer = key.declare(&stack, &[], None).await;
    assert_eq!(answer.problem().kind, ProblemType::MalformedRequest);
    assert!(stack.objects().await.is_empty());

    // A damaged part is named; the other one is active all the same.
    let sound = key.files["inverse"].clone();
    let mut damaged = sound.clone();
    *damaged.last_mut().expect("bytes") ^= 1;
    key.files.insert("inverse".to_owned(), damaged);
    let declared = key.declare(&stack, &["expansion", "inverse"], None).await;
    key.upload(&declared, |_| ()).await;
    let problem = complete(&key).await.problem();
    assert_eq!(problem.kind, ProblemType::KeyRejected);
    assert!(
        problem.detail.contains("part inverse"),
        "{}",
        problem.detail
    );
    let states = names(&[
        ("expansion", KeyState::Active),
        ("inverse", KeyState::Rejected),
    ]);
    assert_eq!(key.states(&stack).await, states);
    key.files.insert("inverse".to_owned(), sound);
    let declared = key.declare(&stack, &["inverse"], None).await;
    key.upload(&declared, |_| ()).await;
    assert_eq!(complete(&key).await.status, 200);

    // Version 1 has no parts but the one.
    let only_inverse = Key::new();
    let declared = only_inverse.declare(&stack, &["inverse"], None).await;
    only_inverse.upload(&declared, |_| ()).await;
    assert_eq!(complete(&only_inverse).await.status, 200);
    let seen = only_inverse
        .send(&stack, Route::KeyStatus, ApiVersion::V1)
        .await;
    assert_eq!(seen.problem().kind, ProblemType::UnknownKey);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_needs_a_missing_part_is_told_which() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), "tree").await;
    change(&stack, "/record.json", |record| {
        let record = String::from_utf8(record.to_vec()).expect("text");
        record
            .replace("\"expansion\":", "\"inverse\":")
            .into_bytes()
    })
    .await;
    let problem = stack.query("tree", caller.query(&TREE.rows(0, 1))).await;
    let problem = problem.problem();
    assert_eq!(
        (problem.status, problem.kind),
        (409, ProblemType::MissingKeyPart)
    );
    assert_eq!(problem.missing_part.as_deref(), Some("expansion"));
}

/// Two models of one set, of which one needs a part more: cold and warm.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_needs_is_loaded_and_what_is_missing_supplied() {
    let (all, one) = (&*TREE_OF_ALL_PARTS, &*TREE_OF_WIDE_SET);
    let stack = Stack::start(|_| {}).await;
    stack.publish("all", &all.bundle, 2).await;
    stack.publish("one", &one.bundle, 2).await;
    let mut caller = Caller::registered(stack.service(|_| {}), "one").await;
    // Cold, the model is known only after the key is on its way.
    let client = fetch(&caller.service, "all").await.expect("specs");
    caller.client = client;
    let query = caller.query(&all.rows(0, 1));
    let problem = stack.query("all", query.clone()).await.problem();
    assert_eq!(
        (problem.kind, problem.missing_part.as_deref()),
        (ProblemType::MissingKeyPart, Some("inverse"))
    );
    // The client makes it, uploads it and tries again. The key in memory gets its second part.
    let found = caller.predict_of("all", all.rows(0, 2)).await;
    all.check(0, 2, &found.expect("answers"));
    let status = caller.service.key_status(caller.key()).await.expect("it");
    let states = status.parts.values().map(|part| part.state);
    assert_eq!(states.collect::<Vec<_>>(), [KeyState::Active; 2]);
    let found = caller.predict_of("all", all.rows(2, 2)).await;
    all.check(2, 2, &found.expect("answers"));
    let objects = stack.key_objects().await;
    assert_eq!(objects.len(), 3, "{objects:?}");
}

/// Specs, a registration and a query of a client that knows nothing newer.
#[tokio::test(flavor = "multi_thread")]
async fn clients_of_version_1_are_served_as_before() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let list: ModelList = {
        let answer = stack.send("GET", "/v1/models", &[], "").await;
        serde_json::from_slice(&answer.body).expect("a list")
    };
    let answer = stack.send("GET", "/v1/models/tree", &[], "").await;
    let specs = TREE
        .bundle
        .specs_v1
        .as_ref()
        .expect("a document of format 1");
    assert_eq!(
        (answer.status, answer.body.as_ref()),
        (200, specs.as_slice())
    );
    assert_eq!(list.models[0].current, Hash::of(specs));
    assert_eq!(answer.header("etag"), format!("\"{}\"", Hash::of(specs)));
    assert_eq!(answer.json()["format"], 1);
    let answer = stack.send("GET", "/v2/models/tree", &[], "").await;
    assert_eq!(answer.body.as_ref(), TREE.bundle.specs.as_slice());

    let mut caller = Caller::new(stack.service(|_| {}), "tree").await;
    let registration = Registration::of(&stack, &caller.evaluation_key(), caller.key_file());
    registration.register().await;
    caller.client = Client::from_specs(specs).expect("specs").into();
    let query = caller.query(&TREE.rows(0, 2));
    let headers = [("content-type", QUERY)];
    let path = "/v1/models/tree/predict";
    let answer = stack.send("POST", path, &headers, query.clone()).await;
    TREE.check(0, 2, &caller.open(&answer.body));

    // What they are told to fetch is what they can read.
    stack
        .publish("tree", &crate::models::TREE_2.bundle, 1)
        .await;
    let problem = stack.send("POST", path, &headers, query).await.problem();
    let current = crate::models::TREE_2
        .bundle
        .specs_v1
        .as_deref()
        .map(Hash::of);
    assert_eq!(
        (problem.kind, problem.current_specs),
        (ProblemType::StaleSpecs, current)
    );
}
