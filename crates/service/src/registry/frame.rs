//! Stored frames as documents: what is public of one, and a tenant's.

use super::HeldGrant;
use super::document::Document;
use crate::Tenant;
use cipherfn_protocol::api::frames::{FrameId, FrameStatus, GadgetDocument, ListedFrame};
use cipherfn_protocol::api::grant::GrantId;
use cipherfn_protocol::api::job::ChunkFile;
use cipherfn_protocol::frame::ParameterSetTag;
use cipherfn_protocol::message::KeyId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// A stored frame. It does not change until it is deleted, but for rows and columns that others add to it
/// by grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFrame {
    /// Names it.
    pub id: FrameId,
    /// Whose it is.
    pub tenant: Tenant,
    /// Its schema, of all rows and its owner's columns.
    pub schema: Value,
    /// The key that it is encrypted under.
    pub key: KeyId,
    /// Parameter set of the key.
    pub parameter_set: ParameterSetTag,
    /// The gadget of its selectors.
    pub gadget: GadgetDocument,
    /// Its pieces in the order of their rows.
    pub pieces: Vec<FramePiece>,
    /// When it was declared.
    pub created: OffsetDateTime,
    /// When it runs out.
    pub until: OffsetDateTime,
    /// Who else may add rows or columns, and did.
    pub grants: Vec<HeldGrant>,
    /// Columns that others added, behind the owner's in this order.
    pub columns: Vec<FrameColumns>,
}

/// Columns that somebody added beside all rows of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameColumns {
    /// The grant by which they came.
    pub grant: GrantId,
    /// Their schema, of all rows.
    pub schema: Value,
    /// Their pieces in the order of their rows.
    pub pieces: Vec<FramePiece>,
}

/// Rows of a frame, a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FramePiece {
    /// The file.
    pub file: ChunkFile,
    /// Rows that it says it has.
    pub rows: u64,
}

impl StoredFrame {
    /// Rows of all pieces.
    pub fn rows(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.rows).sum()
    }

    /// Bytes of all pieces.
    pub fn bytes(&self) -> u64 {
        self.all_pieces().map(|piece| piece.file.bytes).sum()
    }

    /// Pieces of rows, then those of columns that were added.
    pub(super) fn all_pieces(&self) -> impl Iterator<Item = &FramePiece> {
        let added = self.columns.iter().flat_map(|columns| &columns.pieces);
        self.pieces.iter().chain(added)
    }

    /// Its schema with the columns that others added.
    pub fn whole_schema(&self) -> Value {
        let mut whole = self.schema.clone();
        for added in &self.columns {
            let columns = added.schema.get("column").and_then(Value::as_array);
            if let Some(own) = whole.get_mut("column").and_then(Value::as_array_mut) {
                own.extend(columns.into_iter().flatten().cloned());
            }
        }
        whole
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now: OffsetDateTime) -> bool {
        self.until <= now
    }

    /// As its owner sees it.
    pub fn status(&self) -> FrameStatus {
        FrameStatus {
            frame: self.id,
            schema: self.whole_schema(),
            rows: self.rows(),
            key: self.key,
            parameter_set: self.parameter_set,
            gadget: self.gadget,
            pieces: self.all_pieces().count(),
            parts: match self.pieces.as_slice() {
                [_] => Vec::new(),
                several => several.iter().map(|piece| piece.rows).collect(),
            },
            bytes: self.bytes(),
            created: self.created,
            expires: self.until,
            grants: self.grants.iter().map(HeldGrant::status).collect(),
        }
    }

    /// As a list of its owner's frames has it.
    pub fn listed(&self) -> ListedFrame {
        let name = self.schema.get("name").and_then(Value::as_str);
        ListedFrame {
            frame: self.id,
            name: name.unwrap_or_default().to_owned(),
            rows: self.rows(),
            key: self.key,
            bytes: self.bytes(),
            expires: self.until,
        }
    }
}

cipherfn_protocol::versions! {
    /// A stored frame.
    pub(in crate::registry) enum FrameVersions,
    read by serde_json::from_slice, error serde_json::Error {
        /// All of it in one document.
        V1(FrameV1) = 1,
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::registry) struct FrameV1 {
    format: u64,
    frame: FrameId,
    tenant: Tenant,
    schema: Value,
    key: KeyId,
    parameter_set: ParameterSetTag,
    gadget: GadgetDocument,
    pieces: Vec<FramePiece>,
    #[serde(with = "time::serde::rfc3339")]
    created: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    until: OffsetDateTime,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    grants: Vec<HeldGrant>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    columns: Vec<FrameColumns>,
}

impl Document for StoredFrame {
    type Versions = FrameVersions;

    fn migrate(document: FrameVersions) -> Result<Self, String> {
        let FrameVersions::V1(frame) = document;
        Ok(Self {
            id: frame.frame,
            tenant: frame.tenant,
            schema: frame.schema,
            key: frame.key,
            parameter_set: frame.parameter_set,
            gadget: frame.gadget,
            pieces: frame.pieces,
            created: frame.created,
            until: frame.until,
            grants: frame.grants,
            columns: frame.columns,
        })
    }

    fn belongs_to(&self, key: &str) -> bool {
        key == super::frames::record_path(&self.tenant, self.id)
    }

    fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&FrameV1 {
            format: 1,
            frame: self.id,
            tenant: self.tenant.clone(),
            schema: self.schema.clone(),
            key: self.key,
            parameter_set: self.parameter_set,
            gadget: self.gadget,
            pieces: self.pieces.clone(),
            created: self.created,
            until: self.until,
            grants: self.grants.clone(),
            columns: self.columns.clone(),
        })
    }
}

/// A tenant's frames, and when each runs out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FrameIndex(BTreeMap<FrameId, Entry>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(with = "time::serde::rfc3339")]
    until: OffsetDateTime,
}

cipherfn_protocol::versions! {
    /// A stored index.
    pub(in crate::registry) enum FrameIndexVersions,
    read by serde_json::from_slice, error serde_json::Error {
        /// Frames and their ends.
        V1(FrameIndexV1) = 1,
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::registry) struct FrameIndexV1 {
    format: u64,
    frames: BTreeMap<FrameId, Entry>,
}

impl Document for FrameIndex {
    type Versions = FrameIndexVersions;

    fn migrate(document: FrameIndexVersions) -> Result<Self, String> {
        let FrameIndexVersions::V1(index) = document;
        Ok(Self(index.frames))
    }

    /// It names frames only, and those of another tenant are nowhere to be found.
    fn belongs_to(&self, _: &str) -> bool {
        true
    }

    fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&FrameIndexV1 {
            format: 1,
            frames: self.0.clone(),
        })
    }
}

impl FrameIndex {
    /// Takes a frame in, in place of all that have run out; `false` where that would be one too many.
    pub(super) fn insert(
        &mut self,
        frame: FrameId,
        until: OffsetDateTime,
        quota: u64,
        now: OffsetDateTime,
    ) -> bool {
        self.0.retain(|id, entry| *id != frame && entry.until > now);
        let fits = (self.0.len() as u64) < quota;
        if fits {
            self.0.insert(frame, Entry { until });
        }
        fits
    }

    /// Takes a frame out; `false` where it is not in it.
    pub(super) fn remove(&mut self, frame: FrameId) -> bool {
        self.0.remove(&frame).is_some()
    }

    /// All of them.
    pub(super) fn ids(&self) -> impl Iterator<Item = FrameId> {
        self.0.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherfn_protocol::hash::Sha256;

    /// Exact bytes of today's formats: what is stored now must stay readable.
    #[test]
    fn stored_documents_have_exactly_these_bytes() {
        let tenant = Tenant::of("somebody");
        let frame = StoredFrame {
            id: FrameId::from_bytes([1; 16]),
            tenant: tenant.clone(),
            schema: serde_json::json!({ "name": "sales" }),
            key: KeyId::from_bytes([9; 16]),
            parameter_set: ParameterSetTag::NONE,
            gadget: GadgetDocument {
                base_log: 6,
                levels: 4,
            },
            pieces: vec![FramePiece {
                file: ChunkFile {
                    bytes: 7,
                    sha256: Sha256::from_bytes([0; 32]),
                },
                rows: 5,
            }],
            created: OffsetDateTime::UNIX_EPOCH,
            until: OffsetDateTime::UNIX_EPOCH + time::Duration::minutes(15),
            grants: Vec::new(),
            columns: Vec::new(),
        };
        let stored = concat!(
            r#"{"format":1,"frame":"01010101010101010101010101010101","tenant":"TENANT","schema":{"name":"sales"},"#,
            r#""key":"09090909090909090909090909090909","parameter_set":"00000000000000000000000000000000","#,
            r#""gadget":{"base_log":6,"levels":4},"pieces":[{"file":{"bytes":7,"#,
            r#""sha256":"0000000000000000000000000000000000000000000000000000000000000000"},"rows":5}],"#,
            r#""created":"1970-01-01T00:00:00Z","until":"1970-01-01T00:15:00Z"}"#
        );
        let stored = stored.replace("TENANT", &tenant.to_string());
        let written = frame.to_json().expect("JSON");
        assert_eq!(String::from_utf8(written).expect("text"), stored);
        assert_eq!(
            StoredFrame::from_json(stored.as_bytes()).expect("a frame"),
            frame
        );
        let key = format!("frames/{tenant}/{}/record.json", frame.id);
        assert!(frame.belongs_to(&key) && !frame.belongs_to("frames/other/record.json"));

        let mut index = FrameIndex::default();
        let now = OffsetDateTime::UNIX_EPOCH;
        assert!(index.insert(frame.id, frame.until, 1, now));
        let stored = r#"{"format":1,"frames":{"01010101010101010101010101010101":{"until":"1970-01-01T00:15:00Z"}}}"#;
        let written = index.to_json().expect("JSON");
        assert_eq!(String::from_utf8(written).expect("text"), stored);
        let other = FrameId::from_bytes([2; 16]);
        assert!(!index.insert(other, frame.until, 1, now), "the quota");
        assert!(
            index.insert(frame.id, frame.until, 1, now),
            "the same again"
        );
        assert!(
            index.insert(other, frame.until, 1, frame.until),
            "what has run out makes room"
        );
    }
}
