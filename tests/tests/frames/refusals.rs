//! Columns that are not those of the schema, duplicate keys, frames of another key.

use super::passes::RIGHT;
use super::{Column, GADGET, KEYS, column, encrypt, schema, set};
use cipherfn_client::frames::FrameEncryptor;
use cipherfn_frame::schema::Schema;
use cipherfn_scheme::reply::{self, ReplyShape};
use cipherfn_serving::frames::{StoredFrame, StoredRows};

fn refused(schema: &Schema, columns: &[Column]) -> String {
    let encryptor = FrameEncryptor::new(&KEYS.0, schema, GADGET);
    let rows = encryptor.rows(columns, 0, usize::MAX).map(drop);
    let tables = encryptor.tables(columns).map(drop);
    rows.and(tables).unwrap_err().to_string()
}

#[test]
fn columns_that_do_not_fit_are_named() {
    let right = schema(RIGHT);
    let columns = || [column([1, 2]), column([3, 4]), column([5, 6])];
    let change = |change: fn(&mut [Column; 3])| {
        let mut columns = columns();
        change(&mut columns);
        refused(&right, &columns)
    };
    let two = refused(&right, &columns()[..2]);
    assert!(two.contains("3 columns, 2 were given"), "{two}");
    let short = change(|columns| columns[2].truncate(1));
    assert!(short.contains("column \"b\" has 1 rows"), "{short}");
    let wide = change(|columns| columns[2][1] = Some(101));
    assert!(wide.contains("row 2 of column \"b\": 101"), "{wide}");
    let missing = change(|columns| columns[1][0] = None);
    assert!(
        missing.contains("row 1 of column \"a\" is missing"),
        "{missing}"
    );
    let twice = change(|columns| columns[0][1] = Some(1));
    assert!(
        twice.contains("rows 1 and 2 have equal keys in [\"id\"]"),
        "{twice}"
    );
}

/// Asked to, a look-up adds the values of equal keys.
#[test]
fn duplicates_are_added_where_asked() {
    let right = schema(&format!("{RIGHT}duplicates = \"sum\"\n"));
    let columns = [column([4, 2, 4]), column([300, 1, 500]), column([-7, 1, 9])];
    let frame = encrypt(&right, GADGET, &columns, 3);
    assert_eq!(frame.rows(), 3);
    let encryptor = FrameEncryptor::new(&KEYS.0, &right, GADGET);
    let bytes = encryptor.tables(&columns).unwrap().remove(0);
    let shape = cipherfn_scheme::query::TableShape::in_blocks(set(), 4, 15);
    let tables = cipherfn_scheme::query::decode_tables(&shape, &bytes).unwrap();
    let entry = |table: usize, unit: i32| {
        let shape = ReplyShape {
            set: set(),
            coefficients: 15,
            stride: 1,
            bits: cipherfn_protocol::specs::Bits::ALL,
        };
        let row = reply::compress(&shape, &tables[table].mask, &tables[table].body).unwrap();
        let phases = reply::decrypt(&KEYS.0, &shape, &row).unwrap();
        (phases[4] as f64 * 2f64.powi(unit - 64)).round() as i64
    };
    assert_eq!(entry(0, 13), 2);
    // 300 = 256 + 44, 500 = 256 + 244.
    assert_eq!((entry(1, 20), entry(2, 20), entry(3, 20)), (44 + 244, 2, 2));
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
        inputs: vec![Vec::new()],
    };
    let found = refused(vec![rows], &[vec![0; 16 + 4 * 15 * 6]]);
    assert!(found.contains("1 inputs of a chunk of rows"), "{found}");
    let found = refused(Vec::new(), &[vec![0; 17]]);
    assert!(found.contains("encrypted tables"), "{found}");
}
