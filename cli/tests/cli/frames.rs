//! Encrypted frames on files, from CSV to CSV.

use crate::support::{Sandbox, failure, success, usage};
use cipherfn_frame::plan::Plan;
use cipherfn_frame::reply::{Reply, query_hash};
use cipherfn_frame::schema::{Rows, Schema};
use std::fs;

const SALES: &str = r#"
format = 1
name = "sales"
[[column]]
name = "sku"
type = "integer"
min = 1
max = 12
roles = ["key"]
[[column]]
name = "region"
type = "text"
dictionary = ["north", "south"]
roles = ["key"]
[[column]]
name = "count"
type = "integer"
min = 0
max = 15
limb-bits = 4
roles = ["value"]
"#;

const PRICES: &str = r#"
format = 1
name = "prices"
[[column]]
name = "sku"
type = "integer"
min = 1
max = 12
roles = ["key"]
[[column]]
name = "price"
type = "decimal"
min = 0.00
max = 99.99
places = 2
[[lookup]]
by = ["sku"]
columns = ["price"]
"#;

const JOIN: &str = "SELECT sales.sku, price FROM sales LEFT JOIN prices ON sales.sku = prices.sku";
const GROUP: &str = "SELECT region, COUNT(*) AS rows FROM sales GROUP BY region";

/// Both frames under `keys`, the second of which carries the evaluation key.
pub(crate) fn encrypted(sandbox: &Sandbox) {
    sandbox.write("sales.toml", SALES);
    sandbox.write("prices.toml", PRICES);
    sandbox.write(
        "sales.csv",
        "count,sku,region\n3,7,south\n15,2,north\n0,12,south\n",
    );
    sandbox.write("prices.csv", "sku,price\n7,19.99\n12,0.05\n1,50\n");
    sandbox.write("join.sql", JOIN);
    sandbox.write("group.sql", GROUP);
    for (name, more) in [("sales", &[][..]), ("prices", &["--with-key"])] {
        let (schema, input, output) = (
            format!("{name}.toml"),
            format!("{name}.csv"),
            format!("{name}.cff"),
        );
        let command = ["frame", "encrypt", "--schema", &schema, "--keys", "keys"];
        let files = ["--input", &input, "-o", &output];
        success(&sandbox.run(&[&command[..], &files, more].concat()));
    }
}

#[test]
fn a_join_and_a_group_by_from_csv_to_csv() {
    let sandbox = Sandbox::new();
    encrypted(&sandbox);
    let explained = success(&sandbox.run(&[
        "frame",
        "explain",
        "--plan",
        "join.sql",
        "sales.cff",
        "prices.cff",
    ]));
    assert!(explained.contains("price: exact"), "{explained}");
    success(&sandbox.run(&[
        "frame",
        "query",
        "--plan",
        "join.sql",
        "sales.cff",
        "prices.cff",
        "-o",
        "join.cfa",
    ]));
    let decrypt = [
        "frame", "decrypt", "--plan", "join.sql", "--keys", "keys", "--input", "join.cfa", "-o",
        "-",
    ];
    let found = success(&sandbox.run(&[&decrypt[..], &["sales.cff", "prices.cff"]].concat()));
    assert_eq!(found, "sku,price\n7,19.99\n2,\n12,0.05\n");
    let query = [
        "frame",
        "query",
        "--plan",
        "group.sql",
        "sales.cff",
        "-o",
        "group.cfa",
    ];
    let refused = failure(&sandbox.run(&query));
    assert!(
        refused.contains("no frame carries the evaluation key"),
        "{refused}"
    );
    success(&sandbox.run(&[&query[..], &["--evaluation-key", "keys/expansion.cfk"]].concat()));
    let decrypt = [
        "frame",
        "decrypt",
        "--plan",
        "group.sql",
        "--keys",
        "keys",
        "--input",
        "group.cfa",
        "-o",
        "-",
        "sales.cff",
    ];
    let found = success(&sandbox.run(&decrypt));
    assert_eq!(found, "region,rows\nnorth,1\nsouth,2\n");
    // The answer of another plan.
    let decrypt = [
        "frame",
        "decrypt",
        "--plan",
        "join.sql",
        "--keys",
        "keys",
        "--input",
        "group.cfa",
        "-o",
        "-",
    ];
    let refused = failure(&sandbox.run(&[&decrypt[..], &["sales.cff", "prices.cff"]].concat()));
    assert!(refused.contains("the answer of another plan"), "{refused}");
}

#[test]
fn what_does_not_fit_is_named() {
    let sandbox = Sandbox::new();
    encrypted(&sandbox);
    // Sums of 250 values of four bits are not exact in one ciphertext.
    let rows = (0..250).map(|row| format!("{},{},north\n", row % 16, row % 12 + 1));
    sandbox.write(
        "many.csv",
        &format!("count,sku,region\n{}", rows.collect::<String>()),
    );
    sandbox.write(
        "plan.sql",
        "SELECT region, SUM(count) AS total FROM sales GROUP BY region",
    );
    let encrypt = [
        "frame",
        "encrypt",
        "--schema",
        "sales.toml",
        "--keys",
        "keys",
    ];
    let files = ["--input", "many.csv", "-o", "many.cff", "--with-key"];
    success(&sandbox.run(&[&encrypt[..], &files].concat()));
    let query = [
        "frame", "query", "--plan", "plan.sql", "many.cff", "-o", "sum.cfa",
    ];
    let more = ["--rows-per-sum", "250", "--min-bits", "12"];
    let refused = failure(&sandbox.run(&[&query[..], &more].concat()));
    assert!(
        refused.contains("plan.sql: column \"total\" would have") && refused.contains("step 1"),
        "{refused}"
    );
    // So many rows a sum as that leaves it all, or 12 bits.
    let asked = |demand: &[&str]| {
        let explain = [
            "frame", "explain", "--json", "--plan", "plan.sql", "many.cff",
        ];
        let explained = success(&sandbox.run(&[&explain[..], demand].concat()));
        let found: serde_json::Value = serde_json::from_str(&explained).unwrap();
        (
            found["rows_per_sum"].as_u64().unwrap(),
            found["bits"]["total"].as_f64(),
        )
    };
    let (rows, bits) = asked(&["--min-bits", "12"]);
    assert!(
        rows < 250 && bits.is_none_or(|bits| bits >= 12.0),
        "{rows} {bits:?}"
    );
    let (fewer, bits) = asked(&["--exact"]);
    assert!(fewer <= rows && bits.is_none(), "{fewer} {bits:?}");
    sandbox.write("bad.csv", "count,sku,region\n3,7,south\n16,2,north\n");
    let encrypt = |input: &str| {
        let command = [
            "frame",
            "encrypt",
            "--schema",
            "sales.toml",
            "--keys",
            "keys",
            "--input",
            input,
            "-o",
            "other.cff",
        ];
        failure(&sandbox.run(&command))
    };
    let refused = encrypt("bad.csv");
    assert!(refused.contains("row 2, column \"count\""), "{refused}");
    sandbox.write("short.csv", "count,sku\n3,7\n");
    let refused = encrypt("short.csv");
    assert!(
        refused.contains("short.csv, header: column \"region\" is missing"),
        "{refused}"
    );
    // A frame of another key.
    let command = [
        "frame",
        "encrypt",
        "--schema",
        "prices.toml",
        "--keys",
        "others",
        "--input",
        "prices.csv",
        "-o",
        "others.cff",
    ];
    success(&sandbox.run(&command));
    let command = [
        "frame",
        "query",
        "--plan",
        "join.sql",
        "sales.cff",
        "others.cff",
        "-o",
        "join.cfa",
    ];
    let refused = failure(&sandbox.run(&command));
    assert!(refused.contains("encrypted under another key"), "{refused}");
}

/// Whoever evaluates says more of its sums than was asked: what they are worth does not follow from that.
#[test]
fn how_many_rows_a_sum_has_is_not_believed_of_the_answer() {
    let sandbox = Sandbox::new();
    encrypted(&sandbox);
    let frame = ["--plan", "group.sql", "sales.cff"];
    let run = |command: &[&str]| sandbox.run(&[&["frame"][..], command, &frame].concat());
    let query = ["query", "--evaluation-key", "keys/expansion.cfk", "--force"];
    let query = |more: &[&str]| success(&run(&[&query[..], &["-o", "group.cfa"], more].concat()));
    let decrypt = [
        "decrypt",
        "--keys",
        "keys",
        "--input",
        "group.cfa",
        "-o",
        "-",
    ];
    let decrypt = |more: &[&str]| run(&[&decrypt[..], more].concat());
    query(&[]);
    assert_eq!(success(&decrypt(&[])), "region,rows\nnorth,1\nsouth,2\n");
    let honest = Reply::from_bytes(&fs::read(sandbox.path("group.cfa")).unwrap()).unwrap();
    // As many ciphertexts, with a hash that says the same.
    let rows = Rows {
        count: Some(3),
        padded: false,
    };
    let schema = Schema::from_toml(SALES).unwrap().with_rows(rows);
    let plan = Plan::from_sql(GROUP, std::slice::from_ref(&schema)).unwrap();
    let named = |rows| query_hash(&plan, &[&schema], rows).unwrap();
    assert_eq!(honest.query, named(honest.rows_per_sum));
    for rows_per_sum in [0, 3, 4, u32::MAX] {
        let lie = Reply {
            rows_per_sum,
            query: named(rows_per_sum),
            ..honest.clone()
        };
        fs::write(sandbox.path("group.cfa"), lie.to_bytes()).unwrap();
        let refused = failure(&decrypt(&[]));
        let said = format!("says that it sums {rows_per_sum} rows");
        assert!(refused.contains(&said), "{refused}");
    }
    let other = Reply {
        query: named(3),
        ..honest
    };
    fs::write(sandbox.path("group.cfa"), other.to_bytes()).unwrap();
    let refused = failure(&decrypt(&[]));
    assert!(refused.contains("another plan"), "{refused}");
    // What was asked for otherwise is told when it is decrypted.
    query(&["--rows-per-sum", "2"]);
    let refused = failure(&decrypt(&[]));
    assert!(refused.contains("says that it sums 2 rows"), "{refused}");
    let found = success(&decrypt(&["--rows-per-sum", "2"]));
    assert_eq!(found, "region,rows\nnorth,1\nsouth,2\n");
}

/// A schema of one file's columns, made and encrypted by whatever form the file has.
#[test]
fn csv_parquet_and_arrow_are_the_same_table() {
    let sandbox = Sandbox::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/frames");
    let schema = |file: &str| {
        let file = format!("{folder}/{file}");
        success(&sandbox.run(&["frame", "schema", &file, "--name", "sample"]))
    };
    let expected = schema("table.csv");
    assert!(expected.contains("min = \"1969-12-31\""), "{expected}");
    assert_eq!(schema("table.parquet"), expected);
    assert_eq!(schema("table.arrow"), expected);
    assert_eq!(schema("table.feather"), expected);
    sandbox.write("table.toml", &expected);
    sandbox.write("all.sql", "SELECT * FROM sample");
    let roundtrip = |input: &str, name: &str, output: &str| {
        let frame = format!("{name}.cff");
        let encrypt = [
            "frame",
            "encrypt",
            "--schema",
            "table.toml",
            "--keys",
            "keys",
            "--with-key",
        ];
        success(&sandbox.run(&[&encrypt[..], &["--input", input, "-o", &frame]].concat()));
        let answer = format!("{name}.cfa");
        success(&sandbox.run(&["frame", "query", "--plan", "all.sql", &frame, "-o", &answer]));
        let decrypt = [
            "frame", "decrypt", "--plan", "all.sql", "--keys", "keys", &frame,
        ];
        sandbox.run(&[&decrypt[..], &["--input", &answer, "-o", output]].concat())
    };
    let parquet = format!("{folder}/table.parquet");
    let output = roundtrip(&parquet, "first", "first.parquet");
    let told = success(&output);
    assert!(told.contains("amount") && told.contains("exact"), "{told}");
    // What was written is read again, and is what CSV says.
    let found = success(&roundtrip("first.parquet", "second", "-"));
    let csv = std::fs::read_to_string(format!("{folder}/table.csv")).unwrap();
    let csv = csv
        .replace("NaN", "")
        .replace("3.0,", "3.00,")
        .replace("0.1,", "0.10,");
    assert_eq!(found, csv);
    let refused = usage(&sandbox.run(&[
        "frame",
        "schema",
        &parquet,
        "--name",
        "table",
        "--separator",
        ";",
    ]));
    assert!(refused.contains("is a Parquet or Arrow file"), "{refused}");
}

#[test]
fn tables_of_other_forms_are_read_or_refused_by_name() {
    let sandbox = Sandbox::new();
    sandbox.write("sales.toml", SALES);
    let command = [
        "frame",
        "encrypt",
        "--schema",
        "sales.toml",
        "--keys",
        "keys",
        "-o",
        "out.cff",
    ];
    let encrypt = |text: &str, more: &[&str]| {
        sandbox.write("in.csv", text);
        sandbox.run(&[&command[..], &["--force", "--input", "in.csv"], more].concat())
    };
    // A byte order mark; another separator, decimal commas and comments.
    success(&encrypt("\u{feff}count,sku,region\n3,7,south\n", &[]));
    let options = ["--separator", ";", "--decimal-comma", "--comment", "#"];
    success(&encrypt("# a\ncount;sku;region\n3,0;7;south\n", &options));
    let refused = failure(&encrypt("count;sku;region\n3.0;7;south\n", &options));
    assert!(
        refused.contains("in.csv: row 1, column \"count\""),
        "{refused}"
    );
    // No rows; more or fewer than the schema says.
    success(&encrypt("count,sku,region\n", &[]));
    sandbox.write(
        "sales.toml",
        &SALES.replace("name = \"sales\"", "name = \"sales\"\nrows = 2"),
    );
    success(&encrypt("count,sku,region\n3,7,south\n1,2,north\n", &[]));
    let refused = failure(&encrypt("count,sku,region\n3,7,south\n", &[]));
    assert!(
        refused.contains("field \"rows\" is 2, and the table has 1"),
        "{refused}"
    );
    // One column, whose missing cells are lines without anything.
    sandbox.write(
        "one.toml",
        "format = 1\nname = \"one\"\n[[column]]\nname = \"a\"\ntype = \"boolean\"\nnulls = true\nroles = [\"key\"]\n",
    );
    let one = |text: &str| {
        sandbox.write("one.csv", text);
        let command = [
            "frame", "encrypt", "--schema", "one.toml", "--keys", "keys", "--force",
        ];
        sandbox.run(&[&command[..], &["--input", "one.csv", "-o", "one.cff"]].concat())
    };
    let refused = failure(&one("a\ntrue\n\nfalse\n"));
    assert!(refused.contains("one.csv, line 3 is blank"), "{refused}");
    success(&one("a\ntrue\n\"\"\nfalse\n\n"));
    let shown = success(&sandbox.run(&["frame", "show", "--json", "one.cff"]));
    assert!(shown.contains("\"rows\": 3"), "{shown}");
}

/// Which frames go together, and what is public of them.
#[test]
fn what_a_frame_says_of_itself_is_shown() {
    let sandbox = Sandbox::new();
    encrypted(&sandbox);
    let shown = success(&sandbox.run(&["frame", "show", "sales.cff"]));
    for line in [
        "parameter set   cipherfn-128-n2048-m11-v1",
        "gadget          6x4",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    for (column, cells) in [("region", "\"north\", \"south\""), ("count", "0 to 15")] {
        let mut lines = shown.lines();
        let line = lines.find(|line| line.starts_with(column)).unwrap();
        assert!(line.contains(cells), "{shown}");
    }
    let told = success(&sandbox.run(&["frame", "show", "--json", "prices.cff"]));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["gadget"], "6x4");
    assert_eq!(told["parameter_set"], "cipherfn-128-n2048-m11-v1");
    let price = &told["schema"]["column"][1];
    assert_eq!(
        (&price["min"], &price["max"]),
        (&0.into(), &99.99.into()),
        "{told}"
    );
}

#[test]
fn an_answer_says_what_its_numbers_are_worth() {
    let sandbox = Sandbox::new();
    // Two limbs of 8 bits: the sum of both has an error, the count has none.
    sandbox.write(
        "sales.toml",
        &SALES.replace("max = 15\nlimb-bits = 4", "max = 60000"),
    );
    let rows = (0..300).map(|row| format!("{},{},north\n", row * 197 % 60_000, row % 12 + 1));
    sandbox.write(
        "sales.csv",
        &format!("count,sku,region\n{}", rows.collect::<String>()),
    );
    let encrypt = [
        "frame",
        "encrypt",
        "--schema",
        "sales.toml",
        "--keys",
        "keys",
        "--with-key",
    ];
    success(&sandbox.run(&[&encrypt[..], &["--input", "sales.csv", "-o", "sales.cff"]].concat()));
    sandbox.write(
        "sum.sql",
        "SELECT region, SUM(count) AS total, COUNT(*) AS n FROM sales GROUP BY region",
    );
    // The tree shows which step spends the sum's bits.
    let explain = ["frame", "explain", "--plan", "sum.sql", "sales.cff"];
    let tree = success(&sandbox.run(&explain));
    let line = |start: &str| {
        let mut lines = tree.lines().skip_while(|line| !line.contains(start));
        [lines.next().unwrap(), lines.next().unwrap()].map(str::to_owned)
    };
    let [step, columns] = line("group_by: ");
    assert!(
        // The other columns' codes are not returned any more.
        step.contains("  [-4 choices a row and -") && step.contains(" s, so far 1 and "),
        "{tree}"
    );
    assert!(
        columns.contains("total (integer, ") && columns.contains(" bits), n (integer, exact)"),
        "{tree}"
    );
    let [step, columns] = line("scan: ");
    assert!(step.contains("  [+5 choices a row and +"), "{tree}");
    assert!(columns.contains("count (integer, exact)"), "{tree}");
    let told = success(&sandbox.run(&[&explain[..], &["--json"]].concat()));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let steps = told["steps"].as_array().unwrap();
    let names: Vec<&str> = steps
        .iter()
        .map(|own| own["step"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["scan", "group_by", "select"]);
    assert!(
        steps[0]["bits"]["count"].is_null() && steps[0]["choices"] == 5,
        "{told}"
    );
    assert_eq!(steps[2]["choices"], told["passes"][0]["choices"], "{told}");
    assert_eq!(steps[2]["bits"], told["bits"], "{told}");
    let query = [
        "frame",
        "query",
        "--plan",
        "sum.sql",
        "sales.cff",
        "-o",
        "sum.cfa",
        "--json",
    ];
    let told: serde_json::Value = serde_json::from_str(&success(&sandbox.run(&query))).unwrap();
    let bits = told["bits"]["total"].as_f64().expect("not exact");
    assert!(bits >= 8.0 && told["bits"]["n"].is_null(), "{told}");
    let decrypt = [
        "frame",
        "decrypt",
        "--plan",
        "sum.sql",
        "--keys",
        "keys",
        "sales.cff",
    ];
    let found = success(&sandbox.run(&[&decrypt[..], &["--input", "sum.cfa", "-o", "-"]].concat()));
    let line = found.lines().nth(1).unwrap();
    let cells: Vec<&str> = line.split(',').collect();
    assert_eq!((cells[0], cells[2]), ("north", "300"), "{found}");
    let exact: f64 = (0..300).map(|row| f64::from(row * 197 % 60_000)).sum();
    // Range and error are of 300 rows and more, as sums take.
    let error = 2.0 * 300.0 * 65_536.0 / 2f64.powf(bits + 1.0);
    let total: f64 = cells[1].parse().unwrap();
    assert!(
        (total - exact).abs() <= 2.0 * error,
        "{total} for {exact}, {error}"
    );
    let digits = 10f64.powf(error.log10().floor() - 1.0).max(1.0);
    assert!(
        (total % digits).abs() < 0.5,
        "{total} has more digits than {error} leaves"
    );
    let output = sandbox.run(&[&decrypt[..], &["--input", "sum.cfa", "-o", "sum.csv"]].concat());
    let told = success(&output);
    assert!(
        told.contains(&format!("{bits:.1} bits")) && told.contains("exact"),
        "{told}"
    );
    // Errors of a plan name its file.
    sandbox.write("bad.sql", "SELECT nothing FROM sales");
    let refused = failure(&sandbox.run(&["frame", "explain", "--plan", "bad.sql", "sales.cff"]));
    assert!(refused.contains("bad.sql: SQL"), "{refused}");
}

#[test]
fn frames_of_one_schema_are_put_together_without_a_key() {
    let sandbox = Sandbox::new();
    encrypted(&sandbox);
    sandbox.write("more.csv", "count,sku,region\n1,1,north\n2,3,south\n");
    let encrypt = [
        "frame",
        "encrypt",
        "--schema",
        "sales.toml",
        "--keys",
        "keys",
        "--with-key",
    ];
    success(&sandbox.run(&[&encrypt[..], &["--input", "more.csv", "-o", "more.cff"]].concat()));
    let concat = |first: &str, second: &str| {
        sandbox.run(&["frame", "concat", first, second, "-o", "all.cff"])
    };
    success(&concat("more.cff", "sales.cff"));
    sandbox.write("all.sql", "SELECT count, sku, region FROM sales");
    success(&sandbox.run(&[
        "frame", "query", "--plan", "all.sql", "all.cff", "-o", "all.cfa",
    ]));
    let decrypt = [
        "frame", "decrypt", "--plan", "all.sql", "--keys", "keys", "all.cff",
    ];
    let found = success(&sandbox.run(&[&decrypt[..], &["--input", "all.cfa", "-o", "-"]].concat()));
    assert_eq!(
        found,
        "count,sku,region\n1,1,north\n2,3,south\n3,7,south\n15,2,north\n0,12,south\n"
    );
    // Sums go over the rows of both.
    let frame = |command: &[&str]| success(&sandbox.run(&[&["frame"][..], command].concat()));
    frame(&["query", "--plan", "group.sql", "all.cff", "-o", "rows.cfa"]);
    let decrypt = [
        "decrypt",
        "--plan",
        "group.sql",
        "--keys",
        "keys",
        "all.cff",
    ];
    let found = frame(&[&decrypt[..], &["--input", "rows.cfa", "-o", "-"]].concat());
    assert_eq!(found, "region,rows\nnorth,2\nsouth,3\n");
    std::fs::remove_file(sandbox.path("all.cff")).unwrap();
    let refused = failure(&concat("sales.cff", "prices.cff"));
    assert!(
        refused.contains("prices.cff has another schema than sales.cff"),
        "{refused}"
    );
    let refused = failure(&concat("prices.cff", "prices.cff"));
    assert!(refused.contains("prices.cff can be looked up"), "{refused}");
    // Two frames of one name are no query.
    let query = [
        "frame",
        "query",
        "--plan",
        "all.sql",
        "sales.cff",
        "more.cff",
        "-o",
        "x.cfa",
    ];
    let refused = failure(&sandbox.run(&query));
    assert!(
        refused.contains("two frames are named \"sales\""),
        "{refused}"
    );
}

/// The evaluator has the cells, the key holder what is public: the answer is that of an encrypted table.
#[test]
fn a_table_in_the_clear_answers_as_an_encrypted_one_does() {
    let sandbox = Sandbox::new();
    encrypted(&sandbox);
    let table = |input: &str, schema: &str| {
        let files = ["--schema", schema, "--input", input, "-o", "prices.cfp"];
        let public = ["--document", "prices.json", "--force"];
        sandbox.run(&[&["frame", "table"][..], &files, &public].concat())
    };
    success(&table("prices.csv", "prices.toml"));
    let plan = ["--plan", "join.sql", "sales.cff"];
    let key = ["--evaluation-key", "keys/expansion.cfk", "-o", "join.cfa"];
    let query =
        |table: &str| sandbox.run(&[&["frame", "query"][..], &plan, &[table], &key].concat());
    let explained = sandbox.run(&[&["frame", "explain"][..], &plan, &["prices.json"]].concat());
    assert!(success(&explained).contains("in the clear"));
    let refused = failure(&query("prices.json"));
    assert!(
        refused.contains("needs the table with its cells"),
        "{refused}"
    );
    success(&query("prices.cfp"));
    let decrypt = ["--keys", "keys", "--input", "join.cfa", "-o", "-"];
    let decrypt = [&["frame", "decrypt"][..], &decrypt, &plan].concat();
    let found = success(&sandbox.run(&[&decrypt[..], &["prices.json"]].concat()));
    assert_eq!(found, "sku,price\n7,19.99\n2,\n12,0.05\n");
    // Other cells are another version, of which this is no answer.
    sandbox.write("other.csv", "sku,price\n7,20.00\n");
    success(&table("other.csv", "prices.toml"));
    let refused = failure(&sandbox.run(&[&decrypt[..], &["prices.json"]].concat()));
    assert!(refused.contains("another version of a table"), "{refused}");

    sandbox.write("twice.csv", "sku,price\n7,1\n1,2\n7,3\n");
    let refused = failure(&table("twice.csv", "prices.toml"));
    assert!(
        refused.contains("rows 1 and 3 have equal keys"),
        "{refused}"
    );
    sandbox.write("bare.toml", PRICES.split_once("[[lookup]]").unwrap().0);
    let refused = failure(&table("prices.csv", "bare.toml"));
    assert!(refused.contains("no look-up names"), "{refused}");
    sandbox.write("damaged.cfp", "not a table");
    let refused = failure(&query("damaged.cfp"));
    assert!(refused.contains("damaged.cfp"), "{refused}");
}

#[test]
fn a_frame_is_not_put_below_itself() {
    let sandbox = Sandbox::new();
    encrypted(&sandbox);
    let concat = [
        "frame",
        "concat",
        "sales.cff",
        "sales.cff",
        "-o",
        "both.cff",
    ];
    let refused = failure(&sandbox.run(&concat));
    assert!(refused.contains("are the same frame"), "{refused}");
}

/// A table is read twice and never held: 200 MB suffice, whatever its size.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "a million rows"]
fn a_million_rows_are_streamed() {
    const ROWS: u32 = 1_000_000;
    let sandbox = Sandbox::new();
    sandbox.write(
        "many.toml",
        "format = 1\nname = \"many\"\n[[column]]\nname = \"age\"\ntype = \"integer\"\nmin = 0\nmax = 127\nroles = [\"key\"]\n[[column]]\nname = \"region\"\ntype = \"integer\"\nmin = 0\nmax = 7\nroles = [\"key\"]\n",
    );
    let rows = (0..ROWS).map(|row| format!("{},{}\n", row * 57 % 128, row * 31 % 8));
    sandbox.write(
        "many.csv",
        &format!("age,region\n{}", rows.collect::<String>()),
    );
    let encrypt = [
        "frame",
        "encrypt",
        "--schema",
        "many.toml",
        "--keys",
        "keys",
    ];
    let files = ["--input", "many.csv", "-o", "many.cff"];
    let mut child = sandbox
        .command(&[&encrypt[..], &files].concat())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let ended = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        most = most.max(now.unwrap_or(0));
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert!(ended.success());
    let bytes = fs::metadata(sandbox.path("many.cff")).unwrap().len();
    println!("{ROWS} rows, {bytes} bytes: {} MB of memory", most / 1024);
    assert!((1..200 * 1024).contains(&most), "{most} kB");
    let shown = success(&sandbox.run(&["frame", "show", "--json", "many.cff"]));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["rows"], ROWS);
}
