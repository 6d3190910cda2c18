//! Plans in the clear against the answers of polars (`tests/frames/cases.py` makes the cases).

mod hashed;
mod interpreter;
mod published;
mod scores;
mod stages;

use cipherfn_circuit::Dimensions;
use cipherfn_frame::answer::{Cell, ResultType};
use cipherfn_frame::cells::Units;
use cipherfn_frame::pass::CircuitForm;
use cipherfn_frame::plain::{PlainTable, SALT_LEN};
use cipherfn_frame::plan::{Literal, Plan};
use cipherfn_frame::query::Query;
use cipherfn_frame::schema::{Rows, Schema, TablePart};
use cipherfn_protocol::specs::{BaseLog, Bits, Gadget, Levels};
use interpreter::{Data, run};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
struct Case {
    name: String,
    /// Whether what is merged is a table in the clear.
    #[serde(default)]
    clear: bool,
    frames: Vec<Frame>,
    plan: Option<serde_json::Value>,
    sql: Option<String>,
    columns: Vec<String>,
    rows: Vec<Vec<Literal>>,
}

#[derive(Deserialize)]
struct Frame {
    schema: String,
    rows: Vec<Vec<Literal>>,
    #[serde(default)]
    padding: usize,
}

pub(crate) fn form() -> CircuitForm {
    CircuitForm {
        parameter_set: "cipherfn-128-n2048-m11-v1".into(),
        gadget: Gadget::new(BaseLog::new(6), Levels::new(4)),
        reply_bits: Bits::new(24),
        rows_per_sum: 7,
    }
}

const DIMENSIONS: Dimensions = Dimensions {
    glwe_dimension: 1,
    polynomial_size: 2048,
    bootstrap_table: None,
};

#[test]
fn plans_answer_as_polars_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/frames/cases.json");
    let cases: Vec<Case> =
        serde_json::from_slice(&std::fs::read(path).expect("cases")).expect("cases");
    assert!(cases.len() >= 100, "{} cases", cases.len());
    for case in &cases {
        assert!(check(case, case.clear), "{}", case.name);
    }
    let merged = cases.iter().filter(|case| case.frames.len() > 1);
    let clear = merged.filter(|case| check(case, true)).count();
    println!("{clear} cases merge with a table in the clear");
    assert!(clear >= 130, "{clear} cases");
}

/// The words of pandas that are groups: their plans are those of the cases that polars' own words answered.
#[test]
fn counts_of_values_are_groups() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/frames/cases.json");
    let cases: Vec<Case> =
        serde_json::from_slice(&std::fs::read(path).expect("cases")).expect("cases");
    let scan = || Query::scan("sales");
    for query in [
        scan().value_counts("region"),
        scan().crosstab("region", "member"),
    ] {
        let plan = query.plan();
        let [step] = &plan.steps[..] else {
            panic!("{plan:?}")
        };
        let counts = cases.iter().filter(|case| case.name.starts_with("counts "));
        let same = counts.filter(|case| {
            let json = case.plan.as_ref().expect("a plan").to_string();
            let own = Plan::from_json(json.as_bytes()).expect("a plan");
            own.steps.last() == Some(step) && !case.rows.is_empty()
        });
        assert!(same.count() > 0, "{plan:?}");
    }
}

/// Compares with polars; with `clear`, where what is merged is a table in the clear, if the plan allows
/// that.
fn check(case: &Case, clear: bool) -> bool {
    let name = &case.name;
    let mut schemas = Vec::new();
    let mut units = Vec::new();
    for frame in &case.frames {
        let schema =
            Schema::from_toml(&frame.schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        let rows = frame.rows.iter().zip(1..);
        let rows: Result<Vec<_>, _> = rows
            .map(|(row, number)| schema.row_of_values(number, row))
            .collect();
        units.push(rows.unwrap_or_else(|error| panic!("{name}: {error}")));
        schemas.push(schema.with_rows(Rows {
            count: Some((frame.rows.len() + frame.padding) as u64),
            padded: frame.padding > 0,
        }));
    }
    let plan = plan(case, &schemas);
    let mut tables = Vec::new();
    if clear {
        for (schema, rows) in schemas.iter_mut().zip(&units) {
            if schema.name() == plan.scan {
                continue;
            }
            let Some(table) = in_the_clear(schema, rows) else {
                return false;
            };
            schema.clone_from(table.schema());
            tables.push(table);
        }
    }
    let cells: Vec<&PlainTable> = tables.iter().collect();
    assert_eq!(
        Plan::from_json(&plan.to_json().expect("JSON")).as_ref(),
        Ok(&plan)
    );
    let resolved = plan.resolve(&schemas);
    let query = match resolved.and_then(|resolved| resolved.lower(&form())) {
        // What is of the other frame's rows.
        Err(_) if clear => return false,
        query => query.unwrap_or_else(|error| panic!("{name}: {error}")),
    };
    // Whoever has no cells knows the form of the answer all the same.
    let said = query;
    hashed::check(name, &plan, &schemas, &said);
    let resolved = plan.resolve(&schemas).expect("resolved");
    let query = resolved
        .with_cells(&cells)
        .lower(&form())
        .expect("levelled");
    assert_eq!(said.answer, query.answer, "{name}");
    for (said, own) in said.passes.iter().zip(&query.passes) {
        assert!(said.is_alike(own) && own.assumed.is_empty(), "{name}");
        said.circuit.validate(DIMENSIONS).expect("a circuit");
    }
    for pass in &query.passes {
        pass.circuit
            .validate(DIMENSIONS)
            .unwrap_or_else(|error| panic!("{name}: {error}\n{}", pass.circuit));
    }
    let data: Vec<Data<'_>> = query
        .frames
        .iter()
        .map(|own| {
            let place = schemas
                .iter()
                .position(|schema| schema.name() == own)
                .expect("a frame");
            Data {
                schema: &schemas[place],
                rows: &units[place],
                padding: case.frames[place].padding,
            }
        })
        .collect();
    let exact = vec![0.0; query.answer.columns.len()];
    let rows = query.answer.decode(&run(&query, &data), &exact);
    let columns: Vec<&str> = query
        .answer
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(columns, case.columns, "{name}");
    let kinds: Vec<&ResultType> = query
        .answer
        .columns
        .iter()
        .map(|column| &column.kind)
        .collect();
    let found: Vec<String> = rows.iter().map(|row| shown(row.iter().map(text))).collect();
    let wanted = case.rows.iter().map(|row| {
        shown(
            row.iter()
                .zip(&kinds)
                .map(|(cell, kind)| expected(cell, kind)),
        )
    });
    let mut wanted: Vec<String> = wanted.collect();
    let mut found = found;
    // Groups have no order in polars.
    if query
        .passes
        .iter()
        .any(|pass| pass.collect != cipherfn_frame::pass::Collect::Rows)
    {
        wanted.sort();
        found.sort();
    }
    assert_eq!(
        found,
        wanted,
        "{name}: {}",
        String::from_utf8_lossy(&plan.to_json().expect("JSON"))
    );
    true
}

/// The frame as a table in the clear, if it can be one.
fn in_the_clear(schema: &Schema, rows: &[Units]) -> Option<PlainTable> {
    let entries = schema.lookups().iter().map(|lookup| {
        let layout = schema.lookup_layout(lookup);
        let parts = schema.tables(lookup).into_iter();
        let table = |part: TablePart| {
            let mut entries = vec![0i64; layout.places as usize];
            for row in rows {
                let keys = lookup.by.iter().zip(&layout.strides).map(|(name, stride)| {
                    let column = schema.position(name)?;
                    let min = schema.columns()[column].domain.range().0;
                    Some(row[column]?.abs_diff(min) * stride)
                });
                let Some(place) = keys.sum::<Option<u64>>() else {
                    continue;
                };
                entries[place as usize] = match part {
                    TablePart::Matched => 1,
                    TablePart::Presence(column) => row[column].is_some().into(),
                    TablePart::Limb(column, limb) => row[column].map_or(0, |units| {
                        let own = &schema.columns()[column];
                        own.domain.split(units, own.limb_bits)[limb]
                    }),
                };
            }
            entries
        };
        parts.map(table).collect()
    });
    let entries = entries.collect();
    PlainTable::new(schema.clone(), rows.len() as u64, [7; SALT_LEN], entries).ok()
}

/// As JSON or as SQL.
fn plan(case: &Case, schemas: &[Schema]) -> Plan {
    let plan = match (&case.plan, &case.sql) {
        (Some(plan), None) => Plan::from_json(plan.to_string().as_bytes()),
        (None, Some(sql)) => Plan::from_sql(sql, schemas),
        _ => panic!("{}: a plan or SQL", case.name),
    };
    plan.unwrap_or_else(|error| panic!("{}: {error}", case.name))
}

fn shown(cells: impl Iterator<Item = String>) -> String {
    cells.collect::<Vec<_>>().join(" | ")
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
            let units = number.units(*places).expect("as many decimals").into();
            Cell::Number {
                units,
                places: *places,
            }
            .to_string()
        }
        (Literal::Text(text), _) => text.clone(),
        (Literal::Boolean(truth), _) => truth.to_string(),
        _ => panic!("{cell:?} is no {kind:?}"),
    }
}
