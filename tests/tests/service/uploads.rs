//! Registration of evaluation keys as the client library does it, and as it must not be done.

mod pieces;
pub(crate) mod registration;

use crate::models::{Caller, TREE, TREE_OF_OTHER_SET};
use crate::stack::{Setup, Stack};
use cipherfn_client::Remedy;
use cipherfn_client_http::ServiceError;
use cipherfn_protocol::api::{KeyDeclarationV1, KeyState, PartUpload, Pieces, ProblemType};
use cipherfn_protocol::specs::ParameterSetRef;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_service::config;
use registration::{Registration, declare, put, sha256};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;

/// Bytes of a part where uploads are cut.
const PART: u64 = 256 << 10;

fn small_parts(setup: &mut Setup) {
    setup
        .environment
        .push((config::MIN_PART_BYTES, "1024".to_owned()));
    setup.part_bytes = 1024;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_bound_to_its_signature_size_and_checksum() {
    let stack = Stack::start(|_| {}).await;
    let registration = Registration::new(&stack);
    assert_eq!(
        registration.complete().await.problem().kind,
        ProblemType::UnknownKey,
        "not declared"
    );
    let part = registration.part().await;
    assert_eq!(
        (part.number, part.offset, part.bytes),
        (1, 0, registration.file.len() as u64)
    );
    registration.nothing_arrived().await;

    // Another signature, or another place under the same one.
    let mut forged = part.clone();
    let last = forged.url.pop().expect("a signature");
    forged.url.push(if last == '0' { '1' } else { '0' });
    assert_eq!(registration.put(&forged).await.status, 403);
    let mut elsewhere = part.clone();
    elsewhere.url = part.url.replacen("/quarantine/", "/keys/", 1);
    assert_ne!(elsewhere.url, part.url);
    assert_eq!(registration.put(&elsewhere).await.status, 403);
    registration.nothing_arrived().await;

    // Another size.
    for bytes in [
        &registration.file[1..],
        &[&registration.file[..], &[0]].concat(),
        &[],
    ] {
        let answer = put(&part, bytes).await;
        assert!(matches!(answer.status, 400 | 403 | 411), "{answer:?}");
    }
    registration.nothing_arrived().await;

    // Another content, under the checksum that is signed, and under its own, which is not.
    let mut changed = registration.file.clone();
    changed[1000] ^= 1;
    let answer = put(&part, &changed).await;
    assert!(matches!(answer.status, 400 | 403), "{answer:?}");
    let without = without_checksum(&part);
    assert!(!without.is_empty(), "{part:?}");
    for part in without {
        let answer = put(&part, &changed).await;
        assert!(matches!(answer.status, 400 | 403), "{answer:?}");
    }
    registration.nothing_arrived().await;

    // Once, and only once.
    assert_eq!(registration.put(&part).await.status, 200);
    assert_eq!(registration.put(&part).await.status, 412);
    assert!(
        registration.declare().await.parts.is_empty(),
        "nothing is missing"
    );
    assert_eq!(registration.complete().await.status, 200);
    assert_eq!(
        registration.put(&part).await.status,
        200,
        "quarantine is empty again: the URL still works"
    );
    assert_eq!(
        registration.status().await.state,
        KeyState::Active,
        "and changes nothing"
    );
}

/// The same URL with the checksum taken out of what is sent.
fn without_checksum(part: &PartUpload) -> Vec<PartUpload> {
    let mut headers = part.clone();
    headers.headers.retain(|name, _| !name.contains("checksum"));
    let mut query = headers.clone();
    let (path, parameters) = part.url.split_once('?').expect("a query");
    let kept = parameters
        .split('&')
        .filter(|parameter| !parameter.to_lowercase().starts_with("x-amz-checksum"));
    query.url = format!("{path}?{}", kept.collect::<Vec<_>>().join("&"));
    [headers, query]
        .into_iter()
        .filter(|changed| changed != part)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_expires() {
    let stack = Stack::start(|setup| {
        setup
            .environment
            .push((config::UPLOAD_TTL_SECONDS, "1".to_owned()));
    })
    .await;
    let registration = Registration::new(&stack);
    let part = registration.part().await;
    while OffsetDateTime::now_utc() <= part.expires + Duration::from_secs(1) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(registration.put(&part).await.status, 403);
    registration.nothing_arrived().await;
    // Declared again, there is another URL for the same upload.
    registration.register().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_key_of_the_declaration_is_rejected() {
    let stack = Stack::start(|_| {}).await;
    let set = TREE.client().parameter_set();
    let secret = SecretKey::generate(set).expect("random bytes");
    let key = EvaluationKey::generate(&secret).expect("a key");
    let good = key.to_file_bytes();
    let of_other_secret = EvaluationKey::generate(&SecretKey::generate(set).expect("random bytes"))
        .expect("a key")
        .to_file_bytes();
    let other_set = TREE_OF_OTHER_SET.client().parameter_set();
    assert_ne!(other_set.name, set.name);
    let mut of_other_set =
        EvaluationKey::generate(&SecretKey::generate(other_set).expect("random bytes"))
            .expect("a key")
            .to_file_bytes();
    of_other_set.resize(good.len(), 0);
    let mut corrupt = good.clone();
    corrupt[good.len() / 2] ^= 1;
    for (file, reason) in [
        (of_other_secret, "it was made from secret key"),
        (of_other_set, ""),
        (corrupt, "checksum"),
        (vec![0; good.len()], "not a cipherfn file"),
    ] {
        let registration = Registration::of(&stack, &key, file);
        let part = registration.part().await;
        assert_eq!(registration.put(&part).await.status, 200);
        for _ in 0..2 {
            let problem = registration.complete().await.problem();
            assert_eq!(
                (problem.status, problem.kind),
                (422, ProblemType::KeyRejected)
            );
            assert!(
                problem.detail.contains(reason),
                "{} does not contain {reason:?}",
                problem.detail
            );
        }
        let status = registration.status().await;
        assert_eq!(status.state, KeyState::Rejected);
        assert!(
            status
                .reason
                .is_some_and(|text| !text.is_empty() && text.contains(reason))
        );
        assert!(
            !stack
                .objects()
                .await
                .iter()
                .any(|object| object.ends_with("/expansion.cfk")),
            "nothing of it is kept"
        );
    }
    // Declared again with a sound file, the same id becomes active.
    Registration::of(&stack, &key, good).register().await;
    assert!(!stack.is_quarantining().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn declarations_that_cannot_be() {
    let stack = Stack::start(|_| {}).await;
    let good = Registration::new(&stack).declaration;
    let without_key = ParameterSet::all()
        .iter()
        .find(|set| EvaluationKey::file_bytes(set).is_none());
    let keyless = without_key.expect("a set for models that need no key");
    let other = TREE_OF_OTHER_SET.client().parameter_set();
    let bad = async |change: &dyn Fn(&mut KeyDeclarationV1)| {
        let mut declaration = good.clone();
        change(&mut declaration);
        declare(&stack, &declaration).await.problem().kind
    };
    assert_eq!(
        bad(&|it| it.bytes += 1).await,
        ProblemType::MalformedRequest
    );
    assert_eq!(
        bad(&|it| it.parameter_set.name = "../other".to_owned()).await,
        ProblemType::WrongParameterSet
    );
    assert_eq!(
        bad(&|it| it.parameter_set.hash = other.hash()).await,
        ProblemType::WrongParameterSet
    );
    let set = |name: &str, hash| ParameterSetRef {
        name: name.to_owned(),
        hash,
    };
    assert_eq!(
        bad(&|it| it.parameter_set = set(other.name, other.hash())).await,
        ProblemType::MalformedRequest
    );
    assert_eq!(
        bad(&|it| it.parameter_set = set(keyless.name, keyless.hash())).await,
        ProblemType::WrongParameterSet
    );
    let parts = |bytes, count| {
        Some(Pieces {
            bytes,
            sha256: vec![good.sha256; count],
        })
    };
    assert_eq!(
        bad(&|it| it.parts = parts(0, 1)).await,
        ProblemType::MalformedRequest
    );
    assert_eq!(
        bad(&|it| it.parts = parts(1 << 20, 1)).await,
        ProblemType::MalformedRequest,
        "parts are 5 MiB at least"
    );
    assert_eq!(
        bad(&|it| it.parts = parts(5 << 20, 2)).await,
        ProblemType::MalformedRequest,
        "one too many"
    );
    assert_eq!(
        bad(&|it| it.parts = parts(u64::MAX, 0)).await,
        ProblemType::MalformedRequest,
        "none"
    );
    assert!(stack.objects().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_is_idempotent() {
    let stack = Stack::start(|_| {}).await;
    let registration = Registration::new(&stack);
    let part = registration.part().await;
    assert_eq!(
        registration.complete().await.problem().kind,
        ProblemType::UploadMissing,
        "too early"
    );
    assert_eq!(registration.put(&part).await.status, 200);
    let (first, second) = (registration.complete().await, registration.complete().await);
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(first.body, second.body);
    // Declaring it again says that it is there, declaring another file that it is in the way.
    let again = registration.declare().await;
    assert_eq!(
        (again.status.state, again.parts.len()),
        (KeyState::Active, 0)
    );
    let mut other = registration.declaration.clone();
    other.sha256 = sha256(b"other");
    assert_eq!(
        declare(&stack, &other).await.problem().kind,
        ProblemType::KeyConflict
    );
    assert_eq!(registration.status().await.state, KeyState::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_as_many_keys_as_it_may() {
    let stack =
        Stack::start(|setup| setup.environment.push((config::KEY_QUOTA, "2".to_owned()))).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let first = Registration::new(&stack);
    first.register().await;
    let second = Registration::new(&stack);
    second.declare().await;
    let caller = Caller::new(stack.service(|_| {}), "tree").await;
    let error = caller.register().await.expect_err("full");
    assert!(matches!(error, ServiceError::KeyQuota { .. }), "{error}");
    assert_eq!(caller.key_state().await.ok(), None, "nothing is declared");
    // Those that are there go on.
    first.declare().await;
    second.register().await;
    assert_eq!(first.send("DELETE", "").await.status, 204);
    caller.register().await.expect("there is room again");
    TREE.check(
        0,
        1,
        &caller.predict(TREE.rows(0, 1)).await.expect("answers"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_never_completes_is_swept_away() {
    let stack = Stack::start(|_| {}).await;
    let registration = Registration::new(&stack);
    let part = registration.part().await;
    assert_eq!(registration.put(&part).await.status, 200);
    stack
        .emulator
        .sweep(SystemTime::now() + Duration::from_hours(23));
    assert!(stack.is_quarantining().await);
    stack
        .emulator
        .sweep(SystemTime::now() + Duration::from_hours(25));
    assert!(!stack.is_quarantining().await);
    registration.nothing_arrived().await;
    // What is active stays, however old.
    registration.register().await;
    stack
        .emulator
        .sweep(SystemTime::now() + Duration::from_hours(24 * 365));
    assert_eq!(registration.status().await.state, KeyState::Active);
    assert!(
        stack
            .objects()
            .await
            .iter()
            .any(|object| object.ends_with("/expansion.cfk"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_active_answers_nothing() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let caller = Caller::new(stack.service(|_| {}), "tree").await;
    let query = caller.query(&TREE.rows(0, 1));
    assert_eq!(
        stack.query("tree", query.clone()).await.problem().kind,
        ProblemType::UnknownKey
    );
    let key = caller.evaluation_key();
    let registration = Registration::of(&stack, &key, caller.key_file());
    let part = registration.part().await;
    assert_eq!(registration.put(&part).await.status, 200);
    assert_eq!(
        stack.query("tree", query.clone()).await.problem().kind,
        ProblemType::KeyNotActive
    );
    let error = caller
        .predict(TREE.rows(0, 1))
        .await
        .expect_err("not active");
    assert!(
        matches!(error, ServiceError::KeyNotActive { .. })
            && matches!(error.remedy(), Some(Remedy::RegisterKey { key }) if key == caller.key()),
        "{error}"
    );
    assert_eq!(registration.complete().await.status, 200);
    TREE.check(0, 1, &caller.open(&stack.query("tree", query).await.body));
}
