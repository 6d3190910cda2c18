//! Presigned requests and uploads in parts.

use super::error::is_missing;
use super::{Store, StoreError};
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cipherfn_protocol::api::PartUpload;
use cipherfn_protocol::hash::Sha256;
use std::collections::BTreeMap;
use std::time::Duration;

/// One part of an upload as it must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// From 1.
    pub(super) number: u32,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) sha256: Sha256,
}

/// A part that has arrived.
#[derive(Clone, Debug)]
pub(super) struct Arrived {
    number: u32,
    bytes: u64,
    sha256: Option<String>,
    etag: String,
}

impl Arrived {
    pub(super) fn is(&self, part: &Part) -> bool {
        let sum = BASE64_STANDARD.encode(part.sha256.as_bytes());
        self.number == part.number
            && self.bytes == part.bytes
            && self.sha256.as_ref().is_none_or(|found| *found == sum)
    }
}

impl Store {
    /// An URL that gives an object for a while.
    pub(super) async fn presigned_get(
        &self,
        key: &str,
        lifetime: Duration,
    ) -> Result<String, StoreError> {
        let request = self.s3.get_object().bucket(&self.bucket).key(key);
        let presigned = request.presigned(presigning(key, lifetime)?).await;
        Ok(presigned
            .map_err(|error| StoreError::new("presign GET", key, &error))?
            .uri()
            .to_owned())
    }

    /// A PUT of exactly this part as a whole object that is not there yet.
    pub(super) async fn presigned_put(
        &self,
        key: &str,
        part: &Part,
        lifetime: Duration,
    ) -> Result<PartUpload, StoreError> {
        let request = self.s3.put_object().bucket(&self.bucket).key(key);
        let request = request
            .content_length(i64::try_from(part.bytes).unwrap_or(i64::MAX))
            .checksum_sha256(BASE64_STANDARD.encode(part.sha256.as_bytes()))
            .if_none_match("*");
        let presigned = request.presigned(presigning(key, lifetime)?).await;
        Ok(upload(
            part,
            &presigned.map_err(|error| StoreError::new("presign PUT", key, &error))?,
            lifetime,
        ))
    }

    /// A PUT of exactly this part of an upload.
    pub(super) async fn presigned_part(
        &self,
        key: &str,
        id: &str,
        part: &Part,
        lifetime: Duration,
    ) -> Result<PartUpload, StoreError> {
        let request = self
            .s3
            .upload_part()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(id);
        let request = request
            .part_number(i32::try_from(part.number).unwrap_or(i32::MAX))
            .content_length(i64::try_from(part.bytes).unwrap_or(i64::MAX))
            .checksum_sha256(BASE64_STANDARD.encode(part.sha256.as_bytes()));
        let presigned = request.presigned(presigning(key, lifetime)?).await;
        Ok(upload(
            part,
            &presigned.map_err(|error| StoreError::new("presign part", key, &error))?,
            lifetime,
        ))
    }

    /// Begins an upload in parts; its id.
    pub(super) async fn begin_parts(&self, key: &str) -> Result<String, StoreError> {
        let request = self
            .s3
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(key);
        let output = request
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .send()
            .await;
        let output = output.map_err(|error| StoreError::new("begin upload of", key, &error))?;
        output
            .upload_id()
            .map(str::to_owned)
            .ok_or_else(|| StoreError::Corrupt {
                key: key.to_owned(),
                reason: "S3 gave the upload no id".to_owned(),
            })
    }

    /// The parts that have arrived; `None` where there is no such upload (any more).
    pub(super) async fn arrived_parts(
        &self,
        key: &str,
        id: &str,
    ) -> Result<Option<Vec<Arrived>>, StoreError> {
        let mut arrived = Vec::new();
        let mut pages = self
            .s3
            .list_parts()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(id)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error) if is_missing(&error) => return Ok(None),
                Err(error) => return Err(StoreError::new("list parts of", key, &error)),
            };
            arrived.extend(page.parts().iter().filter_map(|part| {
                Some(Arrived {
                    number: u32::try_from(part.part_number()?).ok()?,
                    bytes: u64::try_from(part.size()?).ok()?,
                    sha256: part.checksum_sha256().map(str::to_owned),
                    etag: part.e_tag()?.to_owned(),
                })
            }));
        }
        Ok(Some(arrived))
    }

    /// Joins the parts to an object.
    pub(super) async fn join_parts(
        &self,
        key: &str,
        id: &str,
        parts: &[Arrived],
    ) -> Result<(), StoreError> {
        let parts = parts.iter().map(|part| {
            CompletedPart::builder()
                .part_number(i32::try_from(part.number).unwrap_or(i32::MAX))
                .e_tag(&part.etag)
                .set_checksum_sha256(part.sha256.clone())
                .build()
        });
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts.collect()))
            .build();
        let request = self
            .s3
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(id);
        match request.multipart_upload(parts).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(StoreError::new("complete upload of", key, &error)),
        }
    }

    /// Gives an upload up, if it is there.
    pub(super) async fn abort_parts(&self, key: &str, id: &str) -> Result<(), StoreError> {
        let request = self
            .s3
            .abort_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(id);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(StoreError::new("abort upload of", key, &error)),
        }
    }
}

fn presigning(key: &str, lifetime: Duration) -> Result<PresigningConfig, StoreError> {
    PresigningConfig::expires_in(lifetime).map_err(|error| StoreError::Corrupt {
        key: key.to_owned(),
        reason: error.to_string(),
    })
}

fn upload(part: &Part, presigned: &PresignedRequest, lifetime: Duration) -> PartUpload {
    let headers: BTreeMap<String, String> = presigned
        .headers()
        // Inside AWS Lambda the SDK adds a trace header that the signature does not cover.
        .filter(|(name, _)| !name.eq_ignore_ascii_case("x-amzn-trace-id"))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    PartUpload {
        number: part.number,
        offset: part.offset,
        bytes: part.bytes,
        method: presigned.method().to_owned(),
        url: presigned.uri().to_owned(),
        headers,
        expires: super::models::now()
            + time::Duration::try_from(lifetime).unwrap_or(time::Duration::ZERO),
    }
}
