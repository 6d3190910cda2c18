//! How many keys a tenant may have, counted atomically.
//!
//! An index of the tenant's registrations, changed by compare-and-swap, is what counts. A
//! registration takes its place in it *after* its record exists and before it is usable, and loses it
//! only after the record is gone. So an entry whose record is missing, or is another registration's,
//! is one that nobody will use again, and every usable key has an entry.

use super::document::{self, Document, Stored};
use super::store::ATTEMPTS;
use super::{Record, Registry, UniqueId};
use crate::Tenant;
use crate::bucket::{Bucket, StorageError};
use cipherfn_protocol::message::KeyId;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// Records that are looked up at the same time.
const IN_FLIGHT: usize = 16;

/// A tenant's registrations.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyIndex(BTreeMap<KeyId, UniqueId>);

cipherfn_protocol::versions! {
    /// A stored index.
    enum KeyIndexVersions, read by serde_json::from_slice, error serde_json::Error {
        /// Registrations by key.
        V1(KeyIndexV1) = 1,
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyIndexV1 {
    format: u64,
    keys: BTreeMap<KeyId, UniqueId>,
}

impl Document for KeyIndex {
    type Versions = KeyIndexVersions;

    fn migrate(document: KeyIndexVersions) -> Result<Self, String> {
        let KeyIndexVersions::V1(index) = document;
        Ok(Self(index.keys))
    }

    /// It names registrations only, and those of another tenant are nowhere to be found.
    fn belongs_to(&self, _: &str) -> bool {
        true
    }

    fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&KeyIndexV1 {
            format: 1,
            keys: self.0.clone(),
        })
    }
}

impl KeyIndex {
    /// Takes a registration in, in place of an earlier one of the same key; `false` where that would
    /// be one too many.
    fn insert(&mut self, key: KeyId, registration: UniqueId, quota: u64) -> bool {
        let fits = self.0.contains_key(&key) || (self.0.len() as u64) < quota;
        if fits {
            self.0.insert(key, registration);
        }
        fits
    }
}

/// A tenant's registrations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// In order of their keys' ids.
    pub records: Vec<Record>,
    /// Keys whose record cannot be read.
    pub unreadable: Vec<KeyId>,
}

impl<B: Bucket> Registry<B> {
    /// What a tenant's quota counts.
    pub async fn keys(&self, tenant: &Tenant, now: OffsetDateTime) -> Result<Keys, StorageError> {
        let index = match document::read::<KeyIndex>(&self.bucket, &index_path(tenant)).await? {
            Stored::Sound(index, _) => index,
            _ => self.usable(tenant, now).await?,
        };
        let ids: Vec<KeyId> = index.0.keys().copied().collect();
        let records = self.stored_records(tenant, &ids).await?;
        let mut keys = Keys::default();
        for (id, stored) in ids.into_iter().zip(records) {
            match stored {
                Stored::Sound(record, _) if !record.parts.is_empty() => keys.records.push(record),
                Stored::Corrupt(..) => keys.unreadable.push(id),
                // What is left of a deletion, or nothing: makes room when there is need.
                Stored::Sound(..) | Stored::Absent => (),
            }
        }
        Ok(keys)
    }

    /// Gives a registration, whose record exists, its place among the tenant's; `false` where the
    /// tenant has as many as it may. Expired ones make room.
    pub(super) async fn claim(
        &self,
        tenant: &Tenant,
        key: KeyId,
        registration: UniqueId,
        quota: u64,
        now: OffsetDateTime,
    ) -> Result<bool, StorageError> {
        let path = index_path(tenant);
        for _ in 0..ATTEMPTS {
            let stored = document::read::<KeyIndex>(&self.bucket, &path).await?;
            let mut index = match stored.value() {
                Some(index) if index.0.get(&key) == Some(&registration) => return Ok(true),
                Some(index) => index.clone(),
                None => self.usable(tenant, now).await?,
            };
            if !index.insert(key, registration, quota) {
                self.reclaim(tenant, &mut index, now).await?;
                if !index.insert(key, registration, quota) {
                    return Ok(false);
                }
            }
            let written = document::write(&self.bucket, &path, &index, stored.unchanged()).await?;
            if written.is_some() {
                return Ok(true);
            }
        }
        Err(StorageError::Contended {
            key: path,
            attempts: ATTEMPTS,
        })
    }

    /// The usable registrations of a tenant whose index was never written or is corrupt. The others
    /// take their place when they are declared or completed.
    async fn usable(&self, tenant: &Tenant, now: OffsetDateTime) -> Result<KeyIndex, StorageError> {
        let keys = self.bucket.folders(&format!("keys/{tenant}/")).await?;
        let keys: Vec<KeyId> = keys.iter().filter_map(|key| key.parse().ok()).collect();
        let records = self.stored_records(tenant, &keys).await?;
        let usable = keys.iter().zip(&records).filter_map(|(key, stored)| {
            let record = stored.value()?;
            let mut parts = record.parts.values();
            parts
                .any(|part| part.is_active(now))
                .then_some((*key, record.id))
        });
        Ok(KeyIndex(usable.collect()))
    }

    /// Takes out what nobody will use again, and deletes what has expired.
    async fn reclaim(
        &self,
        tenant: &Tenant,
        index: &mut KeyIndex,
        now: OffsetDateTime,
    ) -> Result<(), StorageError> {
        let keys: Vec<KeyId> = index.0.keys().copied().collect();
        let records = self.stored_records(tenant, &keys).await?;
        for (key, stored) in keys.into_iter().zip(records) {
            let dead = match stored {
                Stored::Absent => true,
                Stored::Sound(record, etag) => {
                    index.0.get(&key) != Some(&record.id)
                        || record.is_expired(now)
                            && self.erase(tenant, key, Some(&record), &etag).await?
                }
                Stored::Corrupt(..) => false,
            };
            if dead {
                index.0.remove(&key);
            }
        }
        Ok(())
    }

    async fn stored_records(
        &self,
        tenant: &Tenant,
        keys: &[KeyId],
    ) -> Result<Vec<Stored<Record>>, StorageError> {
        let records: Vec<_> = keys
            .iter()
            .map(|key| self.stored_record(tenant, *key))
            .collect();
        stream::iter(records)
            .buffered(IN_FLIGHT)
            .try_collect()
            .await
    }
}

fn index_path(tenant: &Tenant) -> String {
    format!("keys/{tenant}/index.json")
}
