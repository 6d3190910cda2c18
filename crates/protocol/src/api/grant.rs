//! Upload grants: the owner of a stored frame lets another tenant add rows to it, and nothing else.
//!
//! A grant is a document that its owner signs and gives to whoever is to add rows. What is signed are not
//! its bytes but [`Grant::message`]. Whoever has the document may use it, unless it names a tenant.
//! `cipherfn-signing` signs and checks.

use super::frames::FrameId;
use crate::hex::as_hexadecimal;
use crate::statement::{PublicKey, Signature};
use crate::versions::{Versions, json_version, list};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;

/// Longest document, in bytes.
pub const MAX_BYTES: usize = 2048;
/// What signatures of this format are about, and of nothing else.
const DOMAIN: &[u8] = b"cipherfn upload grant 1\0";

/// Names a grant: random.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrantId([u8; 16]);

as_hexadecimal!(GrantId, "a grant is 32 hexadecimal digits, lower case");

impl GrantId {
    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// Names a tenant of a service: says nothing of who it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId([u8; 16]);

as_hexadecimal!(TenantId, "a tenant is 32 hexadecimal digits, lower case");

impl TenantId {
    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// What somebody else may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Names it.
    pub id: GrantId,
    /// Whose frame it is.
    pub owner: TenantId,
    /// The frame to which rows may be added.
    pub frame: FrameId,
    /// Who may; anybody who has the grant unless it says so.
    pub to: Option<TenantId>,
    /// Most pieces that may be added.
    pub objects: u32,
    /// Most bytes that these may have together.
    pub bytes: u64,
    /// Until when, to the second.
    pub expires: OffsetDateTime,
}

impl Grant {
    /// The bytes that are signed: a domain, then each field in one way only.
    pub fn message(&self) -> Vec<u8> {
        let mut message = DOMAIN.to_vec();
        message.extend(self.id.0);
        message.extend(self.owner.0);
        message.extend(self.frame.to_bytes());
        message.push(self.to.is_some().into());
        message.extend(self.to.map_or([0; 16], |to| to.0));
        message.extend(self.objects.to_le_bytes());
        message.extend(self.bytes.to_le_bytes());
        message.extend(self.expires.unix_timestamp().to_le_bytes());
        message
    }
}

/// A grant as it came: nobody has checked its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedGrant {
    /// What it allows.
    pub grant: Grant,
    /// Key that should have signed it.
    pub key: PublicKey,
    /// Ed25519 signature of [`Grant::message`].
    pub signature: Signature,
}

/// A grant as a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantV1 {
    format: u16,
    grant: GrantId,
    owner: TenantId,
    frame: FrameId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<TenantId>,
    objects: u32,
    bytes: u64,
    #[serde(with = "time::serde::rfc3339")]
    expires: OffsetDateTime,
    key: PublicKey,
    signature: Signature,
}

crate::versions! {
    /// Grants as documents.
    enum GrantVersions, read by serde_json::from_slice, error serde_json::Error {
        /// Rows of a frame.
        V1(GrantV1) = 1,
    }
}

impl From<GrantVersions> for SignedGrant {
    fn from(GrantVersions::V1(document): GrantVersions) -> Self {
        Self {
            grant: Grant {
                id: document.grant,
                owner: document.owner,
                frame: document.frame,
                to: document.to,
                objects: document.objects,
                bytes: document.bytes,
                expires: document.expires,
            },
            key: document.key,
            signature: document.signature,
        }
    }
}

impl From<&SignedGrant> for GrantV1 {
    fn from(signed: &SignedGrant) -> Self {
        let grant = &signed.grant;
        Self {
            format: 1,
            grant: grant.id,
            owner: grant.owner,
            frame: grant.frame,
            to: grant.to,
            objects: grant.objects,
            bytes: grant.bytes,
            expires: grant.expires,
            key: signed.key,
            signature: signed.signature,
        }
    }
}

/// Why bytes are no grant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// Longer than [`MAX_BYTES`].
    #[error("a grant of {len} bytes exceeds the limit of {MAX_BYTES} bytes")]
    TooLarge {
        /// Length found.
        len: usize,
    },
    /// Not JSON, or not of this layout.
    #[error("not an upload grant: {0}; `cipherfn frame grant` makes one")]
    Json(#[source] serde_json::Error),
    /// Another layout version.
    #[error(
        "the grant has format {found}, this build reads {}",
        list(GrantVersions::VERSIONS)
    )]
    Format {
        /// Version found.
        found: u16,
    },
}

impl SignedGrant {
    /// Reads a document.
    pub fn from_json(bytes: &[u8]) -> Result<Self, GrantError> {
        if bytes.len() > MAX_BYTES {
            return Err(GrantError::TooLarge { len: bytes.len() });
        }
        let found = json_version(bytes).map_err(|error| GrantError::Json(error.into()))?;
        let document = GrantVersions::read(found, bytes).ok_or(GrantError::Format { found })?;
        Ok(document.map_err(GrantError::Json)?.into())
    }

    /// The document.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

impl Serialize for SignedGrant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        GrantV1::from(self).serialize(serializer)
    }
}

/// In a document that holds it: of the format that this build writes.
impl<'de> Deserialize<'de> for SignedGrant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let document = GrantV1::deserialize(deserializer)?;
        if document.format != 1 {
            let found = document.format;
            return Err(serde::de::Error::custom(GrantError::Format { found }));
        }
        Ok(GrantVersions::V1(document).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> SignedGrant {
        SignedGrant {
            grant: Grant {
                id: GrantId([1; 16]),
                owner: TenantId([2; 16]),
                frame: FrameId::from_bytes([3; 16]),
                to: None,
                objects: 4,
                bytes: 5,
                expires: OffsetDateTime::UNIX_EPOCH,
            },
            key: PublicKey::from_bytes([6; 32]),
            signature: Signature::from_bytes([7; 64]),
        }
    }

    /// Exact bytes: grants that were given away must stay readable.
    #[test]
    fn documents_have_exactly_these_bytes() {
        let text = format!(
            r#"{{"format":1,"grant":"{}","owner":"{}","frame":"{}","objects":4,"bytes":5,"expires":"1970-01-01T00:00:00Z","key":"ed25519:{}","signature":"{}"}}"#,
            "01".repeat(16),
            "02".repeat(16),
            "03".repeat(16),
            "06".repeat(32),
            "07".repeat(64),
        );
        assert_eq!(signed().to_json().unwrap(), text);
        assert_eq!(SignedGrant::from_json(text.as_bytes()).unwrap(), signed());
        assert_eq!(
            serde_json::from_str::<SignedGrant>(&text).unwrap(),
            signed()
        );
        let other = text.replace("\"format\":1", "\"format\":2");
        assert!(matches!(
            SignedGrant::from_json(other.as_bytes()),
            Err(GrantError::Format { found: 2 })
        ));
        assert!(serde_json::from_str::<SignedGrant>(&other).is_err());
        for bad in [
            &text[1..],
            "{}",
            &text.replace("objects", "rows"),
            &" ".repeat(3000),
        ] {
            assert!(SignedGrant::from_json(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    /// Nothing of a grant can be changed without changing what is signed.
    #[test]
    fn every_field_is_signed() {
        let grant = signed().grant;
        let changed = [
            Grant {
                id: GrantId([9; 16]),
                ..grant.clone()
            },
            Grant {
                owner: TenantId([9; 16]),
                ..grant.clone()
            },
            Grant {
                frame: FrameId::from_bytes([9; 16]),
                ..grant.clone()
            },
            Grant {
                to: Some(TenantId([0; 16])),
                ..grant.clone()
            },
            Grant {
                objects: 5,
                ..grant.clone()
            },
            Grant {
                bytes: 6,
                ..grant.clone()
            },
            Grant {
                expires: grant.expires + time::Duration::SECOND,
                ..grant.clone()
            },
        ];
        for other in changed {
            assert_ne!(other.message(), grant.message(), "{other:?}");
        }
    }
}
