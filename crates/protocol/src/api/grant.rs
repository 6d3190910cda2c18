//! Upload grants: the owner of a stored frame, or the key holder of a training, lets another tenant add rows
//! to it, or columns beside the rows of the frame, or sums to a total, and nothing else.
//!
//! A grant is a document that its owner signs and gives to whoever is to add them. What is signed are not
//! its bytes but [`Grant::message`]. Whoever has the document may use it, unless it names a tenant.
//! `cipherfn-signing` signs and checks.

use super::ModelName;
use super::frames::FrameId;
use super::grant_document::GrantVersions;
use super::trainings::TrainingId;
use crate::hash::{Sha256, SpecsHash};
use crate::hex::as_hexadecimal;
use crate::message::KeyId;
use crate::statement::{PublicKey, Signature};
use crate::versions::{Versions, json_version, list};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;

/// Longest document, in bytes: a frame's record holds its grants, and those of columns their schema.
pub const MAX_BYTES: usize = 32 << 10;
/// What signatures of each format are about, and of nothing else.
const DOMAINS: [&[u8]; 4] = [
    b"cipherfn upload grant 1\0",
    b"cipherfn upload grant 2\0",
    b"cipherfn upload grant 3\0",
    b"cipherfn upload grant 4\0",
];

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

/// What is added, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantTarget {
    /// Rows, to a stored frame.
    Frame(FrameId),
    /// Rows, to a training; or sums, to one that is a total.
    Training(TrainingTerms),
    /// Columns beside the rows of a stored frame, once.
    Columns(FrameId, GrantedColumns),
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
    /// Most rows that may be added, or that the sums may be of: how many these are of nobody but their owner can
    /// tell, so the owner's client holds to it.
    pub rows: u64,
    /// Of a total of sums, how many owners it has at least, besides the key holder; none where rows are added.
    pub least_owners: Option<u32>,
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

impl From<FrameId> for GrantTarget {
    fn from(frame: FrameId) -> Self {
        Self::Frame(frame)
    }
}

impl GrantTarget {
    /// The frame, if rows or columns are added to one.
    pub const fn frame(&self) -> Option<FrameId> {
        match self {
            Self::Frame(frame) | Self::Columns(frame, _) => Some(*frame),
            Self::Training(_) => None,
        }
    }

    /// The training, if rows are added to one.
    pub const fn training(&self) -> Option<&TrainingTerms> {
        match self {
            Self::Training(terms) => Some(terms),
            Self::Frame(_) | Self::Columns(..) => None,
        }
    }

    /// The columns, if columns are added.
    pub const fn columns(&self) -> Option<&GrantedColumns> {
        match self {
            Self::Columns(_, columns) => Some(columns),
            Self::Frame(_) | Self::Training(_) => None,
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
    /// What may be added, and to what.
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
            GrantTarget::Training(terms) => {
                let format = if terms.least_owners.is_some() { 4 } else { 2 };
                (DOMAINS[format - 1], terms.training.to_bytes())
            }
            GrantTarget::Columns(frame, _) => (DOMAINS[2], frame.to_bytes()),
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
        // Last what has a length of its own, without which nothing else is ambiguous.
        match &self.target {
            GrantTarget::Frame(_) => {}
            GrantTarget::Training(terms) => {
                message.extend(terms.specs.as_bytes());
                message.extend(terms.key.as_bytes());
                message.extend(terms.public_key.as_bytes());
                message.extend(terms.rows.to_le_bytes());
                message.extend(terms.least_owners.into_iter().flat_map(u32::to_le_bytes));
                message.extend(terms.program.as_str().as_bytes());
            }
            GrantTarget::Columns(_, columns) => {
                message.extend((columns.parts.len() as u64).to_le_bytes());
                message.extend(columns.parts.iter().flat_map(|rows| rows.to_le_bytes()));
                message.extend(columns.schema.as_bytes());
            }
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
    #[error(
        "not an upload grant: {0}; `cipherfn frame grant` makes one of a frame, `cipherfn joint grant` of a training"
    )]
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
        let document = document.map_err(GrantError::Json)?;
        document.try_into().map_err(GrantError::Json)
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
            GrantVersions::V2(document) | GrantVersions::V4(document) => {
                document.serialize(serializer)
            }
            GrantVersions::V3(document) => document.serialize(serializer),
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
