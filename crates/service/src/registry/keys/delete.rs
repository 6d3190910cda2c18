//! Deletions.

use super::{contended, quarantine_path, record_path};
use crate::Tenant;
use crate::bucket::{Bucket, Condition, Etag, StorageError};
use crate::registry::store::ATTEMPTS;
use crate::registry::{Record, Registration, Registry, UniqueId};
use cipherfn_protocol::message::KeyId;
use std::collections::BTreeMap;

impl<B: Bucket> Registry<B> {
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
    pub(in crate::registry) async fn erase(
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
