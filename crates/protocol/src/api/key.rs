//! Registration of evaluation keys.
//!
//! ```text
//! POST /v1/keys                 declare id, set, size, checksums --> where to put each part
//! PUT  (presigned, to S3)       one a part, bound to exactly that size and checksum
//! POST /v1/keys/{id}/complete   checked, then active
//! ```

use crate::hash::Sha256;
use crate::message::KeyId;
use crate::specs::ParameterSetRef;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// Body of `POST /v1/keys`: what will be uploaded. Declaring the same key again is harmless: it
/// says which parts are still missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyDeclarationV1 {
    /// Id of the secret key that the evaluation key was made from; it names the registration.
    pub key: KeyId,
    /// Its parameter set.
    pub parameter_set: ParameterSetRef,
    /// Bytes of the evaluation key file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: Sha256,
    /// How the file is cut where it travels in several parts; absent for a single upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Pieces>,
}

/// How a file is cut that travels in several pieces; version 1 calls them parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pieces {
    /// Bytes of each piece but the last, which has the rest.
    pub bytes: u64,
    /// SHA-256 of each piece.
    pub sha256: Vec<Sha256>,
}

/// Answer to `POST /v1/keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyUploadV1 {
    /// The registration.
    pub status: KeyStatusV1,
    /// Parts that have not arrived; none where the key is active already.
    pub parts: Vec<PartUpload>,
}

/// One presigned upload: `method` `url` with exactly these `headers` and the bytes from `offset`
/// on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartUpload {
    /// Number of the part, from 1.
    pub number: u32,
    /// First byte of the file.
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

/// Where a registration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// Declared; upload or check outstanding.
    Pending,
    /// Checked: queries can name it.
    Active,
    /// What was uploaded is no key of the declared set; declare it again after mending.
    Rejected,
}

/// A registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyStatusV1 {
    /// Id of the secret key.
    pub key: KeyId,
    /// Name of the parameter set.
    pub parameter_set: String,
    /// Bytes of the file.
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
