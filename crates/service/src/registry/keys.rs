//! Tenants' evaluation keys: declared, uploaded to quarantine, checked, active, expired, deleted.

use super::document::{self, Stored};
use super::{
    ATTEMPTS, Declaration, DeclaredPart, Event, KeyFile, PartName, Place, Record, Refusal,
    Registration, Registry, UniqueId,
};
use crate::Tenant;
use crate::bucket::{Bucket, Condition, Etag, Piece, Presigned, StorageError, UploadId};
use crate::config::KeyRules;
use bytes::Bytes;
use cipherfn_protocol::hash::Sha256;
use cipherfn_protocol::message::KeyId;
use sha2::Digest;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// Most pieces of an upload: S3's limit.
const MAX_PIECES: u64 = 10_000;

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

    /// Registers parts that will be uploaded. Declaring the same again goes on with an unfinished
    /// upload; an active part whose stored file is damaged is uploaded anew; a record that cannot
    /// be read is written over.
    pub async fn declare(
        &self,
        tenant: &Tenant,
        declaration: &Declaration,
        rules: &KeyRules,
        now: OffsetDateTime,
    ) -> Result<Declared, StorageError> {
        for (name, part) in &declaration.parts {
            if let Err(reason) = check_pieces(part, rules) {
                return Ok(Declared::BadPieces(format!("{name}: {reason}")));
            }
        }
        let key = declaration.key;
        for _ in 0..ATTEMPTS {
            let stored = self.stored_record(tenant, key).await?;
            let known = match stored.value() {
                Some(record) => Some(
                    self.without_damaged(tenant, record, declaration, now)
                        .await?,
                ),
                None => None,
            };
            let fresh = UniqueId::random()?;
            let mut record = match Record::declared(known.as_ref(), declaration, fresh, now) {
                Ok(record) => record,
                Err(Refusal::Conflict) => return Ok(Declared::Conflict),
                Err(Refusal::Superseded) => continue,
            };
            let begun = self
                .begin_uploads(tenant, &mut record, declaration, now)
                .await?;
            let written = if stored.value() == Some(&record) {
                stored.etag().cloned()
            } else {
                self.write_record(tenant, &record, stored.unchanged())
                    .await?
            };
            let Some(etag) = written else {
                // Nobody will ever send a piece to what this attempt has begun.
                self.abort(&begun).await?;
                continue;
            };
            if let Some(known) = stored.value() {
                self.discard_replaced(tenant, known, &record).await?;
            }
            if !self.claim(tenant, key, record.id, rules.quota, now).await? {
                if matches!(stored, Stored::Absent) {
                    self.bucket
                        .delete(&record_path(tenant, key), Some(&etag))
                        .await?;
                    self.abort(&begun).await?;
                }
                return Ok(Declared::Quota);
            }
            let missing = self
                .missing(tenant, &record, declaration, rules, now)
                .await?;
            return Ok(Declared::Registered { record, missing });
        }
        Err(contended(tenant, key))
    }

    /// What was uploaded for a pending part; `None` while something is missing.
    pub async fn uploaded(
        &self,
        tenant: &Tenant,
        key: KeyId,
        part: &PartName,
        pending: &Registration,
    ) -> Result<Option<Bytes>, StorageError> {
        let Registration::Pending {
            file,
            place,
            pieces: _,
            upload,
            ..
        } = pending
        else {
            return Ok(None);
        };
        let path = quarantine_path(tenant, key, part, *place);
        if let Some(upload) = upload
            && let Some(arrived) = self.bucket.arrived(&path, upload).await?
        {
            let wanted = pieces_of(pending);
            let found: Vec<_> = wanted
                .iter()
                .filter_map(|piece| arrived.iter().find(|arrived| arrived.is(piece)).cloned())
                .collect();
            if found.len() < wanted.len() {
                return Ok(None);
            }
            // Somebody else may have joined them meanwhile; then they are there all the same.
            self.bucket.join(&path, upload, &found).await?;
        }
        let object = self.bucket.get(&path, file.bytes).await?;
        Ok(object.map(|object| object.bytes))
    }

    /// Records what the check of an uploaded part said. Accepted bytes are usable afterwards; of
    /// rejected ones, and of those whose registration is no longer what it was, nothing is kept.
    pub async fn settle(
        &self,
        tenant: &Tenant,
        key: KeyId,
        checked: Checked,
        rules: &KeyRules,
        now: OffsetDateTime,
    ) -> Result<Settled, StorageError> {
        let Checked {
            part,
            place,
            bytes,
            verdict,
        } = checked;
        let event = match verdict {
            Ok(()) => {
                // Before the record says so: what a record calls active is there.
                let path = key_path(tenant, key, &part, place);
                self.bucket
                    .put(&path, bytes, BINARY, Condition::Always)
                    .await?;
                Event::Accept {
                    place,
                    lifetime: rules.lifetime,
                }
            }
            Err(reason) => Event::Reject { place, reason },
        };
        for _ in 0..ATTEMPTS {
            let stored = self.stored_record(tenant, key).await?;
            let Some(mut record) = stored.value().cloned() else {
                break;
            };
            if record.apply(&part, event.clone(), now).is_err()
                || !self.claim(tenant, key, record.id, rules.quota, now).await?
            {
                break;
            }
            let done = stored.value() == Some(&record)
                || self
                    .write_record(tenant, &record, stored.unchanged())
                    .await?
                    .is_some();
            if done {
                self.bucket
                    .delete(&quarantine_path(tenant, key, &part, place), None)
                    .await?;
                return Ok(Settled::Recorded(record));
            }
        }
        // A place leaves a record and never comes back: what is there is nobody's.
        let stored = self.stored_record(tenant, key).await?;
        if stored
            .value()
            .is_none_or(|record| !record.names(&part, place))
        {
            self.remove_files(tenant, key, &part, place).await?;
        }
        Ok(Settled::Superseded)
    }

    /// Deletes a key and all that was uploaded for it; `false` where there is none. Once it has
    /// returned, nothing that was under way before can make the key usable again.
    pub async fn delete_key(&self, tenant: &Tenant, key: KeyId) -> Result<bool, StorageError> {
        let mut found = false;
        for _ in 0..ATTEMPTS {
            let stored = self.stored_record(tenant, key).await?;
            let Some(etag) = stored.etag() else {
                return Ok(found);
            };
            found = true;
            if self.erase(tenant, key, stored.value(), etag).await? {
                return Ok(true);
            }
        }
        Err(contended(tenant, key))
    }

    /// Deletes what is registered under a key, unless somebody changes it at the same time.
    ///
    /// The record is emptied first and removed last: as long as there is one, a deletion that broke
    /// off can be repeated.
    pub(super) async fn erase(
        &self,
        tenant: &Tenant,
        key: KeyId,
        record: Option<&Record>,
        etag: &Etag,
    ) -> Result<bool, StorageError> {
        let path = record_path(tenant, key);
        // Listed before the record is emptied, so that nothing is in it which comes after.
        let mut objects = self.bucket.list(&format!("keys/{tenant}/{key}/")).await?;
        objects.extend(
            self.bucket
                .list(&format!("quarantine/{tenant}/{key}/"))
                .await?,
        );
        let emptied = record.map_or_else(|| unreadable(key), Record::emptied);
        let Some(etag) = self
            .write_record(tenant, &emptied, Condition::Unchanged(etag))
            .await?
        else {
            return Ok(false);
        };
        for (part, state) in record.iter().flat_map(|record| &record.parts) {
            if let Registration::Pending {
                place,
                upload: Some(upload),
                ..
            } = state
            {
                let path = quarantine_path(tenant, key, part, *place);
                self.bucket.abort(&path, upload).await?;
            }
        }
        for object in objects.iter().filter(|object| object.key != path) {
            self.bucket.delete(&object.key, None).await?;
        }
        // Somebody may have declared the key again by now, under another registration.
        self.bucket.delete(&path, Some(&etag)).await?;
        Ok(true)
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

    /// The record with those declared parts lost whose stored file is not what it should be.
    async fn without_damaged(
        &self,
        tenant: &Tenant,
        record: &Record,
        declaration: &Declaration,
        now: OffsetDateTime,
    ) -> Result<Record, StorageError> {
        let mut record = record.clone();
        for (part, declared) in &declaration.parts {
            let (file, place) = match record.parts.get(part) {
                Some(Registration::Active { file, place, .. }) if *file == declared.file => {
                    (*file, *place)
                }
                _ => continue,
            };
            match self.part(tenant, record.key, part, (file, place)).await {
                Ok(Some(_)) => continue,
                Ok(None) => tracing::error!(%part, key = %record.key, "a stored key is gone"),
                Err(error @ StorageError::Corrupt { .. }) => tracing::error!(%error),
                Err(error) => return Err(error),
            }
            // What has run out is as good as lost.
            let _ = record.apply(part, Event::Lose { place }, now);
        }
        Ok(record)
    }

    /// Begins the uploads in pieces that are neither under way nor over.
    async fn begin_uploads(
        &self,
        tenant: &Tenant,
        record: &mut Record,
        declaration: &Declaration,
        now: OffsetDateTime,
    ) -> Result<Vec<(String, UploadId)>, StorageError> {
        let mut begun = Vec::new();
        for part in declaration.parts.keys() {
            let Some(Registration::Pending {
                file,
                place,
                pieces: Some(_),
                upload,
                ..
            }) = record.parts.get(part).cloned()
            else {
                continue;
            };
            let path = quarantine_path(tenant, record.key, part, place);
            let under_way = match &upload {
                Some(upload) => self.bucket.arrived(&path, upload).await?.is_some(),
                None => false,
            };
            // Pieces may be joined and not yet checked: then their upload is over.
            if under_way || self.bucket.size(&path).await? == Some(file.bytes) {
                continue;
            }
            let upload = self.bucket.begin_upload(&path).await?;
            begun.push((path, upload.clone()));
            // It was pending a moment ago.
            let _ = record.apply(part, Event::Begin { place, upload }, now);
        }
        Ok(begun)
    }

    async fn abort(&self, uploads: &[(String, UploadId)]) -> Result<(), StorageError> {
        for (path, upload) in uploads {
            self.bucket.abort(path, upload).await?;
        }
        Ok(())
    }

    async fn missing(
        &self,
        tenant: &Tenant,
        record: &Record,
        declaration: &Declaration,
        rules: &KeyRules,
        now: OffsetDateTime,
    ) -> Result<BTreeMap<PartName, Vec<MissingPiece>>, StorageError> {
        let mut missing = BTreeMap::new();
        for part in declaration.parts.keys() {
            let Some(pending @ Registration::Pending { place, upload, .. }) =
                record.parts.get(part)
            else {
                continue;
            };
            let path = quarantine_path(tenant, record.key, part, *place);
            let whole = self.bucket.size(&path).await? == Some(pending.file().bytes);
            let arrived = match upload {
                Some(upload) => self.bucket.arrived(&path, upload).await?,
                None => None,
            };
            let arrived = arrived.unwrap_or_default();
            let mut pieces = Vec::new();
            for piece in pieces_of(pending) {
                if whole || arrived.iter().any(|arrived| arrived.is(&piece)) {
                    continue;
                }
                let lifetime = rules.upload_lifetime;
                let request = match upload {
                    Some(upload) => {
                        self.bucket
                            .presign_piece(&path, upload, &piece, lifetime)
                            .await?
                    }
                    None => self.bucket.presign_put(&path, &piece, lifetime).await?,
                };
                pieces.push(MissingPiece {
                    piece,
                    request,
                    expires: now + lifetime,
                });
            }
            missing.insert(part.clone(), pieces);
        }
        Ok(missing)
    }

    /// Removes what was uploaded to places, and what was begun, that the record no longer names.
    async fn discard_replaced(
        &self,
        tenant: &Tenant,
        known: &Record,
        record: &Record,
    ) -> Result<(), StorageError> {
        for (part, state) in &known.parts {
            let Some(place) = state.place().filter(|place| !record.names(part, *place)) else {
                continue;
            };
            if let Registration::Pending {
                upload: Some(upload),
                ..
            } = state
            {
                let path = quarantine_path(tenant, known.key, part, place);
                self.bucket.abort(&path, upload).await?;
            }
            self.remove_files(tenant, known.key, part, place).await?;
        }
        Ok(())
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

/// Content type of keys.
const BINARY: &str = "application/octet-stream";

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

fn check_pieces(part: &DeclaredPart, rules: &KeyRules) -> Result<(), String> {
    let Some(pieces) = &part.pieces else {
        return Ok(());
    };
    if pieces.bytes < rules.min_part_bytes {
        return Err(format!(
            "parts of {} bytes are too small; the smallest part is {} bytes",
            pieces.bytes, rules.min_part_bytes
        ));
    }
    let count = part.file.bytes.div_ceil(pieces.bytes);
    if count != pieces.sha256.len() as u64 || count > MAX_PIECES {
        return Err(format!(
            "{} bytes in parts of {} are {count} parts, at most {MAX_PIECES}; the declaration has checksums of {}",
            part.file.bytes,
            pieces.bytes,
            pieces.sha256.len()
        ));
    }
    Ok(())
}

/// Stands for a record that makes no sense, while it is deleted.
fn unreadable(key: KeyId) -> Record {
    Record {
        id: UniqueId::derived(&key.to_string()),
        key,
        parameter_set: String::new(),
        parts: BTreeMap::new(),
    }
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
