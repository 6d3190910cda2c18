//! Models and keys that change while functions are warm.

use crate::models::{Caller, TREE, TREE_2};
use crate::stack::{BUCKET, REGION, Stack, name};
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use cipherfn_client::service::{Registered, ServiceError};
use cipherfn_protocol::api::{ProblemType, REPLY};
use serde_json::Value;

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

/// Lets a registration's time be over.
async fn expire(stack: &Stack, caller: &Caller) {
    let path = format!("{}/record.json", caller.key());
    let objects = stack.objects().await;
    let key = objects.iter().find(|object| object.ends_with(&path)).expect("the record");
    let s3 = s3(stack);
    let stored = s3.get_object().bucket(BUCKET).key(key).send().await.expect("the record");
    let bytes = stored.body.collect().await.expect("the record").into_bytes();
    let mut record: Value = serde_json::from_slice(&bytes).expect("JSON");
    record["status"]["expires"] = "2020-01-01T00:00:00Z".into();
    let put = s3.put_object().bucket(BUCKET).key(key).body(record.to_string().into_bytes().into());
    put.send().await.expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_expires_between_register_and_predict() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), "tree").await;
    let query = caller.query(&TREE.rows(0, 1));
    assert_eq!(stack.query("tree", query.clone()).await.content_type(), REPLY, "warm");
    expire(&stack, &caller).await;

    let answer = stack.query("tree", query).await;
    assert_eq!((answer.status, answer.problem().kind), (410, ProblemType::KeyExpired));
    let error = caller.predict(TREE.rows(0, 1)).await.expect_err("expired");
    assert!(matches!(error, ServiceError::KeyExpired { key } if key == caller.key()), "{error}");
    assert!(error.to_string().contains("`cipherfn register`"), "{error}");
    let status = stack.send("GET", &format!("/v1/keys/{}", caller.key()), &[], "").await;
    assert_eq!(status.problem().kind, ProblemType::KeyExpired);
    let complete = stack.send("POST", &format!("/v1/keys/{}/complete", caller.key()), &[], "").await;
    assert_eq!(complete.problem().kind, ProblemType::KeyExpired);

    assert!(matches!(caller.register().await, Ok(Registered::Uploaded(_))), "renewed");
    TREE.check(0, 1, &caller.predict(TREE.rows(0, 1)).await.expect("answers"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_deleted_while_warm() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), "tree").await;
    let query = caller.query(&TREE.rows(0, 1));
    assert_eq!(stack.query("tree", query.clone()).await.status, 200, "warm");
    caller.service.delete_key(caller.key()).await.expect("deleted");
    assert!(
        stack.objects().await.iter().all(|object| object.starts_with("models/")),
        "nothing of the key is left"
    );

    let answer = stack.query("tree", query).await;
    assert_eq!((answer.status, answer.problem().kind), (404, ProblemType::UnknownKey));
    let error = caller.predict(TREE.rows(0, 1)).await.expect_err("deleted");
    assert!(matches!(error, ServiceError::UnknownKey { .. }), "{error}");
    assert!(error.to_string().contains("`cipherfn register`"), "{error}");
    assert!(matches!(
        caller.service.delete_key(caller.key()).await,
        Err(ServiceError::UnknownKey { .. })
    ));
    assert!(matches!(
        caller.service.key_status(caller.key()).await,
        Err(ServiceError::UnknownKey { .. })
    ));
    caller.register().await.expect("registered again");
    TREE.check(0, 1, &caller.predict(TREE.rows(0, 1)).await.expect("answers"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_removed_while_warm() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), "tree").await;
    let query = caller.query(&TREE.rows(0, 1));
    assert_eq!(stack.query("tree", query.clone()).await.status, 200, "warm");
    let (left, removed) = stack.store().remove(&name("tree"), None).await.expect("removed");
    assert!(left.is_none() && removed);

    let answer = stack.query("tree", query).await;
    assert_eq!((answer.status, answer.problem().kind), (404, ProblemType::UnknownModel));
    let error = caller.predict(TREE.rows(0, 1)).await.expect_err("removed");
    assert!(matches!(error, ServiceError::UnknownModel { .. }), "{error}");
    assert!(matches!(
        caller.service.client(&name("tree")).await,
        Err(ServiceError::UnknownModel { .. })
    ));
    assert!(caller.service.models().await.expect("models").models.is_empty());
    // Published again, it answers again.
    stack.publish("tree", &TREE.bundle, 2).await;
    TREE.check(0, 1, &caller.predict(TREE.rows(0, 1)).await.expect("answers"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_answer_until_one_is_superseded() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), "tree").await;
    let first = caller.client.clone();
    let summary = stack.publish("tree", &TREE_2.bundle, 2).await;
    assert_eq!((summary.current, summary.versions.len()), (TREE_2.bundle.specs_hash(), 2));

    // Both at the same time, the old clients' and the new ones'.
    let second = caller.service.client(&name("tree")).await.expect("specs");
    assert_eq!(second.specs().hash(), TREE_2.bundle.specs_hash());
    let (old, new) = tokio::join!(
        caller.predict_with(&first, TREE.rows(0, 5)),
        caller.predict_with(&second, TREE_2.rows(0, 5))
    );
    TREE.check(0, 5, &old.expect("the first version"));
    TREE_2.check(0, 5, &new.expect("the second version"));

    // Rolled back, new clients get the first one, and the second still answers.
    let summary = stack.store().roll_back(&name("tree"), None).await.expect("rolled back");
    assert_eq!(summary.expect("a version").current, TREE.bundle.specs_hash());
    assert_eq!(
        caller.service.client(&name("tree")).await.expect("specs").specs().hash(),
        TREE.bundle.specs_hash()
    );
    TREE_2.check(
        0,
        2,
        &caller.predict_with(&second, TREE_2.rows(0, 2)).await.expect("the second version"),
    );

    // Superseded, the first one's queries are told what to fetch.
    let query = caller.query(&TREE.rows(0, 1));
    let summary = stack.publish("tree", &TREE_2.bundle, 1).await;
    assert_eq!(summary.versions.len(), 1);
    let problem = stack.query("tree", query).await.problem();
    assert_eq!((problem.status, problem.kind), (410, ProblemType::StaleSpecs));
    assert_eq!(problem.current_specs, Some(TREE_2.bundle.specs_hash()));
    let error = caller.predict_with(&first, TREE.rows(0, 1)).await.expect_err("stale");
    assert!(
        matches!(error, ServiceError::StaleSpecs { current, .. } if current == Some(TREE_2.bundle.specs_hash())),
        "{error}"
    );
    let gone = stack
        .send("GET", &format!("/v1/models/tree?specs={}", TREE.bundle.specs_hash()), &[], "")
        .await;
    assert_eq!(gone.problem().kind, ProblemType::StaleSpecs);
    assert!(
        !stack
            .objects()
            .await
            .iter()
            .any(|object| object.contains(&TREE.bundle.specs_hash().to_string()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn specs_travel_only_when_they_have_changed() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let cache = tempfile::tempdir().expect("a directory");
    let service = stack.service(|options| options.specs_cache = Some(cache.path().to_owned()));
    for _ in 0..2 {
        let client = service.client(&name("tree")).await.expect("specs");
        assert_eq!(client.specs().hash(), TREE.bundle.specs_hash());
    }
    stack.publish("tree", &TREE_2.bundle, 2).await;
    let client = service.client(&name("tree")).await.expect("specs");
    assert_eq!(client.specs().hash(), TREE_2.bundle.specs_hash());
    assert_eq!(stack.statuses("GET /v1/models/tree"), [200, 304, 200]);
    let old = stack
        .send("GET", &format!("/v1/models/tree?specs={}", TREE.bundle.specs_hash()), &[], "")
        .await;
    assert_eq!((old.status, old.body.as_ref()), (200, TREE.bundle.specs.as_slice()));
}
