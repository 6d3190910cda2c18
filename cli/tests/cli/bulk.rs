//! Jobs where something is in the way: a model that no request answers, a disk that is full.

use crate::service::{Dev, rows};
use crate::support::{Sandbox, compiled, failure, success};
use cipherfn_service::bucket::{Bucket, Condition};
use cipherfn_service::{Registry, S3};
use serde_json::Value;
use std::process::{Command, Output, Stdio};

/// Predictions of `rows.csv` by the model `tree` of a service, in `found.csv`.
pub(crate) const fn predict(service: &str) -> [&str; 12] {
    [
        "predict",
        "--service",
        service,
        "--model",
        "tree",
        "--keys",
        "keys",
        "--input",
        "rows.csv",
        "-o",
        "found.csv",
        "--yes",
    ]
}

/// The service tells what a row takes by the model's report, so that nobody waits for requests that
/// would be cut off: without `--bulk` the rows go as jobs.
#[test]
fn what_no_request_can_answer_goes_as_jobs() {
    let sandbox = Sandbox::new();
    let tree = compiled("dt_bc");
    sandbox.write("rows.csv", &rows("dt_bc", 5));
    let dev = Dev::start(&sandbox, &["--publish", &format!("tree={tree}")]);
    let predict = predict(&dev.url);
    let output = sandbox.run(&predict);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    success(&output);
    assert!(!told.contains("as jobs"), "{told}");

    let place: Value = serde_json::from_str(&sandbox.read("data/dev.json")).unwrap();
    let text = |name: &str| {
        place[name]
            .as_str()
            .unwrap_or_else(|| panic!("{name}: {place}"))
    };
    let s3 = S3::at(
        text("s3_endpoint"),
        "us-east-1",
        text("access_key_id"),
        text("secret_access_key"),
        text("bucket"),
    );
    let registry = Registry::new(s3);
    let bucket = registry.bucket();
    let slow = async {
        let objects = bucket.list("models/").await.unwrap().into_iter();
        let mut reports = objects.map(|object| object.key);
        let report = reports.find(|key| key.ends_with("/report.json")).unwrap();
        let bytes = bucket.get(&report, u64::MAX).await.unwrap().unwrap().bytes;
        let mut document: Value = serde_json::from_slice(&bytes).unwrap();
        // Half a minute, in the microseconds of one thread.
        document["work"]["predicted_microseconds"] = 30e6.into();
        let bytes = serde_json::to_vec(&document).unwrap();
        let written = bucket.put(&report, bytes.into(), "application/json", Condition::Always);
        written.await.unwrap();
    };
    tokio::runtime::Runtime::new().unwrap().block_on(slow);
    let output = sandbox.run(&[predict.as_slice(), &["--force"]].concat());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    success(&output);
    assert!(told.contains("sending the rows as jobs"), "{told}");
    assert!(told.contains("2 chunks in 2 jobs"), "{told}");
    sandbox.predict_here(tree);
    assert_eq!(sandbox.labels("found.csv"), sandbox.labels("local.csv"));
    // Workers may share chunks.
    let parts = ["--bulk", "--rows-a-chunk", "3", "--parts", "2", "--force"];
    let output = sandbox.run(&[predict.as_slice(), &parts].concat());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    success(&output);
    assert!(told.contains("that 2 workers share"), "{told}");
    assert_eq!(sandbox.labels("found.csv"), sandbox.labels("local.csv"));
    // Jobs need a file beside which to remember them; without one requests are tried.
    let to_stdout = predict.map(|argument| {
        if argument == "found.csv" {
            "-"
        } else {
            argument
        }
    });
    let found = success(&sandbox.run(&to_stdout));
    assert_eq!(found.lines().count(), 6);
}

/// Runs the command where files may have so many blocks of 512 bytes.
fn with_blocks(sandbox: &Sandbox, blocks: u32, arguments: &[&str]) -> Output {
    let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &limited, env!("CARGO_BIN_EXE_cipherfn")]);
    command.args(arguments).stdin(Stdio::null());
    command
        .current_dir(sandbox.path("."))
        .env("HOME", sandbox.path("."));
    command.output().unwrap()
}

/// Neither where the run is remembered nor where the predictions go is there room: each is said, and
/// the next run goes on from what has been sent.
#[test]
fn a_full_disk_loses_nothing() {
    let sandbox = Sandbox::new();
    let tree = compiled("dt_bc");
    sandbox.write("rows.csv", &rows("dt_bc", 100));
    let dev = Dev::start(&sandbox, &["--publish", &format!("tree={tree}")]);
    let register = [
        "register",
        "--service",
        &dev.url,
        "--model",
        "tree",
        "--keys",
        "keys",
    ];
    success(&sandbox.run(&register));
    let bulk = ["--bulk", "--rows-a-chunk", "50"];
    // Predictions that take more room than what is remembered.
    let table = rows("dt_bc", 0);
    let columns = table.trim().split(',').take(8);
    let keep: Vec<&str> = columns.flat_map(|column| ["--keep", column]).collect();
    let predict = [predict(&dev.url).as_slice(), &bulk, &keep].concat();
    // The first line has room, that of a chunk has not.
    let told = failure(&with_blocks(&sandbox, 1, &predict));
    assert!(
        told.contains("found.csv.job cannot be read or written"),
        "{told}"
    );
    assert!(told.contains("run it again"), "{told}");
    // All lines have, and the predictions have not.
    let told = failure(&with_blocks(&sandbox, 4, &predict));
    assert!(told.contains("found.csv is not written"), "{told}");
    assert!(told.contains("run it again"), "{told}");
    let manifest = sandbox.read("found.csv.job");
    assert!(manifest.contains("\"end\""), "all was sent: {manifest}");
    assert!(!sandbox.path("found.csv").exists(), "no half of it");
    // What was sent is not of a table in which a cell has changed since.
    let table = sandbox.read("rows.csv");
    let (before, last) = table.trim_end().rsplit_once(',').unwrap();
    assert_ne!(last, "7");
    sandbox.write("rows.csv", &format!("{before},7\n"));
    let told = failure(&sandbox.run(&predict));
    assert!(
        told.contains("found.csv.job is that of another run (the table"),
        "{told}"
    );
    assert_eq!(sandbox.read("found.csv.job"), manifest);
    sandbox.write("rows.csv", &table);
    let output = sandbox.run(&predict);
    success(&output);
    let found = sandbox.read("found.csv");
    let predicted = found.lines().map(|line| line.split(',').nth(8).unwrap());
    let predicted: Vec<_> = predicted.collect();
    sandbox.predict_here(tree);
    assert_eq!(predicted, sandbox.labels("local.csv"));
    assert!(!sandbox.path("found.csv.job").exists());
}
