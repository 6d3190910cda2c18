//! Names of the parts of a key.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Longest name.
const MAX_LEN: usize = 32;

/// Name of a part of an evaluation key, as its parameter set gives it: 1 to 32 of `a-z 0-9 -`,
/// beginning with a letter. Safe in a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartName(String);

impl PartName {
    /// The part that version 1 calls the evaluation key.
    pub fn expansion() -> Self {
        Self("expansion".to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text that is no part's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key part's name is 1 to {MAX_LEN} of the characters a-z, 0-9 and -, and begins with a letter"
)]
pub struct ParsePartNameError;

impl FromStr for PartName {
    type Err = ParsePartNameError;

    fn from_str(text: &str) -> Result<Self, ParsePartNameError> {
        let bytes = text.as_bytes();
        let valid = bytes.len() <= MAX_LEN
            && bytes.first().is_some_and(u8::is_ascii_lowercase)
            && bytes
                .iter()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-');
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParsePartNameError)
        }
    }
}

impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for PartName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PartName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}
