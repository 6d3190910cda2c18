//! Step Functions with the real client: executions of a map over a function.

use std::time::Duration;

use aws_sdk_sfn::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_sfn::error::ProvideErrorMetadata;
use cipherfn_emulator::{Config, Emulator, Map};
use serde_json::{Value, json};

use crate::support::{Gate, emulator, eventually, open};

/// Two events at a time: objects with one of the `paths` as `rawPath`.
fn map() -> Map {
    Map {
        name: "paths".to_owned(),
        function: "f".to_owned(),
        items: "paths".to_owned(),
        item: "rawPath".to_owned(),
        concurrency: 2,
    }
}

fn with_map(config: &mut Config) {
    config.maps = vec![map()];
    config.functions[0].concurrency = 5;
    config.limits.asynchronous_retries = vec![Duration::from_millis(1); 2];
}

fn client(emulator: &Emulator, secret: &str) -> aws_sdk_sfn::Client {
    let (id, _) = emulator.credentials();
    let config = aws_sdk_sfn::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new(id, secret, None, None, "test"))
        .endpoint_url(emulator.lambda_endpoint())
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    aws_sdk_sfn::Client::from_conf(config.build())
}

/// Starts an execution; its ARN, or why there is none.
async fn start(
    emulator: &Emulator,
    machine: &str,
    name: &str,
    input: &Value,
) -> Result<String, String> {
    let client = client(emulator, emulator.credentials().1);
    let request = client.start_execution().state_machine_arn(machine);
    let started = request.name(name).input(input.to_string()).send().await;
    let started = started.map_err(|error| error.code().unwrap_or("unknown").to_owned())?;
    Ok(started.execution_arn)
}

async fn status(emulator: &Emulator, execution: &str) -> Result<String, String> {
    let client = client(emulator, emulator.credentials().1);
    let described = client.describe_execution().execution_arn(execution);
    let described = described.send().await;
    let described = described.map_err(|error| error.code().unwrap_or("unknown").to_owned())?;
    Ok(described.status.as_str().to_owned())
}

async fn ends(emulator: &Emulator, execution: &str) {
    while status(emulator, execution).await != Ok("SUCCEEDED".to_owned()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether nobody comes to a gate for a while.
async fn is_quiet(gate: &Gate) -> bool {
    let wait = Duration::from_millis(200);
    tokio::time::timeout(wait, gate.arrival()).await.is_err()
}

#[tokio::test]
async fn as_many_items_are_worked_on_at_a_time_as_the_map_says() {
    let (emulator, _data) = emulator(with_map).await;
    let gate = Gate::new().await;
    let input = json!({ "paths": vec![gate.path(); 5] });
    let execution = start(&emulator, &map().arn(), "five", &input).await;
    let execution = execution.expect("started");
    assert_eq!(status(&emulator, &execution).await, Ok("RUNNING".into()));
    let (_, first) = gate.arrival().await;
    let (_, second) = gate.arrival().await;
    assert!(is_quiet(&gate).await, "a third at the same time");
    for stream in [first, second] {
        open(stream).await;
        let (_, next) = gate.arrival().await;
        open(next).await;
    }
    let (_, last) = gate.arrival().await;
    assert_eq!(status(&emulator, &execution).await, Ok("RUNNING".into()));
    open(last).await;
    ends(&emulator, &execution).await;
    assert!(is_quiet(&gate).await, "a sixth");
    assert_eq!(emulator.executions(), ["five"]);
    assert!(emulator.dead_letters().is_empty());
}

/// An item that fails three times is a letter, its event as it was sent; the others go on.
#[tokio::test]
async fn an_item_that_fails_does_not_fail_the_others() {
    let (emulator, _data) = emulator(with_map).await;
    let gate = Gate::new().await;
    let paths = [gate.path(), "/error".to_owned(), gate.path()];
    let input = json!({ "paths": paths, "job": "j" });
    let execution = start(&emulator, &map().arn(), "poison", &input).await;
    let execution = execution.expect("started");
    let (_, first) = gate.arrival().await;
    eventually("a dead letter", || !emulator.dead_letters().is_empty()).await;
    let (_, second) = gate.arrival().await;
    for stream in [first, second] {
        open(stream).await;
    }
    ends(&emulator, &execution).await;
    let letters = emulator.dead_letters();
    let [letter] = letters.as_slice() else {
        panic!("{letters:?}");
    };
    let event: Value = serde_json::from_slice(&letter.event).expect("JSON");
    assert_eq!(event, json!({ "rawPath": "/error", "job": "j" }));
    assert_eq!(letter.function, "f");
}

/// A name is one execution: asked for again while it runs it is the same, and another is refused.
#[tokio::test]
async fn a_name_is_one_execution() {
    let (emulator, _data) = emulator(with_map).await;
    let gate = Gate::new().await;
    let machine = map().arn();
    let input = json!({ "paths": [gate.path()] });
    let exists = Err("ExecutionAlreadyExists".to_owned());
    let first = start(&emulator, &machine, "name", &input).await;
    let (_, stream) = gate.arrival().await;
    assert_eq!(start(&emulator, &machine, "name", &input).await, first);
    let other = json!({ "paths": [gate.path(), gate.path()] });
    assert_eq!(start(&emulator, &machine, "name", &other).await, exists);
    assert!(is_quiet(&gate).await, "begun twice");
    open(stream).await;
    ends(&emulator, &first.expect("started")).await;
    assert_eq!(start(&emulator, &machine, "name", &input).await, exists);
    assert!(is_quiet(&gate).await, "begun again");
    assert_eq!(emulator.executions(), ["name"]);
}

#[tokio::test]
async fn what_is_no_execution_is_refused() {
    let (emulator, _data) = emulator(with_map).await;
    let machine = map().arn();
    for input in [json!([]), json!({ "items": [] }), json!({ "paths": "/" })] {
        let refused = start(&emulator, &machine, "bad", &input).await;
        let expected = Err("InvalidExecutionInput".to_owned());
        assert_eq!(refused, expected, "{input}");
    }
    let sound = json!({ "paths": [] });
    let refused = start(&emulator, &format!("{machine}-2"), "bad", &sound).await;
    assert_eq!(refused, Err("StateMachineDoesNotExist".to_owned()));
    let unknown = machine.replace("stateMachine", "execution") + ":bad";
    let refused = status(&emulator, &unknown).await;
    assert_eq!(refused, Err("ExecutionDoesNotExist".to_owned()));
    let stranger = client(&emulator, "another secret");
    let refused = stranger.start_execution().state_machine_arn(&machine);
    let refused = refused.send().await.expect_err("a wrong signature");
    assert_eq!(refused.code(), Some("AccessDeniedException"));
    assert_eq!(emulator.executions(), Vec::<String>::new());
    // One without items is over at once.
    let empty = start(&emulator, &machine, "empty", &sound).await;
    ends(&emulator, &empty.expect("started")).await;
    assert!(emulator.process_ids("f").is_empty());
}
