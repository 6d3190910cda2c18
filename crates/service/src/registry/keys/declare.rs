//! Declarations: what will be uploaded, and where to.

use super::{Declared, MissingPiece, contended, pieces_of, quarantine_path, record_path};
use crate::Tenant;
use crate::bucket::{Bucket, StorageError, UploadId};
use crate::config::KeyRules;
use crate::registry::document::Stored;
use crate::registry::store::ATTEMPTS;
use crate::registry::{
    Declaration, DeclaredPart, Event, PartName, Record, Refusal, Registration, Registry, UniqueId,
};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// Most pieces of an upload: S3's limit.
const MAX_PIECES: u64 = 10_000;

impl<B: Bucket> Registry<B> {
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
