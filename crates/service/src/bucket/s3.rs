//! Objects by the S3 API, of AWS or of the embedded server.

mod connect;
mod uploads;

pub use connect::sdk_config;

use super::error::{is_missing, is_no_range, is_precondition};
use super::{
    Arrived, Bucket, Condition, Etag, Object, ObjectEntry, Piece, Presigned, Range, StorageError,
    UploadId,
};
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use std::time::Duration;
use time::OffsetDateTime;

/// How often a body that broke off is asked for again.
const BODY_ATTEMPTS: u32 = 4;

/// A bucket of S3.
#[derive(Clone, Debug)]
pub struct S3 {
    client: aws_sdk_s3::Client,
    name: String,
}

impl S3 {
    /// Name of the bucket.
    pub fn name(&self) -> &str {
        &self.name
    }

    async fn range_once(
        &self,
        key: &str,
        start: u64,
        len: u64,
        unchanged: Option<&Etag>,
    ) -> Result<Option<Range>, StorageError> {
        let request = self.client.get_object().bucket(&self.name).key(key);
        let request = request.set_if_match(unchanged.map(|etag| etag.0.clone()));
        let range = format!("bytes={start}-{}", start + len.max(1) - 1);
        let broken = |message: String| StorageError::Broken {
            key: key.to_owned(),
            message,
        };
        let output = match request.clone().range(range).send().await {
            // An empty object has no first byte, so S3 refuses every range of it.
            Err(error) if start == 0 && is_no_range(&error) => request.send().await,
            output => output,
        };
        let output = match output {
            Ok(output) => output,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) if unchanged.is_some() && is_precondition(&error) => {
                return Err(broken("it was replaced meanwhile".to_owned()));
            }
            Err(error) => return Err(StorageError::new("GET", key, &error)),
        };
        let total = output
            .content_range()
            .and_then(|range| range.rsplit('/').next()?.parse().ok())
            .or(output
                .content_length()
                .and_then(|len| u64::try_from(len).ok()))
            .ok_or_else(|| broken("the answer names no length".to_owned()))?;
        let etag = Etag(output.e_tag().unwrap_or_default().to_owned());
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
        Ok(Some(Range {
            object: Object { bytes, etag },
            total,
        }))
    }
}

impl Bucket for S3 {
    /// The SDK repeats a request that failed, but not one whose body breaks off: that is done here.
    async fn range(
        &self,
        key: &str,
        start: u64,
        len: u64,
        unchanged: Option<&Etag>,
    ) -> Result<Option<Range>, StorageError> {
        let mut attempt = 1;
        loop {
            // On the heap: the SDK's futures are large, and this one is part of many.
            match Box::pin(self.range_once(key, start, len, unchanged)).await {
                Err(StorageError::Broken { .. }) if attempt < BODY_ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }

    async fn size(&self, key: &str) -> Result<Option<u64>, StorageError> {
        let request = self.client.head_object().bucket(&self.name).key(key);
        match request.send().await {
            Ok(output) => Ok(Some(unsigned(output.content_length()))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(StorageError::new("HEAD", key, &error)),
        }
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        content_type: &str,
        condition: Condition<'_>,
    ) -> Result<Option<Etag>, StorageError> {
        let request = self.client.put_object().bucket(&self.name).key(key);
        let request = request.content_type(content_type);
        let request = match condition {
            Condition::Always => request,
            Condition::Absent => request.if_none_match("*"),
            Condition::Unchanged(etag) => request.if_match(&etag.0),
        };
        match request.body(ByteStream::from(bytes)).send().await {
            Ok(output) => Ok(Some(Etag(output.e_tag().unwrap_or_default().to_owned()))),
            Err(error) => match condition {
                Condition::Absent | Condition::Unchanged(_) if is_precondition(&error) => Ok(None),
                // What should be unchanged is gone.
                Condition::Unchanged(_) if is_missing(&error) => Ok(None),
                _ => Err(StorageError::new("PUT", key, &error)),
            },
        }
    }

    async fn delete(&self, key: &str, unchanged: Option<&Etag>) -> Result<bool, StorageError> {
        let request = self.client.delete_object().bucket(&self.name).key(key);
        let request = request.set_if_match(unchanged.map(|etag| etag.0.clone()));
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) => Ok(unchanged.is_none()),
            Err(error) if unchanged.is_some() && is_precondition(&error) => Ok(false),
            Err(error) => Err(StorageError::new("DELETE", key, &error)),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectEntry>, StorageError> {
        let request = self.client.list_objects_v2().bucket(&self.name);
        let mut pages = request.prefix(prefix).into_paginator().send();
        let mut entries = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| StorageError::new("LIST", prefix, &error))?;
            entries.extend(page.contents().iter().filter_map(|object| {
                let modified = object.last_modified()?.secs();
                Some(ObjectEntry {
                    key: object.key()?.to_owned(),
                    bytes: unsigned(object.size()),
                    modified: OffsetDateTime::from_unix_timestamp(modified).ok()?,
                })
            }));
        }
        Ok(entries)
    }

    async fn folders(&self, prefix: &str) -> Result<Vec<String>, StorageError> {
        let request = self.client.list_objects_v2().bucket(&self.name);
        let request = request.prefix(prefix).delimiter("/");
        let mut pages = request.into_paginator().send();
        let mut folders = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| StorageError::new("LIST", prefix, &error))?;
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

    async fn presign_get(&self, key: &str, lifetime: Duration) -> Result<Presigned, StorageError> {
        let request = self.client.get_object().bucket(&self.name).key(key);
        let presigned = request.presigned(uploads::presigning(key, lifetime)?).await;
        presigned
            .map(|request| uploads::presigned(&request))
            .map_err(|error| StorageError::new("presign GET", key, &error))
    }

    async fn presign_put(
        &self,
        key: &str,
        piece: &Piece,
        lifetime: Duration,
    ) -> Result<Presigned, StorageError> {
        self.presigned_put(key, piece, lifetime).await
    }

    async fn begin_upload(&self, key: &str) -> Result<UploadId, StorageError> {
        self.begin_multipart(key).await
    }

    async fn presign_piece(
        &self,
        key: &str,
        upload: &UploadId,
        piece: &Piece,
        lifetime: Duration,
    ) -> Result<Presigned, StorageError> {
        self.presigned_part(key, upload, piece, lifetime).await
    }

    async fn arrived(
        &self,
        key: &str,
        upload: &UploadId,
    ) -> Result<Option<Vec<Arrived>>, StorageError> {
        self.arrived_parts(key, upload).await
    }

    async fn join(
        &self,
        key: &str,
        upload: &UploadId,
        pieces: &[Arrived],
    ) -> Result<bool, StorageError> {
        self.complete_multipart(key, upload, pieces).await
    }

    async fn abort(&self, key: &str, upload: &UploadId) -> Result<(), StorageError> {
        self.abort_multipart(key, upload).await
    }
}

fn unsigned(len: Option<i64>) -> u64 {
    len.and_then(|len| u64::try_from(len).ok())
        .unwrap_or_default()
}
