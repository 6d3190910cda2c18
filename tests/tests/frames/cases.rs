//! The cases that polars answered (`tests/frames/cases.py`), encrypted.

use super::{GADGET, KEYS, encrypt, form, lower, lower_with, open, plain, set, worth};
use cipherfn_frame::answer::{Cell, ResultType};
use cipherfn_frame::pass::Collect;
use cipherfn_frame::plan::{Literal, Plan};
use cipherfn_frame::schema::{Rows, Schema};
use cipherfn_protocol::hash::Hash;
use cipherfn_serving::frames::{StoredFrame, evaluate};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
struct Case {
    name: String,
    frames: Vec<Frame>,
    plan: Option<serde_json::Value>,
    #[serde(default)]
    sql: Option<String>,
    rows: Vec<Vec<Literal>>,
    /// Whether what is merged is a table in the clear.
    #[serde(default)]
    clear: bool,
}

#[derive(Deserialize)]
struct Frame {
    schema: String,
    rows: Vec<Vec<Literal>>,
    #[serde(default)]
    padding: usize,
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("frames/cases.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Evaluates a case encrypted and compares it, if all of its columns are said to be exact; with
/// `clear`, where what is merged is a table in the clear, if the plan allows that. What it is said to be
/// worth is held to what it is with the cells of such tables.
fn check(case: &Case, clear: bool, is_evaluated: bool) -> bool {
    let name = &case.name;
    if case.clear && !clear {
        return false;
    }
    let mut tables = Vec::new();
    let scanned = case.plan.as_ref().map(|plan| plan["scan"].clone());
    let frames: Vec<_> = case
        .frames
        .iter()
        .map(|frame| {
            let schema = Schema::from_toml(&frame.schema).unwrap().with_rows(Rows {
                count: None,
                padded: frame.padding > 0,
            });
            let rows = frame.rows.iter().zip(1..);
            let rows = rows.map(|(row, number)| schema.row_of_values(number, row).unwrap());
            let rows: Vec<_> = rows.collect();
            let is_merged = scanned.as_ref().is_some_and(|name| name != schema.name());
            if clear && is_merged && schema.clone().in_the_clear(0, Hash::of(&[])).is_ok() {
                let table = plain(&schema, &rows);
                tables.push(table.clone());
                return StoredFrame::plain(set(), table);
            }
            encrypt(&schema, GADGET, &rows, frame.padding, 5)
        })
        .collect();
    let schemas: Vec<Schema> = frames.iter().map(|frame| frame.schema().clone()).collect();
    let plan = match (&case.plan, &case.sql) {
        (Some(plan), _) => Plan::from_json(&serde_json::to_vec(plan).unwrap()).unwrap(),
        (None, Some(sql)) => Plan::from_sql(sql, &schemas).unwrap(),
        (None, None) => panic!("{name} asks nothing"),
    };
    if clear && !is_possible(&plan, &schemas) {
        return false;
    }
    // What it is worth is said by who has no cells of tables in the clear.
    let (said, _) = lower(&plan, &frames, GADGET, 2);
    let (passes, frames) = lower_with(&plan, (&frames, &tables), GADGET, 2);
    let (errors, columns) = worth(&said, &frames);
    for (own, said) in worth(&passes, &frames).0.iter().zip(errors) {
        assert!(*own <= said, "{name}: {own} instead of {said}");
    }
    if columns.iter().any(|column| column.bits.is_some()) || !is_evaluated {
        return false;
    }
    let results = evaluate(&KEYS.1, &passes.passes, &frames).unwrap();
    let answer = open(&passes, &frames, results.last().unwrap());
    let kinds: Vec<&ResultType> = passes
        .answer
        .columns
        .iter()
        .map(|column| &column.kind)
        .collect();
    let mut found: Vec<Vec<String>> = answer
        .iter()
        .map(|row| row.iter().map(text).collect())
        .collect();
    let wanted = |row: &Vec<Literal>| {
        row.iter()
            .zip(&kinds)
            .map(|(cell, kind)| expected(cell, kind))
            .collect()
    };
    let mut wanted: Vec<Vec<String>> = case.rows.iter().map(wanted).collect();
    if passes
        .passes
        .iter()
        .any(|pass| pass.collect != Collect::Rows)
    {
        // Groups have no order in polars.
        found.sort();
        wanted.sort();
    }
    assert_eq!(found, wanted, "{name}");
    true
}

/// Whether a plan merges with tables in the clear, and goes over no row of theirs.
fn is_possible(plan: &Plan, schemas: &[Schema]) -> bool {
    let merges = schemas.iter().any(|schema| schema.cells().is_some());
    let resolved = plan.resolve(schemas);
    merges && resolved.is_ok_and(|resolved| resolved.lower(&form(GADGET, 2)).is_ok())
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Null => "null".into(),
        Cell::Real(value) => format!("{value:.6}"),
        cell => cell.to_string(),
    }
}

fn expected(cell: &Literal, kind: &ResultType) -> String {
    match (cell, kind) {
        (Literal::Null, _) => "null".into(),
        (Literal::Number(number), ResultType::Real) => format!("{:.6}", number.to_f64()),
        (Literal::Number(number), ResultType::Number { places }) => {
            let units = number.units(*places).unwrap().into();
            let places = *places;
            Cell::Number { units, places }.to_string()
        }
        (Literal::Text(text), _) => text.clone(),
        (Literal::Boolean(truth), _) => truth.to_string(),
        _ => panic!("{cell:?} is no {kind:?}"),
    }
}

#[test]
fn some_plans_answer_encrypted_as_polars_does() {
    let cases = cases();
    let exact = |step, clear| {
        let some = cases.iter().step_by(step);
        let exact = some.filter(|case| check(case, clear, true)).count();
        println!("{exact} cases are exact");
        exact
    };
    assert!(exact(9, false) >= 7);
    assert!(exact(9, true) >= 5);
    for case in cases.iter().filter(|case| case.clear) {
        check(case, true, false);
    }
}

#[test]
#[ignore = "300 cases"]
fn all_plans_answer_encrypted_as_polars_does() {
    let cases = cases();
    let exact = |clear| cases.iter().filter(|case| check(case, clear, true)).count();
    let (encrypted, clear) = (exact(false), exact(true));
    println!("{encrypted} cases are exact, {clear} with tables in the clear");
    assert!(encrypted >= 50 && clear >= 10);
}
