//! JSON as the libraries write it: XGBoost's files hold `NaN` and `Infinity`, which JSON lacks.

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use std::borrow::Cow;
use std::fmt;

/// The words that stand where numbers do.
const WORDS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];

/// Reads a value, with such numbers as texts: [`Float`] takes both.
pub(crate) fn from_slice<T: de::DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(&with_quoted_words(bytes))
}

fn with_quoted_words(bytes: &[u8]) -> Cow<'_, [u8]> {
    let is_there = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    if !WORDS[..2].iter().any(|word| is_there(word)) {
        return Cow::Borrowed(bytes);
    }
    let mut quoted = Vec::with_capacity(bytes.len() + bytes.len() / 16);
    let (mut at, mut in_text) = (0, false);
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let len = match byte {
            b'\\' if in_text => 2.min(rest.len()),
            b'"' => {
                in_text = !in_text;
                1
            }
            _ if in_text => 1,
            _ => match WORDS.iter().find(|word| rest.starts_with(word)) {
                Some(word) => {
                    quoted.push(b'"');
                    quoted.extend_from_slice(word);
                    quoted.push(b'"');
                    at += word.len();
                    continue;
                }
                None => 1,
            },
        };
        quoted.extend_from_slice(&rest[..len]);
        at += len;
    }
    Cow::Owned(quoted)
}

/// A 32-bit number, possibly one that JSON lacks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Float(pub(crate) f32);

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Floats;
        impl Visitor<'_> for Floats {
            type Value = Float;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_f32<E: de::Error>(self, value: f32) -> Result<Float, E> {
                Ok(Float(value))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Float, E> {
                Ok(Float(value as f32))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Float, E> {
                Ok(Float(value as f32))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Float, E> {
                Ok(Float(value as f32))
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Float, E> {
                match value {
                    "NaN" => Ok(Float(f32::NAN)),
                    "Infinity" => Ok(Float(f32::INFINITY)),
                    "-Infinity" => Ok(Float(f32::NEG_INFINITY)),
                    _ => Err(E::invalid_value(de::Unexpected::Str(value), &self)),
                }
            }
        }
        deserializer.deserialize_any(Floats)
    }
}

#[cfg(test)]
mod tests {
    use super::{Float, from_slice};
    use std::collections::BTreeMap;

    #[test]
    fn words_are_numbers_outside_texts_only() {
        let text = br#"{"NaN \" NaN": [1.5, NaN, -Infinity,Infinity, -2, 3]}"#;
        let read: BTreeMap<String, Vec<Float>> = from_slice(text).unwrap();
        let (name, values) = read.first_key_value().unwrap();
        assert_eq!(name, "NaN \" NaN");
        let shown: Vec<String> = values.iter().map(|value| value.0.to_string()).collect();
        assert_eq!(shown.join(" "), "1.5 NaN -inf inf -2 3");
        assert!(from_slice::<Vec<Float>>(b"[\"x\"]").is_err());
        assert!(from_slice::<Vec<Float>>(b"[nan]").is_err());
        assert!(from_slice::<Vec<Float>>(b"[\"NaN\\").is_err());
    }
}
