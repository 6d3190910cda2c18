//! Sums of owners' rows by key under a public key: added by one without a key, decrypted, and looked up.

use super::passes::LEFT;
use super::{GADGET, KEYS, encrypt, lower, open, rows, schema, set, worth};
use cipherfn_client::frames::{OwnerSums, OwnersError, decrypt_total};
use cipherfn_frame::cells::Units;
use cipherfn_frame::file::{FileHead, FrameReader, FrameWriter};
use cipherfn_frame::query::{Query, sum};
use cipherfn_frame::schema::{MAX_OWNERS, OWNERS_UNIT, Schema};
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::public::PublicKey;
use cipherfn_serving::frames::{FrameTotal, FrameTotalError, StoredFrame, evaluate};
use std::collections::BTreeMap;
use std::time::Instant;

/// Sums by the keys of `LEFT`; `amount` in limbs of one bit, which a look-up leaves exact.
const SUMS: &str = r#"
format = 1
name = "sums"
[[column]]
name = "id"
type = "integer"
min = 0
max = 14
nulls = true
[[column]]
name = "amount"
type = "integer"
min = -50
max = 200
nulls = true
limb-bits = 1
[[lookup]]
by = ["id"]
columns = ["amount"]
duplicates = "sum"
"#;

/// 2,000 keys, amounts of 16 bits in two limbs.
const MANY: &str = r#"
format = 1
name = "many"
[[column]]
name = "id"
type = "integer"
min = 0
max = 1999
[[column]]
name = "amount"
type = "integer"
min = 0
max = 65535
[[lookup]]
by = ["id"]
columns = ["amount"]
duplicates = "sum"
rows = 16384
"#;

fn sums() -> Schema {
    schema(SUMS).summed(1).unwrap()
}

fn public() -> PublicKey {
    let public = PublicKey::generate(&KEYS.0).unwrap();
    PublicKey::from_file_bytes(&public.to_file_bytes()).unwrap()
}

/// What an owner of these rows sends.
fn contribution(schema: &Schema, key: &PublicKey, rows: &[Units]) -> Vec<u8> {
    let mut sums = OwnerSums::new(schema).unwrap();
    for row in rows {
        sums.add(row).unwrap();
    }
    sums.encrypt(key).unwrap()
}

/// The file of the sum of others.
fn total(files: &[Vec<u8>]) -> Result<Vec<u8>, FrameTotalError> {
    let mut total = FrameTotal::default();
    for file in files {
        total.add(&FrameReader::open(file.as_slice()).unwrap())?;
    }
    let (head, tables) = total.finish()?;
    let mut writer = FrameWriter::new(Vec::new(), &head, &[]).unwrap();
    writer.tables(&tables).unwrap();
    Ok(writer.finish().unwrap())
}

fn decrypted(key: &SecretKey, file: &[u8]) -> Result<Vec<String>, OwnersError> {
    let reader = FrameReader::open(file).unwrap();
    let table = decrypt_total(key, reader.head(), reader.tables())?;
    let row = |row: &Vec<_>| {
        let cells: Vec<String> = row.iter().map(ToString::to_string).collect();
        cells.join(",")
    };
    Ok(table.rows.iter().map(row).collect())
}

fn head(file: &[u8]) -> FileHead {
    FileHead::read(file).unwrap()
}

/// Three owners' rows, of which some have no key or no amount.
fn owners() -> Vec<Vec<Units>> {
    let row = |number: i64| {
        let id = (number % 11 != 0).then_some(number * 5 % 13);
        let amount = (number % 7 != 0).then_some(number * 89 % 251 - 50);
        vec![id, amount]
    };
    (0..3)
        .map(|owner| (100 * owner..100 * owner + 40).map(row).collect())
        .collect()
}

/// Only files lie between owners, whoever adds, whoever evaluates and the key holder. All is exact: counts,
/// sums, and the sums that rows look up, which the query knows beforehand.
#[test]
fn totals_are_decrypted_and_looked_up() {
    let (schema, key, owners) = (sums(), public(), owners());
    let files = owners.iter().map(|rows| contribution(&schema, &key, rows));
    let files: Vec<Vec<u8>> = files.collect();
    // Nine limbs, both counts and the guard of 15 keys each share one ciphertext.
    assert!(files[0].len() < 14_000, "{}", files[0].len());
    // Sums add to sums.
    let two = total(&files[..2]).unwrap();
    let all = total(&[two, files[2].clone()]).unwrap();
    assert_eq!(head(&all).schema.owners(), Some(3));
    let mut expected = BTreeMap::<i64, (i64, i64, i64)>::new();
    for row in owners.iter().flatten() {
        let Some(id) = row[0] else { continue };
        let sum = expected.entry(id).or_default();
        sum.0 += 1;
        sum.1 += row[1].unwrap_or_default();
        sum.2 += i64::from(row[1].is_some());
    }
    let lines = expected
        .iter()
        .map(|(id, (rows, amount, cells))| format!("{id},{rows},{amount},{cells}"));
    assert_eq!(decrypted(&KEYS.0, &all).unwrap(), lines.collect::<Vec<_>>());

    // Keys 13 and 14 have no rows.
    let left = rows([[4], [13], [0], [12], [14], [4]]);
    let stored = StoredFrame::read(&mut FrameReader::open(all.as_slice()).unwrap()).unwrap();
    let frames = [encrypt(&schema_of_left(), GADGET, &left, 0, 9), stored];
    let plan = Query::scan("left").merge("sums").on("id").left().plan();
    let (passes, frames) = lower(&plan, &frames, GADGET, 4);
    let (_, columns) = worth(&passes, &frames);
    assert!(columns.iter().all(|own| own.bits.is_none()), "{columns:?}");
    let results = evaluate(&KEYS.1, &passes.passes, &frames).unwrap();
    let found = open(&passes, &frames, &results[0]);
    assert_eq!(found.len(), left.len());
    for (row, cells) in left.iter().zip(found) {
        let id = row[0].unwrap_or_default();
        let amount = expected.get(&id).filter(|own| own.2 > 0);
        let amount = amount.map_or(String::new(), |own| own.1.to_string());
        let cells: Vec<String> = cells.iter().map(ToString::to_string).collect();
        assert_eq!(cells, [id.to_string(), amount]);
    }
}

fn schema_of_left() -> Schema {
    schema(LEFT)
}

#[test]
fn sums_that_do_not_go_together_are_refused() {
    let (schema, key) = (sums(), public());
    let own = contribution(&schema, &key, &owners()[0]);
    let refused = |files: &[Vec<u8>], part: &str| {
        let error = total(files).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(&[], "there are no contributions");
    refused(
        &[own.clone(), own.clone()],
        "contribution 2 is contribution 1 once more",
    );
    // Another key holder's public key.
    let other = SecretKey::generate(set()).unwrap();
    let others = PublicKey::generate(&other).unwrap();
    let theirs = contribution(&schema, &others, &owners()[1]);
    refused(
        &[own.clone(), theirs.clone()],
        "contribute again under the right public key",
    );
    let error = decrypted(&KEYS.0, &theirs).unwrap_err().to_string();
    assert!(error.contains("encrypted for key"), "{error}");
    // Another range, another dictionary.
    let wider = schema_with("max = 14", "max = 15");
    let wide = contribution(&wider, &key, &rows([[1, 5]]));
    refused(&[own.clone(), wide], "column \"id\" has another range");
    let text = |texts: &str| {
        let dictionary = format!("type = \"text\"\ndictionary = [{texts}]");
        schema_with("type = \"integer\"\nmin = 0\nmax = 14", &dictionary)
    };
    let [one, two] = [r#""a", "b""#, r#""b", "a""#]
        .map(|texts| contribution(&text(texts), &key, &rows([[1, 5]])));
    refused(&[one, two], "column \"id\" has another dictionary");
    // A frame with rows.
    let reader = FrameReader::open(own.as_slice()).unwrap();
    let with_rows = FileHead {
        schema: schema_of_left(),
        ..reader.head().clone()
    };
    let file = FrameWriter::new(Vec::new(), &with_rows, &[]).unwrap();
    refused(&[file.finish().unwrap()], "is no total of owners' sums");
    // More rows of a key than there is room for, in one owner's rows; and rows that are none of the schema's.
    let narrow = schema_with("duplicates = \"sum\"", "duplicates = \"sum\"\nrows = 2");
    let mut sums = OwnerSums::new(&narrow).unwrap();
    sums.add(&vec![Some(3), None]).unwrap();
    sums.add(&vec![Some(3), None]).unwrap();
    let error = sums.add(&vec![Some(3), None]).unwrap_err().to_string();
    assert!(
        error.contains("more than 2 rows have equal keys (id)"),
        "{error}"
    );
    let error = sums.add(&vec![Some(3), Some(201)]).unwrap_err().to_string();
    assert!(error.contains("row 4 of column \"amount\": 201"), "{error}");
    // ... and in those of several.
    let files = (0..3).map(|_| contribution(&narrow, &key, &rows([[3, 1]])));
    let all = total(&files.collect::<Vec<_>>()).unwrap();
    let error = decrypted(&KEYS.0, &all).unwrap_err().to_string();
    assert!(
        error.contains("at id 3") && error.contains("its number of rows is none of 0 to 2"),
        "{error}"
    );
    // Bits that are no owner's ciphertexts decrypt to noise, which is next to no number.
    let mut writer = FrameWriter::new(Vec::new(), reader.head(), &[]).unwrap();
    let noise = (0..reader.tables()[0].len()).map(|byte| (byte * byte % 251) as u8);
    let mut noise: Vec<u8> = noise.collect();
    // Padding is zero.
    *noise.last_mut().unwrap() = 0;
    writer.tables(&noise).unwrap();
    let error = decrypted(&KEYS.0, &writer.finish().unwrap()).unwrap_err();
    assert!(error.to_string().contains("next to no number"), "{error}");
    // Nobody goes over rows of sums.
    let plan = Query::scan("sums").agg([sum("amount")]).plan();
    let error = plan.resolve(&[schema]).unwrap_err().to_string();
    assert!(error.contains("is what owners' rows add up to"), "{error}");
}

fn schema_with(old: &str, new: &str) -> Schema {
    assert!(SUMS.contains(old));
    schema(&SUMS.replacen(old, new, 1)).summed(1).unwrap()
}

/// Limbs that look-ups leave less room for than the default are worth less, and what errors as many owners as
/// possible have is counted.
#[test]
fn room_and_owners_are_in_what_is_guaranteed() {
    let left = encrypt(&schema_of_left(), GADGET, &rows([[1]]), 0, 9);
    let plan = Query::scan("left").merge("sums").on("id").left().plan();
    let error = |rows: u32, owners: u32| {
        let sums = schema_with(
            "duplicates = \"sum\"",
            &format!("duplicates = \"sum\"\nrows = {rows}"),
        );
        let sums = sums.summed(owners).unwrap();
        let schemas = [schema_of_left(), sums];
        let passes = plan.resolve(&schemas).unwrap();
        let passes = passes.lower(&super::form(GADGET, 1)).unwrap();
        let columns = super::columns(
            &passes.answer,
            &super::precisions(
                super::last(&passes),
                super::pass_noise(&passes.passes, &[left.rows(), 0])
                    .unwrap()
                    .last()
                    .unwrap(),
            )
            .unwrap(),
            1,
        );
        columns[1].error
    };
    assert!(error(2048, 1) <= 0.0);
    assert!(error(2048, MAX_OWNERS) <= 0.0);
    assert!(error(1 << 17, 1) > 0.0);
    assert!(error(1 << 17, 2048) >= error(1 << 17, 1));
}

/// Contributions of many owners, one by one: errors of the total against what numbers have room for.
/// `cargo test --release --workspace --test frames many_owners -- --ignored --nocapture`
#[test]
#[ignore = "minutes; figures for docs/benchmarks.md"]
fn many_owners() {
    const OWNERS: u32 = 10_000;
    let key = public();
    let schema = schema(MANY).summed(1).unwrap();
    let mut sum = FrameTotal::default();
    let (mut expected, mut adding, mut bytes) = (vec![(0_u64, 0_u64); 2000], 0.0, 0);
    let start = Instant::now();
    for owner in 0..i64::from(OWNERS) {
        let rows: Vec<Units> = (0..2000)
            .map(|id| vec![Some(id), Some((owner * 7919 + id * 104_729) % 65536)])
            .collect();
        for row in &rows {
            let own = &mut expected[row[0].unwrap_or_default() as usize];
            own.0 += 1;
            own.1 += row[1].unwrap_or_default() as u64;
        }
        let file = contribution(&schema, &key, &rows);
        bytes = file.len();
        let start = Instant::now();
        sum.add(&FrameReader::open(file.as_slice()).unwrap())
            .unwrap();
        adding += start.elapsed().as_secs_f64();
    }
    let whole = start.elapsed().as_secs_f64();
    let (head, tables) = sum.finish().unwrap();
    let start = Instant::now();
    let table = decrypt_total(&KEYS.0, &head, &[tables]).unwrap();
    println!(
        "{OWNERS} owners of 2,000 keys: {bytes} bytes each, {:.2} ms to encrypt, {:.2} ms to add, {:.0} ms to decrypt; unit 2^-{OWNERS_UNIT}",
        (whole - adding) * 1e3 / f64::from(OWNERS),
        adding * 1e3 / f64::from(OWNERS),
        start.elapsed().as_secs_f64() * 1e3,
    );
    assert_eq!(table.rows.len(), 2000);
    for (row, (rows, amount)) in table.rows.iter().zip(expected) {
        assert_eq!(row[1].to_string(), rows.to_string());
        assert_eq!(row[2].to_string(), amount.to_string());
    }
}
