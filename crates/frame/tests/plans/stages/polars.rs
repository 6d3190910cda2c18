//! Stages against polars' answers, and what they make of answers that no plan has.

use super::{Frame, SALES, SKUS, carried_out, evaluated, form, frame};
use cipherfn_frame::answer::Cell;
use cipherfn_frame::plan::{Literal, Plan};
use cipherfn_frame::schema::Schema;
use serde::Deserialize;
use std::path::Path;

/// Frames and polars' answers (`tests/frames/stages.py` makes them).
#[derive(Deserialize)]
struct Cases {
    frames: Vec<CaseFrame>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct CaseFrame {
    schema: String,
    rows: Vec<Vec<Literal>>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    sql: String,
    stages: usize,
    ordered: bool,
    rows: Vec<Vec<Literal>>,
}

#[test]
fn stages_answer_as_polars_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/frames/stages.json");
    let bytes = std::fs::read(path).expect("cases");
    let Cases { frames, cases } = serde_json::from_slice(&bytes).expect("cases");
    let frames: Vec<Frame> = frames
        .iter()
        .map(|own| {
            let schema = Schema::from_toml(&own.schema).expect("a schema");
            let rows = own.rows.iter().zip(1..);
            let rows = rows.map(|(row, number)| schema.row_of_values(number, row).expect("a row"));
            frame(&own.schema, rows.collect())
        })
        .collect();
    assert!(cases.len() >= 4, "{} cases", cases.len());
    for case in cases {
        let cell = |cell: &Literal| match cell {
            Literal::Null => String::new(),
            Literal::Text(text) => text.clone(),
            other => other.to_string(),
        };
        let rows = case.rows.iter();
        let mut wanted: Vec<String> = rows
            .map(|row| row.iter().map(cell).collect::<Vec<_>>().join(","))
            .collect();
        let (mut found, stages) = carried_out(&case.sql, frames.clone());
        if !case.ordered {
            wanted.sort();
            found.sort();
        }
        assert_eq!((found, stages), (wanted, case.stages), "{}", case.name);
    }
}

#[test]
fn what_no_plan_makes_is_named_and_looks_like_what_one_does() {
    // Groups of a looked-up column: seven places for a class, of five rows.
    let all = [
        frame(SALES, vec![vec![Some(1), Some(5), None]; 5]),
        frame(SKUS, vec![vec![Some(1), Some(3)]]),
    ];
    let schemas = all.each_ref().map(|frame| frame.0.clone());
    let sql = "SELECT class, COUNT(*) AS n FROM sales LEFT JOIN skus ON sales.sku = skus.sku GROUP BY class";
    let plan = Plan::from_sql(sql, &schemas).expect("a plan");
    let stages = plan.stages(&schemas, &form()).expect("stages");
    let refresh = stages[0].refresh.as_ref().expect("two stages");
    let honest = evaluated(&stages[0].plan, &all);
    let kept = refresh.rows(&honest);
    assert_eq!((kept.rows.len(), kept.wrong), (5, None));
    let class = honest.columns.iter().position(|own| own.0 == "class");
    let class = class.expect("a column");
    let mut strange = honest.clone();
    strange.rows[3][class] = Cell::Number {
        units: 77,
        places: 0,
    };
    let mut more = honest.clone();
    more.rows.push(more.rows[0].clone());
    let mut fewer = honest;
    fewer.rows.pop();
    for (table, problem) in [
        (
            strange,
            "row 4 of what was decrypted has in column \"class\" \"77\"",
        ),
        (more, "6 rows were decrypted, of which the plan makes 5"),
        (fewer, "4 rows were decrypted, of which the plan makes 5"),
    ] {
        let made = refresh.rows(&table);
        // As many rows as ever, of cells that can be encrypted.
        assert_eq!(made.rows.len(), 5, "{problem}");
        let wrong = made.wrong.expect("wrong").to_string();
        assert!(wrong.contains(problem), "{wrong}");
        for row in &made.rows {
            for (cell, column) in row.iter().zip(refresh.schema.columns()) {
                let (min, max) = column.domain.range();
                assert!(cell.map_or(column.nulls, |own| (min..=max).contains(&own)));
            }
        }
    }
}

#[test]
fn a_plan_cannot_name_what_stages_make() {
    let all = [frame(SALES, vec![vec![Some(1), Some(5), None]])];
    let schemas = [all[0].0.clone()];
    let plan = r#"{"format": 2, "scan": "sales", "steps": ["distinct",
        {"filter": {"gt": [{"cut": [{"add": [{"col": "a"}, {"col": "b"}]}, [3]]}, {"lit": 0}]}},
        {"merge": {"right": "refreshed 1", "on": [{"left": "sku", "right": "sku"}], "how": "left"}}]}"#;
    let plan = Plan::from_json(plan.as_bytes()).expect("a plan");
    let error = plan.stages(&schemas, &form()).expect_err("no such frame");
    let error = error.to_string();
    assert!(
        error.contains("there is no frame \"refreshed 1\""),
        "{error}"
    );
}
