//! Records as they are stored: every format there ever was.

use super::Record;
use crate::bucket::UploadId;
use crate::registry::document::Document;
use crate::registry::{KeyFile, PartName, Place, Registration, UniqueId};
use cipherfn_protocol::api::{KeyState, KeyStatusV1, Pieces};
use cipherfn_protocol::hash::Sha256;
use cipherfn_protocol::message::KeyId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;

cipherfn_protocol::versions! {
    /// A stored record.
    pub(in crate::registry) enum RecordVersions,
    read by serde_json::from_slice, error serde_json::Error {
        /// One file a key.
        V1(RecordV1) = 1,
        /// Parts by name.
        V2(RecordV2) = 2,
    }
}

/// The one file, and what the tenant saw of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::registry) struct RecordV1 {
    status: KeyStatusV1,
    #[serde(default)]
    parts: Option<Pieces>,
    #[serde(default)]
    upload: Option<UploadId>,
}

/// Parts by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::registry) struct RecordV2 {
    format: u64,
    registration: UniqueId,
    key: KeyId,
    parameter_set: String,
    parts: BTreeMap<PartName, RegistrationV2>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
enum RegistrationV2 {
    Pending {
        bytes: u64,
        sha256: Sha256,
        /// Absent: version 1's one place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<UniqueId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pieces: Option<Pieces>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upload: Option<UploadId>,
        #[serde(with = "time::serde::rfc3339")]
        declared: OffsetDateTime,
        #[serde(with = "time::serde::rfc3339")]
        until: OffsetDateTime,
    },
    Active {
        bytes: u64,
        sha256: Sha256,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<UniqueId>,
        #[serde(with = "time::serde::rfc3339")]
        declared: OffsetDateTime,
        #[serde(with = "time::serde::rfc3339")]
        until: OffsetDateTime,
    },
    Rejected {
        bytes: u64,
        sha256: Sha256,
        reason: String,
        #[serde(with = "time::serde::rfc3339")]
        declared: OffsetDateTime,
        #[serde(with = "time::serde::rfc3339")]
        until: OffsetDateTime,
    },
}

impl Document for Record {
    type Versions = RecordVersions;

    fn migrate(document: RecordVersions) -> Result<Self, String> {
        Ok(match document {
            RecordVersions::V1(record) => record.into(),
            RecordVersions::V2(record) => record.into(),
        })
    }

    fn belongs_to(&self, key: &str) -> bool {
        key.ends_with(&format!("/{}/record.json", self.key))
    }

    fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&RecordV2::from(self))
    }
}

impl From<RecordV1> for Record {
    fn from(record: RecordV1) -> Self {
        let RecordV1 {
            status,
            parts,
            upload,
        } = record;
        let file = KeyFile {
            bytes: status.bytes,
            sha256: status.sha256,
        };
        let (place, declared, until) = (Place::Single, status.created, status.expires);
        let part = match status.state {
            KeyState::Pending => Registration::Pending {
                file,
                place,
                pieces: parts,
                upload,
                declared,
                until,
            },
            KeyState::Active => Registration::Active {
                file,
                place,
                declared,
                until,
            },
            KeyState::Rejected => Registration::Rejected {
                file,
                reason: status.reason.unwrap_or_default(),
                declared,
                until,
            },
        };
        Self {
            id: UniqueId::derived(&format!("{} {}", status.key, declared.unix_timestamp())),
            key: status.key,
            parameter_set: status.parameter_set,
            parts: BTreeMap::from([(PartName::expansion(), part)]),
        }
    }
}

impl From<RecordV2> for Record {
    fn from(record: RecordV2) -> Self {
        let parts = record.parts.into_iter();
        Self {
            id: record.registration,
            key: record.key,
            parameter_set: record.parameter_set,
            parts: parts.map(|(name, part)| (name, part.into())).collect(),
        }
    }
}

impl From<&Record> for RecordV2 {
    fn from(record: &Record) -> Self {
        let parts = record.parts.iter();
        Self {
            format: 2,
            registration: record.id,
            key: record.key,
            parameter_set: record.parameter_set.clone(),
            parts: parts
                .map(|(name, part)| (name.clone(), part.into()))
                .collect(),
        }
    }
}

impl From<RegistrationV2> for Registration {
    fn from(part: RegistrationV2) -> Self {
        let at = |place: Option<UniqueId>| place.map_or(Place::Single, Place::Upload);
        match part {
            RegistrationV2::Pending {
                bytes,
                sha256,
                place,
                pieces,
                upload,
                declared,
                until,
            } => Self::Pending {
                file: KeyFile { bytes, sha256 },
                place: at(place),
                pieces,
                upload,
                declared,
                until,
            },
            RegistrationV2::Active {
                bytes,
                sha256,
                place,
                declared,
                until,
            } => Self::Active {
                file: KeyFile { bytes, sha256 },
                place: at(place),
                declared,
                until,
            },
            RegistrationV2::Rejected {
                bytes,
                sha256,
                reason,
                declared,
                until,
            } => Self::Rejected {
                file: KeyFile { bytes, sha256 },
                reason,
                declared,
                until,
            },
        }
    }
}

impl From<&Registration> for RegistrationV2 {
    fn from(part: &Registration) -> Self {
        let (KeyFile { bytes, sha256 }, declared, until) =
            (part.file(), part.declared(), part.until());
        let place = match part.place() {
            Some(Place::Upload(place)) => Some(place),
            Some(Place::Single) | None => None,
        };
        match part {
            Registration::Pending { pieces, upload, .. } => Self::Pending {
                bytes,
                sha256,
                place,
                pieces: pieces.clone(),
                upload: upload.clone(),
                declared,
                until,
            },
            Registration::Active { .. } => Self::Active {
                bytes,
                sha256,
                place,
                declared,
                until,
            },
            Registration::Rejected { reason, .. } => Self::Rejected {
                bytes,
                sha256,
                reason: reason.clone(),
                declared,
                until,
            },
        }
    }
}
