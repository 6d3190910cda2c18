//! Tenants' evaluation keys: declared, uploaded to quarantine, checked, active, expired, deleted.

mod declare;
mod delete;
mod settle;

use super::document::{self, Stored};
use super::store::ATTEMPTS;
use super::{KeyFile, PartName, Place, Record, Registration, Registry};
use crate::Tenant;
use crate::bucket::{Bucket, Condition, Etag, Piece, Presigned, StorageError};
use bytes::Bytes;
use cipherfn_protocol::hash::Sha256;
use cipherfn_protocol::message::KeyId;
use sha2::Digest;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// What became of a declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declared {
    /// Registered.
    Registered {
        /// Where all parts of the key stand.
        record: Record,
        /// Pieces that have not arrived, of the parts that were declared.
        missing: BTreeMap<PartName, Vec<MissingPiece>>,
    },
    /// Another file is active.
    Conflict,
    /// The tenant has as many keys as it may.
    Quota,
    /// The pieces do not fit the file or the rules.
    BadPieces(String),
}

/// A piece that has not arrived, and how to send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingPiece {
    /// What it must be.
    pub piece: Piece,
    /// Takes it.
    pub request: Presigned,
    /// When the request stops working.
    pub expires: OffsetDateTime,
}

/// A part that was uploaded, and what its check said.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Which part.
    pub part: PartName,
    /// Where it was uploaded to.
    pub place: Place,
    /// The bytes that were checked: these become the key, not what lies in quarantine by now.
    pub bytes: Bytes,
    /// Why it is not what was declared.
    pub verdict: Result<(), String>,
}

/// What became of a checked part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Recorded.
    Recorded(Record),
    /// Its registration was deleted, declared anew, or ran out while it was checked.
    Superseded,
    /// The tenant has as many other keys as it may: the index that counts them was lost, and they
    /// took their places first.
    Quota,
}

impl<B: Bucket> Registry<B> {
    /// What a tenant has registered under a key's id.
    pub async fn record(
        &self,
        tenant: &Tenant,
        key: KeyId,
    ) -> Result<Option<Record>, StorageError> {
        let stored = self.stored_record(tenant, key).await?;
        // Without parts, it is what is left of a deletion.
        Ok(stored.sound()?.filter(|record| !record.parts.is_empty()))
    }

    /// The file of an active part; `None` where it was deleted meanwhile.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] where what is stored is not what was registered. Declaring the part
    /// again mends that.
    pub async fn part(
        &self,
        tenant: &Tenant,
        key: KeyId,
        part: &PartName,
        (file, place): (KeyFile, Place),
    ) -> Result<Option<Bytes>, StorageError> {
        let path = key_path(tenant, key, part, place);
        let object = match self.bucket.get(&path, file.bytes).await {
            Ok(object) => object,
            Err(StorageError::TooLarge { bytes, .. }) => {
                let reason = format!("it has {bytes} bytes, {} were registered", file.bytes);
                return Err(StorageError::Corrupt { key: path, reason });
            }
            Err(error) => return Err(error),
        };
        match object {
            Some(object) if !file.is(&object.bytes) => Err(StorageError::Corrupt {
                key: path,
                reason: "its SHA-256 is not the registered one".to_owned(),
            }),
            object => Ok(object.map(|object| object.bytes)),
        }
    }

    pub(super) async fn stored_record(
        &self,
        tenant: &Tenant,
        key: KeyId,
    ) -> Result<Stored<Record>, StorageError> {
        document::read(&self.bucket, &record_path(tenant, key)).await
    }

    async fn write_record(
        &self,
        tenant: &Tenant,
        record: &Record,
        condition: Condition<'_>,
    ) -> Result<Option<Etag>, StorageError> {
        let path = record_path(tenant, record.key);
        document::write(&self.bucket, &path, record, condition).await
    }

    async fn remove_files(
        &self,
        tenant: &Tenant,
        key: KeyId,
        part: &PartName,
        place: Place,
    ) -> Result<(), StorageError> {
        for path in [
            key_path(tenant, key, part, place),
            quarantine_path(tenant, key, part, place),
        ] {
            self.bucket.delete(&path, None).await?;
        }
        Ok(())
    }
}

impl KeyFile {
    /// Whether these bytes are the file.
    pub fn is(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 == self.bytes
            && Sha256::from_bytes(sha2::Sha256::digest(bytes).into()) == self.sha256
    }
}

/// The pieces of a pending upload: one, the whole file, unless it is cut.
fn pieces_of(pending: &Registration) -> Vec<Piece> {
    let file = pending.file();
    let Registration::Pending {
        pieces: Some(pieces),
        ..
    } = pending
    else {
        return vec![Piece {
            number: 1,
            offset: 0,
            bytes: file.bytes,
            sha256: file.sha256,
        }];
    };
    let piece = |(number, sha256): (u32, &Sha256)| {
        let offset = u64::from(number - 1) * pieces.bytes;
        Piece {
            number,
            offset,
            bytes: pieces.bytes.min(file.bytes.saturating_sub(offset)),
            sha256: *sha256,
        }
    };
    (1..).zip(&pieces.sha256).map(piece).collect()
}

fn contended(tenant: &Tenant, key: KeyId) -> StorageError {
    StorageError::Contended {
        key: record_path(tenant, key),
        attempts: ATTEMPTS,
    }
}

fn record_path(tenant: &Tenant, key: KeyId) -> String {
    format!("keys/{tenant}/{key}/record.json")
}

fn key_path(tenant: &Tenant, key: KeyId, part: &PartName, place: Place) -> String {
    format!("keys/{tenant}/{key}/{}", file_name(part, place))
}

fn quarantine_path(tenant: &Tenant, key: KeyId, part: &PartName, place: Place) -> String {
    format!("quarantine/{tenant}/{key}/{}", file_name(part, place))
}

fn file_name(part: &PartName, place: Place) -> String {
    match place {
        Place::Single => "evaluation.cfk".to_owned(),
        Place::Upload(upload) => format!("{upload}/{part}.cfk"),
    }
}
