//! Scores of linear models in plans.

use super::form;
use super::interpreter::{Data, run};
use cipherfn_frame::plan::{Expression, LinearScore, Plan};
use cipherfn_frame::query::Query;
use cipherfn_frame::schema::{Rows, Schema};
use std::collections::BTreeMap;

const ROWS: &str = r#"
format = 1
name = "rows"
[[column]]
name = "a"
type = "decimal"
places = 2
min = -5.00
max = 5.00
roles = ["value"]
[[column]]
name = "b"
type = "integer"
min = -300
max = 70000
nulls = true
roles = ["value"]
[[column]]
name = "c"
type = "integer"
min = 0
max = 3
roles = ["key", "value"]
"#;

fn plan(of: &str) -> Plan {
    let json = format!(
        r#"{{"format": 3, "scan": "rows", "steps": [{{"with_column": {{"name": "score", "of": {of}}}}}]}}"#
    );
    Plan::from_json(json.as_bytes()).expect("a plan")
}

fn scores(name: &str, score: LinearScore) -> BTreeMap<String, LinearScore> {
    BTreeMap::from([(name.to_owned(), score)])
}

#[test]
fn plans_hold_weights_in_place_of_names() {
    let score = LinearScore::new(0.5, &[2.0, 0.0, -1.25], Vec::new()).expect("a score");
    let risk = scores("risk", score);
    let named = plan(r#"{"model": ["risk", [{"col": "a"}, {"col": "b"}, {"col": "c"}]]}"#);
    let whole = plan(
        r#"{"add": [{"lit": 0.5}, {"mul": [{"col": "a"}, {"lit": 2}]}, {"mul": [{"col": "b"}, {"lit": 0}]}, {"mul": [{"col": "c"}, {"lit": -1.25}]}]}"#,
    );
    assert_eq!(named.with_scores(&risk), Ok(whole));
    for (of, problem) in [
        (
            r#"{"not": {"gt": [{"model": ["risk", []]}, {"lit": 1}]}}"#,
            "3 features, and 0",
        ),
        (r#"{"model": ["rusk", []]}"#, "--model rusk=FILE"),
    ] {
        let error = plan(of).with_scores(&risk).unwrap_err().to_string();
        assert!(
            error.contains("step 1 (with_column)") && error.contains(problem),
            "{error}"
        );
    }
    let schemas = [Schema::from_toml(ROWS).expect("a schema")];
    let error = plan(r#"{"model": ["risk", []]}"#)
        .resolve(&schemas)
        .unwrap_err();
    assert!(error.to_string().contains("are not at hand"), "{error}");
    let old = plan(r#"{"model": ["risk", []]}"#).to_json().expect("JSON");
    let old = String::from_utf8(old)
        .expect("text")
        .replace("\"format\":3", "\"format\":2");
    assert!(Plan::from_json(old.as_bytes()).is_err());
    // A weight that has no digits is no part of a score, however small it is beside the others.
    for weights in [&[][..], &[f64::NAN], &[1e300], &[0.8, 4e-10]] {
        assert!(LinearScore::new(0.0, weights, Vec::new()).is_err());
    }
    let small = LinearScore::new(0.0, &[0.8, 1.234e-6], Vec::new()).expect("a score");
    assert_eq!(small.places(), 9);
}

/// Weights of five digits have no room in a coefficient: they are split, and the cells are the same.
#[test]
fn scores_are_exact_whatever_room_weights_take() {
    let schema = Schema::from_toml(ROWS).expect("a schema");
    let rows: Vec<Vec<Option<i64>>> = (0..9)
        .map(|row| {
            let b = (row != 4).then_some(row * 8_007 - 300);
            vec![Some(row * 121 - 484), b, Some(row % 4)]
        })
        .collect();
    let schema = schema.with_rows(Rows {
        count: Some(rows.len() as u64),
        padded: false,
    });
    let weights = [-3.176_59, 0.027_18, 12.345];
    let names = ["a", "b", "c"].map(ToOwned::to_owned).to_vec();
    let score = LinearScore::new(-7.5, &weights, names).expect("a score");
    assert_eq!(score.places(), 5);
    let query = Query::scan("rows")
        .with_column("score", Expression::model("risk", []))
        .select(["score"]);
    let plan = query.plan().with_scores(&scores("risk", score));
    let schemas = [schema];
    let plan = plan.expect("a plan");
    let resolved = plan.resolve(&schemas).expect("resolved");
    let passes = resolved.lower(&form()).expect("levelled");
    let data = Data {
        schema: &schemas[0],
        rows: &rows,
        padding: 0,
    };
    let cells = passes.answer.decode(&run(&passes, &[data]), &[0.0]);
    let found: Vec<String> = cells.iter().map(|row| row[0].to_string()).collect();
    let wanted = rows.iter().map(|row| {
        // In units of 10^-6: the weight of a has four decimals, and a two.
        let units = -7_500_000 - 31_766 * row[0]? + 27_180 * row[1]? + 12_345_000 * row[2]?;
        let sign = if units < 0 { "-" } else { "" };
        let size = units.abs();
        Some(format!(
            "{sign}{}.{:06}",
            size / 1_000_000,
            size % 1_000_000
        ))
    });
    let wanted: Vec<String> = wanted.map(Option::unwrap_or_default).collect();
    assert_eq!(found, wanted);
}
