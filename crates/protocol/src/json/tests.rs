//! Held to `serde_json`: what it reads is read alike, what it refuses is refused.

use super::from_slice;
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Debug;

/// Both readings agree; gives this one's.
fn alike<T: for<'de> Deserialize<'de> + PartialEq + Debug>(text: &[u8]) -> Option<T> {
    let shown = || String::from_utf8_lossy(text).into_owned();
    let wanted = serde_json::from_slice::<T>(text);
    let found = from_slice::<T>(text);
    assert_eq!(
        found.is_ok(),
        wanted.is_ok(),
        "{}: {found:?}, {wanted:?}",
        shown()
    );
    let found = found.ok();
    assert_eq!(found, wanted.ok(), "{}", shown());
    found
}

const DOCUMENTS: &[&str] = &[
    r#"{"format": 2, "name": "\u00e9\ud83d\ude00 \"x\" \\ \/ \b\f\n\r\t", "on": [true, false, null]}"#,
    " [0, -0, 1, -1, 18446744073709551615, 18446744073709551616, -9223372036854775808, -9223372036854775809] ",
    "[0.1, -2.5e-3, 1E+5, 1e22, 123456789012345678901234567890, 5e-324, 2.2250738585072011e-308, 1e-400]",
    r#"{"a": {"b": [{"c": []}, {}, "d"]}, "a": 1}"#,
    "\"ümläut\"",
];

#[test]
fn any_document_is_as_serde_json_reads_it() {
    for text in DOCUMENTS {
        assert!(alike::<Value>(text.as_bytes()).is_some(), "{text}");
    }
    let refused: &[&[u8]] = &[
        b"",
        b" ",
        b"nul",
        b"truex",
        b"[1,]",
        b"[,1]",
        b"[1 2]",
        b"[1",
        b"{\"a\" 1}",
        b"{\"a\":1,}",
        b"{1:2}",
        b"{\"a\":}",
        b"1 2",
        b"01",
        b"-",
        b"1.",
        b".5",
        b"1e",
        b"1e+",
        b"+1",
        b"1e400",
        b"\"\x01\"",
        b"\"a",
        b"\"\\x\"",
        b"\"\\u12\"",
        b"\"\\ud800\"",
        b"\"\\ud800\\u0041\"",
        b"\"\\udc00\"",
        b"\"\\u12\xc3\xa9x\"",
        b"\xff",
        b"\"\xff\"",
        b"]",
        b"}",
        b"NaN",
        b"'a'",
    ];
    for text in refused {
        assert_eq!(alike::<Value>(text), None);
    }
    for depth in [126, 127, 128, 200] {
        let deep = "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(alike::<Value>(deep.as_bytes()).is_some(), depth < 128);
    }
    // What nobody asks for is read over, and no deeper either.
    let others =
        |depth: usize| format!("{{\"other\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(alike::<Plain>(others(126).as_bytes()).is_some());
    assert!(from_slice::<Plain>(others(127).as_bytes()).is_err());
}

#[derive(Debug, PartialEq, Deserialize)]
struct Plain {
    #[serde(default)]
    number: Option<u8>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    whole: i64,
    short: Vec<f32>,
    long: f64,
    pair: (u32, bool),
    shapes: Vec<Shape>,
    nothing: Option<String>,
    letter: char,
    empty: (),
    inner: Newtype,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Newtype(u16);

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shape {
    Point,
    Circle(f64),
    Line(f64, f64),
    Square { side: u32 },
}

const RECORD: &str = r#"{"whole": -5, "short": [0.1, 16777217, 3.4e38, 1e-50], "long": 0.30000000000000004,
    "pair": [7, true], "shapes": ["point", {"point": null}, {"circle": 2}, {"line": [1, 2.5]}, {"square": {"side": 3}}],
    "nothing": null, "letter": "\u00e9", "empty": null, "inner": 3}"#;

#[test]
fn types_are_as_serde_json_reads_them() {
    assert!(alike::<Record>(RECORD.as_bytes()).is_some());
    let changes = [
        ("-5", "-5.0"),
        ("-5", "9223372036854775808"),
        ("-5", "\"x\""),
        ("0.1", "1e39"),
        ("0.1", "null"),
        ("[7, true]", "[7]"),
        ("[7, true]", "[7, true, 1]"),
        ("[7, true]", "{}"),
        ("\"point\"", "\"circle\""),
        ("\"point\"", "\"nothing\""),
        ("\"point\"", "{}"),
        ("\"point\"", "{\"point\": null, \"circle\": 1}"),
        ("{\"point\": null}", "{\"point\": 1}"),
        ("{\"side\": 3}", "{\"side\": 3, \"area\": 9}"),
        ("{\"side\": 3}", "{\"side\": -3}"),
        ("\"nothing\": null,", ""),
        (
            "\"nothing\": null,",
            "\"nothing\": \"x\", \"nothing\": \"y\",",
        ),
        (
            "\"nothing\": null,",
            "\"nothing\": null, \"other\": [1, {\"a\": 2}],",
        ),
        ("\\u00e9", "ab"),
        ("\"inner\": 3", "\"inner\": 70000"),
        ("\"empty\": null", "\"empty\": []"),
    ];
    for (from, to) in changes {
        alike::<Record>(RECORD.replacen(from, to, 1).as_bytes());
    }
    // What is a struct is an object: a list of its fields says nothing about which is which.
    assert!(serde_json::from_slice::<Plain>(b"[3]").is_ok());
    let error = from_slice::<Plain>(b"[3]").unwrap_err().to_string();
    assert_eq!(
        error,
        "invalid type: sequence, expected struct Plain at line 1 column 1"
    );
}

#[test]
fn errors_say_where() {
    let told = |text: &str| {
        from_slice::<Record>(text.as_bytes())
            .unwrap_err()
            .to_string()
    };
    let error = told(&RECORD.replacen("[7, true]", "[7, \"yes\"]", 1));
    assert!(
        error.starts_with("invalid type: string \"yes\", expected a boolean at line 2"),
        "{error}"
    );
    let error = told(&RECORD.replacen("\"whole\"", "\"wohle\"", 1));
    assert!(
        error.starts_with("unknown field `wohle`, expected one of `whole`"),
        "{error}"
    );
    assert_eq!(told("{}"), "missing field `whole` at line 1 column 2");
    assert_eq!(
        told("{\n\"whole\": 1"),
        "the document ends within a value at line 2 column 11"
    );
}

/// Every document with every byte changed to what JSON is made of, cut, and doubled.
#[test]
fn damaged_documents_are_as_serde_json_reads_them() {
    for text in DOCUMENTS.iter().chain([&RECORD]) {
        let bytes = text.as_bytes();
        for at in 0..bytes.len() {
            alike::<Value>(&bytes[..at]);
            let twice = [&bytes[..=at], &bytes[at..]].concat();
            alike::<Value>(&twice);
            alike::<Record>(&twice);
            for other in *b"\"\\{}[]:,-+.eE019ntu \x00\x80" {
                let mut damaged = bytes.to_vec();
                damaged[at] = other;
                alike::<Value>(&damaged);
                alike::<Record>(&damaged);
            }
        }
    }
}
