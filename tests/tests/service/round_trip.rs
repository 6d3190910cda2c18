//! What the service is for.

use crate::models::{Caller, LINEAR, TREE, TREE_WITHOUT_KEY, WIDE_LINEAR, WIDE_TREE};
use crate::stack::Stack;
use cipherfn_client_http::{Registered, ServiceOptions};
use cipherfn_protocol::api::KeyState;
use std::num::NonZeroUsize;

#[tokio::test(flavor = "multi_thread")]
async fn published_registered_predicted() {
    let stack = Stack::start(|_| {}).await;
    let summary = stack.publish("tree", &TREE.bundle, 2).await;
    let service = stack.service(|_| {});
    assert_eq!(service.models().await.expect("models").models, [summary]);

    let caller = Caller::new(service.clone(), "tree").await;
    assert_eq!(caller.client.specs().hash(), TREE.bundle.specs_hash());
    assert!(matches!(
        caller.register().await,
        Ok(Registered::Uploaded(_))
    ));
    assert!(
        matches!(caller.register().await, Ok(Registered::Active(_))),
        "once is enough"
    );
    assert_eq!(
        caller.key_state().await.expect("a status"),
        KeyState::Active
    );

    // One row, and several of one request; cold and warm.
    TREE.check(0, 1, &caller.predict(TREE.rows(0, 1)).await.expect("cold"));
    TREE.check(
        1,
        2,
        &caller.predict(TREE.rows(1, 2)).await.expect("two rows"),
    );
    TREE.check(
        3,
        20,
        &caller.predict(TREE.rows(3, 20)).await.expect("many rows"),
    );
    assert_eq!(stack.statuses("/predict"), [200, 200, 200]);

    let objects = stack.objects().await;
    assert!(
        objects.iter().all(|key| !key.starts_with("quarantine/")),
        "{objects:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn linear_and_keyless_models_need_no_registration() {
    let stack = Stack::start(|_| {}).await;
    for (name, trained) in [("linear", &LINEAR), ("tree", &TREE_WITHOUT_KEY)] {
        stack.publish(name, &trained.bundle, 2).await;
        let caller = Caller::new(stack.service(|_| {}), name).await;
        assert!(matches!(caller.register().await, Ok(Registered::NotNeeded)));
        for count in [1, 2, 20] {
            trained.check(
                0,
                count,
                &caller
                    .predict(trained.rows(0, count))
                    .await
                    .expect("answers"),
            );
        }
    }
    assert!(stack.statuses("/v1/keys").is_empty());
    assert!(stack.emulator.process_ids("register-key").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn predictions_are_in_the_order_of_the_rows() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("linear", &LINEAR.bundle, 2).await;
    let small_requests = |options: &mut ServiceOptions| {
        options.rows_a_request = NonZeroUsize::new(3);
        options.in_flight = NonZeroUsize::new(6).expect("not 0");
    };
    let caller = Caller::new(stack.service(small_requests), "linear").await;
    LINEAR.check(
        0,
        140,
        &caller.predict(LINEAR.rows(0, 140)).await.expect("answers"),
    );
    assert_eq!(stack.statuses("/predict"), [200; 47]);
}

#[tokio::test(flavor = "multi_thread")]
async fn models_and_keys_survive_a_restart() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let mut caller = Caller::registered(stack.service(|_| {}), "tree").await;
    TREE.check(
        0,
        1,
        &caller.predict(TREE.rows(0, 1)).await.expect("answers"),
    );
    let models = caller.service.models().await.expect("models");
    let data = stack.stop().await;

    let stack = Stack::start(|setup| setup.data = Some(data)).await;
    caller.service = stack.service(|_| {});
    assert_eq!(caller.service.models().await.expect("models"), models);
    TREE.check(
        1,
        3,
        &caller
            .predict(TREE.rows(1, 3))
            .await
            .expect("answers, without registering again"),
    );
    assert!(matches!(caller.register().await, Ok(Registered::Active(_))));
}

/// Trees expand their queries with the key, and both pack their replies with it.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_request_share_ciphertexts() {
    let stack = Stack::start(|_| {}).await;
    for (name, trained) in [("tree", &WIDE_TREE), ("linear", &WIDE_LINEAR)] {
        stack.publish(name, &trained.bundle, 2).await;
        let caller = Caller::registered(stack.service(|_| {}), name).await;
        for count in [1, 2, 70] {
            let rows = trained.rows(0, count);
            trained.check(0, count, &caller.predict(rows).await.expect("answers"));
        }
        let query = caller.query(&trained.rows(0, 70));
        let reply = stack.query(name, query.clone()).await;
        assert_eq!(query.len(), caller.client.query_bytes(70));
        assert_eq!(reply.body.len(), caller.client.reply_bytes(70));
        assert!(reply.body.len() < 70 * 110, "{}", reply.body.len());
    }
    assert_eq!(stack.statuses("/predict"), [200; 8]);
}
