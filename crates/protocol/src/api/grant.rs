//! Upload grants: the owner of a stored frame lets another tenant add rows to it, or columns beside its rows,
//! and nothing else.
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

/// Longest document, in bytes: a frame's record holds its grants.
pub const MAX_BYTES: usize = 32 << 10;
/// What signatures of grants of rows are about, and of nothing else.
const DOMAIN: &[u8] = b"cipherfn upload grant 1\0";
/// And those of grants of columns.
const COLUMNS_DOMAIN: &[u8] = b"cipherfn upload grant 2, columns\0";

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
    /// The columns that may be added, once; rows if absent.
    pub columns: Option<GrantedColumns>,
}

/// Columns that may be added beside the rows of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantedColumns {
    /// Their schema, under the frame's name: JSON as files of frames have it.
    pub schema: String,
    /// Rows of the frame's pieces, in order: how many there are, and where the rows that share ciphertexts
    /// begin anew.
    pub parts: Vec<u64>,
}

impl GrantedColumns {
    /// Their schema as a document; none where it is not JSON.
    pub fn parsed(&self) -> serde_json::Value {
        serde_json::from_str(&self.schema).unwrap_or_default()
    }

    /// Rows of the frame.
    pub fn rows(&self) -> u64 {
        self.parts.iter().copied().fold(0, u64::saturating_add)
    }
}

impl Grant {
    /// The bytes that are signed: a domain, then each field in one way only.
    pub fn message(&self) -> Vec<u8> {
        let domain = self.columns.as_ref().map_or(DOMAIN, |_| COLUMNS_DOMAIN);
        let mut message = domain.to_vec();
        message.extend(self.id.0);
        message.extend(self.owner.0);
        message.extend(self.frame.to_bytes());
        message.push(self.to.is_some().into());
        message.extend(self.to.map_or([0; 16], |to| to.0));
        message.extend(self.objects.to_le_bytes());
        message.extend(self.bytes.to_le_bytes());
        message.extend(self.expires.unix_timestamp().to_le_bytes());
        if let Some(columns) = &self.columns {
            message.extend((columns.parts.len() as u64).to_le_bytes());
            message.extend(columns.parts.iter().flat_map(|rows| rows.to_le_bytes()));
            message.extend(columns.schema.as_bytes());
        }
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    columns: Option<GrantedColumns>,
    key: PublicKey,
    signature: Signature,
}

crate::versions! {
    /// Grants as documents.
    enum GrantVersions, read by serde_json::from_slice, error serde_json::Error {
        /// Rows of a frame.
        V1(GrantV1) = 1,
        /// Columns beside its rows.
        V2(GrantV1) = 2,
    }
}

impl From<GrantVersions> for SignedGrant {
    fn from(versions: GrantVersions) -> Self {
        let (GrantVersions::V1(document) | GrantVersions::V2(document)) = versions;
        Self {
            grant: Grant {
                id: document.grant,
                owner: document.owner,
                frame: document.frame,
                to: document.to,
                objects: document.objects,
                bytes: document.bytes,
                expires: document.expires,
                columns: document.columns,
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
            format: format_of(grant.columns.as_ref()),
            grant: grant.id,
            owner: grant.owner,
            frame: grant.frame,
            to: grant.to,
            objects: grant.objects,
            bytes: grant.bytes,
            expires: grant.expires,
            columns: grant.columns.clone(),
            key: signed.key,
            signature: signed.signature,
        }
    }
}

/// The format that has what a grant is for.
const fn format_of(columns: Option<&GrantedColumns>) -> u16 {
    match columns {
        None => 1,
        Some(_) => 2,
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
    /// A format that does not have what the grant is for.
    #[error(
        "the grant has format {found}, and grants of columns, and no others, have format 2; ask the frame's owner for it"
    )]
    Kind {
        /// Version found.
        found: u16,
    },
}

impl GrantV1 {
    /// That rows are of format 1 and columns of format 2: either is signed as what it is.
    fn checked(self) -> Result<Self, GrantError> {
        let found = self.format;
        if !GrantVersions::VERSIONS.contains(&found) {
            return Err(GrantError::Format { found });
        }
        if found != format_of(self.columns.as_ref()) {
            return Err(GrantError::Kind { found });
        }
        Ok(self)
    }
}

impl SignedGrant {
    /// Reads a document.
    pub fn from_json(bytes: &[u8]) -> Result<Self, GrantError> {
        if bytes.len() > MAX_BYTES {
            return Err(GrantError::TooLarge { len: bytes.len() });
        }
        let found = json_version(bytes).map_err(|error| GrantError::Json(error.into()))?;
        let document = GrantVersions::read(found, bytes).ok_or(GrantError::Format { found })?;
        let (GrantVersions::V1(document) | GrantVersions::V2(document)) =
            document.map_err(GrantError::Json)?;
        Ok(GrantVersions::V1(document.checked()?).into())
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
        let document = GrantV1::deserialize(deserializer)?.checked();
        let document = document.map_err(serde::de::Error::custom)?;
        Ok(GrantVersions::V1(document).into())
    }
}

#[cfg(test)]
mod tests;
