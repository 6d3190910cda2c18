//! Rows that are not those of the schema, duplicate keys, frames that are not their schemas'.

use super::passes::RIGHT;
use super::{GADGET, KEYS, encrypt, lower, open, rows, schema, set};
use cipherfn_client::frames::{FrameEncryptor, Tables};
use cipherfn_frame::cells::Units;
use cipherfn_frame::query::Query;
use cipherfn_serving::frames::{StoredFrame, StoredRows, evaluate};

#[test]
fn rows_that_do_not_fit_are_named() {
    let right = schema(RIGHT);
    let refused = |change: fn(&mut Vec<Units>)| {
        let mut rows = rows([[1, 3, 5], [2, 4, 6]]);
        change(&mut rows);
        let rows: Vec<_> = rows.into_iter().map(Some).collect();
        let encryptor = FrameEncryptor::new(&KEYS.0, &right, GADGET);
        encryptor.rows(&rows, 10).unwrap_err().to_string()
    };
    let short = refused(|rows| rows[1].truncate(2));
    assert!(
        short.contains("row 12 has 2 cells where the schema has 3"),
        "{short}"
    );
    let wide = refused(|rows| rows[1][2] = Some(101));
    assert!(wide.contains("row 12 of column \"b\": 101"), "{wide}");
    let missing = refused(|rows| rows[0][1] = None);
    assert!(
        missing.contains("row 11 of column \"a\" is missing"),
        "{missing}"
    );
}

#[test]
fn duplicate_keys_are_refused_or_added_as_asked() {
    let right = schema(RIGHT);
    let twice = rows([[4, 300, -7], [2, 1, 1], [4, 500, 9]]);
    let mut tables = Tables::new(&right, &right.lookups()[0]);
    tables.add(&twice[0]).unwrap();
    tables.add(&twice[1]).unwrap();
    let error = tables.add(&twice[2]).unwrap_err().to_string();
    assert!(
        error.contains("rows 1 and 3 have equal keys (id)"),
        "{error}"
    );
    let added = schema(&format!("{RIGHT}duplicates = \"sum\"\n"));
    let frames = [
        encrypt(
            &schema(super::passes::LEFT),
            GADGET,
            &rows([[4], [2]]),
            0,
            9,
        ),
        encrypt(&added, GADGET, &twice, 0, 9),
    ];
    let mut plan = Query::scan("left").merge("right").on("id").left().plan();
    let schemas = [frames[0].schema().clone(), frames[1].schema().clone()];
    let refused = plan.resolve(&schemas).unwrap_err().to_string();
    assert!(refused.contains("step 1"), "{refused}");
    let cipherfn_frame::plan::PlanStep::Merge(merge) = &mut plan.steps[0] else {
        panic!("a merge")
    };
    merge.validate = cipherfn_frame::plan::Cardinality::ManyToMany;
    let (passes, frames) = lower(&plan, &frames, GADGET, 400);
    let results = evaluate(&KEYS.1, &passes.passes, &frames).unwrap();
    let answer = open(&passes, &frames, &results[0]);
    let found: Vec<String> = answer[0].iter().map(ToString::to_string).collect();
    // Two partners are there, as one would be. Their sum has bits of the range of 2,048 rows' sums.
    assert_eq!(found[0], "4");
    assert!(found[1..].iter().all(|cell| !cell.is_empty()), "{found:?}");
}

#[test]
fn frames_that_are_not_their_schemas_are_refused() {
    let right = schema(RIGHT);
    let none: [Vec<u8>; 0] = [];
    let refused = |chunks, tables: &[Vec<u8>]| {
        let frame = StoredFrame::new(set(), right.clone(), chunks, tables);
        frame.err().expect("it is refused").to_string()
    };
    let found = refused(Vec::new(), &none);
    assert!(found.contains("0 look-ups, its schema says 1"), "{found}");
    let rows = StoredRows {
        rows: 1,
        inputs: Vec::new(),
    };
    let found = refused(vec![rows], &[vec![0; 16 + 4 * 15 * 6]]);
    assert!(found.contains("0 inputs of a chunk of rows"), "{found}");
    let found = refused(Vec::new(), &[vec![0; 17]]);
    assert!(found.contains("encrypted tables"), "{found}");
}
