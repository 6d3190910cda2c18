//! Models that change while functions are warm, and stored objects that change by themselves.

pub(crate) mod keys;
mod tamper;

pub(crate) use tamper::change;

use crate::models::{Caller, TREE, TREE_2, fetch};
use crate::stack::{Stack, kill, name, wait_until};
use cipherfn_client_http::ServiceError;
use cipherfn_protocol::api::ProblemType;
use std::time::Duration;
use time::OffsetDateTime;

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_removed_while_warm() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), "tree").await;
    let query = caller.query(&TREE.rows(0, 1));
    assert_eq!(stack.query("tree", query.clone()).await.status, 200, "warm");
    let (left, removed) = stack
        .registry()
        .remove(&name("tree"), None, &|_, _| None)
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

/// What happens to an object.
type Change<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

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
