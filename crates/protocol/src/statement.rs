//! Signed statements: a developer says which specs are a model's, and clients hold services to it.
//!
//! A statement travels beside the specs, as a JSON document in the header
//! [`STATEMENT`](crate::api::STATEMENT). What is signed are not its bytes but
//! [`Statement::message`], so JSON may be written in any way. `cipherfn-signing` signs and checks.

use crate::api::ModelName;
use crate::hash::SpecsHash;
use crate::hex::{self, as_hexadecimal};
use crate::json::{self, JsonError};
use crate::versions::{Versions, json_version, list};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use time::OffsetDateTime;

/// Longest document, in bytes: it travels in a header.
pub const MAX_BYTES: usize = 1024;
/// What signatures of this format are about, and of nothing else.
const DOMAIN: &[u8] = b"cipherfn specs statement 2\0";

/// These are the model's specs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Name of the model at the service.
    pub model: ModelName,
    /// Hash of its specs.
    pub specs: SpecsHash,
    /// Which of the developer's statements on this model is newer.
    pub serial: Serial,
}

/// Grows with each statement on a model: the milliseconds since 1970 when it was made, or one more
/// than the statement before where the clock went back.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Serial(pub u64);

impl Serial {
    /// When its statement was made, if a clock can tell it.
    pub fn time(self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).ok()
    }
}

/// A statement as it came: nobody has checked its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedStatement {
    /// What it says.
    pub statement: Statement,
    /// Key that should have signed it.
    pub key: PublicKey,
    /// Ed25519 signature of [`Statement::message`].
    pub signature: Signature,
}

/// A developer's Ed25519 public key (RFC 8032), in text `ed25519:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

as_hexadecimal!(
    Signature,
    "a signature is 128 hexadecimal digits, lower case"
);

impl Signature {
    /// A signature from its bytes.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl Statement {
    /// The bytes that are signed: a domain, the name after its length, the hash, the serial, each
    /// in one way only.
    pub fn message(&self) -> Vec<u8> {
        let name = self.model.as_str().as_bytes();
        let mut message = DOMAIN.to_vec();
        message.extend((name.len() as u64).to_le_bytes());
        message.extend(name);
        message.extend(self.specs.as_bytes());
        message.extend(self.serial.0.to_le_bytes());
        message
    }
}

/// A statement as a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementV2 {
    format: u16,
    model: ModelName,
    specs: SpecsHash,
    serial: Serial,
    key: PublicKey,
    signature: Signature,
}

crate::versions! {
    /// Statements as documents; they began with version 2 of the API.
    enum StatementVersions, read by json::from_slice, error JsonError {
        /// On the specs of a model.
        V2(StatementV2) = 2,
    }
}

impl From<StatementVersions> for SignedStatement {
    fn from(StatementVersions::V2(document): StatementVersions) -> Self {
        Self {
            statement: Statement {
                model: document.model,
                specs: document.specs,
                serial: document.serial,
            },
            key: document.key,
            signature: document.signature,
        }
    }
}

impl From<&SignedStatement> for StatementV2 {
    fn from(signed: &SignedStatement) -> Self {
        Self {
            format: 2,
            model: signed.statement.model.clone(),
            specs: signed.statement.specs,
            serial: signed.statement.serial,
            key: signed.key,
            signature: signed.signature,
        }
    }
}

impl SignedStatement {
    /// Reads a document.
    pub fn from_json(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > MAX_BYTES {
            return Err(StatementError::TooLarge { len: bytes.len() });
        }
        let format = json_version(bytes).map_err(StatementError::Json)?;
        let document = StatementVersions::read(format, bytes)
            .ok_or(StatementError::Format { found: format })?;
        Ok(document.map_err(StatementError::Json)?.into())
    }

    /// The document: compact JSON of ASCII characters.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

impl Serialize for SignedStatement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        StatementV2::from(self).serialize(serializer)
    }
}

/// In a document that holds it: of the format that this build writes.
impl<'de> Deserialize<'de> for SignedStatement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let document = StatementV2::deserialize(deserializer)?;
        if document.format != 2 {
            let unknown = StatementError::Format {
                found: document.format,
            };
            return Err(serde::de::Error::custom(unknown));
        }
        Ok(StatementVersions::V2(document).into())
    }
}

/// Why bytes are not a signed statement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// Longer than [`MAX_BYTES`].
    #[error("a signed statement of {len} bytes exceeds the limit of {MAX_BYTES} bytes")]
    TooLarge {
        /// Length found.
        len: usize,
    },
    /// Not JSON, or not of this layout.
    #[error("not a signed statement: {0}")]
    Json(#[source] JsonError),
    /// Another layout version.
    #[error(
        "the signed statement has format {found}, this build reads {}",
        list(StatementVersions::VERSIONS)
    )]
    Format {
        /// Version found.
        found: u16,
    },
}

/// How the text of a public key begins: it is told apart from a hash at sight.
const PREFIX: &str = "ed25519:";

impl PublicKey {
    /// A key from its bytes, which need not be a point of the curve.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Text that is no public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a developer's public key is {PREFIX} and 64 hexadecimal digits, lower case")]
pub struct ParsePublicKeyError;

impl FromStr for PublicKey {
    type Err = ParsePublicKeyError;

    fn from_str(text: &str) -> Result<Self, ParsePublicKeyError> {
        let digits = text.strip_prefix(PREFIX).and_then(hex::parse);
        digits.map(Self).ok_or(ParsePublicKeyError)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        hex::write(&self.0, f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        MAX_BYTES, PublicKey, Serial, Signature, SignedStatement, Statement, StatementError,
    };
    use crate::hash::Hash;

    fn signed() -> SignedStatement {
        SignedStatement {
            statement: Statement {
                model: "fraud".parse().unwrap(),
                specs: Hash::of(b"specs"),
                serial: Serial(1_790_000_000_123),
            },
            key: PublicKey::from_bytes([7; 32]),
            signature: Signature::from_bytes([9; 64]),
        }
    }

    #[test]
    fn a_document_is_one_line_of_a_header_and_reads_back() {
        let json = signed().to_json().unwrap();
        assert!(json.is_ascii() && !json.contains(['\n', '\r']), "{json}");
        assert!(json.len() <= MAX_BYTES);
        assert_eq!(
            SignedStatement::from_json(json.as_bytes()).unwrap(),
            signed()
        );
        assert_eq!(
            serde_json::from_str::<SignedStatement>(&json).unwrap(),
            signed()
        );
    }

    #[test]
    fn what_is_signed_tells_every_field_apart() {
        let one = signed().statement;
        let mut messages = vec![one.message()];
        for change in [
            |it: &mut Statement| it.model = "fraud2".parse().unwrap(),
            |it: &mut Statement| it.specs = Hash::of(b"other"),
            |it: &mut Statement| it.serial = Serial(0),
        ] {
            let mut other = one.clone();
            change(&mut other);
            messages.push(other.message());
        }
        messages.sort();
        messages.dedup();
        assert_eq!(messages.len(), 4);
        assert_eq!(messages[0].len(), 27 + 8 + 5 + 32 + 8);
    }

    #[test]
    fn other_documents_are_named() {
        let json = signed().to_json().unwrap();
        let newer = json.replace("\"format\":2", "\"format\":3");
        let error = SignedStatement::from_json(newer.as_bytes()).unwrap_err();
        assert!(matches!(error, StatementError::Format { found: 3 }));
        assert!(serde_json::from_str::<SignedStatement>(&newer).is_err());
        for (from, to) in [
            ("ed25519:", "ed448:"),
            ("\"fraud\"", "\"../fraud\""),
            ("0909", "09"),
            ("0707", "07G7"),
            ("\"serial\":1", "\"serial\":-1"),
            ("\"model\"", "\"more\":1,\"model\""),
        ] {
            let bad = json.replacen(from, to, 1);
            let error = SignedStatement::from_json(bad.as_bytes());
            assert!(matches!(error, Err(StatementError::Json(_))), "{bad}");
        }
        let long = vec![b' '; MAX_BYTES + 1];
        let error = SignedStatement::from_json(&long).unwrap_err();
        assert!(matches!(error, StatementError::TooLarge { .. }));
    }
}
