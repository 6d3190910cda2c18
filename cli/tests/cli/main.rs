//! The commands, run as a user runs them: real models, real encryption.

mod bulk;
mod deaths;
mod frame_models;
mod frame_names;
mod frame_stages;
mod frame_sums;
mod frames;
mod layers;
mod leaves;
mod public_keys;
mod service;
mod support;
mod tables;
mod too_large;
mod totals;
mod training;
mod trust;

use cipherfn_protocol::message::{Chunks, ReplyChunk, write_chunk};
use serde_json::Value;
use service::rows;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use support::{Sandbox, compiled, failure, library_model, lines, success, usage};

/// Rows of a CSV text as numbers.
fn numbers(csv: &str) -> Vec<Vec<f64>> {
    csv.lines()
        .skip(1)
        .map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect())
        .collect()
}

#[test]
fn a_tree_ensemble_from_onnx_to_predictions() {
    let sandbox = Sandbox::new();
    let model = library_model("xgb_bc");
    sandbox.write(
        "rows.csv",
        &lines(&fs::read_to_string(model.join("test.csv")).unwrap(), 6),
    );
    let (onnx, train) = (model.join("model.onnx"), model.join("train.csv"));
    let compile = [
        "compile",
        onnx.to_str().unwrap(),
        "--calibration",
        train.to_str().unwrap(),
        "--target",
        "target",
        "-o",
        "m.cfn",
    ];
    let report = success(&sandbox.run(&compile));
    assert!(report.contains("50 trees"), "{report}");
    for name in ["fidelity", "time", "bytes", "memory", "cost", "rows"] {
        let line = |line: &str| line.starts_with("✓ ") && line[4..].starts_with(name);
        assert!(report.lines().any(line), "{name}: {report}");
    }
    assert!(
        report.lines().all(|line| line.chars().count() <= 100),
        "{report}"
    );
    let more = ["--force", "--verbose", "--report", "m.html"];
    let verbose = success(&sandbox.run(&[&compile[..], &more].concat()));
    assert!(
        verbose.contains("fidelity") && verbose.contains("specs show"),
        "{verbose}"
    );
    let page = sandbox.read("m.html");
    assert!(page.starts_with("<!doctype html>") && page.contains("<svg"));
    success(&sandbox.run(&[&compile[..], &["--force", "--report", "m.json"]].concat()));
    let json: Value = serde_json::from_str(&sandbox.read("m.json")).unwrap();
    assert_eq!(json["model"]["trees"]["trees"], 50);
    assert!(success(&sandbox.run(&[&compile[..], &["--force", "--quiet"]].concat())).is_empty());
    assert!(success(&sandbox.run(&["inspect", "m.cfn"])).contains("50 trees"));
    success(&sandbox.run(&["specs", "m.cfn", "-o", "m.specs.json"]));
    success(&sandbox.run(&["keygen", "m.specs.json", "-o", "keys/"]));
    assert_eq!(sandbox.mode("keys"), 0o700);
    assert_eq!(sandbox.mode("keys/secret.cfk"), 0o600);
    let notice = sandbox.run(&[
        "encrypt",
        "m.specs.json",
        "--keys",
        "keys/",
        "--input",
        "rows.csv",
        "-o",
        "query.cfq",
    ]);
    success(&notice);
    assert!(
        String::from_utf8_lossy(&notice.stderr).contains("rows.csv: ignoring column \"target\"")
    );
    success(&sandbox.run(&[
        "evaluate",
        "m.cfn",
        "--evaluation-key",
        "keys/expansion.cfk",
        "--input",
        "query.cfq",
        "-o",
        "reply.cfr",
    ]));
    success(&sandbox.run(&[
        "decrypt",
        "m.specs.json",
        "--keys",
        "keys/",
        "--input",
        "reply.cfr",
        "-o",
        "predictions.csv",
    ]));

    let predictions = sandbox.read("predictions.csv");
    assert!(
        predictions.starts_with("label,probability_0,probability_1\n"),
        "{predictions}"
    );
    let expected = numbers(&fs::read_to_string(model.join("expected.csv")).unwrap());
    let predictions = numbers(&predictions);
    assert_eq!(predictions.len(), 6);
    for (got, want) in predictions.iter().zip(&expected) {
        assert!(
            (got[0] - want[2]).abs() < 0.5,
            "label: {got:?} against {want:?}"
        );
        assert!(
            (got[1] - want[0]).abs() < 0.02 && (got[2] - want[1]).abs() < 0.02,
            "{got:?} against {want:?}"
        );
    }
}

#[test]
fn a_linear_model_needs_no_evaluation_key_and_shares_a_key_ring() {
    let sandbox = Sandbox::new();
    let linear = compiled("linreg_diabetes");
    let trees = compiled("xgbreg_diabetes");
    fs::write(
        sandbox.path("l.specs.json"),
        success(&sandbox.run(&["specs", linear])),
    )
    .unwrap();
    success(&sandbox.run(&["specs", trees, "-o", "t.specs.json"]));
    let made: Value = serde_json::from_str(&success(&sandbox.run(&[
        "keygen",
        "l.specs.json",
        "-o",
        "keys",
        "--json",
    ])))
    .unwrap();
    assert_eq!(made["key_parts"], serde_json::json!({}));
    let before = fs::read(sandbox.path("keys/secret.cfk")).unwrap();

    sandbox.write(
        "rows.csv",
        &lines(
            &fs::read_to_string(library_model("linreg_diabetes").join("test.csv")).unwrap(),
            20,
        ),
    );
    success(&sandbox.run(&[
        "encrypt",
        "l.specs.json",
        "--keys",
        "keys",
        "--input",
        "rows.csv",
        "-o",
        "query.cfq",
    ]));
    success(&sandbox.run(&[
        "evaluate",
        linear,
        "--input",
        "query.cfq",
        "-o",
        "reply.cfr",
    ]));
    success(&sandbox.run(&[
        "decrypt",
        "l.specs.json",
        "--keys",
        "keys",
        "--input",
        "reply.cfr",
        "-o",
        "predictions.csv",
    ]));
    let predictions = sandbox.read("predictions.csv");
    assert!(predictions.starts_with("prediction\n"));
    let expected = numbers(
        &fs::read_to_string(library_model("linreg_diabetes").join("expected.csv")).unwrap(),
    );
    for (got, want) in numbers(&predictions).iter().zip(&expected) {
        assert!((got[0] - want[0]).abs() < 0.5, "{got:?} against {want:?}");
    }

    let made: Value = serde_json::from_str(&success(&sandbox.run(&[
        "keygen",
        "t.specs.json",
        "-o",
        "keys",
        "--json",
    ])))
    .unwrap();
    if made["parameter_set"] == "cipherfn-128-n2048-m8-v1" {
        assert_eq!(made["secret_key"]["state"], "kept");
        assert_eq!(made["key_parts"]["expansion"]["state"], "written");
    }
    assert_eq!(fs::read(sandbox.path("keys/secret.cfk")).unwrap(), before);
    let again: Value = serde_json::from_str(&success(&sandbox.run(&[
        "keygen",
        "t.specs.json",
        "-o",
        "keys",
        "--json",
    ])))
    .unwrap();
    assert_eq!(again["key_parts"]["expansion"]["state"], "kept");
}

#[test]
fn predict_does_all_of_it() {
    let sandbox = Sandbox::new();
    let model = library_model("xgbreg_diabetes");
    let (bundle, rows) = (compiled("xgbreg_diabetes"), model.join("test.csv"));
    let run = sandbox.run(&[
        "predict",
        "--bundle",
        bundle,
        "--input",
        rows.to_str().unwrap(),
        "-o",
        "-",
        "--limit",
        "3",
    ]);
    let predictions = numbers(&success(&run));
    assert_eq!(predictions.len(), 3);
    let expected = numbers(&fs::read_to_string(model.join("expected.csv")).unwrap());
    for (got, want) in predictions.iter().zip(&expected) {
        assert!((got[0] - want[0]).abs() < 2.0, "{got:?} against {want:?}");
    }
    assert!(!sandbox.path("keys").exists());
}

#[test]
fn everything_streams_through_pipes() {
    let sandbox = Sandbox::new();
    let bundle = compiled("linreg_diabetes");
    success(&sandbox.run(&["specs", bundle, "-o", "s.json"]));
    success(&sandbox.run(&["keygen", "s.json", "-o", "keys"]));
    let rows = lines(
        &fs::read_to_string(library_model("linreg_diabetes").join("test.csv")).unwrap(),
        4,
    );
    let query = sandbox.pipe(
        &[
            "encrypt", "s.json", "--keys", "keys", "--input", "-", "-o", "-",
        ],
        rows.as_bytes(),
    );
    let reply = sandbox.pipe(
        &["evaluate", bundle, "--input", "-", "-o", "-"],
        &query.stdout,
    );
    let predictions = sandbox.pipe(
        &[
            "decrypt", "s.json", "--keys", "keys", "--input", "-", "-o", "-",
        ],
        &reply.stdout,
    );
    assert_eq!(numbers(&success(&predictions)).len(), 4);
}

#[test]
fn nothing_is_overwritten_without_force() {
    let sandbox = Sandbox::new();
    let bundle = compiled("linreg_diabetes");
    sandbox.write("s.json", "precious");
    let error = failure(&sandbox.run(&["specs", bundle, "-o", "s.json"]));
    assert!(
        error.contains("s.json exists already") && error.contains("--force"),
        "{error}"
    );
    assert_eq!(sandbox.read("s.json"), "precious");
    success(&sandbox.run(&["specs", bundle, "-o", "s.json", "--force"]));
    assert!(sandbox.read("s.json").contains("linreg_diabetes"));
}

#[test]
fn a_failure_leaves_no_output() {
    let sandbox = Sandbox::new();
    let bundle = compiled("linreg_diabetes");
    success(&sandbox.run(&["specs", bundle, "-o", "s.json"]));
    success(&sandbox.run(&["keygen", "s.json", "-o", "keys"]));
    let rows = lines(
        &fs::read_to_string(library_model("linreg_diabetes").join("test.csv")).unwrap(),
        4,
    );
    sandbox.write("rows.csv", &format!("{rows}0,0,oops,0,0,0,0,0,0,0,0\n"));
    let error = failure(&sandbox.run(&[
        "encrypt",
        "s.json",
        "--keys",
        "keys",
        "--input",
        "rows.csv",
        "-o",
        "query.cfq",
    ]));
    assert!(
        error.contains("rows.csv, line 6, column \"bmi\": \"oops\" is not a 32-bit number"),
        "{error}"
    );
    let mut left: Vec<_> = fs::read_dir(sandbox.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["keys", "rows.csv", "s.json"]);
}

#[test]
fn mix_ups_are_named() {
    let sandbox = Sandbox::new();
    let (bundle, other) = (compiled("linreg_diabetes"), compiled("ridge_diabetes"));
    success(&sandbox.run(&["specs", bundle, "-o", "s.json"]));
    success(&sandbox.run(&["keygen", "s.json", "-o", "keys"]));
    success(&sandbox.run(&["keygen", "s.json", "-o", "other-keys"]));
    let rows = library_model("linreg_diabetes").join("test.csv");
    let rows = rows.to_str().unwrap();
    success(&sandbox.run(&[
        "encrypt", "s.json", "--keys", "keys", "--input", rows, "-o", "q.cfq",
    ]));
    success(&sandbox.run(&["evaluate", bundle, "--input", "q.cfq", "-o", "r.cfr"]));
    let expect = |arguments: &[&str], parts: &[&str]| {
        let error = failure(&sandbox.run(arguments));
        for part in parts {
            assert!(error.contains(part), "{arguments:?}: {error}");
        }
    };
    expect(
        &["evaluate", other, "--input", "q.cfq", "-o", "x"],
        &[
            "q.cfq",
            "another model or for older specs",
            "cipherfn specs",
        ],
    );
    expect(
        &[
            "decrypt",
            "s.json",
            "--keys",
            "other-keys",
            "--input",
            "r.cfr",
            "-o",
            "x",
        ],
        &["r.cfr", "encrypted under key", "key ring"],
    );
    expect(
        &[
            "decrypt", "s.json", "--keys", "keys", "--input", "q.cfq", "-o", "x",
        ],
        &["q.cfq", "this is a query, not a reply"],
    );
    expect(
        &[
            "decrypt", "s.json", "--keys", "nowhere", "--input", "r.cfr", "-o", "x",
        ],
        &["nowhere holds no secret key", "cipherfn keygen"],
    );
    expect(
        &[
            "encrypt",
            "s.json",
            "--keys",
            "keys",
            "--input",
            "absent.csv",
            "-o",
            "x",
        ],
        &["cannot open absent.csv"],
    );
    expect(
        &["inspect", "q.cfq"],
        &["q.cfq", "this is a query, not a bundle"],
    );
    expect(&["inspect", rows], &["test.csv", "not a cipherfn file"]);
    expect(
        &["keygen", rows, "-o", "k"],
        &["test.csv", "not a client-specs document"],
    );
    let mut reply = fs::read(sandbox.path("r.cfr")).unwrap();
    reply.truncate(reply.len() - 7);
    fs::write(sandbox.path("short.cfr"), &reply).unwrap();
    expect(
        &[
            "decrypt",
            "s.json",
            "--keys",
            "keys",
            "--input",
            "short.cfr",
            "-o",
            "x",
        ],
        &["short.cfr", "truncated: 7 bytes are missing"],
    );
    assert!(!sandbox.path("x").exists());
}

/// The reply with its second row replaced by a failure.
fn with_a_failed_row(reply: &[u8]) -> Vec<u8> {
    let mut failed = Vec::new();
    for chunk in Chunks::<_, ReplyChunk>::new(reply) {
        let (tag, mut chunk) = chunk.unwrap();
        chunk.outcomes[1] = Err("out of memory".to_owned());
        write_chunk(&mut failed, tag, &chunk).unwrap();
    }
    failed
}

#[test]
fn a_row_that_the_server_failed_on_is_marked() {
    let sandbox = Sandbox::new();
    let bundle = compiled("linreg_diabetes");
    success(&sandbox.run(&["specs", bundle, "-o", "s.json"]));
    success(&sandbox.run(&["keygen", "s.json", "-o", "keys"]));
    let rows = lines(
        &fs::read_to_string(library_model("linreg_diabetes").join("test.csv")).unwrap(),
        3,
    );
    sandbox.write("rows.csv", &rows);
    success(&sandbox.run(&[
        "encrypt", "s.json", "--keys", "keys", "--input", "rows.csv", "-o", "q.cfq",
    ]));
    success(&sandbox.run(&["evaluate", bundle, "--input", "q.cfq", "-o", "r.cfr"]));
    fs::write(
        sandbox.path("f.cfr"),
        with_a_failed_row(&fs::read(sandbox.path("r.cfr")).unwrap()),
    )
    .unwrap();

    let decrypt = [
        "decrypt", "s.json", "--keys", "keys", "--input", "f.cfr", "-o",
    ];
    let run = sandbox.run(&[&decrypt[..], &["-", "--on-error", "fail"]].concat());
    assert!(
        failure(&run).contains("the first is row 2: the service: out of memory")
            && run.stdout.is_empty()
    );
    let run = sandbox.run(&[&decrypt[..], &["p.csv"]].concat());
    success(&run);
    let notice = String::from_utf8(run.stderr).unwrap();
    assert!(
        notice.contains("1 of 3 rows have no prediction"),
        "{notice}"
    );
    let predictions = sandbox.read("p.csv");
    let predictions: Vec<_> = predictions.lines().collect();
    assert_eq!(
        (predictions[0], predictions[2]),
        ("prediction,error", ",the service: out of memory")
    );
}

#[test]
fn a_foreign_evaluation_key_is_an_error() {
    let sandbox = Sandbox::new();
    let bundle = compiled("xgbreg_diabetes");
    success(&sandbox.run(&["specs", bundle, "-o", "s.json"]));
    success(&sandbox.run(&["keygen", "s.json", "-o", "mine"]));
    success(&sandbox.run(&["keygen", "s.json", "-o", "theirs"]));
    sandbox.write(
        "rows.csv",
        &lines(
            &fs::read_to_string(library_model("xgbreg_diabetes").join("test.csv")).unwrap(),
            1,
        ),
    );
    success(&sandbox.run(&[
        "encrypt", "s.json", "--keys", "mine", "--input", "rows.csv", "-o", "q.cfq",
    ]));
    let evaluate = ["evaluate", bundle, "--input", "q.cfq", "-o", "r.cfr"];
    let error = usage(&sandbox.run(&evaluate));
    assert!(
        error.contains("needs the client's evaluation key"),
        "{error}"
    );
    let error = failure(
        &sandbox.run(&[&evaluate[..], &["--evaluation-key", "theirs/expansion.cfk"]].concat()),
    );
    assert!(error.contains("of the same key ring"), "{error}");
    success(&sandbox.run(&[&evaluate[..], &["--evaluation-key", "mine/expansion.cfk"]].concat()));
}

#[test]
fn json_errors_and_exit_codes() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&["--json", "inspect", "absent.cfn"]);
    assert_eq!(run.status.code(), Some(1));
    let error: Value = serde_json::from_slice(&run.stderr).unwrap();
    assert!(
        error["error"]
            .as_str()
            .unwrap()
            .contains("cannot open absent.cfn")
    );
    assert_eq!(sandbox.run(&["inspect"]).status.code(), Some(2));
    // What is wrong with the command line itself, too, for every command that has arguments.
    for wrong in [
        &["inspect"][..],
        &["compile", "model.onnx"],
        &["predict", "--input", "rows.csv", "-o", "-"],
        &["models", "rollback"],
        &["models"],
        &["publish", "m.cfn", "--name", "UPPER CASE"],
        &["register", "--service"],
        &["bench", "m.cfn", "--rows", "no-number"],
        &["no-such-command"],
    ] {
        let run = sandbox.run(&[&["--json"], wrong].concat());
        assert_eq!(run.status.code(), Some(2), "{wrong:?}");
        let error: Value = serde_json::from_slice(&run.stderr).unwrap_or_else(|error| {
            panic!(
                "{wrong:?}: {error}: {}",
                String::from_utf8_lossy(&run.stderr)
            )
        });
        let text = error["error"].as_str().unwrap();
        assert!(
            !text.is_empty() && !text.starts_with("error"),
            "{wrong:?}: {text}"
        );
        assert!(run.stdout.is_empty());
    }
    // An argument that only looks like the option is none.
    let run = sandbox.run(&["inspect", "--", "--json", "m.cfn"]);
    assert!(String::from_utf8_lossy(&run.stderr).starts_with("error: "));
    assert_eq!(sandbox.run(&["completions", "bash"]).status.code(), Some(0));
    // Wrong options are named as they are written.
    sandbox.write("rows.csv", "a,b\n1,2\n");
    for (options, said) in [
        (&["--min-agreement", "200"][..], "--min-agreement is 200"),
        (&["--max-error", "50"], "--max-error is 50"),
        (&["--decoys", "5000"], "--decoys is 5000"),
        (
            &["--decoys", "3", "--decimals", "auto"],
            "--decimals is given with decoys",
        ),
        (&["--precision", "0"], "--precision is 0"),
        (&["--name", ""], "--name is empty"),
    ] {
        let compile = [
            "compile",
            "rows.csv",
            "--calibration",
            "rows.csv",
            "-o",
            "m.cfn",
        ];
        let run = sandbox.run(&[&compile, options].concat());
        let error = usage(&run);
        assert!(error.contains(said), "{said}: {error}");
    }
    let bundle = [
        "predict", "--bundle", "m.cfn", "--input", "rows.csv", "-o", "-",
    ];
    for options in [&["--accept-specs"][..], &["--in-flight", "2"]] {
        let run = sandbox.run(&[&bundle, options].concat());
        assert!(usage(&run).contains("cannot be used with"));
    }
    let service = [
        "register",
        "--service",
        "http://127.0.0.1:1",
        "--model",
        "m",
        "--keys",
        "k",
    ];
    let run = sandbox.run(&[&service[..], &["--specs", "0123abcd"]].concat());
    let error = usage(&run);
    assert!(
        error.contains("8 digits are no hash: give all 64"),
        "{error}"
    );
    let report: Value = serde_json::from_str(&success(&sandbox.run(&[
        "inspect",
        compiled("linreg_diabetes"),
        "--json",
    ])))
    .unwrap();
    assert!(report.is_object());
}

#[test]
fn quiet_leaves_results_warnings_and_errors() {
    let sandbox = Sandbox::new();
    let bundle = compiled("dt_bc");
    sandbox.write("rows.csv", &rows("dt_bc", 1));
    let specs = sandbox.run(&["--quiet", "specs", bundle, "-o", "s.json"]);
    assert!(success(&specs).is_empty() && specs.stderr.is_empty());
    success(&sandbox.run(&["specs", bundle, "-o", "loud.json"]));
    let predict = [
        "predict", "--bundle", bundle, "--input", "rows.csv", "-o", "-",
    ];
    let loud = sandbox.run(&predict);
    let quiet = sandbox.run(&[&predict[..], &["-q"]].concat());
    assert_eq!(success(&quiet).lines().count(), 2);
    assert!(quiet.stderr.is_empty() && !loud.stderr.is_empty());
    // What was asked for, and what went wrong.
    assert!(success(&sandbox.run(&["inspect", bundle, "--quiet"])).contains("dt_bc"));
    assert!(failure(&sandbox.run(&["inspect", "absent.cfn", "--quiet"])).contains("absent"));
    sandbox.write("rows.csv", &rows("dt_bc", 1).replace(char::is_numeric, "x"));
    let marked = sandbox.run(&[&predict[..], &["-q"]].concat());
    assert!(String::from_utf8_lossy(&marked.stderr).contains("warning: "));
}

#[test]
fn models_without_a_place_says_which_there_are() {
    let sandbox = Sandbox::new();
    let error = usage(&sandbox.run(&["models"]));
    for way in ["--service URL", "--bucket NAME", "--dev DIRECTORY"] {
        assert!(error.contains(way), "{error}");
    }
    assert!(!error.contains("here"), "{error}");
    std::fs::create_dir(sandbox.path("cipherfn-data")).unwrap();
    sandbox.write("cipherfn-data/dev.json", "{}");
    let error = usage(&sandbox.run(&["models"]));
    assert!(error.contains("--dev cipherfn-data"), "{error}");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cipherfn"))
        .args(["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn outputs_have_ordinary_permissions() {
    let sandbox = Sandbox::new();
    success(&sandbox.run(&["specs", compiled("linreg_diabetes"), "-o", "s.json"]));
    let probe = sandbox.path("probe");
    fs::write(&probe, "").unwrap();
    assert_eq!(
        sandbox.mode("s.json"),
        fs::metadata(&probe).unwrap().permissions().mode() & 0o777
    );
}

#[test]
fn the_demo_agrees_with_the_library() {
    let sandbox = Sandbox::new();
    let shown: Value =
        serde_json::from_str(&success(&sandbox.run(&["demo", "--rows", "5", "--json"]))).unwrap();
    assert_eq!(shown["rows"].as_array().unwrap().len(), 5);
    assert_eq!(shown["different_labels"], 0);
    assert!(
        shown["worst_score_error"].as_f64().unwrap() <= shown["precision"].as_f64().unwrap() + 1e-3
    );
    // What the service holds: one key and its registration, one model, nothing in quarantine.
    let stored = shown["stored"].as_array().unwrap().iter();
    let mut names: Vec<_> = stored
        .map(|object| object["key"].as_str().unwrap().rsplit('/').next().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "bundle.cfn",
            "expansion.cfk",
            "index.json",
            "model.json",
            "record.json",
            "report.json",
            "specs.json",
            "specs.v1.json"
        ]
    );
}
