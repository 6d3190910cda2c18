//! Names that are used once.

use crate::bucket::StorageError;
use cipherfn_protocol::hash::Hash;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Names one registration, one upload or one publication: 32 hexadecimal digits, random. Whatever it
/// named is gone for good once no document holds the name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UniqueId(u128);

impl UniqueId {
    /// A new one.
    pub fn random() -> Result<Self, StorageError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(StorageError::Random)?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }

    /// The digits as bytes.
    pub(super) const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// That of a document which was written before there were any.
    pub(super) fn derived(text: &str) -> Self {
        let hash = Hash::of(text.as_bytes());
        let bytes = hash.as_bytes()[..16].try_into();
        Self(u128::from_be_bytes(bytes.unwrap_or_default()))
    }
}

/// Text that is no unique id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 32 hexadecimal digits, lower case")]
pub struct ParseUniqueIdError;

impl FromStr for UniqueId {
    type Err = ParseUniqueIdError;

    fn from_str(text: &str) -> Result<Self, ParseUniqueIdError> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 32 || !text.bytes().all(digit) {
            return Err(ParseUniqueIdError);
        }
        u128::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| ParseUniqueIdError)
    }
}

impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UniqueId({self})")
    }
}

impl Serialize for UniqueId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UniqueId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}
