use super::{Mark, Verdict, dollars_a_million};
use cipherfn_compiler::Report;
use serde_json::{Value, json};

/// A forest's report, with the work and sizes of a row.
fn value(microseconds: f64, selectors: u32, query: usize) -> Value {
    json!({
        "model": {"name": "<b>", "family": "tree ensemble", "task": "classification", "producer": "skl2onnx", "operators": ["TreeEnsembleClassifier"],
                  "features": 30, "scores": 1, "trees": {"trees": 100, "nodes": 28678, "leaves": 28778, "depth": 30, "predicates": 10747}},
        "features": {"mode": "exact", "revealed": "split points",
                     "encoded": [{"name": "a & b", "form": "index", "bins": 9, "bits": 4}, {"name": "c", "form": "thermometer", "bins": 3, "bits": 2}]},
        "security": {"parameter_set": "cipherfn-128-n2048-m8-v1", "bits": 134.8, "source": "estimator", "profile": "balanced", "needs_evaluation_key": true},
        "precision": {"target_bits": 10.0, "guaranteed_bits": 10.01, "range_of": "every possible row", "failure_log2": -40.0, "scores": [0.01], "noise_deviation": 1e-4},
        "work": {"gadget": {"base_log": 7, "levels": 3}, "predicted_microseconds": microseconds,
                 "counts": {"selectors": selectors, "slots": 219, "cmuxes": 239, "scalar_selects": 82, "polynomial_selects": 0, "nodes": 299}},
        "sizes": {"evaluation_key": 1_339_476, "query_row": query, "reply_row": 4867, "shared": null},
        "agreement": {"rows": 200, "skipped": 0, "largest_error": 0.007, "within_precision": 200, "has_labels": true, "labels_equal": 200, "margin_cases": 0},
        "warnings": [],
    })
}

fn report(value: Value) -> Report {
    serde_json::from_value(value).unwrap()
}

/// The totals that `infra/cost` gives for the same reports.
#[test]
fn money_is_that_of_the_cost_script() {
    let mut value = value(23_177.3, 73, 10_256);
    let mut check = |key: usize, shared: Value, expected: [f64; 2]| {
        value["sizes"]["evaluation_key"] = key.into();
        value["sizes"]["shared"] = shared;
        for (rows, expected) in [1.0, 50.0].into_iter().zip(expected) {
            let parts = dollars_a_million(&report(value.clone()), rows);
            let total: f64 = parts.iter().map(|part| part.1).sum();
            assert!(
                (total - expected).abs() < 1e-9,
                "{rows}: {total}, not {expected}"
            );
        }
    };
    check(
        1_339_476,
        Value::Null,
        [4.643_401_115_356_641, 1.181_193_520_361_523_4],
    );
    let shared = json!({"query_row": 1300, "reply_row": 9});
    check(
        1_900_000,
        shared,
        [4.644_690_320_556_64, 0.753_213_325_561_523_4],
    );
    check(
        0,
        Value::Null,
        [4.237_820_320_556_64, 1.167_612_725_561_523_4],
    );
}

#[test]
fn a_small_model_is_good_and_gets_no_advice() {
    let verdict = Verdict::of(&report(value(23_177.3, 73, 10_256)));
    assert!(
        verdict.lines.iter().all(|line| line.mark == Mark::Good),
        "{:?}",
        verdict.lines
    );
    assert!(verdict.advice.is_empty());
}

#[test]
fn what_is_over_a_limit_is_bad_and_says_what_would_help() {
    for (large, bad) in [
        (value(4_100_000.0, 73, 10_256), "time"),
        (value(23_177.3, 73, 2_150_000), "bytes"),
        (value(23_177.3, 10_747, 10_256), "memory"),
    ] {
        let verdict = Verdict::of(&report(large));
        for line in &verdict.lines {
            assert_eq!(line.mark == Mark::Bad, line.name == bad, "{line:?}");
        }
        let advice = verdict.advice.join("\n");
        for part in [
            "grid:6: at most 126 thresholds",
            "--precision 7",
            "fewer or smaller trees",
        ] {
            assert!(advice.contains(part), "{advice}");
        }
    }
    let none = Verdict::of(&report(value(40_000_000.0, 73, 10_256)));
    let rows = none.lines.iter().find(|line| line.name == "rows").unwrap();
    assert_eq!(
        (rows.mark, rows.value.contains("not even one")),
        (Mark::Bad, true)
    );
    let mut lost = value(23_177.3, 73, 10_256);
    for (equal, mark) in [(199, Mark::Fair), (150, Mark::Bad)] {
        lost["agreement"]["labels_equal"] = equal.into();
        assert_eq!(Verdict::of(&report(lost.clone())).lines[0].mark, mark);
    }
}

#[test]
fn the_page_stands_by_itself_and_shows_names_as_text() {
    let page = crate::page::page(&report(value(4_100_000.0, 73, 10_256)));
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    for outside in ["<script", "http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(!page.contains("<b>") && page.contains("&lt;b&gt;") && page.contains("a &amp; b"));
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert!(page.matches("<svg").count() >= 3, "pictures");
    for (open, close) in [
        ("<section", "</section>"),
        ("<table", "</table>"),
        ("<tr", "</tr>"),
    ] {
        assert_eq!(
            page.matches(open).count(),
            page.matches(close).count(),
            "{open}"
        );
    }
}
