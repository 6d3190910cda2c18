//! Values of a row program.

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Kind of a value's entries. Booleans and small integers are `I64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 64-bit integer; 0 and 1 for false and true.
    I64,
    /// Text.
    Text,
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "32-bit float",
            Self::F64 => "64-bit float",
            Self::I64 => "64-bit integer",
            Self::Text => "text",
        })
    }
}

/// Kind and number of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorType {
    /// Kind of every entry.
    pub kind: EntryKind,
    /// Number of entries.
    pub len: usize,
}

impl TensorType {
    /// `len` entries of `kind`.
    pub const fn new(kind: EntryKind, len: usize) -> Self {
        Self { kind, len }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.len, self.kind)
    }
}

/// One row's value: a flat vector. NaN and infinities are serialised as the texts `NaN`, `inf` and
/// `-inf`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tensor {
    /// 32-bit floats.
    F32(#[serde(serialize_with = "write_floats", deserialize_with = "read_floats")] Vec<f32>),
    /// 64-bit floats.
    F64(#[serde(serialize_with = "write_floats", deserialize_with = "read_floats")] Vec<f64>),
    /// 64-bit integers and booleans.
    I64(Vec<i64>),
    /// Texts.
    Text(Vec<String>),
}

impl Tensor {
    /// Number of entries.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(entries) => entries.len(),
            Self::F64(entries) => entries.len(),
            Self::I64(entries) => entries.len(),
            Self::Text(entries) => entries.len(),
        }
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Kind of the entries.
    pub fn kind(&self) -> EntryKind {
        match self {
            Self::F32(_) => EntryKind::F32,
            Self::F64(_) => EntryKind::F64,
            Self::I64(_) => EntryKind::I64,
            Self::Text(_) => EntryKind::Text,
        }
    }

    /// Kind and length.
    pub fn tensor_type(&self) -> TensorType {
        TensorType {
            kind: self.kind(),
            len: self.len(),
        }
    }

    /// The entries as text, for labels and reports: shortest decimal that reads back to the same
    /// number.
    pub fn to_texts(&self) -> Vec<String> {
        match self {
            Self::F32(entries) => entries.iter().map(ToString::to_string).collect(),
            Self::F64(entries) => entries.iter().map(ToString::to_string).collect(),
            Self::I64(entries) => entries.iter().map(ToString::to_string).collect(),
            Self::Text(entries) => entries.clone(),
        }
    }

    /// Numeric entries as `f64`; `None` for text.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        match self {
            Self::F32(entries) => Some(entries.iter().map(|&x| f64::from(x)).collect()),
            Self::F64(entries) => Some(entries.clone()),
            Self::I64(entries) => Some(entries.iter().map(|&x| x as f64).collect()),
            Self::Text(_) => None,
        }
    }
}

/// A float that may be written as text.
trait Float: Copy + Serialize {
    /// The closest one.
    fn nearest(number: f64) -> Self;
    fn text(self) -> Option<&'static str>;
}

macro_rules! float {
    ($float:ident) => {
        impl Float for $float {
            fn nearest(number: f64) -> Self {
                number as $float
            }

            fn text(self) -> Option<&'static str> {
                match self {
                    _ if self.is_finite() => None,
                    _ if self.is_nan() => Some("NaN"),
                    _ if self > 0.0 => Some("inf"),
                    _ => Some("-inf"),
                }
            }
        }
    };
}
float!(f32);
float!(f64);

/// A float as a number, or as text where JSON has none.
struct Written<T>(T);

impl<T: Float> Serialize for Written<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.text() {
            Some(text) => serializer.serialize_str(text),
            None => self.0.serialize(serializer),
        }
    }
}

impl<'de, T: Float> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(FloatVisitor)
            .map(|x| Self(T::nearest(x)))
    }
}

struct FloatVisitor;

impl Visitor<'_> for FloatVisitor {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<f64, E> {
        match text {
            "NaN" => Ok(f64::NAN),
            "inf" => Ok(f64::INFINITY),
            "-inf" => Ok(f64::NEG_INFINITY),
            _ => Err(E::custom(format_args!("\"{text}\" is not a number"))),
        }
    }
}

fn write_floats<T: Float, S: Serializer>(entries: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(entries.iter().map(|&entry| Written(entry)))
}

fn read_floats<'de, T: Float, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let written = Vec::<Written<T>>::deserialize(deserializer)?;
    Ok(written.into_iter().map(|Written(entry)| entry).collect())
}
