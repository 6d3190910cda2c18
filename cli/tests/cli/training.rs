//! Training by a service, from a spec to a model, with interruptions.

use crate::service::Dev;
use crate::support::{Sandbox, failure, success, usage};
use serde_json::Value;
use std::fmt::Write;
use std::fs;
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
        // One beyond the range, which counts as its end.
        let age = if row == 21 { 97 } else { age };
        writeln!(text, "{age},{pulse},{ill}").unwrap();
        text
    })
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

const TREE: &str = r#"
format = 1
name = "tree"
algorithm = "tree"
depth = 2
[[column]]
name = "age"
cuts = [30, 40, 50, 60, 70]
[[column]]
name = "pulse"
cuts = [60, 70, 80, 90, 100]
[target]
name = "ill"
classes = ["no", "yes"]
"#;

const LEAVES: &str = r#"
format = 1
name = "leaves"
algorithm = "leaves"
[[column]]
name = "age"
[[column]]
name = "pulse"
[target]
name = "ill"
classes = ["no", "yes"]
"#;

/// Kills a training as soon as its rows are with the service.
fn interrupted(sandbox: &Sandbox, output: &str, train: &[&str]) {
    let mut child = sandbox
        .command(train)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_mins(2);
    while !sandbox.path(&format!("{output}.training")).exists() {
        assert!(Instant::now() < deadline, "nothing is uploaded");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!sandbox.path(output).exists());
}

/// A tree that is grown on this machine, and a program that refits its leaves.
fn trees_here(sandbox: &Sandbox) {
    sandbox.write("tree.toml", TREE);
    sandbox.write("leaves.toml", LEAVES);
    for arguments in [
        &["compile-training", "tree.toml", "-o", "tree.cfn"][..],
        &[
            "train",
            "--program",
            "tree.cfn",
            "--input",
            "rows.csv",
            "-o",
            "tree.onnx",
        ],
        &[
            "compile-training",
            "leaves.toml",
            "--structure",
            "tree.onnx",
            "-o",
            "leaves.cfn",
        ],
        &[
            "train",
            "--program",
            "leaves.cfn",
            "--input",
            "rows.csv",
            "-o",
            "leaves.onnx",
        ],
    ] {
        success(&sandbox.run(arguments));
    }
}

/// By a service the same models as here: leaves in one pass, a tree in one a level, whose first the client does
/// not live to see.
fn trees_by_a_service(sandbox: &Sandbox, url: &str) {
    let service = ["--service", url, "--keys", "keys", "--json"];
    let train = ["train", "--program", "tree", "--input", "rows.csv"];
    let leaves = ["train", "--program", "leaves", "--input", "rows.csv"];
    let grow = [&train[..], &["-o", "grown.onnx"], &service].concat();
    interrupted(sandbox, "grown.onnx", &grow);
    let grown = json(&success(&sandbox.run(&grow)));
    assert_eq!(
        (&grown["rows"], &grown["round_trips"]),
        (&24.into(), &2.into())
    );
    let refit = [&leaves[..], &["-o", "refitted.onnx"], &service].concat();
    let refitted = json(&success(&sandbox.run(&refit)));
    assert_eq!(refitted["empty_leaves"], 0);
    for (own, here) in [
        ("grown.onnx", "tree.onnx"),
        ("refitted.onnx", "leaves.onnx"),
    ] {
        let read = |name: &str| std::fs::read(sandbox.path(name)).unwrap();
        assert!(read(own) == read(here), "{own} is another model");
        assert!(!sandbox.path(&format!("{own}.training")).exists());
    }
    let start = ["--start", "leaves.onnx", "-o", "other.onnx"];
    let start = [&leaves[..], &start, &service].concat();
    assert!(usage_json(&sandbox.run(&start)).contains("is of trees"));
    let declare = ["joint", "declare", "--program", "leaves", "-o", "trees.cfu"];
    let declare = [&declare[..], &service].concat();
    let error = failure_json(&sandbox.run(&declare));
    assert!(error.contains("of gradient descent alone"), "{error}");
}

#[test]
fn a_service_trains_and_goes_on_after_the_client_was_killed() {
    let sandbox = Sandbox::new();
    sandbox.write("risk.toml", SPEC);
    sandbox.write("rows.csv", &rows());
    says_what_it_takes(&sandbox);
    // What no model can be made of is refused, by its name, before there are keys.
    let refused = |rows: &str| {
        sandbox.write("bad.csv", rows);
        let train = ["train", "--program", "risk.cfn", "--input", "bad.csv"];
        failure(&sandbox.run(&[&train[..], &["--keys", "keys", "-o", "bad.onnx"]].concat()))
    };
    let one_class = refused(&rows().replace("yes", "no"));
    assert!(
        one_class.contains("all rows are of class \"no\""),
        "{one_class}"
    );
    let constant = "age,pulse,ill\n50,60,yes\n50,90,no\n50,70,no\n";
    assert!(refused(constant).contains("column \"age\" is constant"));
    assert!(!sandbox.path("keys").exists() && !sandbox.path("bad.onnx").exists());
    trees_here(&sandbox);
    let publish = ["risk=risk.cfn", "tree=tree.cfn", "leaves=leaves.cfn"];
    let publish = publish.iter().flat_map(|file| ["--publish", *file]);
    let dev = Dev::start(&sandbox, &publish.collect::<Vec<_>>());
    let url = dev.url.as_str();
    let listed = sandbox.run(&["models", "--programs", "--service", url, "--json"]);
    let listed = json(&success(&listed));
    let programs = listed["programs"].as_array().unwrap().iter();
    let programs: Vec<&Value> = programs.filter(|own| own["name"] == "risk").collect();
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
    interrupted(&sandbox, "risk.onnx", &train);
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

    interrupted(&sandbox, "risk.onnx", &train);
    let trained = json(&success(&sandbox.run(&train)));
    assert_eq!(
        (&trained["rows"], &trained["steps"]),
        (&24.into(), &12.into())
    );
    assert_eq!(trained["version"], programs[0]["current"]);
    assert_eq!(trained["clipped"], serde_json::json!({ "age": 1 }));
    assert!(fs::read(sandbox.path("risk.onnx")).unwrap().len() > 100);
    assert!(!sandbox.path("risk.onnx.training").exists());
    // Half of the rows are of each class; a model that has not learned has half of them right.
    assert!(trained["accuracy"].as_f64().unwrap() > 0.75, "{trained}");

    kept_and_trained_on(&sandbox, url);
    by_owners(&sandbox, url);
    trees_by_a_service(&sandbox, url);

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

/// What a run takes, in words and as numbers: 3 batches and 4 epochs, and a ciphertext for all rows.
fn says_what_it_takes(sandbox: &Sandbox) {
    let compile = ["compile-training", "risk.toml", "--data", "rows.csv"];
    let compile = |more: &[&str]| success(&sandbox.run(&[&compile[..], more].concat()));
    let text = compile(&["-o", "risk.cfn"]);
    for fact in [
        "12 for 24 rows, 8 rows each, some 152 ms of a thread each",
        "some 1.82 s of a thread; by a service less than $0.01 at AWS's list prices of us-east-1",
        "96 bytes a row, 49.2 KB",
        "30.6 MB",
        "of z 0.",
    ] {
        assert!(text.contains(fact), "{fact}: {text}");
    }
    let told = json(&compile(&["-o", "again.cfn", "--json"]));
    assert_eq!(sandbox.read("again.cfn"), sandbox.read("risk.cfn"));
    let number = |name: &str| told[name].as_f64().unwrap();
    let close = |name: &str, expected: f64| (number(name) / expected - 1.0).abs() < 1e-6;
    assert!(close("steps", 12.0) && close("bootstraps", 96.0), "{told}");
    assert!(close("step_seconds", 0.152) && close("seconds", 12.0 * 0.152));
    // A gigabyte of 1,024 MB and a second, and the requests of one chunk.
    let dollars = 12.0 * 0.152 * 1769.0 / 1024.0 * 0.000_016_666_7 + 148.6e-6;
    assert!(close("dollars", dollars), "{told}");
    assert!(
        (49_000.0..50_000.0).contains(&number("upload_bytes")),
        "{told}"
    );
    assert!(close("bytes_a_row", 96.0), "{told}");
    assert!((0.05..0.3).contains(&number("noise_of_z")), "{told}");
    assert!((1e-4..0.1).contains(&number("noise_of_residual")), "{told}");
}

/// From the model of a training, and with weights that stay encrypted: predicted by, trained on from, deleted.
fn kept_and_trained_on(sandbox: &Sandbox, url: &str) {
    let service = ["--service", url, "--keys", "keys", "--json"];
    let train = ["train", "--program", "risk", "--input", "rows.csv"];
    let with = |command: &[&str], more: &[&str]| {
        let arguments = [command, more, &service].concat();
        json(&success(&sandbox.run(&arguments)))
    };
    let newer = with(&train, &["--start", "risk.onnx", "-o", "newer.onnx"]);
    assert!(newer["start_accuracy"].as_f64().unwrap() > 0.75, "{newer}");
    assert!(sandbox.path("newer.onnx").exists());

    let kept = with(&train, &["--keep-encrypted", "-o", "kept.json"]);
    let job = kept["job"].as_str().unwrap();
    assert!(kept.get("accuracy").is_none() && sandbox.path("kept.json").exists());
    sandbox.write(
        "new.csv",
        "id,pulse,age\n1,60,30\n2,115,80\n3,,50\n4,300,80\n",
    );
    let predict = [
        "predict",
        "--trained",
        job,
        "--input",
        "new.csv",
        "-o",
        "new.out.csv",
    ];
    let predicted = with(&predict, &["--force"]);
    assert_eq!(
        (&predicted["rows"], &predicted["failed"]),
        (&4.into(), &1.into())
    );
    let text = fs::read_to_string(sandbox.path("new.out.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "label,probability_no,probability_yes,error,remark"
    );
    assert!(
        lines[1].starts_with("no,") && lines[2].starts_with("yes,"),
        "{text}"
    );
    assert!(
        lines[3].starts_with(",,,") && lines[4].contains("lies outside"),
        "{text}"
    );

    // Interrupted, it goes on though the weights that it began with are gone by then.
    let further = ["--continue", job, "--keep-encrypted", "-o", "more.json"];
    interrupted(
        sandbox,
        "more.json",
        &[&train[..], &further, &service].concat(),
    );
    with(&["trainings", "--delete", job], &[]);
    let more = with(&train, &further);
    assert_eq!(more["steps"], 2 * kept["steps"].as_u64().unwrap());
    assert!(more["start_accuracy"].as_f64().unwrap() > 0.75, "{more}");
    let gone = ["--continue", job, "-o", "late.onnx"];
    let gone = failure_json(&sandbox.run(&[&train[..], &gone, &service].concat()));
    assert!(gone.contains("knows no training"), "{gone}");
    // A record that cannot be read is named, and the others are listed.
    let broken = "keys/trainings/000102030405060708090a0b0c0d0e0f.json";
    sandbox.write(broken, "{}");
    let listed = with(&["trainings"], &[]);
    let unreadable = listed["unreadable"].as_array().unwrap();
    assert!(unreadable[0].as_str().unwrap().contains(broken), "{listed}");
    let listed = listed["trainings"].as_array().unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0]["expires"].is_string());
    std::fs::remove_file(sandbox.path(broken)).unwrap();
    let arguments = [&predict[..], &["--force"], &service].concat();
    let error = failure_json(&sandbox.run(&arguments));
    assert!(error.contains("knows no training"), "{error}");
}

/// Two owners add their rows by grants, under the public key; the key holder has a model of both.
fn by_owners(sandbox: &Sandbox, url: &str) {
    let service = ["--service", url, "--json"];
    let with = |command: &[&str]| {
        let arguments = [command, &service].concat();
        json(&success(&sandbox.run(&arguments)))
    };
    let text = rows();
    let lines: Vec<&str> = text.lines().collect();
    let table = |rows: &[&str]| [&lines[..1], rows].concat().join("\n") + "\n";
    let (north, south) = lines[1..].split_at(12);
    sandbox.write("north.csv", &table(north));
    sandbox.write("south.csv", &table(south));
    let declare = ["joint", "declare", "--program", "risk", "--keys", "keys"];
    let declared = with(&[&declare[..], &["-o", "public.cfu"]].concat());
    let training = declared["training"].as_str().unwrap();
    let listed = with(&["joint", "list"]);
    assert_eq!(listed["trainings"][0]["training"], training);
    for owner in ["north", "south"] {
        let (file, input) = (format!("{owner}.grant"), format!("{owner}.csv"));
        let grant = [
            "joint",
            "grant",
            training,
            "--key",
            "public.cfu",
            "--rows",
            "12",
        ];
        let granted = with(&[&grant[..], &["-o", &file]].concat());
        assert_eq!(granted["rows"], 12);
        signed_by_the_one_who_is_trusted(sandbox, &service, &granted, &file);
        let add = ["joint", "add", "--grant", &file, "--key", "public.cfu"];
        let added = with(&[&add[..], &["--input", &input]].concat());
        assert_eq!(
            (&added["rows"], &added["most_rows"]),
            (&12.into(), &12.into())
        );
        // The same table would count twice.
        let again = [&add[..], &["--input", &input], &service].concat();
        let twice = failure_json(&sandbox.run(&again));
        assert!(
            twice.contains("12 rows were added by this grant before"),
            "{twice}"
        );
        // All that it is for.
        let again = failure_json(&sandbox.run(&[&again[..], &["--more"]].concat()));
        assert!(
            again.contains("grant-used-up") || again.contains("allows"),
            "{again}"
        );
    }
    let shown = with(&["joint", "show", training]);
    assert_eq!(shown["rows"], 24);
    assert_eq!(shown["owners"].as_array().unwrap().len(), 2);
    // Another public key than the grant names is refused before anything is encrypted.
    success(&sandbox.run(&["statistics", "key", "--keys", "keys", "-o", "other.cfu"]));
    let add = [
        "joint",
        "add",
        "--grant",
        "north.grant",
        "--key",
        "other.cfu",
    ];
    let other = [&add[..], &["--input", "north.csv"], &service].concat();
    let other = failure_json(&sandbox.run(&other));
    assert!(
        other.contains("is not the public key that north.grant names"),
        "{other}"
    );

    let train = [
        "train",
        "--program",
        "risk",
        "--keys",
        "keys",
        "--joint",
        training,
    ];
    let trained = with(&[&train[..], &["-o", "joint.onnx"]].concat());
    assert_eq!(
        (&trained["owners"], &trained["rows"]),
        (&2.into(), &24.into())
    );
    assert!(sandbox.path("joint.onnx").exists());
    let error = [&["joint", "show", training], &service[..]].concat();
    let error = failure_json(&sandbox.run(&error));
    assert!(error.contains("you have no training"), "{error}");
    // As good as the rows in one table: tried on them.
    let start = [
        "train",
        "--program",
        "risk",
        "--input",
        "rows.csv",
        "--keys",
        "keys",
    ];
    let tried = with(&[&start[..], &["--start", "joint.onnx", "-o", "tried.onnx"]].concat());
    assert!(tried["start_accuracy"].as_f64().unwrap() > 0.75, "{tried}");
    owners_weights_stay_encrypted(&with);
}

/// Weights of rows that the key holder does not have predict encrypted rows, and are trained on; what owners have
/// added is gone by then.
fn owners_weights_stay_encrypted(with: &dyn Fn(&[&str]) -> Value) {
    let declare = ["joint", "declare", "--program", "risk", "--keys", "keys"];
    let declared = with(&[&declare[..], &["-o", "kept.cfu"]].concat());
    let training = declared["training"].as_str().unwrap();
    let grant = ["joint", "grant", training, "--key", "kept.cfu"];
    with(&[&grant[..], &["--rows", "12", "-o", "kept.grant"]].concat());
    let add = ["joint", "add", "--grant", "kept.grant", "--key", "kept.cfu"];
    with(&[&add[..], &["--input", "south.csv"]].concat());
    let keys = ["--program", "risk", "--keys", "keys"];
    let own = ["train", "--joint", training, "--input", "north.csv"];
    let keep = ["--keep-encrypted", "-o", "owners.json"];
    let kept = with(&[&own[..], &keys, &keep].concat());
    assert_eq!((&kept["owners"], &kept["rows"]), (&2.into(), &24.into()));
    let listed = with(&["joint", "list"]);
    assert!(listed["trainings"].as_array().unwrap().is_empty());
    let job = kept["job"].as_str().unwrap();
    let predict = ["predict", "--trained", job, "--keys", "keys"];
    let told = with(&[&predict[..], &["--input", "rows.csv", "-o", "owners.csv"]].concat());
    assert_eq!((&told["rows"], &told["failed"]), (&24.into(), &0.into()));
    let go_on = ["train", "--continue", job, "--input", "rows.csv"];
    let again = ["--keep-encrypted", "-o", "again.json"];
    let more = with(&[&go_on[..], &keys, &again].concat());
    assert!(more["start_accuracy"].as_f64().unwrap() > 0.75, "{more}");
    for job in [job, more["job"].as_str().unwrap()] {
        with(&["trainings", "--keys", "keys", "--delete", job]);
    }
}

/// A grant that somebody else has signed is taken for nobody's whose key is named, before rows are read; and
/// nothing is signed without what the training was declared as.
fn signed_by_the_one_who_is_trusted(
    sandbox: &Sandbox,
    service: &[&str],
    granted: &Value,
    file: &str,
) {
    let signer = granted["signed_by"].as_str().unwrap();
    let add = ["joint", "add", "--grant", file, "--key", "public.cfu"];
    let add = [&add[..], &["--input", "none.csv"], service].concat();
    let unread = failure_json(&sandbox.run(&[&add[..], &["--trust", signer]].concat()));
    assert!(unread.contains("none.csv"), "{unread}");
    assert!(!unread.contains("is signed by"), "{unread}");
    let told = failure_json(&sandbox.run(&add));
    assert!(
        told.contains("is signed by") && told.contains(signer),
        "{told}"
    );
    let other = signer.replace(&signer[signer.len() - 8..], "00000000");
    let refused = failure_json(&sandbox.run(&[&add[..], &["--trust", &other]].concat()));
    assert!(refused.contains("not by"), "{refused}");

    fs::copy(sandbox.path("public.cfu"), sandbox.path("alone.cfu")).unwrap();
    let training = granted["training"].as_str().unwrap();
    let grant = ["joint", "grant", training, "--key", "alone.cfu", "-o", "no"];
    let refused = failure_json(&sandbox.run(&[&grant[..], service].concat()));
    assert!(refused.contains("was declared as"), "{refused}");
    let of_other = ["joint", "grant", &"1".repeat(32), "--key", "public.cfu"];
    let of_other = [&of_other[..], &["-o", "no"], service].concat();
    let refused = failure_json(&sandbox.run(&of_other));
    assert!(refused.contains("goes with training"), "{refused}");
}

fn failure_json(output: &std::process::Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn usage_json(output: &std::process::Output) -> String {
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr.clone()).unwrap()
}
