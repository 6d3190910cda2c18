//! The commands that speak to a service, against `cipherfn dev`.

use crate::support::{Sandbox, compiled, failure, library_model, lines, success, usage};
use serde_json::Value;
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A running `cipherfn dev`, killed when it is dropped.
pub(crate) struct Dev {
    child: Child,
    pub(crate) url: String,
}

impl Dev {
    pub(crate) fn start(sandbox: &Sandbox, more: &[&str]) -> Self {
        Self::start_at(sandbox, "0", more)
    }

    /// One whose HTTP API is at a port, a free one where that is 0.
    pub(crate) fn start_at(sandbox: &Sandbox, port: &str, more: &[&str]) -> Self {
        let file = sandbox.path("url");
        let _ = fs::remove_file(&file);
        let place = ["--port", port, "--data", "data", "--url-file", "url"];
        let arguments = [&["dev"], place.as_slice(), more].concat();
        let mut child = sandbox
            .command(&arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_mins(1);
        while !file.exists() {
            assert!(child.try_wait().unwrap().is_none(), "cipherfn dev ended");
            assert!(Instant::now() < deadline, "cipherfn dev is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        let url = fs::read_to_string(file).unwrap().trim().to_owned();
        Self { child, url }
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, as an operator does.
    fn stop(mut self) {
        let id = self.child.id().to_string();
        assert!(
            std::process::Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

pub(crate) fn rows(model: &str, count: usize) -> String {
    lines(
        &fs::read_to_string(library_model(model).join("test.csv")).unwrap(),
        count,
    )
}

/// Another version of the tree.
fn grid_version(sandbox: &Sandbox) -> String {
    let grid = sandbox.path("grid.cfn");
    let grid = grid.to_str().unwrap();
    success(&sandbox.compile("dt_bc", grid, &["--features", "grid:6"]));
    grid.to_owned()
}

/// As jobs the same; what has been sent is forgotten with them.
fn predicts_by_jobs(sandbox: &Sandbox, (predict, service): (&[&str], &[&str])) {
    let bulk = [predict, &["--bulk", "--rows-a-chunk", "2", "--force"]].concat();
    // Nobody can be asked here, so nothing is sent unless it was said before that it may be.
    let unasked = sandbox.run(&bulk);
    assert!(usage(&unasked).contains("--yes"));
    let told = String::from_utf8_lossy(&unasked.stderr).into_owned();
    assert!(told.contains("expected: 5 rows in 3 chunks"), "{told}");
    assert!(told.contains("list prices of us-east-1"), "{told}");
    assert!(!sandbox.path("remote.csv.job").exists());
    let output = sandbox.run(&[bulk.as_slice(), &["--yes"]].concat());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("3 chunks in 2 jobs"), "{told}");
    assert!(told.contains("less than $0.01"), "{told}");
    success(&output);
    assert!(!sandbox.path("remote.csv.job").exists());
    let to_stdout = ["predict", "--bulk", "--input", "rows.csv", "-o", "-"];
    let to_stdout = [&to_stdout, service].concat();
    assert!(usage(&sandbox.run(&to_stdout)).contains("give a file"));
}

#[test]
fn from_publishing_to_predictions_and_back() {
    let sandbox = Sandbox::new();
    let tree = compiled("dt_bc");
    sandbox.write("rows.csv", &rows("dt_bc", 5));
    let publish = format!("tree={tree}");
    let dev = Dev::start(&sandbox, &["--publish", &publish]);
    let service = ["--service", &dev.url, "--model", "tree", "--keys", "keys"];

    // Registered once; again does nothing.
    let register = [&["--json", "register"], service.as_slice()].concat();
    let first = json(&success(&sandbox.run(&register)));
    assert_eq!(first["parts"]["expansion"]["state"], "active");
    assert_eq!(json(&success(&sandbox.run(&register))), first);
    assert_eq!(sandbox.mode("keys/secret.cfk"), 0o600);
    assert_eq!(
        json(&success(
            &sandbox.run(&[register.as_slice(), &["--status"]].concat())
        )),
        first
    );

    // The same as without a service.
    let predict = [
        &["predict", "--input", "rows.csv", "-o"],
        ["remote.csv"].as_slice(),
        &service,
    ]
    .concat();
    success(&sandbox.run(&predict));
    sandbox.predict_here(tree);
    let labels = |name| sandbox.labels(name);
    assert_eq!(labels("remote.csv"), labels("local.csv"));
    assert_eq!(labels("remote.csv").len(), 6);
    predicts_by_jobs(&sandbox, (&predict, &service));
    assert_eq!(labels("remote.csv"), labels("local.csv"));
    // Nothing is overwritten, and nothing is left behind by a failure.
    assert!(failure(&sandbox.run(&predict)).contains("--force"));

    // Two versions live; the older one can be made current again.
    let grid = &grid_version(&sandbox);
    let mut published =
        json(&success(&sandbox.run(&[
            "--json", "publish", grid, "--name", "tree", "--dev", "data",
        ])));
    let developer = published.as_object_mut().unwrap().remove("developer");
    // A key of this service, which the developer's clients elsewhere do not know.
    assert_eq!(sandbox.mode("data/developer/signing.key"), 0o600);
    assert!(!sandbox.path(".config/cipherfn").exists());
    assert_eq!(published["versions"].as_array().unwrap().len(), 2);
    let listed = json(&success(&sandbox.run(&[
        "--json",
        "models",
        "--service",
        &dev.url,
    ])));
    assert_eq!(listed["models"][0], published);
    let back = json(&success(&sandbox.run(&[
        "--json",
        "models",
        "roll-back",
        "tree",
        "--dev",
        "data",
    ])));
    assert_ne!(back["models"][0]["current"], published["current"]);
    // Stated anew, the older version is the developer's newest word to clients.
    let again = [&["--json"], predict.as_slice(), &["--force"]].concat();
    let again = json(&success(&sandbox.run(&again)));
    assert_eq!(again["specs"], back["models"][0]["current"]);
    assert_eq!(Some(&again["developer"]), developer.as_ref());
    assert!(success(&sandbox.run(&["models", "--dev", "data"])).contains("tree"));

    // A restart keeps models and keys.
    dev.stop();
    assert!(!sandbox.path("data/dev.json").exists());
    let dev = Dev::start(&sandbox, &[]);
    let service = ["--service", &dev.url, "--model", "tree", "--keys", "keys"];
    let status = [&["--json", "register", "--status"], service.as_slice()].concat();
    assert_eq!(json(&success(&sandbox.run(&status))), first);
    let predict = [
        &[
            "predict",
            "--input",
            "rows.csv",
            "--force",
            "-o",
            "remote.csv",
        ],
        service.as_slice(),
    ]
    .concat();
    success(&sandbox.run(&predict));
    assert_eq!(labels("remote.csv"), labels("local.csv"));

    // A load test finds every answer.
    let load = [
        "--json",
        "load",
        "--service",
        &dev.url,
        "--model",
        "tree",
        "--input",
        "rows.csv",
    ];
    let several = [&load[..], &["--clients", "3", "--predictions", "30"]].concat();
    let seen = json(&success(&sandbox.run(&several)));
    let seen = [&seen["answered"], &seen["lost"], &seen["wrong"]];
    assert_eq!(seen, [30, 0, 0]);
    // Its keys are deleted: ten more would be one too many.
    for _ in 0..10 {
        success(&sandbox.run(&[&load[..], &["--predictions", "1"]].concat()));
    }

    // What is deleted or removed is gone.
    let delete = [&["register", "--delete"], service.as_slice()].concat();
    success(&sandbox.run(&delete));
    assert!(failure(&sandbox.run(&status[1..])).contains("cipherfn register"));

    // Another developer is not made by mistake.
    let other = [
        &["publish", grid, "--name", "tree", "--dev", "data"],
        ["--signing-key", "other/signing.key"].as_slice(),
    ]
    .concat();
    let error = failure(&sandbox.run(&other));
    assert!(
        error.contains("--signing-key FILE, or --new-developer"),
        "{error}"
    );
    assert!(!sandbox.path("other").exists());
    success(&sandbox.run(&[&other[..], &["--new-developer"]].concat()));
    assert_eq!(sandbox.mode("other/signing.key"), 0o600);

    success(&sandbox.run(&["models", "remove", "tree", "--dev", "data"]));
    assert!(failure(&sandbox.run(&predict)).contains("no model tree"));
}

#[test]
fn keys_are_listed_and_deleted_by_their_ids() {
    let sandbox = Sandbox::new();
    let publish = format!("tree={}", compiled("dt_bc"));
    let dev = Dev::start(&sandbox, &["--publish", &publish]);
    let status = |ring| {
        let service = ["--service", &dev.url, "--model", "tree", "--keys", ring];
        sandbox.run(&[&["register", "--status"], service.as_slice()].concat())
    };
    // A key ring that is only asked about is not made: its name may be mistyped.
    let error = failure(&status("kyes"));
    assert!(error.contains("no such directory"), "{error}");
    assert!(!sandbox.path("kyes").exists());
    let keys = ["--json", "keys", "--service", &dev.url];
    let listed = || success(&sandbox.run(&keys[1..]));
    assert!(listed().contains("no keys are registered"));
    let service = ["--service", &dev.url, "--model", "tree", "--keys", "keys"];
    success(&sandbox.run(&[&["register"], service.as_slice()].concat()));
    let list = json(&success(&sandbox.run(&keys)));
    let id = list["keys"][0]["key"].as_str().unwrap();
    assert!(success(&status("keys")).contains(id));
    assert!(listed().contains(id) && listed().contains("active"));
    success(&sandbox.run(&[&keys[..], &["--delete", id]].concat()));
    assert!(listed().contains("no keys are registered"));
}

#[test]
fn linear_models_need_no_registration() {
    let sandbox = Sandbox::new();
    sandbox.write("rows.csv", &rows("logreg_bc", 3));
    let publish = format!("linear={}", compiled("logreg_bc"));
    let dev = Dev::start(&sandbox, &["--publish", &publish]);
    let service = ["--service", &dev.url, "--model", "linear", "--keys", "keys"];
    for option in [None, Some("--status"), Some("--delete")] {
        let mut register = [&["register"], service.as_slice()].concat();
        register.extend(option);
        assert!(success(&sandbox.run(&register)).contains("needs no evaluation key"));
    }
    let predict = [
        &["predict", "--input", "rows.csv", "-o", "-"],
        service.as_slice(),
    ]
    .concat();
    assert_eq!(success(&sandbox.run(&predict)).lines().count(), 4);
}

#[test]
fn tenants_are_told_apart_by_their_tokens() {
    let sandbox = Sandbox::new();
    sandbox.write("rows.csv", &rows("dt_bc", 1));
    sandbox.write(
        "tenants.json",
        r#"{"tenants": [{"name": "alice", "token": "a-token"}, {"name": "bob", "token": "b-token"}]}"#,
    );
    sandbox.write("a", "a-token\n");
    sandbox.write("b", "b-token\n");
    let publish = format!("tree={}", compiled("dt_bc"));
    let dev = Dev::start(
        &sandbox,
        &["--publish", &publish, "--tenants", "tenants.json"],
    );
    let service = ["--service", &dev.url, "--model", "tree", "--keys", "keys"];
    let register = [&["register"], service.as_slice()].concat();
    let refused = failure(&sandbox.run(&register));
    assert!(
        refused.contains("does not know who is calling (status 401)"),
        "{refused}"
    );
    success(&sandbox.run(&[register.as_slice(), &["--token-file", "a"]].concat()));
    // The same key ring under another identity: no such key.
    let status = [register.as_slice(), &["--status", "--token-file", "b"]].concat();
    assert!(failure(&sandbox.run(&status)).contains("does not have evaluation key"));
    let load = [
        "load",
        "--service",
        &dev.url,
        "--model",
        "tree",
        "--input",
        "rows.csv",
        "--tenants",
        "tenants.json",
        "--predictions",
        "8",
    ];
    assert!(success(&sandbox.run(&load)).contains("8 answered, 0 lost, 0 wrong"));
}

#[test]
fn mistakes_are_named() {
    let sandbox = Sandbox::new();
    sandbox.write("rows.csv", &rows("dt_bc", 1));
    let error = usage(&sandbox.run(&["publish", compiled("dt_bc"), "--name", "tree"]));
    assert!(
        error.contains("--bucket") && error.contains("--dev"),
        "{error}"
    );
    let error = failure(&sandbox.run(&[
        "publish",
        compiled("dt_bc"),
        "--name",
        "tree",
        "--dev",
        "nowhere",
    ]));
    assert!(error.contains("cipherfn dev"), "{error}");
    let usage = sandbox.run(&[
        "publish",
        compiled("dt_bc"),
        "--name",
        "../up",
        "--dev",
        "data",
    ]);
    assert_eq!(usage.status.code(), Some(2));
    let unreachable = [
        "--service",
        "http://127.0.0.1:1",
        "--model",
        "tree",
        "--keys",
        "keys",
    ];
    let usage = sandbox.run(&[
        "predict",
        "--input",
        "rows.csv",
        "-o",
        "p.csv",
        "--service",
        "http://127.0.0.1:1",
    ]);
    assert_eq!(usage.status.code(), Some(2), "model and keys are missing");
    let error = failure(&sandbox.run(&[&["register"], unreachable.as_slice()].concat()));
    assert!(error.contains("127.0.0.1:1"), "{error}");
    assert!(!sandbox.path("p.csv").exists());
    let error = failure(&sandbox.run(&[
        "register",
        "--service",
        "http://example.com",
        "--model",
        "tree",
        "--keys",
        "keys",
        "--auth",
        "none",
    ]));
    assert!(error.contains("https"), "{error}");
    sandbox.write("tenants.json", r#"{"tenants": [{"name": "alice"}]}"#);
    let error = failure(&sandbox.run(&[
        "dev",
        "--port",
        "0",
        "--data",
        "data",
        "--tenants",
        "tenants.json",
    ]));
    assert!(
        error.contains("tenants.json") && error.contains("token"),
        "{error}"
    );
    let error = failure(&sandbox.run(&[
        "dev",
        "--port",
        "0",
        "--data",
        "data",
        "--functions",
        "nowhere",
    ]));
    assert!(error.contains("cargo lambda build"), "{error}");
}
