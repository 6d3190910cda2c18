//! Documents of version 2: a key is registered in parts, each a file of its own.
//!
//! ```text
//! POST /v2/keys                 declare parts: name, size, checksums --> where to put each piece
//! PUT  (presigned, to S3)       one a piece, bound to exactly that size and checksum
//! POST /v2/keys/{id}/complete   every pending part is checked, then active
//! ```
//! What version 1 calls the parts of an upload are pieces here.

pub use super::Pieces;
use super::{self as v1, KeyState};
use crate::hash::Sha256;
use crate::message::KeyId;
use crate::specs::{EXPANSION, ParameterSetRef};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// Body of `POST /v2/keys`: parts that will be uploaded. Declaring the same again is harmless: it
/// says which pieces are still missing. Parts that were declared before stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyDeclaration {
    /// Id of the secret key that the evaluation key was made from; it names the registration.
    pub key: KeyId,
    /// Its parameter set.
    pub parameter_set: ParameterSetRef,
    /// Parts by name, one or more.
    pub parts: BTreeMap<String, PartDeclaration>,
}

/// One part of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartDeclaration {
    /// Bytes of its file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: Sha256,
    /// How the file is cut where it travels in several pieces; absent for a single upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pieces: Option<Pieces>,
}

/// Answer to `POST /v2/keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyUpload {
    /// The registration.
    pub status: KeyStatus,
    /// Pieces of the declared parts that have not arrived.
    pub pieces: Vec<PieceUpload>,
}

/// One presigned upload: `method` `url` with exactly these `headers` and the bytes from `offset`
/// on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PieceUpload {
    /// Name of the part.
    pub part: String,
    /// Number of the piece, from 1.
    pub number: u32,
    /// First byte of the part's file.
    pub offset: u64,
    /// Number of bytes.
    pub bytes: u64,
    /// HTTP method.
    pub method: String,
    /// Presigned URL.
    pub url: String,
    /// Headers that the signature covers.
    pub headers: BTreeMap<String, String>,
    /// When the URL stops working.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
}

/// Answer to `GET /v2/keys`: what the caller's quota counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyList {
    /// Registrations, those that have run out included until they make room.
    pub keys: Vec<KeyStatus>,
    /// Ids of those that cannot be read: they can be declared anew or deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<KeyId>,
}

/// A registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyStatus {
    /// Id of the secret key.
    pub key: KeyId,
    /// Name of the parameter set.
    pub parameter_set: String,
    /// Parts by name.
    pub parts: BTreeMap<String, PartStatus>,
}

/// Where a part stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartStatus {
    /// Bytes of its file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: Sha256,
    /// Where it stands.
    pub state: KeyState,
    /// Why it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was declared.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// When it stops being usable and may be deleted.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
}

impl KeyDeclaration {
    /// The same for a service of version 1, where a key is its expansion; `None` for other parts.
    pub fn version_1(&self) -> Option<v1::KeyDeclarationV1> {
        let part = self
            .parts
            .get(EXPANSION)
            .filter(|_| self.parts.len() == 1)?;
        Some(v1::KeyDeclarationV1 {
            key: self.key,
            parameter_set: self.parameter_set.clone(),
            bytes: part.bytes,
            sha256: part.sha256,
            parts: part.pieces.clone(),
        })
    }
}

/// What version 1 calls a key is its expansion.
impl KeyStatus {
    /// The same for a client of version 1; `None` where the key is registered without its
    /// expansion.
    pub fn version_1(mut self) -> Option<v1::KeyStatusV1> {
        let part = self.parts.remove(EXPANSION)?;
        Some(v1::KeyStatusV1 {
            key: self.key,
            parameter_set: self.parameter_set,
            bytes: part.bytes,
            sha256: part.sha256,
            state: part.state,
            reason: part.reason,
            created: part.created,
            expires: part.expires,
        })
    }
}

impl KeyUpload {
    /// The same for a client of version 1; `None` where the key is registered without its
    /// expansion.
    pub fn version_1(self) -> Option<v1::KeyUploadV1> {
        let pieces = self.pieces.into_iter();
        let pieces = pieces.filter(|piece| piece.part == EXPANSION);
        Some(v1::KeyUploadV1 {
            parts: pieces.map(Into::into).collect(),
            status: self.status.version_1()?,
        })
    }
}

impl From<PieceUpload> for v1::PartUpload {
    fn from(piece: PieceUpload) -> Self {
        Self {
            number: piece.number,
            offset: piece.offset,
            bytes: piece.bytes,
            method: piece.method,
            url: piece.url,
            headers: piece.headers,
            expires: piece.expires,
        }
    }
}

impl From<v1::KeyStatusV1> for KeyStatus {
    fn from(status: v1::KeyStatusV1) -> Self {
        let part = PartStatus {
            bytes: status.bytes,
            sha256: status.sha256,
            state: status.state,
            reason: status.reason,
            created: status.created,
            expires: status.expires,
        };
        Self {
            key: status.key,
            parameter_set: status.parameter_set,
            parts: BTreeMap::from([(EXPANSION.to_owned(), part)]),
        }
    }
}

impl From<v1::KeyUploadV1> for KeyUpload {
    fn from(upload: v1::KeyUploadV1) -> Self {
        let piece = |piece: v1::PartUpload| PieceUpload {
            part: EXPANSION.to_owned(),
            number: piece.number,
            offset: piece.offset,
            bytes: piece.bytes,
            method: piece.method,
            url: piece.url,
            headers: piece.headers,
            expires: piece.expires,
        };
        Self {
            status: upload.status.into(),
            pieces: upload.parts.into_iter().map(piece).collect(),
        }
    }
}
