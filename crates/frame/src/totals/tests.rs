use super::*;

const SCHEMA: &str = r#"
format = 1
name = "sales"
owners = 3
[[column]]
name = "sku"
type = "integer"
min = 1
max = 4
[[column]]
name = "rows"
type = "text"
dictionary = ["a", "b"]
[[column]]
name = "amount"
type = "decimal"
places = 2
min = -1.00
max = 9.99
nulls = true
limb-bits = 4
[[lookup]]
by = ["sku", "rows"]
columns = ["amount"]
duplicates = "sum"
rows = 5
"#;

fn schema() -> Schema {
    Schema::from_toml(SCHEMA).expect("a schema")
}

/// Entries of matched, there, and the limbs of two rows of key 2, b: 9.99 and none; one of 4, a: -1.00.
fn entries() -> Vec<Vec<i64>> {
    let schema = schema();
    let amount = &schema.columns()[2];
    let mut tables = vec![vec![0; 8]; 2 + amount.limbs().len()];
    for (place, cell) in [(5, Some(999)), (5, None), (3, Some(-100))] {
        tables[0][place] += 1;
        let Some(units) = cell else { continue };
        tables[1][place] += 1;
        for (limb, value) in amount
            .domain
            .split(units, amount.limb_bits)
            .iter()
            .enumerate()
        {
            tables[2 + limb][place] += value;
        }
    }
    tables
}

fn decoded(words: &[Vec<u64>]) -> Result<Table, TotalsError> {
    let schema = schema();
    let words: Vec<&[u64]> = words.iter().map(Vec::as_slice).collect();
    Totals::of(&schema).expect("sums").table(&words)
}

#[test]
fn totals_are_sums_and_counts_by_key() {
    let schema = schema();
    let mut words = Totals::of(&schema).expect("sums").words(entries());
    // The largest errors that are allowed for.
    let error = (1 << (63 - OWNERS_UNIT)) - 1;
    for (index, word) in words.iter_mut().flatten().enumerate() {
        *word = match index % 2 {
            0 => word.wrapping_add(error),
            _ => word.wrapping_sub(error),
        };
    }
    let table = decoded(&words).expect("a total");
    let names: Vec<&str> = table.columns.iter().map(|own| own.0.as_str()).collect();
    assert_eq!(names, ["sku", "rows", "rows_", "amount", "amount_cells"]);
    let rows = table.rows.iter().map(|row| {
        let cells: Vec<String> = row.iter().map(ToString::to_string).collect();
        cells.join(",")
    });
    assert_eq!(rows.collect::<Vec<_>>(), ["4,a,1,-1.00,1", "2,b,2,9.99,1"]);
}

#[test]
fn numbers_that_no_rows_have_are_refused() {
    let schema = schema();
    let totals = Totals::of(&schema).expect("sums");
    let refused = |change: &dyn Fn(&mut Vec<Vec<u64>>), part: &str| {
        let mut words = totals.words(entries());
        change(&mut words);
        let error = decoded(&words).expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    };
    let one = |table: usize| 1u64 << (64 - totals.units()[table]);
    let last = totals.tables() - 1;
    // A number that is between two, one of rows that the other is not, and both alike but too many.
    refused(
        &|words| words[2][5] += 1 << (63 - OWNERS_UNIT),
        "sku 2 and rows b is of no rows: it is next to no number",
    );
    refused(
        &|words| words[0][5] += one(0),
        "its two numbers of rows differ",
    );
    refused(
        &|words| {
            words[0][5] += 4 * one(0);
            words[last][5] += 4 * one(last);
        },
        "its number of rows is none of 0 to 5",
    );
    refused(
        &|words| {
            words[0][5] = words[0][5].wrapping_sub(3 * one(0));
            words[last][5] = words[last][5].wrapping_sub(3 * one(last));
        },
        "its number of rows is none of 0 to 5",
    );
    // So many rows that the smaller number wraps around: the finer one does not.
    refused(
        &|words| words[last][5] += (1 << 13) * one(last),
        "its two numbers of rows differ",
    );
    refused(
        &|words| words[1][5] += 2 * one(1),
        "the number of cells of column \"amount\" is none of its rows",
    );
    refused(
        &|words| words[2][5] += 15 * one(2),
        "limb 1 of column \"amount\" adds up to",
    );
    refused(
        &|words| words[2][7] += one(2),
        "limb 1 of column \"amount\" adds up to what no cells of 0 to 15 do",
    );
    // Limbs that are possible, of a cell that is not.
    refused(
        &|words| words[2][5] += one(2),
        "adds up to what no cells of -1.00 to 9.99 do",
    );
    let mut words = totals.words(entries());
    words.pop();
    assert!(matches!(decoded(&words), Err(TotalsError::Shape { .. })));
    let rows = Schema::from_toml(&SCHEMA.replace("owners = 3\n", "")).expect("a schema");
    assert!(Totals::of(&rows).is_err());
}

#[test]
fn schemas_that_owners_cannot_sum_by_are_refused_by_field() {
    let cases = [
        ("owners = 3\n", "owners = 0\n", "\"owners\" would be 0"),
        ("owners = 3\n", "owners = 65537\n", "1 to 65536"),
        ("rows = 5\n", "rows = 1048577\n", "\"rows\" is 1048577"),
        ("rows = 5\n", "rows = 0\n", "\"rows\" is 0"),
        (
            "duplicates = \"sum\"\nrows = 5\n",
            "",
            "duplicates = \"sum\"",
        ),
        (
            "duplicates = \"sum\"\n",
            "",
            "leave it out, or say duplicates",
        ),
        (
            "limb-bits = 4\n[[lookup]]\nby = [\"sku\", \"rows\"]\ncolumns = [\"amount\"]\n",
            "roles = [\"value\"]\n[[lookup]]\nby = [\"sku\", \"rows\"]\n",
            "which the look-up does not name",
        ),
        ("limb-bits = 4\n", "limb-bits = 18\n", "room for 17 bits"),
        ("owners = 3\n", "owners = 3\npadded = true\n", "\"padded\""),
        (
            "owners = 3\n",
            "owners = 3\nhash-names = true\n",
            "\"hash-names\"",
        ),
        (
            "[[lookup]]\n",
            "[[lookup]]\nby = [\"sku\"]\nduplicates = \"sum\"\n[[lookup]]\n",
            "owners sum by one",
        ),
        ("max = 4\n", "max = 60000\n", "a look-up at most 65536"),
    ];
    for (old, new, part) in cases {
        assert!(SCHEMA.contains(old), "{old}");
        let error = Schema::from_toml(&SCHEMA.replace(old, new)).expect_err(part);
        assert!(error.to_string().contains(part), "{error}");
    }
    // As many rows of a key leave room for as many owners.
    let many = SCHEMA.replace("rows = 5\n", "rows = 1048576\n");
    let fits = many.replace("owners = 3\n", "owners = 256\n");
    assert_eq!(
        Schema::from_toml(&fits).map(|own| own.owners()),
        Ok(Some(256))
    );
    assert!(Schema::from_toml(&many.replace("owners = 3\n", "owners = 257\n")).is_err());
    // What is written is read again.
    let json = schema().to_json().expect("JSON");
    assert_eq!(Schema::from_json(&json), Ok(schema()));
}

#[test]
fn what_is_not_alike_in_two_contributions_is_named() {
    let cases = [
        (
            "name = \"sales\"",
            "name = \"sale\"",
            "its name is \"sale\", and not \"sales\"",
        ),
        ("max = 4\n", "max = 5\n", "column \"sku\" has another range"),
        (
            "\"a\", \"b\"",
            "\"b\", \"a\"",
            "column \"rows\" has another dictionary",
        ),
        ("nulls = true\n", "", "\"nulls\""),
        ("limb-bits = 4", "limb-bits = 5", "\"limb-bits\""),
        ("rows = 5\n", "rows = 6\n", "other numbers of rows"),
        ("owners = 3\n", "owners = 7\n", ""),
    ];
    for (old, new, part) in cases {
        let other = Schema::from_toml(&SCHEMA.replace(old, new)).expect("a schema");
        let found = schema().difference(&other).unwrap_or_default();
        assert!(
            found.contains(part) && found.is_empty() == part.is_empty(),
            "{found}"
        );
    }
}
