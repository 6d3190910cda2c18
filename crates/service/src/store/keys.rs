//! Tenants' evaluation keys: declared, uploaded to quarantine, checked, active, expired.

use super::models::now;
use super::objects::Condition;
use super::uploads::Part;
use super::{Store, StoreError};
use crate::Tenant;
use crate::config::KeyRules;
use bytes::Bytes;
use cipherfn_protocol::api::{KeyDeclaration, KeyState, KeyStatus, KeyUpload, PartUpload, Parts};
use cipherfn_protocol::message::KeyId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a registration may stay unfinished. A lifecycle rule of the bucket empties the
/// quarantine after the same time.
const PENDING: Duration = Duration::from_hours(24);
/// Most parts of an upload: S3's limit.
const MAX_PARTS: u64 = 10_000;

/// A registration as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What the tenant sees.
    pub status: KeyStatus,
    /// How the upload is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parts: Option<Parts>,
    /// S3's id of an upload in parts that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upload: Option<String>,
}

/// What became of a declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declared {
    /// Registered: these parts are missing.
    Pending(KeyUpload),
    /// The same file is active already.
    Active(KeyStatus),
    /// Another file is active under the id.
    Conflict,
    /// The tenant has as many keys as it may.
    Quota,
    /// The parts do not fit the file or the rules.
    BadParts(String),
}

impl Record {
    /// Whether its time is over.
    pub fn is_expired(&self) -> bool {
        self.status.expires <= now()
    }

    fn new(declaration: &KeyDeclaration) -> Self {
        Self {
            status: KeyStatus {
                key: declaration.key,
                parameter_set: declaration.parameter_set.name.clone(),
                bytes: declaration.bytes,
                sha256: declaration.sha256,
                state: KeyState::Pending,
                reason: None,
                created: now(),
                expires: now() + PENDING,
            },
            parts: declaration.parts.clone(),
            upload: None,
        }
    }

    fn is_of(&self, declaration: &KeyDeclaration) -> bool {
        let KeyStatus {
            parameter_set,
            bytes,
            sha256,
            ..
        } = &self.status;
        (*bytes, *sha256, parameter_set)
            == (
                declaration.bytes,
                declaration.sha256,
                &declaration.parameter_set.name,
            )
    }

    /// Whether a declaration continues this registration.
    fn goes_on(&self, declaration: &KeyDeclaration) -> bool {
        self.status.state == KeyState::Pending
            && !self.is_expired()
            && self.is_of(declaration)
            && self.parts == declaration.parts
    }

    /// The parts to upload: one, the whole file, unless it is cut.
    fn list(&self) -> Vec<Part> {
        let Some(parts) = &self.parts else {
            return vec![Part {
                number: 1,
                offset: 0,
                bytes: self.status.bytes,
                sha256: self.status.sha256,
            }];
        };
        let part = |(number, sha256): (u32, &_)| {
            let offset = u64::from(number - 1) * parts.bytes;
            Part {
                number,
                offset,
                bytes: parts.bytes.min(self.status.bytes.saturating_sub(offset)),
                sha256: *sha256,
            }
        };
        (1..).zip(&parts.sha256).map(part).collect()
    }
}

impl Store {
    /// The registration of a tenant's key.
    pub async fn record(&self, tenant: &Tenant, key: KeyId) -> Result<Option<Record>, StoreError> {
        Ok(self
            .document(&record_path(tenant, key))
            .await?
            .map(|(record, _)| record))
    }

    /// The file of an active key.
    pub async fn key(
        &self,
        tenant: &Tenant,
        key: KeyId,
        limit: u64,
    ) -> Result<Option<Bytes>, StoreError> {
        Ok(self
            .get(&key_path(tenant, key), limit)
            .await?
            .map(|object| object.bytes))
    }

    /// Registers a key that will be uploaded. Declaring the same again goes on with an unfinished
    /// upload.
    pub async fn declare(
        &self,
        tenant: &Tenant,
        declaration: &KeyDeclaration,
        rules: &KeyRules,
    ) -> Result<Declared, StoreError> {
        if let Err(reason) = check_parts(declaration, rules) {
            return Ok(Declared::BadParts(reason));
        }
        let known = self.record(tenant, declaration.key).await?;
        let mut record = match known {
            Some(record) if record.status.state == KeyState::Active && !record.is_expired() => {
                let same = record.is_of(declaration);
                return Ok(if same {
                    Declared::Active(record.status)
                } else {
                    Declared::Conflict
                });
            }
            Some(record) if record.goes_on(declaration) => record,
            Some(record) => {
                self.discard_upload(tenant, &record).await?;
                Record::new(declaration)
            }
            None if self.is_full(tenant, rules.quota).await? => return Ok(Declared::Quota),
            None => Record::new(declaration),
        };
        let path = quarantine_path(tenant, declaration.key);
        // Parts may be joined and not yet checked: then nothing is missing, and their upload is
        // gone.
        let whole = self.size(&path).await? == Some(record.status.bytes);
        if !whole && record.parts.is_some() && !self.is_under_way(&path, &record).await? {
            record.upload = Some(self.begin_parts(&path).await?);
        }
        self.put_document(
            &record_path(tenant, declaration.key),
            &record,
            Condition::Always,
        )
        .await?;
        let parts = if whole {
            Vec::new()
        } else {
            self.missing_parts(&path, &record, rules.upload_lifetime)
                .await?
        };
        Ok(Declared::Pending(KeyUpload {
            status: record.status,
            parts,
        }))
    }

    /// What was uploaded for a pending registration; `None` while something is missing.
    pub async fn uploaded(
        &self,
        tenant: &Tenant,
        record: &Record,
    ) -> Result<Option<Bytes>, StoreError> {
        let path = quarantine_path(tenant, record.status.key);
        if let Some(id) = &record.upload
            && let Some(arrived) = self.arrived_parts(&path, id).await?
        {
            let wanted = record.list();
            let found: Vec<_> = wanted
                .iter()
                .filter_map(|part| arrived.iter().find(|arrived| arrived.is(part)).cloned())
                .collect();
            if found.len() < wanted.len() {
                return Ok(None);
            }
            self.join_parts(&path, id, &found).await?;
        }
        Ok(self
            .get(&path, record.status.bytes)
            .await?
            .map(|object| object.bytes))
    }

    /// Makes a checked key usable. `bytes` are those that were checked, not what lies in quarantine
    /// by now.
    pub async fn activate(
        &self,
        tenant: &Tenant,
        mut record: Record,
        bytes: Bytes,
        lifetime: Duration,
    ) -> Result<KeyStatus, StoreError> {
        let key = record.status.key;
        self.put(
            &key_path(tenant, key),
            bytes,
            "application/octet-stream",
            Condition::Always,
        )
        .await?;
        record.status.state = KeyState::Active;
        record.status.reason = None;
        record.status.expires = now() + lifetime;
        (record.parts, record.upload) = (None, None);
        self.put_document(&record_path(tenant, key), &record, Condition::Always)
            .await?;
        self.delete(&quarantine_path(tenant, key)).await?;
        Ok(record.status)
    }

    /// Records why an upload is no key, and discards it.
    pub async fn reject(
        &self,
        tenant: &Tenant,
        mut record: Record,
        reason: String,
    ) -> Result<KeyStatus, StoreError> {
        self.discard_upload(tenant, &record).await?;
        record.status.state = KeyState::Rejected;
        record.status.reason = Some(reason);
        (record.parts, record.upload) = (None, None);
        self.put_document(
            &record_path(tenant, record.status.key),
            &record,
            Condition::Always,
        )
        .await?;
        Ok(record.status)
    }

    /// Deletes a key and all that was uploaded for it; `false` where there is none.
    pub async fn delete_key(&self, tenant: &Tenant, key: KeyId) -> Result<bool, StoreError> {
        let Some(record) = self.record(tenant, key).await? else {
            return Ok(false);
        };
        self.delete(&key_path(tenant, key)).await?;
        self.discard_upload(tenant, &record).await?;
        // Last: as long as there is a record, deletion can be repeated.
        self.delete(&record_path(tenant, key)).await?;
        Ok(true)
    }

    /// Whether a tenant has as many keys as it may; expired ones make room.
    async fn is_full(&self, tenant: &Tenant, quota: u64) -> Result<bool, StoreError> {
        let keys = self.folders(&format!("keys/{tenant}/")).await?;
        let mut count = keys.len() as u64;
        for key in keys.iter().filter_map(|key| key.parse().ok()) {
            if count < quota {
                return Ok(false);
            }
            let expired = self
                .record(tenant, key)
                .await?
                .is_none_or(|record| record.is_expired());
            if expired && self.delete_key(tenant, key).await? {
                count -= 1;
            }
        }
        Ok(count >= quota)
    }

    /// Whether S3 still takes parts for a registration.
    async fn is_under_way(&self, path: &str, record: &Record) -> Result<bool, StoreError> {
        match &record.upload {
            Some(id) => Ok(self.arrived_parts(path, id).await?.is_some()),
            None => Ok(false),
        }
    }

    async fn missing_parts(
        &self,
        path: &str,
        record: &Record,
        lifetime: Duration,
    ) -> Result<Vec<PartUpload>, StoreError> {
        let mut missing = Vec::new();
        if let Some(id) = &record.upload {
            let arrived = self.arrived_parts(path, id).await?.unwrap_or_default();
            for part in record.list() {
                if !arrived.iter().any(|arrived| arrived.is(&part)) {
                    missing.push(self.presigned_part(path, id, &part, lifetime).await?);
                }
            }
        } else {
            for part in record.list() {
                missing.push(self.presigned_put(path, &part, lifetime).await?);
            }
        }
        Ok(missing)
    }

    async fn discard_upload(&self, tenant: &Tenant, record: &Record) -> Result<(), StoreError> {
        let path = quarantine_path(tenant, record.status.key);
        if let Some(id) = &record.upload {
            self.abort_parts(&path, id).await?;
        }
        self.delete(&path).await
    }
}

fn check_parts(declaration: &KeyDeclaration, rules: &KeyRules) -> Result<(), String> {
    let Some(parts) = &declaration.parts else {
        return Ok(());
    };
    if parts.bytes < rules.min_part_bytes {
        return Err(format!(
            "parts of {} bytes are too small; the smallest part is {} bytes",
            parts.bytes, rules.min_part_bytes
        ));
    }
    let count = declaration.bytes.div_ceil(parts.bytes);
    if count != parts.sha256.len() as u64 || count > MAX_PARTS {
        return Err(format!(
            "{} bytes in parts of {} are {count} parts, at most {MAX_PARTS}; the declaration has checksums of {}",
            declaration.bytes,
            parts.bytes,
            parts.sha256.len()
        ));
    }
    Ok(())
}

fn record_path(tenant: &Tenant, key: KeyId) -> String {
    format!("keys/{tenant}/{key}/record.json")
}

fn key_path(tenant: &Tenant, key: KeyId) -> String {
    format!("keys/{tenant}/{key}/evaluation.cfk")
}

fn quarantine_path(tenant: &Tenant, key: KeyId) -> String {
    format!("quarantine/{tenant}/{key}/evaluation.cfk")
}
