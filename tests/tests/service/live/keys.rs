//! Keys that change while functions are warm.

use super::change;
use crate::models::{Caller, TREE};
use crate::stack::Stack;
use cipherfn_client::Remedy;
use cipherfn_client_http::Existing;
use cipherfn_client_http::{Registered, ServiceError};
use cipherfn_emulator::faults::Fault;
use cipherfn_protocol::api::{ProblemType, REPLY};
use cipherfn_protocol::message::KeyId;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Lets a registration be over at that time.
pub(crate) async fn expire_at(stack: &Stack, caller: &Caller, until: OffsetDateTime) {
    expire_key_at(stack, caller.key(), until).await;
}

/// The same of a key by its id.
pub(crate) async fn expire_key_at(stack: &Stack, key: KeyId, until: OffsetDateTime) {
    let until = until.format(&Rfc3339).expect("a time");
    change(stack, &format!("{key}/record.json"), |record| {
        let mut record: Value = serde_json::from_slice(record).expect("JSON");
        record["parts"]["expansion"]["until"] = until.into();
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
    expire_at(&stack, &caller, OffsetDateTime::UNIX_EPOCH).await;

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
