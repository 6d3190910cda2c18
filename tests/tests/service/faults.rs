//! What breaks below the service: processes that die, and an S3 that fails.

use crate::models::{Caller, LINEAR, TREE};
use crate::stack::{BUCKET, Stack, function_of, kill, wait_until};
use crate::wire::{self, Answer};
use cipherfn_client_http::ServiceError;
use cipherfn_emulator::faults::Fault;
use cipherfn_emulator::{Config, Emulator, Route};
use cipherfn_protocol::api::{PROBLEM, ProblemType};
use http::Method;
use std::time::Duration;

/// Attempts that a function makes at one request to S3.
const ATTEMPTS: usize = 4;

async fn stack(model: &str) -> (Stack, Caller) {
    let stack = Stack::start(|setup| setup.faulty = true).await;
    let trained = if model == "tree" { &TREE } else { &LINEAR };
    stack.publish(model, &trained.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), model).await;
    (stack, caller)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_in_the_middle_of_a_request_loses_nothing() {
    const ROWS: usize = 300;
    let (stack, caller) = stack("tree").await;
    TREE.check(0, 1, &caller.predict(TREE.rows(0, 1)).await.expect("warm"));
    let before = stack.faults().requests().len();
    let work = tokio::spawn(async move { caller.predict(TREE.rows(0, ROWS)).await });
    // A function asks for the record while it evaluates: the request is there, and has far to go.
    let asks = || {
        stack.faults().requests()[before..]
            .iter()
            .any(|request| request.contains("record.json"))
    };
    wait_until("the request reaches the function", asks).await;
    let processes = stack.emulator.process_ids("infer");
    assert_eq!(processes.len(), 1);
    kill(processes[0]);
    TREE.check(
        0,
        ROWS,
        &work
            .await
            .expect("no panic")
            .expect("the retry gets the whole answer"),
    );
    assert_eq!(
        stack.statuses("/predict"),
        [200, 500, 200],
        "warm, killed, again"
    );
    assert!(!stack.emulator.process_ids("infer").contains(&processes[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_between_requests_is_not_noticed() {
    let (stack, caller) = stack("tree").await;
    TREE.check(0, 1, &caller.predict(TREE.rows(0, 1)).await.expect("warm"));
    for process in stack.emulator.process_ids("infer") {
        kill(process);
    }
    wait_until("the process is gone", || {
        stack.emulator.process_ids("infer").is_empty()
    })
    .await;
    TREE.check(
        1,
        1,
        &caller.predict(TREE.rows(1, 1)).await.expect("cold again"),
    );
    assert_eq!(stack.statuses("/predict"), [200, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_an_answer_and_the_process_lives_on() {
    let data = tempfile::tempdir().expect("a directory");
    let mut config = Config::new(data.path(), BUCKET);
    config.functions = vec![function_of("panic", &[])];
    config.functions[0].concurrency = 1;
    config.routes = vec![Route::new(Method::GET, "/{what}", "panic")];
    let emulator = Emulator::start(config).await.expect("starts");
    let address = wire::split(emulator.url()).0;
    let get = async |target| -> Answer {
        wire::send(address, wire::request("GET", target, &[], ""))
            .await
            .expect("an answer")
    };
    let before = get("/process").await;
    for _ in 0..3 {
        let answer = get("/panic").await;
        assert_eq!((answer.status, answer.content_type()), (500, PROBLEM));
        let problem = answer.problem();
        assert_eq!(problem.kind, ProblemType::Internal);
        assert!(problem.is_retryable() && problem.request_id.is_some_and(|id| !id.is_empty()));
    }
    let after = get("/process").await;
    assert_eq!(
        (before.status, &before.body),
        (200, &after.body),
        "the same process"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_s3_that_pass_are_not_noticed() {
    for fault in [Fault::InternalError, Fault::SlowDown] {
        for object in ["bundle.cfn", "expansion.cfk", "record.json", "model.json"] {
            let (stack, caller) = stack("tree").await;
            stack.faults().next(ATTEMPTS - 1, object, fault.clone());
            TREE.check(
                0,
                3,
                &caller.predict(TREE.rows(0, 3)).await.expect("answers"),
            );
            assert_eq!(stack.statuses("/predict"), [200], "{fault:?} {object}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_off_are_not_noticed() {
    let (stack, caller) = stack("tree").await;
    for (object, bytes) in [
        ("bundle.cfn", 1000),
        ("expansion.cfk", 100_000),
        ("record.json", 10),
        ("model.json", 0),
    ] {
        stack
            .faults()
            .next(ATTEMPTS - 1, object, Fault::ResetAfter(bytes));
    }
    TREE.check(
        0,
        3,
        &caller.predict(TREE.rows(0, 3)).await.expect("answers"),
    );
    assert_eq!(stack.statuses("/predict"), [200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_s3_is_waited_for() {
    let (stack, caller) = stack("tree").await;
    stack
        .faults()
        .always("", Fault::Delay(Duration::from_millis(150)));
    TREE.check(
        0,
        3,
        &caller.predict(TREE.rows(0, 3)).await.expect("answers"),
    );
    assert_eq!(stack.statuses("/predict"), [200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_s3_that_does_not_answer_is_asked_again() {
    let (stack, caller) = stack("tree").await;
    // Longer than a function waits for the start of an answer.
    stack
        .faults()
        .next(1, "expansion.cfk", Fault::Delay(Duration::from_secs(7)));
    TREE.check(
        0,
        3,
        &caller.predict(TREE.rows(0, 3)).await.expect("answers"),
    );
    assert_eq!(stack.statuses("/predict"), [200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_s3_is_a_problem_and_never_a_wrong_answer() {
    let (stack, caller) = stack("tree").await;
    let query = caller.query(&TREE.rows(0, 3));
    let faults = [
        ("bundle.cfn", Fault::InternalError),
        ("bundle.cfn", Fault::ResetAfter(1000)),
        ("expansion.cfk", Fault::SlowDown),
        ("expansion.cfk", Fault::ResetAfter(100_000)),
        ("record.json", Fault::InternalError),
        ("record.json", Fault::ResetAfter(1)),
        ("model.json", Fault::SlowDown),
        ("model.json", Fault::ResetAfter(0)),
    ];
    let broken = async |object: &str, fault: &Fault, cold: bool| {
        if cold {
            stack
                .emulator
                .process_ids("infer")
                .into_iter()
                .for_each(kill);
            wait_until("the processes are gone", || {
                stack.emulator.process_ids("infer").is_empty()
            })
            .await;
        }
        stack.faults().always(object, fault.clone());
        let problem = stack.query("tree", query.clone()).await.problem();
        assert_eq!(
            problem.kind,
            ProblemType::StorageUnavailable,
            "{object} {fault:?}"
        );
        assert!(
            !problem.detail.contains("keys/"),
            "nothing of the bucket is told"
        );
        stack.faults().pass();
    };
    for (object, fault) in &faults {
        broken(object, fault, true).await;
        if object.contains("json") {
            // Warm too, as these are asked for every time.
            TREE.check(
                0,
                3,
                &caller.open(&stack.query("tree", query.clone()).await.body),
            );
            broken(object, fault, false).await;
        }
    }
    TREE.check(
        0,
        3,
        &caller.open(&stack.query("tree", query.clone()).await.body),
    );

    // The client says what the service said, after its last attempt.
    stack.faults().always("record.json", Fault::SlowDown);
    let error = caller
        .predict(TREE.rows(0, 1))
        .await
        .expect_err("no storage");
    assert!(
        matches!(&error, ServiceError::Problem { attempts: 6, problem, .. } if problem.kind == ProblemType::StorageUnavailable),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_s3_is_no_unknown_key_where_none_is_needed() {
    let (stack, caller) = stack("linear").await;
    let query = caller.query(&LINEAR.rows(0, 3));
    stack.faults().always("bundle.cfn", Fault::InternalError);
    // Cold, nobody knows yet that the model needs no key.
    assert_eq!(
        stack.query("linear", query.clone()).await.problem().kind,
        ProblemType::StorageUnavailable
    );
    stack.faults().pass();
    LINEAR.check(0, 3, &caller.open(&stack.query("linear", query).await.body));
}

#[tokio::test(flavor = "multi_thread")]
async fn specs_and_registration_survive_a_failing_s3() {
    let stack = Stack::start(|setup| setup.faulty = true).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    for fault in [Fault::InternalError, Fault::ResetAfter(5)] {
        stack
            .faults()
            .next(ATTEMPTS - 1, "model.json", fault.clone());
        stack.faults().next(ATTEMPTS - 1, "specs.json", fault);
    }
    let caller = Caller::new(stack.service(|_| {}), "tree").await;
    // The client's own upload is among those that fail; then checking it, and moving it.
    stack.faults().next(2, "PutObject", Fault::SlowDown);
    stack.faults().next(3, "GetObject", Fault::InternalError);
    stack
        .faults()
        .next(1, "expansion.cfk", Fault::ResetRequestAfter(100_000));
    caller.register().await.expect("registered");
    TREE.check(
        0,
        1,
        &caller.predict(TREE.rows(0, 1)).await.expect("answers"),
    );
    stack.faults().always("", Fault::InternalError);
    let answer = stack.send("GET", "/v1/models", &[], "").await;
    assert_eq!(answer.problem().kind, ProblemType::StorageUnavailable);
}
