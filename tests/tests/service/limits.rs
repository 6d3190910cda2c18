//! Sizes: AWS's limits and ours.

use crate::contract::is_of_gateway;
use crate::models::{Caller, LINEAR, STUMPS, TREE, fetch};
use crate::stack::{Stack, name};
use crate::wire;
use cipherfn_protocol::api::{
    JSON, MAX_JSON, MAX_REPLY, MAX_REQUEST, ProblemType, PublishedKind, QUERY,
};
use cipherfn_protocol::hash::Hash;
use cipherfn_service::registry::Published;
use std::num::NonZeroUsize;
use std::time::Duration;
use time::OffsetDateTime;

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_too_large() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let send = async |target: &str, content_type: &str, bytes: usize| {
        stack
            .send(
                "POST",
                target,
                &[("content-type", content_type)],
                vec![b'x'; bytes],
            )
            .await
    };
    let predict = "/v1/models/tree/predict";
    assert_eq!(
        send(predict, QUERY, MAX_REQUEST).await.problem().kind,
        ProblemType::MalformedQuery,
        "just small enough"
    );
    let problem = send(predict, QUERY, MAX_REQUEST + 1).await.problem();
    assert_eq!(
        (problem.status, problem.kind),
        (413, ProblemType::BodyTooLarge)
    );
    assert_eq!(
        send("/v1/keys", JSON, MAX_JSON).await.problem().kind,
        ProblemType::MalformedRequest,
        "just small enough"
    );
    assert_eq!(
        send("/v1/keys", JSON, MAX_JSON + 1).await.problem().kind,
        ProblemType::BodyTooLarge
    );
    // What does not fit an event or is over 10 MB does not reach a function.
    for bytes in [5 << 20, 9 << 20, 11 << 20] {
        for (target, content_type) in [(predict, QUERY), ("/v1/keys", QUERY)] {
            let answer = send(target, content_type, bytes).await;
            assert!(
                answer.status == 413 && is_of_gateway(&answer),
                "{target} {bytes}: {} {:?}",
                answer.status,
                answer.headers
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_would_be_too_large_is_refused_before_the_work() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("linear", &LINEAR.bundle, 2).await;
    let caller = Caller::new(stack.service(|_| {}), "linear").await;
    let too_many = MAX_REPLY / caller.client.reply_row_bytes() + 1;
    let query = caller.query(&LINEAR.rows(0, too_many));
    assert!(query.len() < MAX_REQUEST);
    let problem = stack.query("linear", query).await.problem();
    assert_eq!(
        (problem.status, problem.kind),
        (422, ProblemType::TooManyRows)
    );
    assert!(!problem.is_retryable());
    let most = problem.most_rows.expect("what would fit") as usize;
    assert!(most < too_many);

    // Exactly as many are answered, and one more are not.
    let problem = stack
        .query("linear", caller.query(&LINEAR.rows(0, most + 1)))
        .await
        .problem();
    assert_eq!(problem.kind, ProblemType::TooManyRows);
    let answer = stack
        .query("linear", caller.query(&LINEAR.rows(0, most)))
        .await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.body.len() <= MAX_REPLY
            && answer.body.len() + 2 * caller.client.reply_row_bytes() > MAX_REPLY
    );
    LINEAR.check(0, most, &caller.open(&answer.body));

    // The client splits such a table by itself.
    LINEAR.check(
        0,
        too_many,
        &caller
            .predict(LINEAR.rows(0, too_many))
            .await
            .expect("answers"),
    );
    assert_eq!(stack.statuses("/predict"), [422, 422, 200, 200, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_larger_than_a_request_is_split() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), "tree").await;
    let rows = caller.client.rows_within(MAX_REQUEST, MAX_REPLY) + 1;
    TREE.check(
        0,
        rows,
        &caller.predict(TREE.rows(0, rows)).await.expect("answers"),
    );
    assert_eq!(stack.statuses("/predict"), [200, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_cannot_be_done_in_time_is_refused() {
    // Less than a function keeps for what comes after the evaluation.
    let stack = Stack::start(|setup| setup.timeout = Duration::from_millis(450)).await;
    stack.publish("linear", &LINEAR.bundle, 2).await;
    let service = stack.service(|_| {});
    let caller = loop {
        // A busy machine may take longer than that to fetch specs: then API Gateway answers, and
        // the function starts anew.
        if fetch(&service, "linear").await.is_ok() {
            break Caller::new(service, "linear").await;
        }
    };
    let query = caller.query(&LINEAR.rows(0, 1));
    let answer = loop {
        let answer = stack.query("linear", query.clone()).await;
        if !is_of_gateway(&answer) {
            break answer;
        }
    };
    let problem = answer.problem();
    assert_eq!(
        (problem.status, problem.kind),
        (503, ProblemType::OutOfTime)
    );
    assert!(problem.is_retryable());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_takes_more_memory_than_the_function_has_is_refused() {
    let stack = Stack::start(|setup| {
        let memory = ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned());
        setup.environment.push(memory);
    })
    .await;
    stack.publish("stumps", &STUMPS.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), "stumps").await;
    let query = caller.query(&STUMPS.rows(0, 1));
    let problem = stack.query("stumps", query).await.problem();
    assert_eq!(
        (problem.status, problem.kind),
        (507, ProblemType::TooLittleMemory)
    );
    assert!(!problem.is_retryable());
    assert!(
        problem.detail.contains("this server has 64 MB for rows"),
        "{}",
        problem.detail
    );
    // Others are answered.
    stack.publish("tree", &TREE.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), "tree").await;
    let query = caller.query(&TREE.rows(0, 1));
    assert_eq!(stack.query("tree", query).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn specs_that_are_too_large_for_an_answer_are_fetched_from_s3() {
    let stack = Stack::start(|_| {}).await;
    let mut specs = TREE.bundle.specs.clone();
    specs.resize(MAX_REPLY + 1, b' ');
    let version = Published {
        hash: Hash::of(&specs),
        bundle: Some(
            cipherfn_engine::bundle::write(&TREE.bundle)
                .expect("a bundle")
                .into(),
        ),
        specs: specs.clone().into(),
        specs_v1: None,
        report: Some(TREE.bundle.report.clone().into()),
        kind: PublishedKind::Model,
    };
    let (keep, now) = (NonZeroUsize::MIN, OffsetDateTime::now_utc());
    let published = stack.registry();
    let published = published
        .publish(&name("large"), &version, &|_, _| None, keep, now)
        .await;
    published.expect("published");
    let answer = stack.send("GET", "/v2/models/large", &[], "").await;
    assert_eq!(
        (answer.status, answer.header("etag")),
        (307, format!("\"{}\"", version.hash).as_str())
    );
    let (address, target) = wire::split(answer.header("location"));
    let stored = wire::send(address, wire::request("GET", target, &[], ""))
        .await
        .expect("S3 answers");
    assert_eq!(
        (stored.status, stored.body.as_ref()),
        (200, specs.as_slice())
    );
    // The client follows, and sends S3 no identity.
    let client = fetch(&stack.service_of("token"), "large")
        .await
        .expect("specs");
    assert_eq!(client.specs().hash(), version.hash);
    assert_eq!(
        client.parameter_set().name,
        TREE.client().parameter_set().name
    );
}
