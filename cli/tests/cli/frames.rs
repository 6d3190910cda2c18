//! Encrypted frames on files, from CSV to CSV.

use crate::support::{Sandbox, failure, success};

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
fn encrypted(sandbox: &Sandbox) {
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
        refused.contains("column \"total\" would have") && refused.contains("step 1"),
        "{refused}"
    );
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
    assert!(refused.contains("no column \"region\""), "{refused}");
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
