//! Sums of owners' rows by key under a public key, on files.

use crate::support::{Sandbox, failure, success, usage};

const SUMS: &str = r#"
format = 1
name = "sums"
[[column]]
name = "sku"
type = "integer"
min = 1
max = 12
[[column]]
name = "amount"
type = "decimal"
places = 2
min = 0.00
max = 2.55
limb-bits = 1
[[lookup]]
by = ["sku"]
columns = ["amount"]
duplicates = "sum"
"#;

const STOCK: &str = r#"
format = 1
name = "stock"
[[column]]
name = "sku"
type = "integer"
min = 1
max = 12
roles = ["key"]
"#;

/// From the owners' CSV to the key holder's: the total as it is, and looked up by rows of an encrypted frame.
#[test]
fn owners_sums_are_added_decrypted_and_merged() {
    let sandbox = Sandbox::new();
    sandbox.write("sums.toml", SUMS);
    sandbox.write("stock.toml", STOCK);
    sandbox.write("north.csv", "sku,amount\n7,1.50\n7,0.25\n12,2.55\n");
    sandbox.write("south.csv", "amount,sku,place\n2.00,7,a\n0.01,3,b\n");
    sandbox.write("stock.csv", "sku\n7\n1\n3\n");
    let run = |command: &[&str]| sandbox.run(&[&["frame"], command].concat());
    success(&sandbox.run(&["statistics", "key", "--keys", "keys", "-o", "public.cfu"]));
    let contribute = |name: &str, more: &[&str]| {
        let (input, output) = (format!("{name}.csv"), format!("{name}.cff"));
        let command = ["contribute", "--schema", "sums.toml", "--key", "public.cfu"];
        run(&[&command[..], &["--input", &input, "-o", &output], more].concat())
    };
    let told = success(&contribute("north", &["--json"]));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["rows"], &told["without_key"]),
        (&3.into(), &0.into())
    );
    success(&contribute("south", &[]));
    success(&run(&[
        "total",
        "north.cff",
        "south.cff",
        "-o",
        "total.cff",
    ]));
    let shown = success(&run(&["show", "total.cff"]));
    assert!(shown.contains("of 2 owners, under a public key"), "{shown}");
    let decrypt = ["decrypt", "--keys", "keys", "-o", "-", "--input"];
    let whole = success(&run(&[&decrypt[..], &["total.cff"]].concat()));
    assert_eq!(whole, "sku,rows,amount\n3,1,0.01\n7,3,3.75\n12,1,2.55\n");

    let encrypt = ["encrypt", "--schema", "stock.toml", "--keys", "keys"];
    let files = ["--input", "stock.csv", "--with-key", "-o", "stock.cff"];
    success(&run(&[&encrypt[..], &files].concat()));
    let plan = "SELECT stock.sku, amount FROM stock LEFT JOIN sums ON stock.sku = sums.sku";
    sandbox.write("plan.sql", plan);
    let plan = ["--plan", "plan.sql", "total.cff", "stock.cff"];
    success(&run(&[&["query", "-o", "answer.cfa"], &plan[..]].concat()));
    let looked = [&decrypt[..], &["answer.cfa"], &plan].concat();
    assert_eq!(success(&run(&looked)), "sku,amount\n7,3.75\n1,\n3,0.01\n");

    let refused = failure(&run(&["total", "north.cff", "north.cff", "-o", "no.cff"]));
    assert!(
        refused.contains("contribution 2 is contribution 1"),
        "{refused}"
    );
    let refused = failure(&run(&["concat", "north.cff", "south.cff", "-o", "no.cff"]));
    assert!(
        refused.contains("added by `cipherfn frame total`"),
        "{refused}"
    );
    let refused = failure(&run(&[&decrypt[..], &["stock.cff"]].concat()));
    assert!(refused.contains("not decrypted but by a plan"), "{refused}");
    let refused = usage(&run(&[&decrypt[..], &["answer.cfa", "stock.cff"]].concat()));
    assert!(refused.contains("--plan"), "{refused}");
    sandbox.write("sums.toml", &SUMS.replace("duplicates = \"sum\"\n", ""));
    let refused = failure(&contribute("north", &[]));
    assert!(
        refused.contains("rows of equal keys are added"),
        "{refused}"
    );
}
