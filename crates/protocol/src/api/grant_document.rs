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
use serde::{Deserialize, Serialize};
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

/// A grant of a training as a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantV2 {
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

/// A grant of a total as a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantV4 {
    format: u16,
    grant: GrantId,
    owner: TenantId,
    training: TrainingId,
    program: ModelName,
    specs: SpecsHash,
    encryption_key: KeyId,
    public_key: Sha256,
    least_owners: u32,
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
    pub(super) enum GrantVersions, read by serde_json::from_slice, error serde_json::Error {
        /// Rows of a frame.
        V1(GrantV1) = 1,
        /// Rows of a training.
        V2(GrantV2) = 2,
        /// Columns of a frame.
        V3(GrantV3) = 3,
        /// Sums of a total.
        V4(GrantV4) = 4,
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
                        least_owners: None,
                    }),
                    to: document.to,
                    objects: document.objects,
                    bytes: document.bytes,
                    expires: document.expires,
                },
                key: document.key,
                signature: document.signature,
            },
            GrantVersions::V4(document) => Self {
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
                        least_owners: Some(document.least_owners),
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
            GrantTarget::Training(terms) => match terms.least_owners {
                None => Self::V2(GrantV2 {
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
                Some(least_owners) => Self::V4(GrantV4 {
                    format: 4,
                    grant: grant.id,
                    owner: grant.owner,
                    training: terms.training,
                    program: terms.program.clone(),
                    specs: terms.specs,
                    encryption_key: terms.key,
                    public_key: terms.public_key,
                    least_owners,
                    to: grant.to,
                    rows: terms.rows,
                    objects: grant.objects,
                    bytes: grant.bytes,
                    expires: grant.expires,
                    key: signed.key,
                    signature: signed.signature,
                }),
            },
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
