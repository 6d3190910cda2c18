use super::{Mark, Verdict, dollars_a_million};
use crate::demands::Demands;
use cipherfn_compiler::Report;
use cipherfn_compiler::fit::Demand;
use serde_json::{Value, json};

/// A forest's report, with the work and sizes of a row.
pub(super) fn value(microseconds: f64, selectors: u32, query: usize) -> Value {
    json!({
        "model": {"name": "<b>", "family": "tree ensemble", "task": "classification", "producer": "skl2onnx", "operators": ["TreeEnsembleClassifier"],
                  "features": 30, "scores": 1, "trees": {"trees": 100, "nodes": 28678, "leaves": 28778, "depth": 30, "predicates": 10747}},
        "features": {"mode": "exact", "revealed": "split points",
                     "encoded": [{"name": "a & b", "form": "index", "bins": 9, "bits": 4}, {"name": "c", "form": "thermometer", "bins": 3, "bits": 2}]},
        "security": {"parameter_set": "cipherfn-128-n2048-m8-v1", "bits": 134.8, "source": "estimator", "profile": "balanced", "needs_evaluation_key": true},
        "precision": {"target_bits": 10.0, "guaranteed_bits": 10.01, "range_of": "every possible row", "failure_log2": -40.0, "scores": [0.01], "noise_deviation": 1e-4},
        "work": {"gadget": {"base_log": 7, "levels": 3}, "predicted_microseconds": microseconds,
                 "stages": [{"name": "expanding the query", "microseconds": 0.6 * microseconds}, {"name": "choices", "microseconds": 0.4 * microseconds}],
                 "alternatives": [{"gadget": {"base_log": 8, "levels": 2}, "bits": 7.26, "microseconds": 0.7 * microseconds, "query_row": 8000},
                                  {"gadget": {"base_log": 7, "levels": 3}, "bits": 10.01, "microseconds": microseconds, "query_row": query}],
                 "counts": {"selectors": selectors, "slots": 219, "cmuxes": 239, "scalar_selects": 82, "polynomial_selects": 0, "nodes": 299}},
        "sizes": {"evaluation_key": 1_339_476, "query_row": query, "reply_row": 4867, "shared": null},
        "agreement": {"rows": 200, "skipped": 0, "largest_error": 0.007, "within_precision": 200, "has_labels": true, "labels_equal": 200, "margin_cases": 0},
        "warnings": [],
    })
}

pub(super) fn report(value: Value) -> Report {
    serde_json::from_value(value).unwrap()
}

/// What a row takes for this report, with `megabytes` for all of its selectors.
fn demands(value: &Value, megabytes: u64) -> Demands {
    let alone = Demand {
        memory: megabytes << 20,
        seconds: value["work"]["predicted_microseconds"].as_f64().unwrap() / 1e6,
        query_bytes: 10_000,
        reply_bytes: 5000,
    };
    let usual = Demand {
        memory: alone.memory.min(1769 << 20),
        ..alone
    };
    Demands {
        usual,
        alone,
        parts: None,
    }
}

fn verdict(value: &Value, megabytes: u64) -> Verdict {
    Verdict::of(&report(value.clone()), &demands(value, megabytes))
}

#[test]
fn a_small_model_is_good_and_gets_no_advice() {
    let verdict = verdict(&value(23_177.3, 73, 10_256), 40);
    assert!(
        verdict.lines.iter().all(|line| line.mark == Mark::Good),
        "{:?}",
        verdict.lines
    );
    assert!(verdict.advice.is_empty());
}

#[test]
fn what_is_over_a_limit_is_bad_and_says_what_would_help() {
    for (large, megabytes, bad) in [
        (value(2_100_000.0, 73, 10_256), 40, "time"),
        (value(23_177.3, 73, 2_150_000), 40, "bytes"),
        (value(23_177.3, 10_747, 10_256), 1770, "memory"),
    ] {
        let verdict = verdict(&large, megabytes);
        for line in &verdict.lines {
            assert_eq!(line.mark == Mark::Bad, line.name == bad, "{line:?}");
        }
        let advice = verdict.advice.join("\n");
        for part in ["--precision 7.2 or less", "fewer or smaller trees"] {
            assert!(advice.contains(part), "{advice}");
        }
        // A grid helps where its thresholds are fewer than the selectors.
        let grid = advice.contains("grid:6: at most 126 selectors in place of 10747");
        assert_eq!(grid, bad == "memory", "{advice}");
    }
    let mut large = value(2_100_000.0, 73, 10_256);
    large["features"]["with_decimals"] = json!([99_896, 14_002]);
    let advice = verdict(&large, 40).advice;
    assert!(advice[0].starts_with("--decimals auto: 14002 split points in place of 99896"));
    large["features"]["with_decimals"] = json!([99, 97]);
    assert!(!verdict(&large, 40).advice.concat().contains("decimals"));
    let mut large = value(23_177.3, 73, 1_010_000);
    large["security"]["profile"] = "keyless".into();
    assert!(verdict(&large, 40).advice[0].starts_with("--profile balanced"));
    let none = verdict(&value(40_000_000.0, 73, 10_256), 40);
    let rows = none.lines.iter().find(|line| line.name == "rows").unwrap();
    assert_eq!(
        (rows.mark, rows.value.contains("not even one")),
        (Mark::Bad, true)
    );
    let mut lost = value(23_177.3, 73, 10_256);
    for (equal, mark) in [(199, Mark::Fair), (150, Mark::Bad)] {
        lost["agreement"]["labels_equal"] = equal.into();
        assert_eq!(verdict(&lost, 40).lines[0].mark, mark);
    }
}

/// Bootstrapped functions count as those that bits look up, once for all layers.
#[test]
fn a_network_is_told_once_of_all_its_functions() {
    let layer = |lookups: u32, bootstraps: u32| {
        json!({"nodes": ["relu"], "lookups": lookups, "on_whole_torus": 0, "selectors": 0, "cmuxes": 0,
               "margin": 1.5, "wrapped": 0, "rows": 200, "labels": 1.0, "error": 0.001,
               "error_without_noise": 0.001, "limit": "noise",
               "deep": {"bootstraps": bootstraps, "range": [-1.0, 1.0], "bits": 8.0, "share": 0.5,
                        "microseconds": 1000.0, "memory": 1000}})
    };
    let mut network = value(40_000_000.0, 0, 196);
    network["model"]["trees"] = Value::Null;
    network["layers"] = json!([layer(30, 0), layer(0, 20), layer(0, 10)]);
    let advice = verdict(&network, 40).advice;
    let told = advice.iter().filter(|own| own.contains("hidden values"));
    assert_eq!(told.count(), 1, "{advice:?}");
    assert!(advice[1].contains("the functions, 60 now"), "{advice:?}");
    // Scores that are more exact than labels need.
    assert!(
        advice[0].contains("--max-error 2") && advice[0].contains("now 0.10 %"),
        "{advice:?}"
    );
}

/// Time and memory are those that the notices about a function's limits go by.
#[test]
fn a_row_that_is_expanded_again_takes_longer_in_the_verdict_too() {
    let value = value(600_000.0, 73, 10_256);
    let mut demands = demands(&value, 2048);
    let dollars = |demands: &Demands| {
        let parts = dollars_a_million(&report(value.clone()), demands.usual.seconds, 1.0);
        parts[0].1
    };
    let once = dollars(&demands);
    demands.usual.seconds = 1.2;
    let verdict = Verdict::of(&report(value.clone()), &demands);
    let line = |name| verdict.lines.iter().find(|line| line.name == name).unwrap();
    let again = dollars(&demands);
    assert!((again / once - 2.0).abs() < 0.01, "{once} and {again}");
    let other = Verdict::of(
        &report(value.clone()),
        &Demands {
            usual: demands.alone,
            ..demands
        },
    );
    assert_ne!(other.lines[4], verdict.lines[4], "the cost line");
    assert_eq!(
        (line("time").mark, line("memory").mark),
        (Mark::Bad, Mark::Bad)
    );
    assert!(
        line("time").value.starts_with("1.20 s"),
        "{}",
        line("time").value
    );
    let memory = &line("memory").value;
    assert!(memory.contains("a function of 2048 MB"), "{memory}");
    assert!(
        line("rows").value.starts_with("up to 24 "),
        "{}",
        line("rows").value
    );
    let needs = demands.needs();
    assert!(
        needs[0].contains("1.20 s") && needs[0].contains("2048 MB"),
        "{needs:?}"
    );
}

#[test]
fn the_page_stands_by_itself_and_shows_names_as_text() {
    let scores = [[-1.5, -1.49], [0.2, 0.21], [f64::NAN, 1.0]];
    let value = value(2_100_000.0, 73, 10_256);
    let page = crate::page::page(&report(value.clone()), &demands(&value, 40), &scores);
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    for outside in ["<script", "http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(!page.contains("<b>") && page.contains("&lt;b&gt;") && page.contains("a &amp; b"));
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert!(page.matches("<svg").count() >= 6, "pictures");
    assert_eq!(
        page.matches("<circle class=\"row\"").count(),
        2,
        "rows that have scores"
    );
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
