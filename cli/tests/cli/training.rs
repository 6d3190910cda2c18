//! Training by a service, from a spec to a model, with interruptions.

use crate::service::Dev;
use crate::support::{Sandbox, failure, success, usage};
use serde_json::Value;
use std::fmt::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

const SPEC: &str = r#"
format = 1
name = "risk"
algorithm = "logistic"
batch = 8
epochs = 4
rate = 1.0
[[column]]
name = "age"
low = 20
high = 90
[[column]]
name = "pulse"
low = 40
high = 130
[target]
name = "ill"
classes = ["no", "yes"]
"#;

fn rows() -> String {
    (0..24).fold("age,pulse,ill\n".to_owned(), |mut text, row| {
        let (age, pulse) = (25 + row * 37 % 60, 50 + row * 53 % 70);
        let ill = if age + pulse > 140 { "yes" } else { "no" };
        writeln!(text, "{age},{pulse},{ill}").unwrap();
        text
    })
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Kills a training as soon as its rows are with the service.
fn interrupted(sandbox: &Sandbox, train: &[&str]) {
    let mut child = sandbox
        .command(train)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_mins(2);
    while !sandbox.path("risk.onnx.training").exists() {
        assert!(Instant::now() < deadline, "nothing is uploaded");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!sandbox.path("risk.onnx").exists());
}

#[test]
fn a_service_trains_and_goes_on_after_the_client_was_killed() {
    let sandbox = Sandbox::new();
    sandbox.write("risk.toml", SPEC);
    sandbox.write("rows.csv", &rows());
    success(&sandbox.run(&[
        "compile-training",
        "risk.toml",
        "--data",
        "rows.csv",
        "-o",
        "risk.cfn",
    ]));
    let dev = Dev::start(&sandbox, &["--publish", "risk=risk.cfn"]);
    let url = dev.url.as_str();
    let listed = sandbox.run(&["models", "--programs", "--service", url, "--json"]);
    let listed = json(&success(&listed));
    assert_eq!(listed["programs"][0]["name"], "risk");
    let models = sandbox.run(&["models", "--service", url, "--json"]);
    assert_eq!(json(&success(&models))["models"], serde_json::json!([]));

    let train = [
        "train",
        "--service",
        url,
        "--program",
        "risk",
        "--specs",
        "risk.cfn",
        "--keys",
        "keys",
        "--input",
        "rows.csv",
        "-o",
        "risk.onnx",
        "--json",
    ];
    interrupted(&sandbox, &train);
    // Of other rows it is another run; ended, it is forgotten on both sides.
    sandbox.write("other.csv", &rows().replacen("no", "yes", 1));
    let mut other = train;
    other[10] = "other.csv";
    let error = failure_json(&sandbox.run(&other));
    assert!(error.contains("the table is another one"), "{error}");
    let cancel = [
        "train",
        "--service",
        url,
        "--program",
        "risk",
        "-o",
        "risk.onnx",
        "--cancel",
    ];
    assert!(success(&sandbox.run(&cancel)).contains("is ended"));
    assert!(!sandbox.path("risk.onnx.training").exists());
    let error = failure(&sandbox.run(&cancel));
    assert!(error.contains("nothing was begun"), "{error}");

    interrupted(&sandbox, &train);
    let trained = json(&success(&sandbox.run(&train)));
    assert_eq!(
        (&trained["rows"], &trained["steps"]),
        (&24.into(), &12.into())
    );
    assert_eq!(trained["version"], listed["programs"][0]["current"]);
    assert!(std::fs::read(sandbox.path("risk.onnx")).unwrap().len() > 100);
    assert!(!sandbox.path("risk.onnx.training").exists());
    // Half of the rows are of each class; a model that has not learned has half of them right.
    assert!(trained["accuracy"].as_f64().unwrap() > 0.75, "{trained}");

    let mut without = train.to_vec();
    without.drain(7..9);
    assert!(usage_json(&sandbox.run(&without)).contains("--keys"));
    let mut nowhere = train;
    nowhere[4] = "nobody";
    nowhere[12] = "other.onnx";
    let error = failure_json(&sandbox.run(&nowhere));
    assert!(error.contains("nobody"), "{error}");
    let mut bad = train.to_vec();
    bad[4] = "No Name";
    assert!(usage(&sandbox.run(&bad[..bad.len() - 1])).contains("--program"));
}

fn failure_json(output: &std::process::Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn usage_json(output: &std::process::Output) -> String {
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr.clone()).unwrap()
}
