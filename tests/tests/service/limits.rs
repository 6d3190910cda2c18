//! Sizes: AWS's limits and ours.

use crate::contract::is_of_gateway;
use crate::models::{Caller, LINEAR, TREE};
use crate::stack::Stack;
use cipherfn_protocol::api::{JSON, MAX_JSON, MAX_REPLY, MAX_REQUEST, ProblemType, QUERY};

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_too_large() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let send = async |target: &str, content_type: &str, bytes: usize| {
        stack
            .send("POST", target, &[("content-type", content_type)], vec![b'x'; bytes])
            .await
    };
    let predict = "/v1/models/tree/predict";
    assert_eq!(
        send(predict, QUERY, MAX_REQUEST).await.problem().kind,
        ProblemType::MalformedQuery,
        "just small enough"
    );
    let problem = send(predict, QUERY, MAX_REQUEST + 1).await.problem();
    assert_eq!((problem.status, problem.kind), (413, ProblemType::BodyTooLarge));
    assert_eq!(
        send("/v1/keys", JSON, MAX_JSON).await.problem().kind,
        ProblemType::MalformedRequest,
        "just small enough"
    );
    assert_eq!(send("/v1/keys", JSON, MAX_JSON + 1).await.problem().kind, ProblemType::BodyTooLarge);
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
    assert_eq!((problem.status, problem.kind), (422, ProblemType::TooManyRows));
    assert!(!problem.is_retryable());
    let most = problem.most_rows.expect("what would fit") as usize;
    assert!(most < too_many);

    // Exactly as many are answered, and one more are not.
    let problem = stack.query("linear", caller.query(&LINEAR.rows(0, most + 1))).await.problem();
    assert_eq!(problem.kind, ProblemType::TooManyRows);
    let answer = stack.query("linear", caller.query(&LINEAR.rows(0, most))).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() <= MAX_REPLY && answer.body.len() + 2 * caller.client.reply_row_bytes() > MAX_REPLY);
    LINEAR.check(0, most, &caller.open(&answer.body));

    // The client splits such a table by itself.
    LINEAR.check(0, too_many, &caller.predict(LINEAR.rows(0, too_many)).await.expect("answers"));
    assert_eq!(stack.statuses("/predict"), [422, 422, 200, 200, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_larger_than_a_request_is_split() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), "tree").await;
    let rows = MAX_REQUEST / caller.client.query_row_bytes() + 1;
    TREE.check(0, rows, &caller.predict(TREE.rows(0, rows)).await.expect("answers"));
    assert_eq!(stack.statuses("/predict"), [200, 200]);
}
