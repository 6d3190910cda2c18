//! Single objects: get, put, delete, list.

use super::Store;
use super::error::{StoreError, is_missing, is_precondition};
use aws_sdk_s3::primitives::ByteStream;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of one ranged GET; larger objects are fetched by several at once.
const RANGE: u64 = 8 << 20;
/// Ranged GETs of one object at the same time.
const IN_FLIGHT: usize = 4;
/// How often a body that broke off is asked for again.
const BODY_ATTEMPTS: u32 = 4;
/// Largest JSON document that is read.
const MAX_DOCUMENT: u64 = 1 << 20;

/// A write's condition on what is there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Condition<'a> {
    /// None.
    Always,
    /// Nothing is there.
    Absent,
    /// What is there has this ETag.
    Unchanged(&'a str),
}

/// An object's content and its ETag.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) bytes: Bytes,
    pub(super) etag: String,
}

/// One range of an object, and the whole object's length.
struct Part {
    object: Object,
    total: u64,
}

impl Store {
    /// An object of at most `limit` bytes, or `None` where there is none. Large ones come by
    /// concurrent ranged GETs.
    pub(super) async fn get(&self, key: &str, limit: u64) -> Result<Option<Object>, StoreError> {
        let Some(first) = self.get_range(key, 0, RANGE, None).await? else {
            return Ok(None);
        };
        if first.total > limit {
            return Err(StoreError::TooLarge {
                key: key.to_owned(),
                bytes: first.total,
                limit,
            });
        }
        if first.total <= RANGE {
            return Ok(Some(first.object));
        }
        let etag = first.object.etag.clone();
        let rest: Vec<Part> = stream::iter((RANGE..first.total).step_by(RANGE as usize))
            .map(|start| {
                let etag = etag.as_str();
                async move {
                    self.get_range(key, start, RANGE, Some(etag))
                        .await?
                        .ok_or_else(|| StoreError::Broken {
                            key: key.to_owned(),
                            message: "it was removed meanwhile".to_owned(),
                        })
                }
            })
            .buffered(IN_FLIGHT)
            .try_collect()
            .await?;
        let mut bytes = BytesMut::with_capacity(first.total as usize);
        bytes.extend_from_slice(&first.object.bytes);
        for part in rest {
            bytes.extend_from_slice(&part.object.bytes);
        }
        if bytes.len() as u64 != first.total {
            return Err(StoreError::Broken {
                key: key.to_owned(),
                message: format!("{} of {} bytes arrived", bytes.len(), first.total),
            });
        }
        Ok(Some(Object {
            bytes: bytes.freeze(),
            etag,
        }))
    }

    /// The SDK repeats a request that failed, but not one whose body breaks off: that is done here.
    async fn get_range(
        &self,
        key: &str,
        start: u64,
        len: u64,
        etag: Option<&str>,
    ) -> Result<Option<Part>, StoreError> {
        let mut attempt = 1;
        loop {
            // On the heap: the SDK's futures are large, and this one is part of many.
            match Box::pin(self.get_range_once(key, start, len, etag)).await {
                Err(StoreError::Broken { .. }) if attempt < BODY_ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }

    async fn get_range_once(
        &self,
        key: &str,
        start: u64,
        len: u64,
        etag: Option<&str>,
    ) -> Result<Option<Part>, StoreError> {
        let request = self.s3.get_object().bucket(&self.bucket).key(key);
        let request = request
            .range(format!("bytes={start}-{}", start + len - 1))
            .set_if_match(etag.map(str::to_owned));
        let broken = |message: String| StoreError::Broken {
            key: key.to_owned(),
            message,
        };
        let output = match request.send().await {
            Ok(output) => output,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(StoreError::new("GET", key, &error)),
        };
        let total = output
            .content_range()
            .and_then(|range| range.rsplit('/').next()?.parse().ok())
            .or(output
                .content_length()
                .and_then(|len| u64::try_from(len).ok()))
            .ok_or_else(|| broken("the answer names no length".to_owned()))?;
        let etag = output.e_tag().unwrap_or_default().to_owned();
        let body = output
            .body
            .collect()
            .await
            .map_err(|error| broken(error.to_string()))?;
        let bytes = body.into_bytes();
        let expected = total.saturating_sub(start).min(len);
        if bytes.len() as u64 != expected {
            return Err(broken(format!(
                "{} of {expected} bytes arrived",
                bytes.len()
            )));
        }
        Ok(Some(Part {
            object: Object { bytes, etag },
            total,
        }))
    }

    /// A JSON document and its ETag.
    pub(super) async fn document<T: DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<(T, String)>, StoreError> {
        let Some(object) = self.get(key, MAX_DOCUMENT).await? else {
            return Ok(None);
        };
        let value = serde_json::from_slice(&object.bytes).map_err(|error| StoreError::Corrupt {
            key: key.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Some((value, object.etag)))
    }

    /// Writes an object; `false` where the condition did not hold.
    pub(super) async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        content_type: &str,
        condition: Condition<'_>,
    ) -> Result<bool, StoreError> {
        let request = self
            .s3
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(content_type);
        let request = match condition {
            Condition::Always => request,
            Condition::Absent => request.if_none_match("*"),
            Condition::Unchanged(etag) => request.if_match(etag),
        };
        match request.body(ByteStream::from(bytes)).send().await {
            Ok(_) => Ok(true),
            Err(error) if !matches!(condition, Condition::Always) && is_precondition(&error) => {
                Ok(false)
            }
            Err(error) => Err(StoreError::new("PUT", key, &error)),
        }
    }

    /// Writes a JSON document; `false` where the condition did not hold.
    pub(super) async fn put_document(
        &self,
        key: &str,
        value: &impl Serialize,
        condition: Condition<'_>,
    ) -> Result<bool, StoreError> {
        let bytes = serde_json::to_vec(value).map_err(|error| StoreError::Corrupt {
            key: key.to_owned(),
            reason: error.to_string(),
        })?;
        self.put(key, bytes.into(), "application/json", condition)
            .await
    }

    /// Bytes of an object.
    pub(super) async fn size(&self, key: &str) -> Result<Option<u64>, StoreError> {
        match self
            .s3
            .head_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await
        {
            Ok(output) => Ok(Some(
                output
                    .content_length()
                    .and_then(|len| u64::try_from(len).ok())
                    .unwrap_or_default(),
            )),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(StoreError::new("HEAD", key, &error)),
        }
    }

    /// Removes an object, if it is there.
    pub(super) async fn delete(&self, key: &str) -> Result<(), StoreError> {
        match self
            .s3
            .delete_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(StoreError::new("DELETE", key, &error)),
        }
    }

    /// Keys and sizes of all objects, in order.
    pub async fn objects(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let mut objects = Vec::new();
        let mut pages = self
            .s3
            .list_objects_v2()
            .bucket(&self.bucket)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| StoreError::new("LIST", "", &error))?;
            objects.extend(page.contents().iter().filter_map(|object| {
                let size = object.size().and_then(|size| u64::try_from(size).ok());
                Some((object.key()?.to_owned(), size.unwrap_or_default()))
            }));
        }
        Ok(objects)
    }

    /// Names of the folders directly below `prefix`, which ends in `/`, in order.
    pub(super) async fn folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut folders = Vec::new();
        let mut pages = self
            .s3
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .delimiter("/")
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| StoreError::new("LIST", prefix, &error))?;
            let names = page
                .common_prefixes()
                .iter()
                .filter_map(|folder| folder.prefix());
            folders.extend(names.filter_map(|name| {
                Some(name.strip_prefix(prefix)?.trim_end_matches('/').to_owned())
            }));
        }
        folders.sort();
        Ok(folders)
    }
}
