//! Uploads: joined, and recorded as what their check said.

use super::{Checked, Settled, key_path, pieces_of, quarantine_path};
use crate::Tenant;
use crate::bucket::{Bucket, Condition, StorageError};
use crate::config::KeyRules;
use crate::registry::store::ATTEMPTS;
use crate::registry::{Event, PartName, Registration, Registry};
use bytes::Bytes;
use cipherfn_protocol::message::KeyId;
use time::OffsetDateTime;

/// Content type of keys.
const BINARY: &str = "application/octet-stream";

impl<B: Bucket> Registry<B> {
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
            if record.apply(&part, event.clone(), now).is_err() {
                break;
            }
            if !self.claim(tenant, key, record.id, rules.quota, now).await? {
                return Ok(Settled::Quota);
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
}
