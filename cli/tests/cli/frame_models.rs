//! Scores of linear models as columns of encrypted frames, against what ONNX Runtime makes of the rows.

use crate::support::{Sandbox, failure, library_model, success, usage};

const ROWS: usize = 12;

/// Columns of a library's rows, each with the least and the largest of its cells.
fn rounded(csv: &str, columns: usize) -> (Vec<String>, Vec<Vec<f64>>) {
    let mut lines = csv.lines();
    let names = lines.next().unwrap().split(',').take(columns);
    let names = names.map(ToOwned::to_owned).collect();
    let cell = |text: &str| (text.parse::<f64>().unwrap() * 1e4).round() / 1e4;
    let rows = lines
        .take(ROWS)
        .map(|line| line.split(',').take(columns).map(cell).collect());
    (names, rows.collect())
}

#[test]
fn scores_of_a_linear_model_are_those_of_onnx_runtime() {
    let sandbox = Sandbox::new();
    let model = library_model("linreg_diabetes");
    let (names, rows) = rounded(
        &std::fs::read_to_string(model.join("test.csv")).unwrap(),
        10,
    );
    let column = |name: &String| {
        format!(
            "[[column]]\nname = \"{name}\"\ntype = \"decimal\"\nplaces = 4\nmin = -8.0\nmax = 8.0\nlimb-bits = 9\nroles = [\"value\"]\n"
        )
    };
    let columns: String = names.iter().map(column).collect();
    let ward =
        "[[column]]\nname = \"ward\"\ntype = \"integer\"\nmin = 0\nmax = 1\nroles = [\"key\"]\n";
    let toml = format!("format = 1\nname = \"patients\"\n{columns}{ward}");
    sandbox.write("patients.toml", &toml);
    let line = |(row, ward): (&Vec<f64>, i32)| {
        let cells: Vec<String> = row.iter().map(|cell| format!("{cell:.4}")).collect();
        format!("{},{ward}", cells.join(","))
    };
    let lines = rows.iter().zip([0, 1].into_iter().cycle()).map(line);
    let lines: Vec<String> = lines.collect();
    let csv = format!("{},ward\n{}\n", names.join(","), lines.join("\n"));
    sandbox.write("patients.csv", &csv);
    let encrypt = [
        "frame",
        "encrypt",
        "--schema",
        "patients.toml",
        "--keys",
        "keys",
        "--input",
        "patients.csv",
        "--with-key",
        "-o",
        "patients.cff",
    ];
    success(&sandbox.run(&encrypt));
    let expected = std::fs::read_to_string(model.join("expected.csv")).unwrap();
    let expected: Vec<f64> = expected
        .lines()
        .skip(1)
        .take(ROWS)
        .map(|line| line.split(',').next_back().unwrap().parse().unwrap())
        .collect();
    let onnx = model.join("model.onnx");
    let named = format!("risk={}", onnx.to_str().unwrap());
    let columns = names.join(", ");
    let asked = |sql: &str, [evaluated, opened]: [&str; 2]| -> Vec<f64> {
        sandbox.write("plan.sql", sql);
        let plan = |model| ["--plan", "plan.sql", "patients.cff", "--model", model];
        let query = ["frame", "query", "-o", "answer.cfa", "--force"];
        success(&sandbox.run(&[&query[..], &plan(evaluated)].concat()));
        let decrypt = [
            "frame",
            "decrypt",
            "--keys",
            "keys",
            "--input",
            "answer.cfa",
            "-o",
            "-",
        ];
        let answer = success(&sandbox.run(&[&decrypt[..], &plan(opened)].concat()));
        let cells = answer.lines().skip(1);
        cells
            .map(|line| line.split(',').next_back().unwrap().parse().unwrap())
            .collect()
    };
    // Cells end where their error begins; weights of five digits and features of four decimals are off
    // by less.
    let scores = format!("SELECT MODEL(risk, {columns}) AS score FROM patients");
    let sums =
        format!("SELECT ward, SUM(MODEL(risk, {columns})) AS total FROM patients GROUP BY ward");
    let held = |models: [&str; 2]| {
        let found = asked(&scores, models);
        assert_eq!(found.len(), ROWS);
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 0.1, "{found}, not {expected}");
        }
    };
    held([&named, &named]);
    for (ward, found) in asked(&sums, [&named, &named]).iter().enumerate() {
        let own = expected.iter().skip(ward).step_by(2).sum::<f64>();
        assert!((found - own).abs() < 1.0, "{found}, not {own}");
    }
    // A bundle keeps its weights: who decrypts has its specs, who evaluates has all of it.
    let calibration = model.join("train.csv");
    success(&sandbox.run(&[
        "compile",
        onnx.to_str().unwrap(),
        "--calibration",
        calibration.to_str().unwrap(),
        "--target",
        "target",
        "-o",
        "risk.cfn",
    ]));
    success(&sandbox.run(&["specs", "risk.cfn", "-o", "risk.json"]));
    held(["risk=risk.cfn", "risk=risk.json"]);
    let query = ["frame", "query", "--plan", "plan.sql", "patients.cff"];
    let specs = ["--model", "risk=risk.json", "-o", "other.cfa"];
    let refused = failure(&sandbox.run(&[&query[..], &specs].concat()));
    assert!(refused.contains("only the specs are at hand"), "{refused}");
    sandbox.write("plan.sql", &sums);
    let bundle = ["--model", "risk=risk.cfn", "-o", "other.cfa"];
    let refused = failure(&sandbox.run(&[&query[..], &bundle].concat()));
    assert!(refused.contains("a published model"), "{refused}");
    // What is no linear model, or not given.
    sandbox.write(
        "plan.sql",
        &format!("SELECT MODEL(risk, {columns}) AS score FROM patients"),
    );
    let query = ["frame", "explain", "--plan", "plan.sql", "patients.cff"];
    let refused = failure(&sandbox.run(&query));
    assert!(refused.contains("--model risk=FILE"), "{refused}");
    let trees = library_model("rf_bc").join("model.onnx");
    let trees = format!("risk={}", trees.to_str().unwrap());
    let refused = failure(&sandbox.run(&[&query[..], &["--model", &trees]].concat()));
    assert!(refused.contains("it is not linear"), "{refused}");
    let refused = usage(&sandbox.run(&[&query[..], &["--model", "risk"]].concat()));
    assert!(
        refused.contains("--service") && refused.contains("--model risk=FILE"),
        "{refused}"
    );
}
