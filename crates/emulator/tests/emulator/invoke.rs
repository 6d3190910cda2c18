//! Lambda's `Invoke` with the real client: answers, events, retries, dead letters.

use std::time::Duration;

use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_lambda::error::ProvideErrorMetadata;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use cipherfn_emulator::Emulator;
use serde_json::{Value, json};

use crate::support::{Gate, Lines, config, emulator, eventually, open};

fn client(emulator: &Emulator, secret: &str) -> aws_sdk_lambda::Client {
    let (id, _) = emulator.credentials();
    let config = aws_sdk_lambda::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new(id, secret, None, None, "test"))
        .endpoint_url(emulator.lambda_endpoint())
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    aws_sdk_lambda::Client::from_conf(config.build())
}

fn event(path: &str) -> Blob {
    Blob::new(json!({ "rawPath": path }).to_string())
}

/// Invokes `f` and gives status, whether the function failed, and what it said.
async fn invoke(
    emulator: &Emulator,
    kind: InvocationType,
    event: Blob,
) -> Result<(i32, bool, Value), String> {
    let client = client(emulator, emulator.credentials().1);
    let request = client.invoke().function_name("f").invocation_type(kind);
    let answer = request.payload(event).send().await;
    let answer = answer.map_err(|error| error.code().unwrap_or("unknown").to_owned())?;
    let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
    let payload = serde_json::from_slice(&payload).unwrap_or_default();
    let failed = answer.function_error.is_some();
    Ok((answer.status_code, failed, payload))
}

#[tokio::test]
async fn a_function_answers_or_says_how_it_failed() {
    let (emulator, _data) = emulator(|_| ()).await;
    let kind = InvocationType::RequestResponse;
    let (status, failed, answer) = invoke(&emulator, kind.clone(), event("/process"))
        .await
        .expect("invoked");
    assert_eq!((status, failed), (200, false));
    assert_eq!(answer["statusCode"], 200);
    let (status, failed, answer) = invoke(&emulator, kind, event("/error"))
        .await
        .expect("invoked");
    assert_eq!((status, failed), (200, true));
    assert!(
        answer["errorMessage"]
            .as_str()
            .is_some_and(|text| text.contains("as asked"))
    );
}

/// The same event, the same request id, once more after each failure.
#[tokio::test]
async fn an_event_is_tried_three_times_and_then_a_dead_letter() {
    let lines = Lines::default();
    let (emulator, _data) = emulator(|config| {
        config.limits.asynchronous_retries = vec![Duration::from_millis(1); 2];
        config.log = lines.sink();
    })
    .await;
    for path in ["/exit", "/error"] {
        let before = emulator.dead_letters().len();
        let queued = invoke(&emulator, InvocationType::Event, event(path)).await;
        assert_eq!(queued, Ok((202, false, Value::Null)));
        eventually("a dead letter", || emulator.dead_letters().len() > before).await;
        let letters = emulator.dead_letters();
        let letter = letters.last().expect("there is one");
        assert_eq!(letter.function, "f");
        let sent: Value = serde_json::from_slice(&letter.event).expect("JSON");
        assert_eq!(sent, json!({ "rawPath": path }));
    }
    let reports = lines.all().into_iter();
    let ids: Vec<String> = reports
        .filter_map(|line| Some(line.split_once("REPORT RequestId: ")?.1[..36].to_owned()))
        .collect();
    assert_eq!(ids.len(), 6, "{ids:?}");
    assert!(ids[..3].iter().all(|id| *id == ids[0]), "{ids:?}");
    assert!(ids[3..].iter().all(|id| *id == ids[3]) && ids[0] != ids[3]);
}

/// More events than environments: none is refused, whatever the patience of requests.
#[tokio::test]
async fn events_wait_for_a_free_environment() {
    let (emulator, _data) = emulator(|config| {
        config.functions[0].concurrency = 1;
        config.limits.queue_timeout = Duration::from_millis(1);
    })
    .await;
    let gate = Gate::new().await;
    for _ in 0..3 {
        let queued = invoke(&emulator, InvocationType::Event, event(&gate.path())).await;
        assert!(queued.is_ok());
    }
    for _ in 0..3 {
        let (_, stream) = gate.arrival().await;
        let busy = invoke(&emulator, InvocationType::RequestResponse, event("/")).await;
        assert_eq!(busy, Err("TooManyRequestsException".to_owned()));
        open(stream).await;
    }
    assert!(emulator.dead_letters().is_empty());
}

/// An emulator that stops before an event is over leaves it, with its request id, to the next one over
/// the same data.
#[tokio::test]
async fn events_that_are_not_over_go_on_at_the_next_start() {
    let (first, data) = emulator(|config| config.functions[0].concurrency = 1).await;
    let gate = Gate::new().await;
    for path in [gate.path(), "/context".to_owned()] {
        let queued = invoke(&first, InvocationType::Event, event(&path)).await;
        assert!(queued.is_ok());
    }
    // One is under way, the other waits for its environment.
    let (killed, _stream) = gate.arrival().await;
    first.stop().await;
    let lines = Lines::default();
    let mut config = config(&data);
    config.log = lines.sink();
    let second = Emulator::start(config).await.expect("starts");
    let (process, stream) = gate.arrival().await;
    assert_ne!(process, killed);
    open(stream).await;
    let ended = || {
        let lines = lines.all().into_iter();
        let reports = lines.filter(|line| line.contains("REPORT RequestId: "));
        reports.count()
    };
    eventually("the end of both", || ended() == 2).await;
    assert!(second.dead_letters().is_empty());
    second.stop().await;
    // They are over: nobody begins them again.
    let left = std::fs::read_dir(data.path().join("_events")).expect("a folder");
    assert_eq!(left.count(), 0);
}

/// A function finds the API in its environment.
#[tokio::test]
async fn functions_know_where_the_api_is() {
    let (emulator, _data) = emulator(|_| ()).await;
    let kind = InvocationType::RequestResponse;
    let answer = invoke(&emulator, kind, event("/environment")).await;
    let (_, _, answer) = answer.expect("invoked");
    let body: Value = serde_json::from_str(answer["body"].as_str().expect("text")).expect("JSON");
    assert_eq!(body["AWS_ENDPOINT_URL_LAMBDA"], emulator.lambda_endpoint());
}

#[tokio::test]
async fn what_cannot_be_invoked_is_refused() {
    let (emulator, _data) = emulator(|_| ()).await;
    let large = Blob::new(format!("\"{}\"", "x".repeat(1 << 20)));
    let refused = invoke(&emulator, InvocationType::Event, large).await;
    assert_eq!(refused, Err("RequestTooLargeException".to_owned()));
    let text = Blob::new("no JSON");
    let refused = invoke(&emulator, InvocationType::Event, text).await;
    assert_eq!(refused, Err("InvalidRequestContentException".to_owned()));

    let unknown = client(&emulator, emulator.credentials().1);
    let unknown = unknown.invoke().function_name("g").send().await;
    let error = unknown.expect_err("no such function");
    assert_eq!(error.code(), Some("ResourceNotFoundException"));
    let stranger = client(&emulator, "another secret");
    let stranger = stranger.invoke().function_name("f").send().await;
    let error = stranger.expect_err("a wrong signature");
    assert_eq!(error.code(), Some("AccessDeniedException"));
    assert!(emulator.process_ids("f").is_empty() && emulator.dead_letters().is_empty());
}
