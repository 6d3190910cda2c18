//! Plans with hashed names: what is evaluated is the same, and no name is sent.

use crate::form;
use cipherfn_frame::Passes;
use cipherfn_frame::plan::Plan;
use cipherfn_frame::schema::{Domain, KnownNames, NameHasher, SECRET_LEN, Schema};
use serde_json::Value;

/// Words of plans, and what is added to names.
const WORDS: [&str; 8] = [
    "left", "inner", "right", "m:1", "m:m", "_right", "len", "distinct",
];
/// What an indicator says, whatever frames are about.
const INDICATED: [&str; 2] = ["left_only", "both"];

/// Holds a plan with hashed names to what it is without: encrypted frames have hashes, tables in the clear
/// do not.
pub(crate) fn check(case: &str, plan: &Plan, schemas: &[Schema], said: &Passes) {
    let hasher = NameHasher::new(&[3; SECRET_LEN], KnownNames::default()).expect("a hasher");
    let hashed = schemas.iter().map(|schema| match schema.cells() {
        Some(_) => schema.clone(),
        None => hasher.hash(schema).expect("hashed"),
    });
    let hashed: Vec<Schema> = hashed.collect();
    let sent = plan.sent(&hashed);
    let as_sent: Vec<Schema> = hashed.iter().map(|own| own.as_sent().clone()).collect();
    let query = match sent.resolve(&as_sent) {
        Ok(resolved) => resolved.lower(&form()).expect("levelled"),
        // A dictionary in the clear is none that is hashed.
        Err(error) if schemas.iter().any(is_clear_text) => {
            assert!(
                error.to_string().contains("dictionaries"),
                "{case}: {error}"
            );
            return;
        }
        Err(error) => panic!("{case}: {error}"),
    };
    assert_eq!(query.passes, said.passes, "{case}");
    let columns = query.answer.columns.iter().zip(&said.answer.columns);
    for (own, said) in columns {
        assert_eq!(own.content, said.content, "{case}: {}", said.name);
    }
    assert_eq!(query.answer.shape, said.answer.shape, "{case}");
    let json = sent.to_json().expect("JSON");
    assert_eq!(Plan::from_json(&json).as_ref(), Ok(&sent), "{case}");
    let mut texts = Vec::new();
    collect(&serde_json::from_slice(&json).expect("JSON"), &mut texts);
    let clear: Vec<String> = schemas.iter().filter_map(in_the_clear).flatten().collect();
    for text in texts {
        let is_known = WORDS.contains(&text.as_str()) || INDICATED.contains(&text.as_str());
        let is_date = text.parse::<cipherfn_frame::date::Date>().is_ok();
        let own = text.trim_end_matches("_right");
        let is_clear = clear.iter().any(|own_name| own_name == own);
        assert!(
            is_known || is_date || is_clear || is_token(own),
            "{case}: {text:?} is sent"
        );
    }
}

fn is_token(text: &str) -> bool {
    let digits = text.strip_prefix('~').unwrap_or_default();
    // A suffix of the plan's own is a token behind a token.
    digits
        .split('~')
        .all(|own| own.len() == 20 && own.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn is_clear_text(schema: &Schema) -> bool {
    let mut columns = schema.columns().iter();
    schema.cells().is_some() && columns.any(|own| matches!(own.domain, Domain::Text { .. }))
}

fn in_the_clear(schema: &Schema) -> Option<Vec<String>> {
    schema.cells()?;
    let KnownNames {
        frames,
        columns,
        texts,
        ..
    } = KnownNames::of(schema);
    Some(frames.into_iter().chain(columns).chain(texts).collect())
}

fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|own| collect(own, texts)),
        Value::Object(fields) => fields.values().for_each(|own| collect(own, texts)),
        _ => {}
    }
}
