//! Files of data frames, byte for byte: they must keep loading and be written the same way again.

use cipherfn_client::frames::{decrypt_reply, decrypt_total};
use cipherfn_frame::file::{FrameReader, FrameWriter};
use cipherfn_frame::plain::PlainTable;
use cipherfn_frame::plan::Plan;
use cipherfn_frame::reply::Reply;
use cipherfn_frame::schema::TablePart;
use cipherfn_protocol::api::grant::SignedGrant;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_serving::frames::{PreparedQuery, StoredFrame, StoredRows, SumRows, evaluate};
use cipherfn_signing::verify_grant;
use cipherfn_tests::golden;

fn file(name: &str) -> Vec<u8> {
    let path = golden().with_file_name("").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn frames_and_answers_keep_their_bytes_and_their_cells() {
    let bytes = file("v3/frame.cff");
    let mut reader = FrameReader::open(bytes.as_slice()).unwrap();
    let head = reader.head().clone();
    let mut writer = FrameWriter::new(Vec::new(), &head, reader.keys()).unwrap();
    for tables in reader.tables() {
        writer.tables(tables).unwrap();
    }
    let mut chunks = Vec::new();
    while let Some(rows) = reader.next_rows().unwrap() {
        writer.rows(rows.rows, &rows.inputs).unwrap();
        chunks.push(StoredRows {
            rows: rows.rows as usize,
            inputs: rows.inputs,
        });
    }
    assert_eq!(writer.finish().unwrap(), bytes);
    let answer = file("v3/frame.cfa");
    let reply = Reply::from_bytes(&answer).unwrap();
    assert_eq!(reply.to_bytes(), answer);

    let secret = SecretKey::from_file_bytes(&file("v2/wide/secret.cfk")).unwrap();
    let sql = String::from_utf8(file("v3/frame.sql")).unwrap();
    let plan = Plan::from_sql(&sql, std::slice::from_ref(&head.schema)).unwrap();
    let sums = SumRows::Given(reply.rows_per_sum);
    let prepared = PreparedQuery::new(plan, &[(head.clone(), 3)], &[], sums).unwrap();
    assert_eq!((prepared.hash, head.key), (reply.query, secret.id()));
    let cells = |ciphertexts: &[Vec<u8>]| {
        let words = decrypt_reply(&secret, prepared.last(), 3, ciphertexts).unwrap();
        let errors: Vec<f64> = prepared.columns.iter().map(|column| column.error).collect();
        let rows = prepared.passes.answer.decode(&words, &errors).into_iter();
        let row = |row: Vec<_>| {
            row.iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(",")
        };
        let lines = std::iter::once("sku,region,amount".to_owned()).chain(rows.map(row));
        lines.map(|line| line + "\n").collect::<String>()
    };
    let expected = String::from_utf8(file("v3/frame.answer.csv")).unwrap();
    assert_eq!(cells(&reply.ciphertexts), expected);
    // Asked again.
    let set = ParameterSet::by_tag(head.parameter_set, "data frame").unwrap();
    let frame = StoredFrame::new(set, head.schema.clone(), chunks, reader.tables()).unwrap();
    let key = EvaluationKey::from_file_bytes(&file("v2/wide/expansion.cfk")).unwrap();
    let results = evaluate(&key.expand().unwrap(), &prepared.passes.passes, &[&frame]).unwrap();
    let again = prepared.reply(&results[0]).unwrap();
    assert_eq!(cells(&again.ciphertexts), expected);
}

/// Two owners' sums, added.
#[test]
fn totals_keep_their_bytes_and_their_numbers() {
    let bytes = file("v3/sums.cff");
    let reader = FrameReader::open(bytes.as_slice()).unwrap();
    let mut writer = FrameWriter::new(Vec::new(), reader.head(), &[]).unwrap();
    writer.tables(&reader.tables()[0]).unwrap();
    assert_eq!(writer.finish().unwrap(), bytes);
    assert_eq!(reader.head().schema.owners(), Some(2));
    let secret = SecretKey::from_file_bytes(&file("v2/wide/secret.cfk")).unwrap();
    let table = decrypt_total(&secret, reader.head(), reader.tables()).unwrap();
    let cells = |row: &Vec<_>| row.iter().map(ToString::to_string).collect::<Vec<_>>();
    let rows: Vec<_> = table.rows.iter().map(cells).collect();
    assert_eq!(
        rows,
        [
            ["3", "north", "3", "10.24", "2"],
            ["0", "south", "1", "-1.00", "1"],
            ["6", "south", "1", "0.00", "0"],
        ]
    );
}

/// Made by another implementation of the format.
#[test]
fn tables_in_the_clear_keep_their_bytes_and_their_entries() {
    let bytes = file("v3/prices.cfp");
    let table = PlainTable::from_bytes(&bytes).unwrap();
    assert_eq!(table.to_bytes().unwrap(), bytes);
    assert_eq!(table.schema().rows().count, Some(4));
    let entries = |part| table.block(0, part, 0).unwrap();
    assert_eq!(entries(TablePart::Matched), [1, 1, 0, 1, 0, 0, 1, 0]);
    assert_eq!(entries(TablePart::Presence(1)), [1, 1, 0, 0, 0, 0, 1, 0]);
    let (low, high) = (TablePart::Limb(1, 0), TablePart::Limb(1, 1));
    assert_eq!(entries(low), [2, 0, 0, 0, 0, 0, 44, 0]);
    assert_eq!(entries(high), [1, 0, 0, 0, 0, 0, 1, 0]);
}

/// Signed by another implementation.
#[test]
fn grants_keep_their_bytes_and_their_signatures() {
    for name in ["v3/rows.grant", "v3/training.grant", "v3/columns.grant"] {
        let bytes = file(name);
        let signed = SignedGrant::from_json(bytes.trim_ascii()).unwrap();
        verify_grant(&signed).unwrap();
        assert_eq!(signed.to_json().unwrap().as_bytes(), bytes.trim_ascii());
        let mut other = signed;
        other.grant.objects += 1;
        assert!(verify_grant(&other).is_err());
    }
}
