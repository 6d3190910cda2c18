//! Published models.

use crate::hash::SpecsHash;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use time::OffsetDateTime;

/// Longest name.
const MAX_LEN: usize = 64;

/// Name of a published model: 1 to 64 of `a-z 0-9 - _`, beginning with a letter or digit. Safe in a
/// path, an URL and an S3 key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelName(String);

impl ModelName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text that is no model name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a model name is 1 to {MAX_LEN} of the characters a-z, 0-9, - and _, and begins with a letter or digit"
)]
pub struct ParseModelNameError;

impl FromStr for ModelName {
    type Err = ParseModelNameError;

    fn from_str(text: &str) -> Result<Self, ParseModelNameError> {
        let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        let valid = bytes.len() <= MAX_LEN
            && bytes.first().is_some_and(|byte| alphanumeric(*byte))
            && bytes
                .iter()
                .all(|byte| alphanumeric(*byte) || matches!(byte, b'-' | b'_'));
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseModelNameError)
        }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ModelName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ModelName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// What a published name stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublishedKind {
    /// A model, which predicts.
    #[default]
    Model,
    /// A training program.
    Program,
    /// A table in the clear, with which queries over frames merge.
    Table,
}

impl PublishedKind {
    /// Whether it is a model: documents leave that out.
    pub const fn is_model(&self) -> bool {
        matches!(self, Self::Model)
    }
}

impl fmt::Display for PublishedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "model",
            Self::Program => "training program",
            Self::Table => "table",
        })
    }
}

/// One live version of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// Hash of its client specs, which names the version.
    pub specs: SpecsHash,
    /// Bytes of its bundle.
    pub bundle_bytes: u64,
    /// When it was published.
    #[serde(with = "time::serde::rfc3339")]
    pub published: OffsetDateTime,
}

/// A model, a training program or a table, and its live versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSummary {
    /// Name.
    pub name: ModelName,
    /// What its versions are.
    #[serde(default, skip_serializing_if = "PublishedKind::is_model")]
    pub kind: PublishedKind,
    /// The version whose specs new clients get.
    pub current: SpecsHash,
    /// Versions that answer queries, the newest first; `current` is among them.
    pub versions: Vec<Version>,
}

/// Answer to `GET /v2/programs`: training programs are published as models are, and share their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramList {
    /// The programs in order of their names; `specs` of a version is the program's hash, and
    /// `bundle_bytes` are its own.
    pub programs: Vec<ModelSummary>,
}

/// Answer to `GET /v1/models`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelList {
    /// The models in order of their names; to clients of version 2, tables in the clear as well.
    pub models: Vec<ModelSummary>,
}
