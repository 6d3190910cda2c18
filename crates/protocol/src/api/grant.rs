//! Upload grants: the owner of a stored frame, or the key holder of a training, lets another tenant add rows
//! to it, and nothing else.
//!
//! A grant is a document that its owner signs and gives to whoever is to add rows. What is signed are not
//! its bytes but [`Grant::message`]. Whoever has the document may use it, unless it names a tenant.
//! `cipherfn-signing` signs and checks.

use super::ModelName;
use super::frames::FrameId;
use super::trainings::TrainingId;
use crate::hash::{Sha256, SpecsHash};
use crate::hex::as_hexadecimal;
use crate::message::KeyId;
use crate::statement::{PublicKey, Signature};
use crate::versions::{Versions, json_version, list};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;

/// Longest document, in bytes.
pub const MAX_BYTES: usize = 2048;
/// What signatures of each format are about, and of nothing else.
const DOMAINS: [&[u8]; 2] = [b"cipherfn upload grant 1\0", b"cipherfn upload grant 2\0"];

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

/// What rows are added to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantTarget {
    /// A stored frame.
    Frame(FrameId),
    /// A training.
    Training(TrainingTerms),
}

/// A training, and what an owner has to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingTerms {
    /// The training.
    pub training: TrainingId,
    /// Its program.
    pub program: ModelName,
    /// The version of it.
    pub specs: SpecsHash,
    /// The key that decrypts.
    pub key: KeyId,
    /// Of the file of its public key.
    pub public_key: Sha256,
    /// Most rows that may be added.
    pub rows: u64,
}

impl From<FrameId> for GrantTarget {
    fn from(frame: FrameId) -> Self {
        Self::Frame(frame)
    }
}

impl GrantTarget {
    /// The frame, if it is one.
    pub const fn frame(&self) -> Option<FrameId> {
        match self {
            Self::Frame(frame) => Some(*frame),
            Self::Training(_) => None,
        }
    }

    /// The training, if it is one.
    pub const fn training(&self) -> Option<&TrainingTerms> {
        match self {
            Self::Frame(_) => None,
            Self::Training(terms) => Some(terms),
        }
    }
}

/// What somebody else may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Names it.
    pub id: GrantId,
    /// Whose frame or training it is.
    pub owner: TenantId,
    /// What rows may be added to.
    pub target: GrantTarget,
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
        let (domain, target) = match &self.target {
            GrantTarget::Frame(frame) => (DOMAINS[0], frame.to_bytes()),
            GrantTarget::Training(terms) => (DOMAINS[1], terms.training.to_bytes()),
        };
        let mut message = domain.to_vec();
        message.extend(self.id.0);
        message.extend(self.owner.0);
        message.extend(target);
        message.push(self.to.is_some().into());
        message.extend(self.to.map_or([0; 16], |to| to.0));
        message.extend(self.objects.to_le_bytes());
        message.extend(self.bytes.to_le_bytes());
        message.extend(self.expires.unix_timestamp().to_le_bytes());
        if let GrantTarget::Training(terms) = &self.target {
            message.extend(terms.specs.as_bytes());
            message.extend(terms.key.as_bytes());
            message.extend(terms.public_key.as_bytes());
            message.extend(terms.rows.to_le_bytes());
            // Last: no other field has a length of its own.
            message.extend(terms.program.as_str().as_bytes());
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
    key: PublicKey,
    signature: Signature,
}

/// A grant of a training as a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantV2 {
    format: u16,
    grant: GrantId,
    owner: TenantId,
    training: TrainingId,
    program: ModelName,
    specs: SpecsHash,
    encryption_key: KeyId,
    public_key: Sha256,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<TenantId>,
    rows: u64,
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
        /// Rows of a training.
        V2(GrantV2) = 2,
    }
}

impl From<GrantVersions> for SignedGrant {
    fn from(document: GrantVersions) -> Self {
        match document {
            GrantVersions::V1(document) => Self {
                grant: Grant {
                    id: document.grant,
                    owner: document.owner,
                    target: document.frame.into(),
                    to: document.to,
                    objects: document.objects,
                    bytes: document.bytes,
                    expires: document.expires,
                },
                key: document.key,
                signature: document.signature,
            },
            GrantVersions::V2(document) => Self {
                grant: Grant {
                    id: document.grant,
                    owner: document.owner,
                    target: GrantTarget::Training(TrainingTerms {
                        training: document.training,
                        program: document.program,
                        specs: document.specs,
                        key: document.encryption_key,
                        public_key: document.public_key,
                        rows: document.rows,
                    }),
                    to: document.to,
                    objects: document.objects,
                    bytes: document.bytes,
                    expires: document.expires,
                },
                key: document.key,
                signature: document.signature,
            },
        }
    }
}

impl From<&SignedGrant> for GrantVersions {
    fn from(signed: &SignedGrant) -> Self {
        let grant = &signed.grant;
        match &grant.target {
            GrantTarget::Frame(frame) => Self::V1(GrantV1 {
                format: 1,
                grant: grant.id,
                owner: grant.owner,
                frame: *frame,
                to: grant.to,
                objects: grant.objects,
                bytes: grant.bytes,
                expires: grant.expires,
                key: signed.key,
                signature: signed.signature,
            }),
            GrantTarget::Training(terms) => Self::V2(GrantV2 {
                format: 2,
                grant: grant.id,
                owner: grant.owner,
                training: terms.training,
                program: terms.program.clone(),
                specs: terms.specs,
                encryption_key: terms.key,
                public_key: terms.public_key,
                to: grant.to,
                rows: terms.rows,
                objects: grant.objects,
                bytes: grant.bytes,
                expires: grant.expires,
                key: signed.key,
                signature: signed.signature,
            }),
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
        match GrantVersions::from(self) {
            GrantVersions::V1(document) => document.serialize(serializer),
            GrantVersions::V2(document) => document.serialize(serializer),
        }
    }
}

/// In a document that holds it, which is JSON.
impl<'de> Deserialize<'de> for SignedGrant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let document = serde_json::Value::deserialize(deserializer)?;
        Self::from_json(document.to_string().as_bytes()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
