//! Scores of linear models in plans.

use super::form;
use super::interpreter::{Data, run};
use cipherfn_frame::number::Number;
use cipherfn_frame::plan::{Expression, LinearScore, ModelScore, Plan};
use cipherfn_frame::query::{Query, col};
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

fn scores(name: &str, score: LinearScore) -> BTreeMap<String, ModelScore> {
    BTreeMap::from([(name.to_owned(), ModelScore::Given(score))])
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
    assert!(error.to_string().contains("is not at hand"), "{error}");
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

const PEOPLE: &str = r#"
format = 1
name = "people"
[[column]]
name = "age"
type = "integer"
min = 0
max = 99
nulls = true
roles = ["key", "value"]
[[column]]
name = "region"
type = "text"
dictionary = ["north", "south", "east"]
roles = ["key"]
[[column]]
name = "paid"
type = "decimal"
places = 2
min = -20.00
max = 500.00
nulls = true
roles = ["value"]
[[column]]
name = "sku"
type = "integer"
min = 0
max = 9
roles = ["key"]
"#;
const PRICES: &str = r#"
format = 1
name = "prices"
[[column]]
name = "sku"
type = "integer"
min = 0
max = 9
roles = ["key"]
[[column]]
name = "price"
type = "decimal"
places = 1
min = 0.0
max = 99.9
[[lookup]]
by = ["sku"]
columns = ["price"]
"#;

/// What a model takes may be prepared by the same plan: functions of keys, filled cells, standardised and
/// looked-up ones. Held to the formula, worked out with floats.
#[test]
fn scores_are_of_columns_that_the_plan_prepares() {
    let count = |schema: &str, rows: u64| {
        let rows = Rows {
            count: Some(rows),
            padded: false,
        };
        Schema::from_toml(schema).expect("a schema").with_rows(rows)
    };
    let people: Vec<Vec<Option<i64>>> = (0..24)
        .map(|row| {
            let age = (row % 7 != 3).then_some(row * 37 % 100);
            let paid = (row % 5 != 2).then_some(row * 1_709 % 52_001 - 2_000);
            vec![age, Some(row % 3), paid, Some(row * 3 % 10)]
        })
        .collect();
    let prices: Vec<Vec<Option<i64>>> = [0, 1, 3, 4, 6, 9]
        .map(|sku: i64| vec![Some(sku), Some(sku * 103 % 1_000)])
        .into();
    let schemas = [count(PEOPLE, 24), count(PRICES, 6)];
    let number = |text: &str| text.parse::<Number>().expect("a number");
    let weights = [0.731_2, -1.25, 2.5, -0.004, 0.062_5, 1.75];
    let score = LinearScore::new(-0.5, &weights, Vec::new()).expect("a score");
    let features = ["log", "band", "region_south", "filled", "scaled", "cost"].map(col);
    let query = Query::scan("people")
        .merge("prices")
        .on("sku")
        .left()
        .with_column("log", col("age").log(3))
        .with_column("band", col("age").cut([18, 65]))
        .one_hot("region", ["north", "south"])
        .with_column("filled", col("paid").fill_null(7))
        .with_column(
            "scaled",
            col("age").standardised(number("46.5"), number("0.052")),
        )
        .with_column("cost", col("price").fill_null(5))
        .with_column("score", Expression::model("risk", features))
        .select(["score"]);
    let plan = query
        .plan()
        .with_scores(&scores("risk", score))
        .expect("a plan");
    let resolved = plan.resolve(&schemas).expect("resolved");
    let passes = resolved.lower(&form()).expect("levelled");
    let data = [(&schemas[0], &people), (&schemas[1], &prices)].map(|(schema, rows)| Data {
        schema,
        rows,
        padding: 0,
    });
    let cells = passes.answer.decode(&run(&passes, &data), &[0.0]);
    assert_eq!(cells.len(), people.len());
    let mut scored = 0;
    for (row, cells) in people.iter().zip(&cells) {
        let wanted = row[0].filter(|age| *age > 0).map(|age| {
            let price = prices.iter().find(|price| price[0] == row[3]);
            let age = age as f64;
            let features = [
                (age.ln() * 1e3).round() / 1e3,
                f64::from(u8::from(age >= 18.0) + u8::from(age >= 65.0)),
                f64::from(u8::from(row[1] == Some(1))),
                row[2].map_or(7.0, |units| units as f64 / 100.0),
                (age - 46.5) * 0.052,
                price.map_or(5.0, |price| price[1].expect("a price") as f64 / 10.0),
            ];
            let terms = features.iter().zip(weights);
            terms.map(|(feature, weight)| feature * weight).sum::<f64>() - 0.5
        });
        let found: Option<f64> = cells[0].to_string().parse().ok();
        match (found, wanted) {
            (Some(found), Some(wanted)) => {
                assert!(
                    (found - wanted).abs() < 1e-9,
                    "{row:?}: {found} for {wanted}"
                );
                scored += 1;
            }
            // Without an age, or its logarithm, there is no score.
            (found, wanted) => assert_eq!(found, wanted, "{row:?}"),
        }
    }
    assert!((15..people.len()).contains(&scored), "{scored}");
}
