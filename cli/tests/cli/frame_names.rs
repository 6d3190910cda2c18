//! Frames with hashed names, on files: what is sent has none, what people see has them.

use crate::support::{Sandbox, failure, success};
use std::fs;

const VISITS: &str = r#"
format = 1
name = "visits"
hash-names = true
[[column]]
name = "clinic"
type = "text"
dictionary = ["oncology", "surgery", "paediatrics"]
roles = ["key"]
[[column]]
name = "stay"
type = "integer"
min = 0
max = 15
limb-bits = 4
roles = ["value"]
"#;

const CLINICS: &str = r#"
format = 1
name = "clinics"
[[column]]
name = "clinic"
type = "text"
dictionary = ["oncology", "surgery", "paediatrics"]
roles = ["key"]
[[column]]
name = "town"
type = "text"
dictionary = ["Lund", "Malmö"]
[[lookup]]
by = ["clinic"]
columns = ["town"]
"#;

const JOINED: &str = "SELECT visits.clinic, stay, town FROM visits LEFT JOIN clinics ON visits.clinic = clinics.clinic WHERE visits.clinic <> 'surgery' ORDER BY clinic DESC, stay";

/// What no file that leaves the key holder may have.
const NAMES: [&str; 9] = [
    "visits",
    "clinics",
    "clinic",
    "stay",
    "town",
    "oncology",
    "paediatrics",
    "Lund",
    "Malm",
];

/// Two owners of one key: the second has the first one's secret for names and nothing else of its ring.
#[test]
fn owners_who_share_a_secret_join_texts_that_nobody_else_sees() {
    let sandbox = Sandbox::new();
    sandbox.write("visits.toml", VISITS);
    sandbox.write("clinics.toml", CLINICS);
    sandbox.write(
        "visits.csv",
        "clinic,stay\npaediatrics,3\nsurgery,9\noncology,4\noncology,2\n",
    );
    sandbox.write("clinics.csv", "clinic,town\noncology,Lund\nsurgery,Malmö\n");
    sandbox.write("joined.sql", JOINED);
    let encrypt = |name: &str, keys: &str, more: &[&str]| {
        let [schema, input, output] =
            ["toml", "csv", "cff"].map(|extension| format!("{name}.{extension}"));
        let command = ["frame", "encrypt", "--schema", &schema, "--keys", keys];
        let files = ["--input", &input, "-o", &output, "--force"];
        success(&sandbox.run(&[&command[..], &files, more].concat()))
    };
    encrypt("visits", "keys", &["--with-key"]);
    assert_eq!(sandbox.mode("keys/names.key"), 0o600);
    fs::create_dir(sandbox.path("other")).unwrap();
    for file in ["secret.cfk", "expansion.cfk", "names.key"] {
        fs::copy(
            sandbox.path(&format!("keys/{file}")),
            sandbox.path(&format!("other/{file}")),
        )
        .unwrap();
    }
    encrypt("clinics", "other", &["--hash-names"]);
    for file in ["visits.cff", "clinics.cff"] {
        let bytes = fs::read(sandbox.path(file)).unwrap();
        for name in NAMES {
            let mut places = bytes.windows(name.len());
            assert!(!places.any(|own| own == name.as_bytes()), "{file}: {name}");
        }
    }

    // Without the secret a frame says so; with it, what the key ring has hashed or was told.
    let show = |more: &[&str]| {
        success(&sandbox.run(&[&["frame", "show", "clinics.cff"][..], more].concat()))
    };
    assert!(show(&[]).contains("is not at hand"), "{}", show(&[]));
    let unknown = show(&["--keys", "keys"]);
    assert!(
        unknown.contains("clinic ") && !unknown.contains("town"),
        "{unknown}"
    );
    let known = show(&["--keys", "keys", "--schema", "clinics.toml"]);
    assert!(
        known.contains("town") && known.contains("sent as ~"),
        "{known}"
    );

    let frames = ["--plan", "joined.sql", "visits.cff", "clinics.cff"];
    let run = |command: &[&str]| sandbox.run(&[&["frame"][..], command, &frames].concat());
    let without = failure(&run(&["explain"]));
    assert!(
        without.contains("there is no frame \"visits\""),
        "{without}"
    );
    assert!(without.contains("--keys names the key ring"), "{without}");
    let explained = success(&run(&["explain", "--keys", "keys"]));
    assert!(explained.contains("column town: exact"), "{explained}");
    success(&run(&["query", "--keys", "keys", "-o", "joined.cfa"]));
    let decrypt = [
        "decrypt",
        "--keys",
        "keys",
        "--input",
        "joined.cfa",
        "-o",
        "-",
    ];
    // Texts are in the order of their names, and not of their hashes.
    assert_eq!(
        success(&run(&decrypt)),
        "clinic,stay,town\npaediatrics,3,\noncology,2,Lund\noncology,4,Lund\n"
    );

    // Another secret makes other texts of them.
    fs::remove_file(sandbox.path("other/names.key")).unwrap();
    encrypt("clinics", "other", &["--hash-names"]);
    let refused = failure(&run(&["query", "--keys", "keys", "-o", "none.cfa"]));
    assert!(
        refused.contains("there is no frame \"clinics\""),
        "{refused}"
    );
    // And a frame with its names in the clear has other texts than one without.
    encrypt("clinics", "other", &[]);
    let refused = failure(&run(&["query", "--keys", "keys", "-o", "none.cfa"]));
    assert!(
        refused.contains("with hashed names: ") && refused.contains("\"clinic\""),
        "{refused}"
    );
    sandbox.write("keys/names.key", "not a secret");
    let refused = failure(&run(&["explain", "--keys", "keys"]));
    assert!(refused.contains("names.key"), "{refused}");
}
