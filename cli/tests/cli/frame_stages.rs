//! Plans that are not levelled: `frame query --stages` on files, and against `cipherfn dev`, of frames whose names
//! the service does not learn.

use crate::frames::encrypted;
use crate::service::Dev;
use crate::support::{Sandbox, failure, success, usage};
use serde_json::Value;
use std::fmt::Write as _;
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

#[test]
fn what_the_key_holder_does_behind_all_else_takes_no_stages() {
    let sandbox = Sandbox::new();
    encrypted(&sandbox);
    let cases = [
        // 7 costs 19.99, 12 costs 0.05, 2 has no price.
        (
            "SELECT count, price FROM sales LEFT JOIN prices ON sales.sku = prices.sku WHERE price < 30 ORDER BY count",
            "count,price\n0,0.05\n3,19.99\n",
        ),
        (
            "SELECT region, SUM(count) AS total FROM sales GROUP BY region HAVING COUNT(*) > 1",
            "region,total\nsouth,3\n",
        ),
        (
            "SELECT region, AVG(count) FROM sales GROUP BY region HAVING AVG(count) >= 1.5 ORDER BY region DESC LIMIT 1",
            "region,avg(count)\nsouth,1.5\n",
        ),
        ("SELECT sku FROM sales LIMIT 1 OFFSET 1", "sku\n2\n"),
    ];
    let frames = ["sales.cff", "prices.cff", "--plan", "plan.sql"];
    for (sql, wanted) in cases {
        sandbox.write("plan.sql", sql);
        let run =
            |command: &[&str]| success(&sandbox.run(&[&["frame"][..], command, &frames].concat()));
        assert!(run(&["explain"]).contains("stage 1 of 1"), "{sql}");
        run(&["query", "-o", "answer.cfa", "--force"]);
        let decrypt = [
            "decrypt",
            "--keys",
            "keys",
            "--input",
            "answer.cfa",
            "-o",
            "-",
        ];
        assert_eq!(run(&decrypt), wanted, "{sql}");
    }
}

/// An aggregate over a merge that is worth too little in one query is exact in two stages.
#[test]
fn aggregates_over_merges_are_exact_in_stages() {
    let sandbox = Sandbox::new();
    let column = |name: &str, max: u32| {
        format!(
            "[[column]]\nname = \"{name}\"\ntype = \"integer\"\nmin = 0\nmax = {max}\nroles = [\"value\", \"key\"]\n"
        )
    };
    let head = |name: &str| format!("format = 1\nname = \"{name}\"\n");
    let visits = head("visits") + &column("id", 15) + &column("fee", 200);
    let people = head("people")
        + &column("id", 15)
        + &column("region", 3)
        + &column("age", 99)
        + "[[lookup]]\nby = [\"id\"]\ncolumns = [\"region\", \"age\"]\n";
    let mut totals = [(0, 0); 4];
    let (mut rows, mut others) = ("id,fee\n".to_owned(), "id,region,age\n".to_owned());
    let age = |id: u32| id * 37 % 100;
    for row in 0..20_u32 {
        let (id, fee) = (row * 7 % 16, row * 53 % 201);
        let _ = writeln!(rows, "{id},{fee}");
        if age(id) > 30 {
            let total = &mut totals[(id % 4) as usize];
            *total = (total.0 + fee, total.1 + 1);
        }
    }
    for id in 0..16 {
        let _ = writeln!(others, "{id},{},{}", id % 4, age(id));
    }
    for (name, schema, rows) in [("visits", visits, rows), ("people", people, others)] {
        sandbox.write(&format!("{name}.toml"), &schema);
        sandbox.write(&format!("{name}.csv"), &rows);
        success(&sandbox.run(&[
            "frame",
            "encrypt",
            "--schema",
            &format!("{name}.toml"),
            "--keys",
            "keys",
            "--input",
            &format!("{name}.csv"),
            "--with-key",
            "-o",
            &format!("{name}.cff"),
        ]));
    }
    sandbox.write(
        "fees.sql",
        "SELECT region, SUM(fee) AS total, COUNT(*) AS n FROM visits JOIN people ON visits.id = people.id WHERE age > 30 GROUP BY region",
    );
    let plan = ["--plan", "fees.sql", "visits.cff", "people.cff"];
    let run = |command: &[&str]| sandbox.run(&[&["frame"][..], command, &plan].concat());
    let refused = failure(&run(&["query", "-o", "fees.cfa"]));
    assert!(
        refused.contains("step 3") && refused.contains("--stages` carries it out in 2"),
        "{refused}"
    );
    let explained = success(&run(&["explain"]));
    assert!(explained.contains("stage 2 of 2"), "{explained}");
    let stages = ["query", "--stages", "--exact", "--keys", "keys", "-o", "-"];
    let mut wanted = "region,total,n\n".to_owned();
    for (region, (total, count)) in totals.iter().enumerate() {
        let _ = writeln!(wanted, "{region},{total},{count}");
    }
    assert_eq!(success(&run(&stages)), wanted);
}

#[test]
fn what_is_not_levelled_is_refused_or_carried_out_in_stages() {
    let sandbox = Sandbox::new();
    encrypted(&sandbox);
    sandbox.write(
        "dear.sql",
        "SELECT price, SUM(count) AS total FROM sales LEFT JOIN prices ON sales.sku = prices.sku WHERE price < 30 GROUP BY price ORDER BY total",
    );
    let plan = ["--plan", "dear.sql", "sales.cff", "prices.cff"];
    let run = |command: &[&str]| sandbox.run(&[&["frame"][..], command, &plan].concat());
    let refused = failure(&run(&["query", "-o", "dear.csv"]));
    assert!(
        refused.contains("step 2 (filter)") && refused.contains("--stages` carries it out in 2"),
        "{refused}"
    );
    let explained = success(&run(&["explain"]));
    assert!(
        explained.contains("stage 2 of 2") && explained.contains("price (key)"),
        "{explained}"
    );
    assert!(explained.contains("one round trip"), "{explained}");
    let refused = usage(&run(&["query", "--stages", "-o", "dear.csv"]));
    assert!(refused.contains("--stages needs --keys"), "{refused}");
    let stages = ["query", "--stages", "--keys", "keys", "-o", "-"];
    // 7 costs 19.99, 12 costs 0.05, 2 has no price.
    assert_eq!(success(&run(&stages)), "price,total\n0.05,0\n19.99,3\n");
}
