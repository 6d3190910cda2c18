//! Rows that are not those of the schema, duplicate keys, frames that are not their schemas'.

use super::passes::RIGHT;
use super::{GADGET, KEYS, encrypt, lower, open, rows, schema, set, worth};
use cipherfn_client::frames::{FrameEncryptor, Tables};
use cipherfn_frame::cells::Units;
use cipherfn_frame::file::FileHead;
use cipherfn_frame::plan::{Cardinality, PlanStep};
use cipherfn_frame::query::{Query, col, len, sum};
use cipherfn_frame::schema::Rows;
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels};
use cipherfn_serving::frames::{Demand, PreparedQuery, StoredFrame, StoredRows, SumRows, evaluate};

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
    let PlanStep::Merge(merge) = &mut plan.steps[0] else {
        panic!("a merge")
    };
    merge.validate = Cardinality::ManyToMany;
    let (passes, frames) = lower(&plan, &frames, GADGET, 400);
    let results = evaluate(&KEYS.1, &passes.passes, &frames).unwrap();
    let answer = open(&passes, &frames, &results[0]);
    let found: Vec<String> = answer[0].iter().map(ToString::to_string).collect();
    // Two partners are there, as one would be. Their sum has bits of the range of 2,048 rows' sums.
    assert_eq!(found[0], "4");
    assert!(found[1..].iter().all(|cell| !cell.is_empty()), "{found:?}");
}

/// With limbs of one bit sums of equal keys are exact.
#[test]
fn values_of_equal_keys_are_added_exactly_if_limbs_are_small() {
    let added = format!("{RIGHT}duplicates = \"sum\"\n");
    let added = added.replace("max = 65535", "max = 200\nlimb-bits = 1");
    let added = added.replace("max = 100", "max = 100\nlimb-bits = 1");
    let left = rows([[4], [2], [9], [4]]);
    let partners = rows([[4, 100, -7], [2, 1, 1], [4, 177, 9], [4, 200, -100]]);
    let frames = [
        encrypt(&schema(super::passes::LEFT), GADGET, &left, 0, 9),
        encrypt(&schema(&added), GADGET, &partners, 0, 9),
    ];
    let mut plan = Query::scan("left").merge("right").on("id").left().plan();
    let PlanStep::Merge(merge) = &mut plan.steps[0] else {
        panic!("a merge")
    };
    merge.validate = Cardinality::ManyToMany;
    let (passes, frames) = lower(&plan, &frames, GADGET, 4);
    let (_, columns) = worth(&passes, &frames);
    assert!(columns.iter().all(|own| own.bits.is_none()), "{columns:?}");
    let results = evaluate(&KEYS.1, &passes.passes, &frames).unwrap();
    let answer = open(&passes, &frames, &results[0]);
    let texts = answer.iter().map(|row| row.iter().map(ToString::to_string));
    let found: Vec<Vec<String>> = texts.map(Iterator::collect).collect();
    let sums = ["4", "477", "-98"];
    assert_eq!(found, [sums, ["2", "1", "1"], ["9", "", ""], sums]);
}

/// A column of which nothing is guaranteed would be decrypted to zeros: it is refused however little is
/// asked for.
#[test]
fn what_is_worth_nothing_is_no_answer() {
    let coarse = Gadget::new(BaseLog::new(13), Levels::new(2));
    let sales = schema(&super::passes::SALES.replace("max = 255", "max = 1000000\nlimb-bits = 20"));
    let head = FileHead {
        schema: sales.with_rows(Rows {
            count: Some(2_000),
            padded: false,
        }),
        key: KEYS.0.id(),
        parameter_set: set().tag(),
        gadget: coarse,
    };
    let plan = Query::scan("sales")
        .filter(col("age").gt(30))
        .agg([sum("amount"), len()])
        .plan();
    let prepared = |rows| PreparedQuery::new(plan.clone(), &[(head.clone(), 2_000)], &[], rows);
    let worthless = prepared(SumRows::Given(2_000)).unwrap();
    assert_eq!(worthless.columns[0].bits, Some(0.0));
    for asked in [0.0, 1.0] {
        let error = worthless.require(Demand::Bits(asked)).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("column \"amount\" would have no bit of its range guaranteed")
                && text.contains("step 2 (sum(amount), len)"),
            "{text}"
        );
    }
    // So many rows a sum are taken as leave something, if some do.
    let fitted = prepared(SumRows::Fitting(Demand::Bits(0.0))).unwrap();
    assert!(
        fitted.columns[0].bits.is_none_or(|bits| bits > 0.0),
        "{:?}",
        fitted.columns
    );
    fitted.require(Demand::Bits(0.0)).unwrap();
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
