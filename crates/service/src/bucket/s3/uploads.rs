//! Presigned requests and uploads in pieces, which S3 calls multipart uploads.

use super::S3;
use crate::bucket::error::is_missing;
use crate::bucket::{Arrived, Etag, Piece, Presigned, StorageError, UploadId};
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, Part};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cipherfn_protocol::hash::Sha256;
use std::time::Duration;

impl S3 {
    pub(super) async fn presigned_put(
        &self,
        key: &str,
        piece: &Piece,
        lifetime: Duration,
    ) -> Result<Presigned, StorageError> {
        let request = self.client.put_object().bucket(&self.name).key(key);
        let request = request
            .content_length(i64::try_from(piece.bytes).unwrap_or(i64::MAX))
            .checksum_sha256(checksum(piece))
            .if_none_match("*");
        let request = request.presigned(presigning(key, lifetime)?).await;
        request
            .map(|request| presigned(&request))
            .map_err(|error| StorageError::new("presign PUT", key, &error))
    }

    pub(super) async fn presigned_part(
        &self,
        key: &str,
        upload: &UploadId,
        piece: &Piece,
        lifetime: Duration,
    ) -> Result<Presigned, StorageError> {
        let request = self.client.upload_part().bucket(&self.name).key(key);
        let request = request
            .upload_id(&upload.0)
            .part_number(i32::try_from(piece.number).unwrap_or(i32::MAX))
            .content_length(i64::try_from(piece.bytes).unwrap_or(i64::MAX))
            .checksum_sha256(checksum(piece));
        let request = request.presigned(presigning(key, lifetime)?).await;
        request
            .map(|request| presigned(&request))
            .map_err(|error| StorageError::new("presign part", key, &error))
    }

    pub(super) async fn begin_multipart(&self, key: &str) -> Result<UploadId, StorageError> {
        let request = self.client.create_multipart_upload();
        let output = request
            .bucket(&self.name)
            .key(key)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .send()
            .await;
        let output = output.map_err(|error| StorageError::new("begin upload of", key, &error))?;
        let id = output.upload_id().map(|id| UploadId(id.to_owned()));
        id.ok_or_else(|| StorageError::Corrupt {
            key: key.to_owned(),
            reason: "S3 gave the upload no id".to_owned(),
        })
    }

    pub(super) async fn arrived_parts(
        &self,
        key: &str,
        upload: &UploadId,
    ) -> Result<Option<Vec<Arrived>>, StorageError> {
        let request = self.client.list_parts().bucket(&self.name).key(key);
        let mut pages = request.upload_id(&upload.0).into_paginator().send();
        let mut parts = Vec::new();
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => parts.extend(page.parts().iter().filter_map(arrived)),
                Err(error) if is_missing(&error) => return Ok(None),
                Err(error) => return Err(StorageError::new("list parts of", key, &error)),
            }
        }
        Ok(Some(parts))
    }

    pub(super) async fn complete_multipart(
        &self,
        key: &str,
        upload: &UploadId,
        pieces: &[Arrived],
    ) -> Result<bool, StorageError> {
        let parts = pieces.iter().map(|piece| {
            CompletedPart::builder()
                .part_number(i32::try_from(piece.number).unwrap_or(i32::MAX))
                .e_tag(&piece.etag.0)
                .set_checksum_sha256(piece.sha256.map(|sum| encode(&sum)))
                .build()
        });
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts.collect()))
            .build();
        let request = self.client.complete_multipart_upload();
        let request = request.bucket(&self.name).key(key).upload_id(&upload.0);
        match request.multipart_upload(parts).send().await {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(StorageError::new("complete upload of", key, &error)),
        }
    }

    pub(super) async fn abort_multipart(
        &self,
        key: &str,
        upload: &UploadId,
    ) -> Result<(), StorageError> {
        let request = self.client.abort_multipart_upload();
        let request = request.bucket(&self.name).key(key).upload_id(&upload.0);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(StorageError::new("abort upload of", key, &error)),
        }
    }
}

pub(super) fn presigning(key: &str, lifetime: Duration) -> Result<PresigningConfig, StorageError> {
    PresigningConfig::expires_in(lifetime).map_err(|error| StorageError::Corrupt {
        key: key.to_owned(),
        reason: error.to_string(),
    })
}

pub(super) fn presigned(request: &PresignedRequest) -> Presigned {
    let headers = request
        .headers()
        // Inside AWS Lambda the SDK adds a trace header that the signature does not cover.
        .filter(|(name, _)| !name.eq_ignore_ascii_case("x-amzn-trace-id"))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    Presigned {
        method: request.method().to_owned(),
        url: request.uri().to_owned(),
        headers: headers.collect(),
    }
}

fn arrived(part: &Part) -> Option<Arrived> {
    Some(Arrived {
        number: u32::try_from(part.part_number()?).ok()?,
        bytes: u64::try_from(part.size()?).ok()?,
        sha256: part.checksum_sha256().and_then(decode),
        etag: Etag(part.e_tag()?.to_owned()),
    })
}

fn checksum(piece: &Piece) -> String {
    encode(&piece.sha256)
}

fn encode(sum: &Sha256) -> String {
    BASE64_STANDARD.encode(sum.as_bytes())
}

fn decode(text: &str) -> Option<Sha256> {
    let bytes: [u8; 32] = BASE64_STANDARD.decode(text).ok()?.try_into().ok()?;
    Some(Sha256::from_bytes(bytes))
}
