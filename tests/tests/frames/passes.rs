//! What a reply shows, and that it is the same in any partition.

use super::{GADGET, KEYS, encrypt, last, lower, open, plain, rows, schema, set, worth};
use cipherfn_frame::answer::Cell;
use cipherfn_frame::cells::Units;
use cipherfn_frame::query::{Query, col, len, sum};
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::specs::Bits;
use cipherfn_scheme::Glwe;
use cipherfn_scheme::reply::{self, ReplyShape};
use cipherfn_serving::frames::{PassResults, PassRun, StoredFrame, evaluate};

pub(super) const LEFT: &str = r#"
format = 1
name = "left"
[[column]]
name = "id"
type = "integer"
min = 0
max = 14
roles = ["key"]
"#;

pub(super) const RIGHT: &str = r#"
format = 1
name = "right"
[[column]]
name = "id"
type = "integer"
min = 0
max = 14
roles = ["key"]
[[column]]
name = "a"
type = "integer"
min = 0
max = 65535
[[column]]
name = "b"
type = "integer"
min = -100
max = 100
[[lookup]]
by = ["id"]
columns = ["a", "b"]
"#;

pub(super) const SALES: &str = r#"
format = 1
name = "sales"
[[column]]
name = "amount"
type = "integer"
min = 0
max = 255
roles = ["value"]
[[column]]
name = "age"
type = "integer"
min = 0
max = 127
roles = ["key"]
[[column]]
name = "region"
type = "integer"
min = 0
max = 7
roles = ["key"]
"#;

fn opened(glwe: &Glwe) -> Vec<i64> {
    let shape = ReplyShape {
        set: set(),
        coefficients: 2048,
        stride: 1,
        bits: Bits::ALL,
    };
    let row = reply::compress(&shape, &glwe.mask, &glwe.body).unwrap();
    reply::decrypt(&KEYS.0, &shape, &row).unwrap()
}

/// Nothing of the tables but the cells that were looked up, whoever they are of.
#[test]
fn a_join_gives_the_looked_up_cells_and_nothing_else() {
    let encrypted = |schema: &Schema, rows: &[Units]| encrypt(schema, GADGET, rows, 0, 100);
    check_looked_up(encrypted);
    check_looked_up(|schema, rows| StoredFrame::plain(set(), plain(schema, rows)));
}

/// Five keys, one of which the right side does not have, in chunks of two rows. All coefficients of
/// the reply, opened with the secret key.
fn check_looked_up(right: impl Fn(&Schema, &[Units]) -> StoredFrame) {
    let (a, b) = (|id: i64| 65_535 - 4_097 * id, |id: i64| 13 * id - 100);
    let ids = [3, 14, 0, 9, 3];
    let present = (0..15).filter(|id| *id != 9);
    let frames = [
        encrypt(&schema(LEFT), GADGET, &rows(ids.map(|id| [id])), 0, 2),
        right(&schema(RIGHT), &rows(present.map(|id| [id, a(id), b(id)]))),
    ];
    let plan = Query::scan("left").merge("right").on("id").left().plan();
    let (passes, frames) = lower(&plan, &frames, GADGET, 400);
    let (errors, columns) = worth(&passes, &frames);
    assert!(
        columns.iter().all(|column| column.bits.is_none()),
        "{columns:?}"
    );
    let results = evaluate(&KEYS.1, &passes.passes, &frames)
        .unwrap()
        .remove(0);
    let answer = open(&passes, &frames, &results);
    let units = |cell: &Cell| match cell {
        Cell::Number { units, .. } => Some(*units as i64),
        _ => None,
    };
    for (row, id) in answer.iter().zip(ids) {
        let found = (id != 9).then_some(id);
        let cells: Vec<_> = row.iter().map(units).collect();
        assert_eq!(cells, [Some(id), found.map(a), found.map(b)]);
    }
    // Result i stands at coefficient 32 i.
    let items = 5 * last(&passes).circuit.outputs.len();
    assert!((1..=64).contains(&items) && results.ciphertexts.len() == 1);
    let most = errors.into_iter().fold(0.0, f64::max);
    let mut opened = opened(&results.ciphertexts[0]);
    for item in 0..items {
        opened[32 * item] = 0;
    }
    for (position, phase) in opened.into_iter().enumerate() {
        let rest = (phase as f64 / 2f64.powi(64)).abs();
        assert!(rest < most, "coefficient {position} holds {rest:e}");
    }
}

/// The same bits however rows are shared among evaluations and threads; counts exact, sums within
/// what is stated.
#[test]
fn a_group_by_is_the_same_in_any_partition() {
    const ROWS: i64 = 150;
    let row = |row: i64| {
        let number = |row: i64, below: i64| (row * 7919 + row * row % 31) % below;
        [number(row, 256), number(row + 5, 128), number(row + 9, 8)]
    };
    let frames = [encrypt(
        &schema(SALES),
        GADGET,
        &rows((0..ROWS).map(row)),
        0,
        90,
    )];
    let plan = Query::scan("sales")
        .filter(col("age").gt(30))
        .group_by(["region"])
        .agg([sum("amount"), len()])
        .plan();
    let (passes, frames) = lower(&plan, &frames, GADGET, 100);
    let run = || PassRun::new(&KEYS.1, &passes.passes, &frames, &[]).unwrap();
    let results = |ranges: &[std::ops::Range<usize>]| -> PassResults {
        let mut whole = run();
        for range in ranges {
            let mut part = run();
            part.evaluate(range.clone()).unwrap();
            whole.join(part).unwrap();
        }
        whole.finish()
    };
    let whole = results(std::slice::from_ref(&(0..150)));
    let parts = results(&[128..150, 0..64, 64..128]);
    assert_eq!(whole.ciphertexts, parts.ciphertexts);
    let single = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let alone = single.install(|| results(std::slice::from_ref(&(0..150))));
    assert_eq!(whole.ciphertexts, alone.ciphertexts);
    let (_, columns) = worth(&passes, &frames);
    let bits = |name: &str| {
        columns
            .iter()
            .find(|column| column.name == name)
            .unwrap()
            .bits
    };
    assert_eq!(bits("len"), None);
    let stated = bits("amount").expect("sums of 8 bits are not exact");
    // Of two sums of 100 rows of 256 values.
    let most = 2.0 * 25_600.0 / 2f64.powf(stated);
    for cells in open(&passes, &frames, &whole) {
        let [
            Cell::Number { units: region, .. },
            Cell::Number { units: amount, .. },
            Cell::Number { units: count, .. },
        ] = cells[..]
        else {
            panic!("{cells:?}")
        };
        let members = (0..ROWS)
            .map(row)
            .filter(|row| row[1] > 30 && i128::from(row[2]) == region);
        let members: Vec<_> = members.collect();
        assert_eq!(count, members.len() as i128);
        let exact: i64 = members.iter().map(|row| row[0]).sum();
        let off = (amount - i128::from(exact)).abs() as f64;
        assert!(off <= most, "{amount} for {exact}, {most} allowed");
    }
}
