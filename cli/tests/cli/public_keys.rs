//! Rows that are encrypted at one place and decrypted at another.

use crate::support::{Sandbox, compiled, failure, library_model, lines, success, usage};
use serde_json::Value;
use std::fs;

fn json(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    serde_json::from_str(&success(&sandbox.run(&arguments))).unwrap()
}

/// Compiles a library's model with more options than `compiled` has.
fn compile(sandbox: &Sandbox, model: &str, options: [&str; 2], bundle: &str) {
    let model = library_model(model);
    let [onnx, train] = ["model.onnx", "train.csv"].map(|name| model.join(name));
    let (onnx, train) = (onnx.to_str().unwrap(), train.to_str().unwrap());
    let compile = ["compile", onnx, "--calibration", train, "--target"];
    let rest = ["target", "-o", bundle];
    success(&sandbox.run(&[&compile[..], &rest, &options].concat()));
}

/// A linear model with as few bits as rows under a public key have.
fn of_ten_bits(sandbox: &Sandbox) -> &'static str {
    compile(sandbox, "linreg_diabetes", ["--precision", "10"], "m.cfn");
    "m.cfn"
}

/// The key holder makes a public key, a source encrypts under it and keeps nothing, the service answers,
/// and the holder decrypts what its own query would have given, within the stated precision.
#[test]
fn rows_of_a_source_are_decrypted_by_the_key_holder() {
    let (holder, source) = (Sandbox::new(), Sandbox::new());
    let bundle = of_ten_bits(&holder);
    success(&holder.run(&["specs", bundle, "-o", "s.json"]));
    let key = ["public-key", "s.json", "--keys", "keys", "-o", "public.cfu"];
    let made = json(&holder, &key);
    let fingerprint = made["fingerprint"].as_str().unwrap();
    for name in ["s.json", "public.cfu"] {
        fs::copy(holder.path(name), source.path(name)).unwrap();
    }
    let test = fs::read_to_string(library_model("linreg_diabetes").join("test.csv")).unwrap();
    let rows = lines(&test, 40);
    source.write("rows.csv", &rows);
    let encrypt = [
        "encrypt",
        "s.json",
        "--public-key",
        "public.cfu",
        "--input",
        "rows.csv",
        "-o",
        "query.cfq",
    ];
    // Pasted as it was shown, or without the spaces.
    let digits = fingerprint.replace(' ', "");
    let sent = json(&source, &[&encrypt[..], &["--trust", &digits]].concat());
    assert_eq!(
        (&sent["rows"], &sent["key"], &sent["fingerprint"]),
        (&40.into(), &made["key"], &made["fingerprint"])
    );
    let query = fs::read(source.path("query.cfq")).unwrap();
    assert!(query.len() < 40 * 600, "{} bytes", query.len());
    fs::copy(source.path("query.cfq"), holder.path("query.cfq")).unwrap();
    success(&holder.run(&[
        "evaluate",
        bundle,
        "--input",
        "query.cfq",
        "-o",
        "reply.cfr",
    ]));
    let decrypt = [
        "decrypt",
        "s.json",
        "--keys",
        "keys",
        "--input",
        "reply.cfr",
        "-o",
    ];
    let id = sent["query"].as_str().unwrap();
    success(&holder.run(&[&decrypt[..], &["p.csv", "--query", id]].concat()));
    let numbers = |text: &str| -> Vec<f64> {
        let cells = text.lines().skip(1);
        cells.map(|cell| cell.parse().unwrap()).collect()
    };
    let expected = library_model("linreg_diabetes").join("expected.csv");
    let expected = numbers(&fs::read_to_string(expected).unwrap());
    let found = numbers(&holder.read("p.csv"));
    assert_eq!(found.len(), 40);
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < 0.5, "{found} against {expected}");
    }

    // A reply to another query, and one of which nobody said which query it answers.
    let nonce = id.strip_suffix("-40").unwrap();
    let refused = |id: &str| {
        let other = [&decrypt[..], &["o.csv", "--query", id]].concat();
        failure(&holder.run(&other))
    };
    let error = refused(&format!("{}-40", "0".repeat(32)));
    assert!(
        error.contains("answers query") && error.contains(nonce),
        "{error}"
    );
    // The same query by its name, and not all of its rows.
    let error = refused(&format!("{nonce}-39"));
    assert!(error.contains("rows"), "{error}");
    let told = failure(&holder.run(&[&decrypt[..], &["again.csv"]].concat()));
    assert!(told.contains("--query") && told.contains(nonce), "{told}");
    assert!(!holder.path("again.csv").exists());
    // Somebody else's key ring decrypts nothing.
    success(&source.run(&["keygen", "s.json", "-o", "keys"]));
    fs::copy(holder.path("reply.cfr"), source.path("reply.cfr")).unwrap();
    let error = failure(&source.run(&[&decrypt[..], &["p.csv"]].concat()));
    assert!(error.contains("key"), "{error}");

    // Another public key than the holder's.
    success(&source.run(&[
        "public-key",
        "s.json",
        "--keys",
        "keys",
        "-o",
        "swapped.cfu",
    ]));
    let mut swapped = encrypt;
    swapped[3] = "swapped.cfu";
    let forced = [&swapped[..], &["--force", "--trust", fingerprint]].concat();
    let error = failure(&source.run(&forced));
    assert!(error.contains("has the fingerprint"), "{error}");
    let error = usage(&source.run(&[&encrypt[..], &["--force", "--trust", "12ab"]].concat()));
    assert!(error.contains("64 hexadecimal digits"), "{error}");

    // A row that cannot be encoded would have an answer like any other: nothing is written.
    source.write("rows.csv", &rows.replacen(',', ",x", 12));
    let missing = [&encrypt[..7], &["bad.cfq"]].concat();
    failure(&source.run(&missing));
    assert!(!source.path("bad.cfq").exists());
    let marked = [&missing[..], &["--on-error", "mark"]].concat();
    let error = usage(&source.run(&marked));
    assert!(error.contains("--on-error mark"), "{error}");
}

/// Before anything is made: a model whose rows the key holder alone can encrypt, a key of another set.
#[test]
fn models_and_keys_that_do_not_fit_are_refused() {
    let sandbox = Sandbox::new();
    compile(&sandbox, "dt_bc", ["--profile", "keyless"], "t.cfn");
    success(&sandbox.run(&["specs", "t.cfn", "-o", "t.json"]));
    success(&sandbox.run(&["specs", of_ten_bits(&sandbox), "-o", "l.json"]));
    let error = failure(&sandbox.run(&["public-key", "t.json", "--keys", "keys", "-o", "t.cfu"]));
    assert!(
        error.contains("cannot be encrypted under a public key"),
        "{error}"
    );
    assert!(!sandbox.path("t.cfu").exists());
    success(&sandbox.run(&["specs", compiled("linreg_diabetes"), "-o", "d.json"]));
    let error = failure(&sandbox.run(&["public-key", "d.json", "--keys", "keys", "-o", "t.cfu"]));
    assert!(error.contains("--precision 10"), "{error}");
    success(&sandbox.run(&["statistics", "key", "--keys", "keys", "-o", "s.cfu"]));
    sandbox.write("rows.csv", "");
    let encrypt = |key| {
        [
            "encrypt",
            "l.json",
            "--public-key",
            key,
            "--input",
            "rows.csv",
            "-o",
            "q.cfq",
        ]
    };
    let error = failure(&sandbox.run(&encrypt("s.cfu")));
    assert!(
        error.contains("the key belongs to parameter set"),
        "{error}"
    );
    let error = failure(&sandbox.run(&encrypt("l.json")));
    assert!(error.contains("l.json"), "{error}");
}

/// Sums of an owner are encrypted for whoever made the key: another one than the trusted is refused.
#[test]
fn owners_of_statistics_take_the_key_of_the_fingerprint() {
    let sandbox = Sandbox::new();
    let key = |name: &str| {
        json(
            &sandbox,
            &["statistics", "key", "--keys", "keys", "-o", name],
        )["fingerprint"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (trusted, other) = (key("holder.cfu"), key("other.cfu"));
    assert_ne!(trusted, other);
    sandbox.write(
        "spec.toml",
        "format = 1\nname = \"stay\"\nrows = 100\n[[column]]\nname = \"age\"\nlow = 0\nhigh = 100\n",
    );
    sandbox.write("rows.csv", "age\n30\n40\n");
    let contribute = |key: &'static str| {
        [
            "statistics",
            "contribute",
            "--spec",
            "spec.toml",
            "--key",
            key,
            "--input",
            "rows.csv",
            "-o",
            "own.cft",
            "--force",
            "--trust",
        ]
    };
    let error = failure(&sandbox.run(&[&contribute("other.cfu")[..], &[&trusted]].concat()));
    assert!(
        error.contains("has the fingerprint") && error.contains(&other),
        "{error}"
    );
    assert!(!sandbox.path("own.cft").exists());
    let made = json(
        &sandbox,
        &[&contribute("holder.cfu")[..], &[&trusted]].concat(),
    );
    assert_eq!(made["fingerprint"], trusted.as_str());
}
