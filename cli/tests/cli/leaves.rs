//! Leaves of a model's trees, from a spec and a table to a model file.

use crate::support::{Sandbox, failure, lines, success};
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/models")
        .join(name)
}

/// A spec of so many columns.
fn spec(algorithm: &str, columns: usize, target: &str) -> String {
    let mut text = format!("format = 1\nname = \"leaves\"\nalgorithm = \"{algorithm}\"\n");
    for column in 0..columns {
        write!(text, "[[column]]\nname = \"X_{column}\"\n").unwrap();
    }
    text + "[target]\nname = \"y\"\n" + target
}

/// Twenty rows of a model's training table, each with what is made of its numbers.
fn table(name: &str, target: impl Fn(&[f64]) -> String) -> String {
    let text = lines(
        &fs::read_to_string(model(name).join("train.csv")).unwrap(),
        20,
    );
    let mut all = text.lines();
    let header = format!("{},y\n", all.next().unwrap());
    all.fold(header, |mut text, line| {
        let numbers: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
        writeln!(text, "{line},{}", target(&numbers)).unwrap();
        text
    })
}

fn compile_training(spec: &str, structure: &str, more: &[&str]) -> Vec<String> {
    let command = ["compile-training", spec, "--structure", structure];
    let command = [&command[..], &["-o", "leaves.cfn", "--force"], more].concat();
    command.into_iter().map(str::to_owned).collect()
}

#[test]
fn leaves_are_refitted_and_boosted_ones_stepped() {
    let sandbox = Sandbox::new();
    let run =
        |command: &[String]| sandbox.run(&command.iter().map(String::as_str).collect::<Vec<_>>());
    let json =
        |command: &[String]| -> Value { serde_json::from_str(&success(&run(command))).unwrap() };
    let train = |output: &str, more: &[&str]| {
        let command = ["train", "--program", "leaves.cfn", "--input", "rows.csv"];
        let command = [&command[..], &["--keys", "keys", "-o", output], more].concat();
        command.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let structure = |name: &str| model(name).join("model.onnx").to_str().unwrap().to_owned();
    let (forest, boosted) = (structure("rf_iris"), structure("gbr_diabetes"));

    sandbox.write(
        "leaves.toml",
        &spec("leaves", 4, "classes = [\"a\", \"b\"]"),
    );
    let petals = |row: &[f64]| if row[2] > 4.0 { "b" } else { "a" }.to_owned();
    sandbox.write("rows.csv", &table("rf_iris", petals));
    let text = success(&run(&compile_training("leaves.toml", &forest, &[])));
    for fact in ["trees", "selectors", "exact, in sums of"] {
        assert!(text.contains(fact), "{fact}: {text}");
    }
    let trained = json(&train("refitted.onnx", &["--json"]));
    assert_eq!(
        (&trained["rows"], &trained["trees"]),
        (&20.into(), &6.into())
    );
    // A refitted forest is one.
    success(&run(&compile_training("leaves.toml", "refitted.onnx", &[])));

    // An exported file does not say that its trees were boosted; it is seen, and the way out named.
    sandbox.write("days.toml", &spec("leaves", 10, "low = 0\nhigh = 400"));
    let error = failure(&run(&compile_training("days.toml", &boosted, &[])));
    assert!(error.contains("algorithm = \"boosted-leaves\""), "{error}");
    let target = "low = 100\nhigh = 200";
    sandbox.write("days.toml", &spec("boosted-leaves", 10, target));
    let days = |row: &[f64]| format!("{:.0}", 150.0 + 1000.0 * row[2]);
    sandbox.write("rows.csv", &table("gbr_diabetes", days));
    let text = success(&run(&compile_training("days.toml", &boosted, &[])));
    assert!(
        text.contains("of boosted leaves, 1 of the mean residual"),
        "{text}"
    );
    let text = success(&run(&train("stepped.onnx", &[])));
    assert!(text.contains("of these rows before the step"), "{text}");
    let again = compile_training("days.toml", "stepped.onnx", &["--json"]);
    assert_eq!(json(&again)["trees"], 6);
    let trained = json(&train("twice.onnx", &["--json"]));
    let residual = |name: &str| trained[name].as_f64().unwrap();
    assert!(
        residual("residual") < residual("residual_before"),
        "{trained}"
    );
}
