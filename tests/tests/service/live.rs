//! Models and keys that change while functions are warm.

use crate::models::{Caller, TREE, TREE_2, fetch};
use crate::stack::{BUCKET, REGION, Stack, kill, name, wait_until};
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use cipherfn_client::Remedy;
use cipherfn_client_http::Existing;
use cipherfn_client_http::{Registered, ServiceError};
use cipherfn_emulator::faults::Fault;
use cipherfn_protocol::api::{ProblemType, REPLY};
use serde_json::Value;
use std::time::Duration;
use time::OffsetDateTime;

/// The bucket, for changes that the service itself does not make.
fn s3(stack: &Stack) -> aws_sdk_s3::Client {
    let (id, secret) = stack.emulator.credentials();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new(REGION))
        .endpoint_url(stack.emulator.s3_endpoint())
        .force_path_style(true)
        .credentials_provider(Credentials::new(id, secret, None, None, "test"));
    aws_sdk_s3::Client::from_conf(config.build())
}

/// What happens to an object.
type Change<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

/// Changes the one object whose key ends so; what it was before.
pub(crate) async fn change(
    stack: &Stack,
    end: &str,
    change: impl FnOnce(&[u8]) -> Vec<u8>,
) -> Vec<u8> {
    let objects: Vec<_> = stack
        .objects()
        .await
        .into_iter()
        .filter(|object| object.ends_with(end))
        .collect();
    let [key] = objects.as_slice() else {
        panic!("{objects:?}")
    };
    let s3 = s3(stack);
    let stored = s3
        .get_object()
        .bucket(BUCKET)
        .key(key)
        .send()
        .await
        .expect("the object");
    let before = stored.body.collect().await.expect("the object").to_vec();
    let put = s3
        .put_object()
        .bucket(BUCKET)
        .key(key)
        .body(change(&before).into());
    put.send().await.expect("written");
    before
}

/// Lets a registration's time be over.
async fn expire(stack: &Stack, caller: &Caller) {
    change(stack, &format!("{}/record.json", caller.key()), |record| {
        let mut record: Value = serde_json::from_slice(record).expect("JSON");
        record["parts"]["expansion"]["until"] = "2020-01-01T00:00:00Z".into();
        record.to_string().into_bytes()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_expires_between_register_and_predict() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), "tree").await;
    let query = caller.query(&TREE.rows(0, 1));
    assert_eq!(
        stack.query("tree", query.clone()).await.content_type(),
        REPLY,
        "warm"
    );
    expire(&stack, &caller).await;

    let answer = stack.query("tree", query).await;
    assert_eq!(
        (answer.status, answer.problem().kind),
        (410, ProblemType::KeyExpired)
    );
    let error = caller.predict(TREE.rows(0, 1)).await.expect_err("expired");
    assert!(
        matches!(error, ServiceError::KeyExpired { key } if key == caller.key()),
        "{error}"
    );
    assert!(
        matches!(error.remedy(), Some(Remedy::RegisterKey { key }) if key == caller.key()),
        "{error}"
    );
    let status = stack
        .send("GET", &format!("/v1/keys/{}", caller.key()), &[], "")
        .await;
    assert_eq!(status.problem().kind, ProblemType::KeyExpired);
    let complete = stack
        .send(
            "POST",
            &format!("/v1/keys/{}/complete", caller.key()),
            &[],
            "",
        )
        .await;
    assert_eq!(complete.problem().kind, ProblemType::KeyExpired);

    assert!(
        matches!(caller.register().await, Ok(Registered::Uploaded(_))),
        "renewed"
    );
    TREE.check(
        0,
        1,
        &caller.predict(TREE.rows(0, 1)).await.expect("answers"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_deleted_while_warm() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), "tree").await;
    let query = caller.query(&TREE.rows(0, 1));
    assert_eq!(stack.query("tree", query.clone()).await.status, 200, "warm");
    caller
        .service
        .delete_key(caller.key())
        .await
        .expect("deleted");
    assert_eq!(stack.key_objects().await, [""; 0], "nothing of it is left");

    let answer = stack.query("tree", query).await;
    assert_eq!(
        (answer.status, answer.problem().kind),
        (404, ProblemType::UnknownKey)
    );
    let error = caller.predict(TREE.rows(0, 1)).await.expect_err("deleted");
    assert!(matches!(error, ServiceError::UnknownKey { .. }), "{error}");
    assert!(
        matches!(error.remedy(), Some(Remedy::RegisterKey { key }) if key == caller.key()),
        "{error}"
    );
    assert!(matches!(
        caller.service.delete_key(caller.key()).await,
        Err(ServiceError::UnknownKey { .. })
    ));
    assert!(matches!(
        caller.service.key_status(caller.key()).await,
        Err(ServiceError::UnknownKey { .. })
    ));
    caller.register().await.expect("registered again");
    TREE.check(
        0,
        1,
        &caller.predict(TREE.rows(0, 1)).await.expect("answers"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_removed_while_warm() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), "tree").await;
    let query = caller.query(&TREE.rows(0, 1));
    assert_eq!(stack.query("tree", query.clone()).await.status, 200, "warm");
    let (left, removed) = stack
        .registry()
        .remove(&name("tree"), None, &|_, _| None, OffsetDateTime::now_utc())
        .await
        .expect("removed");
    assert!(left.is_none() && removed);

    let answer = stack.query("tree", query).await;
    assert_eq!(
        (answer.status, answer.problem().kind),
        (404, ProblemType::UnknownModel)
    );
    let error = caller.predict(TREE.rows(0, 1)).await.expect_err("removed");
    assert!(
        matches!(error, ServiceError::UnknownModel { .. }),
        "{error}"
    );
    assert!(matches!(
        fetch(&caller.service, "tree").await,
        Err(ServiceError::UnknownModel { .. })
    ));
    assert!(
        caller
            .service
            .models()
            .await
            .expect("models")
            .models
            .is_empty()
    );
    // Published again, it answers again.
    stack.publish("tree", &TREE.bundle, 2).await;
    TREE.check(
        0,
        1,
        &caller.predict(TREE.rows(0, 1)).await.expect("answers"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_answer_until_one_is_superseded() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), "tree").await;
    let first = caller.client.clone();
    let summary = stack.publish("tree", &TREE_2.bundle, 2).await;
    assert_eq!(
        (summary.current, summary.versions.len()),
        (TREE_2.bundle.specs_hash(), 2)
    );

    // Both at the same time, the old clients' and the new ones'.
    let second = fetch(&caller.service, "tree").await.expect("specs");
    assert_eq!(second.specs().hash(), TREE_2.bundle.specs_hash());
    let (old, new) = tokio::join!(
        caller.predict_with(&first, TREE.rows(0, 5)),
        caller.predict_with(&second, TREE_2.rows(0, 5))
    );
    TREE.check(0, 5, &old.expect("the first version"));
    TREE_2.check(0, 5, &new.expect("the second version"));

    // Rolled back, new clients get the first one, and the second still answers.
    let summary = stack
        .registry()
        .roll_back(&name("tree"), None, &|_, _| None)
        .await
        .expect("rolled back");
    assert_eq!(
        summary.expect("a version").current,
        TREE.bundle.specs_hash()
    );
    assert_eq!(
        fetch(&caller.service, "tree")
            .await
            .expect("specs")
            .specs()
            .hash(),
        TREE.bundle.specs_hash()
    );
    TREE_2.check(
        0,
        2,
        &caller
            .predict_with(&second, TREE_2.rows(0, 2))
            .await
            .expect("the second version"),
    );

    // Superseded, the first one's queries are told what to fetch.
    let query = caller.query(&TREE.rows(0, 1));
    let summary = stack.publish("tree", &TREE_2.bundle, 1).await;
    assert_eq!(summary.versions.len(), 1);
    let problem = stack.query("tree", query).await.problem();
    assert_eq!(
        (problem.status, problem.kind),
        (410, ProblemType::StaleSpecs)
    );
    assert_eq!(problem.current_specs, Some(TREE_2.bundle.specs_hash()));
    let error = caller
        .predict_with(&first, TREE.rows(0, 1))
        .await
        .expect_err("stale");
    assert!(
        matches!(error, ServiceError::StaleSpecs { current, .. } if current == Some(TREE_2.bundle.specs_hash())),
        "{error}"
    );
    let gone = stack
        .send(
            "GET",
            &format!("/v1/models/tree?specs={}", TREE.bundle.specs_hash()),
            &[],
            "",
        )
        .await;
    assert_eq!(gone.problem().kind, ProblemType::StaleSpecs);
    // Its files go a while later.
    assert_eq!(stack.objects().await.len(), 1 + 3 * 4 + 3);
    let later = OffsetDateTime::now_utc() + Duration::from_mins(16);
    let collected = stack.registry().collect(&name("tree"), later).await;
    collected.expect("collected");
    assert_eq!(stack.objects().await.len(), 1 + 4 + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn specs_travel_only_when_they_have_changed() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let cache = tempfile::tempdir().expect("a directory");
    let service = stack.service(|options| options.specs_cache = Some(cache.path().to_owned()));
    for _ in 0..2 {
        let client = fetch(&service, "tree").await.expect("specs");
        assert_eq!(client.specs().hash(), TREE.bundle.specs_hash());
    }
    stack.publish("tree", &TREE_2.bundle, 2).await;
    let client = fetch(&service, "tree").await.expect("specs");
    assert_eq!(client.specs().hash(), TREE_2.bundle.specs_hash());
    assert_eq!(stack.statuses("GET /v2/models/tree"), [200, 304, 200]);
    let old = stack
        .send(
            "GET",
            &format!("/v1/models/tree?specs={}", TREE.bundle.specs_hash()),
            &[],
            "",
        )
        .await;
    assert_eq!(
        (old.status, old.body.as_ref()),
        (200, TREE.bundle.specs.as_slice())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_registered_anew_while_warm() {
    let stack = Stack::start(|setup| setup.faulty = true).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), "tree").await;
    let fetches = || {
        stack
            .faults()
            .requests()
            .iter()
            .filter(|request| {
                request.contains("keys/") && request.contains("expansion.cfk?x-id=GetObject")
            })
            .count()
    };
    for first in [0, 1] {
        TREE.check(
            first,
            1,
            &caller.predict(TREE.rows(first, 1)).await.expect("answers"),
        );
    }
    assert_eq!(fetches(), 1, "warm");
    // Another evaluation key of the same secret key has the same id.
    let before = caller.key_file();
    let file = caller
        .ring
        .key_part_file(caller.client.parameter_set(), caller.client.key_parts()[0])
        .expect("the file")
        .path;
    std::fs::remove_file(file).expect("removed");
    caller
        .ring
        .fill(&caller.client, Existing::Keep)
        .expect("another evaluation key");
    assert_ne!(caller.key_file(), before);
    assert!(
        matches!(
            caller.register().await,
            Err(ServiceError::KeyConflict { .. })
        ),
        "not in passing"
    );
    caller
        .service
        .delete_key(caller.key())
        .await
        .expect("deleted");
    caller.register().await.expect("registered");
    TREE.check(
        2,
        1,
        &caller.predict(TREE.rows(2, 1)).await.expect("answers"),
    );
    assert_eq!(
        fetches(),
        2,
        "the key in memory is no longer the registered one"
    );
    TREE.check(
        3,
        1,
        &caller.predict(TREE.rows(3, 1)).await.expect("answers"),
    );
    assert_eq!(fetches(), 2, "warm again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_breaks_off_is_repeated() {
    let stack = Stack::start(|setup| setup.faulty = true).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), "tree").await;
    let target = format!("/v1/keys/{}", caller.key());
    stack
        .faults()
        .always("record.json?x-id=DeleteObject", Fault::SlowDown);
    assert_eq!(
        stack.send("DELETE", &target, &[], "").await.problem().kind,
        ProblemType::StorageUnavailable
    );
    let answer = stack.query("tree", caller.query(&TREE.rows(0, 1))).await;
    assert_eq!(
        answer.problem().kind,
        ProblemType::UnknownKey,
        "the record was emptied first"
    );
    stack.faults().pass();
    assert_eq!(stack.send("DELETE", &target, &[], "").await.status, 204);
    assert_eq!(
        stack.send("DELETE", &target, &[], "").await.problem().kind,
        ProblemType::UnknownKey
    );
    assert_eq!(stack.key_objects().await, [""; 0]);
    caller.register().await.expect("registered again");
    TREE.check(
        0,
        1,
        &caller.predict(TREE.rows(0, 1)).await.expect("answers"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_registered_by_many_at_once() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let caller = Caller::new(stack.service(|_| {}), "tree").await;
    let (a, b, c) = tokio::join!(caller.register(), caller.register(), caller.register());
    for registered in [a, b, c] {
        let registered = registered.expect("registered");
        assert!(
            matches!(registered, Registered::Uploaded(_) | Registered::Active(_)),
            "{registered:?}"
        );
    }
    TREE.check(
        0,
        1,
        &caller.predict(TREE.rows(0, 1)).await.expect("answers"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_objects_that_do_not_load_are_no_answer() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), "tree").await;
    let query = caller.query(&TREE.rows(0, 2));
    let other_key = Caller::new(stack.service(|_| {}), "tree").await.key_file();
    let other_model = cipherfn_engine::bundle::write(&TREE_2.bundle).expect("a bundle");
    let flipped = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes
    };
    let cut = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
    let no_document = |_: &[u8]| b"{}".to_vec();
    let internal = (500, ProblemType::Internal);
    let damaged = (409, ProblemType::KeyNotActive);
    let unreadable = (404, ProblemType::UnknownKey);
    let changes: [(&str, Change<'_>, _); 9] = [
        ("bundle.cfn", &flipped, internal),
        ("bundle.cfn", &cut, internal),
        ("bundle.cfn", &|_| other_model.clone(), internal),
        ("expansion.cfk", &flipped, damaged),
        ("expansion.cfk", &cut, damaged),
        ("expansion.cfk", &|_| other_key.clone(), damaged),
        ("record.json", &no_document, unreadable),
        ("model.json", &no_document, internal),
        ("model.json", &cut, internal),
    ];
    for (object, damage, expected) in changes {
        // Cold.
        for process in stack.emulator.process_ids("infer") {
            kill(process);
        }
        wait_until("the processes are gone", || {
            stack.emulator.process_ids("infer").is_empty()
        })
        .await;
        let before = change(&stack, object, damage).await;
        let problem = stack.query("tree", query.clone()).await.problem();
        assert_eq!(
            (problem.status, problem.kind),
            expected,
            "{object}: {}",
            problem.detail
        );
        assert!(
            !problem.detail.contains(object),
            "the caller learns nothing of the bucket"
        );
        // Mended, it answers again, in the same process.
        change(&stack, object, |_| before).await;
        TREE.check(
            0,
            2,
            &caller.open(&stack.query("tree", query.clone()).await.body),
        );
    }
}
