//! Grants as documents: each format has exactly its own fields.

use super::ModelName;
use super::frames::FrameId;
use super::grant::{
    Grant, GrantId, GrantTarget, GrantedColumns, SignedGrant, TenantId, TrainingTerms,
};
use super::trainings::TrainingId;
use crate::hash::{Sha256, SpecsHash};
use crate::message::KeyId;
use crate::statement::{PublicKey, Signature};
use serde::{Deserialize, Serialize, de};
use time::OffsetDateTime;

/// A grant of rows of a frame as a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantV1 {
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

/// A grant of a training or of a total as a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfTraining {
    format: u16,
    grant: GrantId,
    owner: TenantId,
    training: TrainingId,
    program: ModelName,
    specs: SpecsHash,
    encryption_key: KeyId,
    public_key: Sha256,
    /// Of a total, and of that alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    least_owners: Option<u32>,
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

/// A grant of columns of a frame as a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantV3 {
    format: u16,
    grant: GrantId,
    owner: TenantId,
    frame: FrameId,
    columns: GrantedColumns,
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
    pub(super) enum GrantVersions, read by serde_json::from_slice, error serde_json::Error {
        /// Rows of a frame.
        V1(GrantV1) = 1,
        /// Rows of a training.
        V2(OfTraining) = 2,
        /// Columns of a frame.
        V3(GrantV3) = 3,
        /// Sums of a total.
        V4(OfTraining) = 4,
    }
}

impl TryFrom<GrantVersions> for SignedGrant {
    type Error = serde_json::Error;

    fn try_from(document: GrantVersions) -> Result<Self, serde_json::Error> {
        Ok(match document {
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
            GrantVersions::V2(OfTraining {
                least_owners: Some(_),
                ..
            }) => return Err(de::Error::unknown_field("least_owners", &[])),
            GrantVersions::V4(OfTraining {
                least_owners: None, ..
            }) => return Err(de::Error::missing_field("least_owners")),
            GrantVersions::V2(document) | GrantVersions::V4(document) => Self {
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
                        least_owners: document.least_owners,
                    }),
                    to: document.to,
                    objects: document.objects,
                    bytes: document.bytes,
                    expires: document.expires,
                },
                key: document.key,
                signature: document.signature,
            },
            GrantVersions::V3(document) => Self {
                grant: Grant {
                    id: document.grant,
                    owner: document.owner,
                    target: GrantTarget::Columns(document.frame, document.columns),
                    to: document.to,
                    objects: document.objects,
                    bytes: document.bytes,
                    expires: document.expires,
                },
                key: document.key,
                signature: document.signature,
            },
        })
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
            GrantTarget::Training(terms) => {
                let (version, format): (fn(OfTraining) -> Self, _) = match terms.least_owners {
                    None => (Self::V2, 2),
                    Some(_) => (Self::V4, 4),
                };
                version(OfTraining {
                    format,
                    grant: grant.id,
                    owner: grant.owner,
                    training: terms.training,
                    program: terms.program.clone(),
                    specs: terms.specs,
                    encryption_key: terms.key,
                    public_key: terms.public_key,
                    least_owners: terms.least_owners,
                    to: grant.to,
                    rows: terms.rows,
                    objects: grant.objects,
                    bytes: grant.bytes,
                    expires: grant.expires,
                    key: signed.key,
                    signature: signed.signature,
                })
            }
            GrantTarget::Columns(frame, columns) => Self::V3(GrantV3 {
                format: 3,
                grant: grant.id,
                owner: grant.owner,
                frame: *frame,
                columns: columns.clone(),
                to: grant.to,
                objects: grant.objects,
                bytes: grant.bytes,
                expires: grant.expires,
                key: signed.key,
                signature: signed.signature,
            }),
        }
    }
}
