use super::*;

const PRICES: &str = r#"
format = 1
name = "prices"
[[column]]
name = "sku"
type = "integer"
min = 0
max = 3
roles = ["key"]
[[column]]
name = "price"
type = "integer"
min = -5
max = 300
nulls = true
[[lookup]]
by = ["sku"]
columns = ["price"]
"#;

fn schema(text: &str) -> Schema {
    Schema::from_toml(text).unwrap()
}

/// Matched, presence, two limbs: sku 0 costs 258, sku 2 has no price, others are not there.
fn entries() -> Vec<Vec<Vec<i64>>> {
    vec![vec![
        vec![1, 0, 1, 0],
        vec![1, 0, 0, 0],
        vec![2, 0, 0, 0],
        vec![1, 0, 0, 0],
    ]]
}

fn table() -> PlainTable {
    PlainTable::new(schema(PRICES), 2, [7; SALT_LEN], entries()).unwrap()
}

#[test]
fn files_hold_what_was_written_and_nothing_else_is_read() {
    let table = table();
    let bytes = table.to_bytes().unwrap();
    assert_eq!(PlainTable::from_bytes(&bytes).unwrap(), table);
    assert_eq!(
        table.block(0, TablePart::Limb(1, 0), 0),
        Some(&[2, 0, 0, 0][..])
    );
    assert_eq!(table.block(0, TablePart::Limb(1, 0), 1), None);
    let public = Schema::from_json(&table.document().unwrap()).unwrap();
    assert_eq!(public, *table.schema());
    assert_eq!(public.rows().count, Some(2));
    assert!(public.row_inputs().is_empty(), "no row of it is encrypted");

    let payload = &bytes[frame::HEADER_LEN..];
    let read = |payload: &[u8]| {
        let bytes = frame::encode(FrameKind::PlainTable, 1, ParameterSetTag::NONE, payload);
        PlainTable::from_bytes(&bytes)
    };
    for len in 0..payload.len() {
        assert!(read(&payload[..len]).is_err(), "{len}");
    }
    for place in [0, 31, payload.len() - 1, payload.len() - 60] {
        let mut other = payload.to_vec();
        other[place] ^= 1;
        assert!(read(&other).is_err(), "byte {place} is committed to");
    }
}

/// Guesses of cells cannot be tried on what is public.
#[test]
fn the_same_cells_have_another_commitment_under_another_salt() {
    let other = PlainTable::new(schema(PRICES), 2, [8; SALT_LEN], entries()).unwrap();
    assert_ne!(other.schema().cells(), table().schema().cells());
}

#[test]
fn entries_that_no_row_has_are_refused() {
    let change = |part: usize, place: usize, entry: i64| {
        let mut entries = entries();
        entries[0][part][place] = entry;
        PlainTable::new(schema(PRICES), 2, [7; SALT_LEN], entries)
    };
    assert!(change(0, 1, 1).is_ok(), "a third sku");
    for (part, place, entry) in [
        (0, 0, 2),
        (1, 1, 1),
        (1, 0, -1),
        (2, 2, 3),
        (2, 0, 256),
        (3, 0, 9),
        (3, 0, i64::from(i32::MAX) + 1),
    ] {
        let error = change(part, place, entry).unwrap_err();
        assert!(matches!(error, PlainError::Corrupt { .. }), "{error}");
    }
    let mut fewer = entries();
    fewer[0].pop();
    assert!(PlainTable::new(schema(PRICES), 2, [7; SALT_LEN], fewer).is_err());
    assert!(PlainTable::new(schema(PRICES), 2, [7; SALT_LEN], Vec::new()).is_err());
}

#[test]
fn schemas_of_tables_say_what_is_looked_up_and_nothing_more() {
    let refused = |text: &str, field: &str| {
        let error = schema(text).in_the_clear(2, Hash::of(b"")).unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    };
    refused(
        &PRICES.replace(
            "columns = [\"price\"]",
            "columns = [\"price\"]\nduplicates = \"sum\"",
        ),
        "duplicates",
    );
    let (columns, _) = PRICES.split_once("[[lookup]]").unwrap();
    refused(
        &columns.replace("nulls = true", "roles = [\"value\"]"),
        "lookup",
    );
    let more = PRICES.replace(
        "[[lookup]]",
        "[[column]]\nname = \"cost\"\ntype = \"boolean\"\nroles = [\"key\"]\n[[lookup]]",
    );
    refused(&more, "\"cost\"");
    refused(
        &PRICES.replace("name = \"prices\"", "name = \"prices\"\npadded = true"),
        "padded",
    );
}
