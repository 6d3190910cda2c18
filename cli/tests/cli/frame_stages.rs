//! Plans that are not levelled, over a service: `frame query --stages` against `cipherfn dev`, of frames whose
//! names the service does not learn.

use crate::service::Dev;
use crate::support::{Sandbox, failure, success};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Frames and polars' answers (`tests/frames/stages.py` makes them).
fn cases() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/frames/stages.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn name_of(toml: &str) -> &str {
    let line = toml.lines().find(|line| line.starts_with("name = "));
    line.unwrap()
        .trim_start_matches("name = ")
        .trim_matches('"')
}

/// A row as CSV has it.
fn line(row: &Value) -> String {
    let cells = row.as_array().unwrap().iter();
    let cells = cells.map(|cell| match cell {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    cells.collect::<Vec<_>>().join(",")
}

#[test]
fn stages_over_a_service_answer_as_polars_does() {
    let sandbox = Sandbox::new();
    let dev = Dev::start(&sandbox, &[]);
    let cases = cases();
    let mut names = Vec::new();
    for frame in cases["frames"].as_array().unwrap() {
        let toml = frame["schema"].as_str().unwrap();
        let name = name_of(toml);
        sandbox.write(&format!("{name}.toml"), toml);
        let columns = toml.split("[[column]]").skip(1).map(name_of);
        let header = columns.collect::<Vec<_>>().join(",");
        let rows = frame["rows"].as_array().unwrap().iter().map(line);
        let rows: Vec<String> = std::iter::once(header).chain(rows).collect();
        sandbox.write(&format!("{name}.csv"), &(rows.join("\n") + "\n"));
        let (schema, csv, cff) = (
            format!("{name}.toml"),
            format!("{name}.csv"),
            format!("{name}.cff"),
        );
        let encrypt = [
            "frame", "encrypt", "--schema", &schema, "--keys", "keys", "--input", &csv, "-o", &cff,
        ];
        success(&sandbox.run(&[&encrypt[..], &["--hash-names"]].concat()));
        let upload = [
            "frame",
            "upload",
            &cff,
            "--service",
            &dev.url,
            "--keys",
            "keys",
        ];
        success(&sandbox.run(&upload));
        names.push(name.to_owned());
    }
    let list = || success(&sandbox.run(&["frame", "list", "--service", &dev.url]));
    let before = list();
    for name in &names {
        assert!(!before.contains(name.as_str()), "{before}");
    }
    let known = ["frame", "list", "--service", &dev.url, "--keys", "keys"];
    let known = success(&sandbox.run(&known));
    assert!(
        names.iter().all(|name| known.contains(name.as_str())),
        "{known}"
    );
    for case in cases["cases"].as_array().unwrap() {
        let sql = case["sql"].as_str().unwrap();
        sandbox.write("plan.sql", sql);
        let named = names.iter().filter(|name| sql.contains(name.as_str()));
        let named: Vec<&str> = named.map(String::as_str).collect();
        let query = [
            "--json",
            "frame",
            "query",
            "--stages",
            "--keys",
            "keys",
            "--service",
            &dev.url,
            "--plan",
            "plan.sql",
            "-o",
            "answer.csv",
            "--force",
        ];
        let summary = success(&sandbox.run(&[&query[..], &named].concat()));
        let summary: Value = serde_json::from_str(&summary).unwrap();
        assert_eq!(summary["stages"], case["stages"], "{sql}");
        let answer = sandbox.read("answer.csv");
        let mut found: Vec<String> = answer.lines().map(ToOwned::to_owned).collect();
        let mut wanted: Vec<String> = vec![line(&case["columns"])];
        wanted.extend(case["rows"].as_array().unwrap().iter().map(line));
        if !case["ordered"].as_bool().unwrap() {
            found[1..].sort();
            wanted[1..].sort();
        }
        assert_eq!(found, wanted, "{sql}");
        // Nothing that stages encrypted stays.
        assert_eq!(list(), before, "{sql}");
    }
    // A frame between stages that the service does not take: nothing stays, and nothing is written.
    sandbox.write("plan.sql", cases["cases"][0]["sql"].as_str().unwrap());
    let delete = ["frame", "list", "--service", &dev.url, "--delete", "kinds"];
    let unknown = failure(&sandbox.run(&delete));
    assert!(unknown.contains("keeps no frame \"kinds\""), "{unknown}");
    success(&sandbox.run(&[&delete[..], &["--keys", "keys"]].concat()));
    let query = [
        "frame",
        "query",
        "--stages",
        "--keys",
        "keys",
        "--service",
        &dev.url,
        "--plan",
        "plan.sql",
        "-o",
        "none.csv",
        "sales",
        "prices",
        "kinds",
    ];
    let refused = failure(&sandbox.run(&query));
    assert!(refused.contains("keeps no frame \"kinds\""), "{refused}");
    // What was hashed is there with its names in the clear, as a service would say it that has guessed them: no
    // plan is sent.
    fs::create_dir(sandbox.path("plain")).unwrap();
    for file in ["secret.cfk", "expansion.cfk"] {
        let path = |ring: &str| sandbox.path(&format!("{ring}/{file}"));
        fs::copy(path("keys"), path("plain")).unwrap();
    }
    let with = ["--keys", "plain"];
    let encrypt = ["frame", "encrypt", "--schema", "kinds.toml"];
    let files = ["--input", "kinds.csv", "-o", "kinds.cff", "--force"];
    success(&sandbox.run(&[&encrypt[..], &files, &with].concat()));
    let upload = ["frame", "upload", "kinds.cff", "--service", &dev.url];
    success(&sandbox.run(&[&upload[..], &with].concat()));
    let refused = failure(&sandbox.run(&query));
    assert!(
        refused.contains("are in the clear for frame \"kinds\""),
        "{refused}"
    );
    assert!(!sandbox.path("none.csv").exists());
}
