//! Multipart uploads.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use futures_util::{StreamExt as _, TryStreamExt as _};
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumAlgorithm, ChecksumType,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload, Part,
    StreamingBlob, Timestamp, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use super::checksum::{Checksums, declared, hasher, set_checksums};
use super::file::{self, Record, Staged};
use super::headers::headers;
use super::objects::{PUT_LIMIT, check_key, check_received};
use super::store::{Store, WriteCondition, lock};
use super::upload::{PartRecord, Start, Upload, drop_upload, find};
use crate::random;

const PARTS: i32 = 10_000;

pub(crate) fn create(
    store: &Store,
    req: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let input = req.input;
    check_key(&input.key)?;
    let bucket = store.bucket(&input.bucket)?;
    let headers = headers!(input);
    headers.check()?;
    let full = match &input.checksum_type {
        Some(kind) => kind.as_str() == ChecksumType::FULL_OBJECT,
        None => input
            .checksum_algorithm
            .as_ref()
            .is_some_and(|name| name.as_str() == ChecksumAlgorithm::CRC64NVME),
    };
    let start = Start {
        key: input.key.clone(),
        initiated: SystemTime::now(),
        headers,
        algorithm: input
            .checksum_algorithm
            .as_ref()
            .map(|name| name.as_str().to_owned()),
        full,
    };
    let id = random::hex(24);
    let directory = bucket.upload_path(&id);
    let text = serde_json::to_vec(&start).map_err(S3Error::internal_error)?;
    fs::create_dir(&directory)
        .and_then(|()| file::write_synced(&directory.join("upload"), &text))
        .map_err(S3Error::internal_error)?;
    bucket.uploads().insert(
        id.clone(),
        Arc::new(Upload {
            start,
            parts: Mutex::default(),
        }),
    );
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        checksum_type: input
            .checksum_algorithm
            .is_some()
            .then(|| checksum_type(full)),
        checksum_algorithm: input.checksum_algorithm,
        ..Default::default()
    }))
}

pub(crate) async fn upload_part(
    store: &Store,
    req: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let input = req.input;
    let bucket = store.bucket(&input.bucket)?;
    let upload = find(&bucket, &input.upload_id, &input.key)?;
    if !(1..=PARTS).contains(&input.part_number) {
        return Err(s3_error!(
            InvalidArgument,
            "Part number must be an integer between 1 and 10000, inclusive"
        ));
    }
    if input
        .content_length
        .is_some_and(|length| length > PUT_LIMIT)
    {
        return Err(s3_error!(EntityTooLarge));
    }
    let mut declared = declared!(input);
    let algorithm = input
        .checksum_algorithm
        .clone()
        .or_else(|| upload.start.algorithm.clone().map(ChecksumAlgorithm::from));
    let hasher = hasher(&declared, algorithm.as_ref(), &req.headers);
    let body = input
        .body
        .unwrap_or_else(|| StreamingBlob::from(s3s::Body::empty()));
    let staged = Staged::receive(&bucket.staging(), body, hasher).await?;
    if let Some(trailers) = req.trailing_headers.and_then(|trailers| trailers.take()) {
        declared.merge_trailers(&trailers);
    }
    check_received(&staged, input.content_md5.as_deref())?;
    staged.checksums.verify(&declared)?;
    let part = PartRecord {
        number: input.part_number,
        size: staged.size,
        etag: random::to_hex(&staged.md5),
        md5: staged.md5,
        modified: SystemTime::now(),
        checksums: staged.checksums.clone(),
    };
    staged.seal(&part)?;
    let mut output = UploadPartOutput {
        e_tag: Some(s3s::dto::ETag::Strong(part.etag.clone())),
        ..Default::default()
    };
    set_checksums!(output, part.checksums.clone());
    let mut parts = lock(&upload.parts);
    // The upload may have been completed or aborted while the body arrived.
    find(&bucket, &input.upload_id, &input.key)?;
    staged.publish(
        &bucket
            .upload_path(&input.upload_id)
            .join(part.number.to_string()),
    )?;
    parts.insert(part.number, part);
    Ok(S3Response::new(output))
}

pub(crate) fn list_parts(
    store: &Store,
    req: S3Request<ListPartsInput>,
) -> S3Result<S3Response<ListPartsOutput>> {
    let input = req.input;
    let upload = find(&*store.bucket(&input.bucket)?, &input.upload_id, &input.key)?;
    let limit = input.max_parts.unwrap_or(1000).clamp(0, 1000);
    let after = input.part_number_marker.unwrap_or(0);
    let mut parts: Vec<Part> = lock(&upload.parts)
        .values()
        .filter(|part| part.number > after)
        .map(listed)
        .collect();
    let truncated = parts.len() > limit as usize;
    parts.truncate(limit as usize);
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        max_parts: Some(limit),
        part_number_marker: Some(after),
        is_truncated: Some(truncated),
        next_part_number_marker: parts
            .last()
            .filter(|_| truncated)
            .and_then(|part| part.part_number),
        checksum_type: upload
            .start
            .algorithm
            .is_some()
            .then(|| checksum_type(upload.start.full)),
        checksum_algorithm: upload.start.algorithm.clone().map(ChecksumAlgorithm::from),
        parts: Some(parts),
        ..Default::default()
    }))
}

pub(crate) fn list_uploads(
    store: &Store,
    req: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let input = req.input;
    let bucket = store.bucket(&input.bucket)?;
    let prefix = input.prefix.as_deref().unwrap_or("");
    let limit = input.max_uploads.unwrap_or(1000).clamp(0, 1000);
    let mut uploads: Vec<_> = bucket
        .uploads()
        .iter()
        .filter(|(_, upload)| upload.start.key.starts_with(prefix))
        .map(|(id, upload)| (upload.start.key.clone(), id.clone(), upload.start.initiated))
        .collect();
    uploads.sort();
    if let Some(key_marker) = &input.key_marker {
        let id_marker = input.upload_id_marker.as_deref();
        uploads.retain(|(key, id, _)| match id_marker {
            Some(id_marker) => (key.as_str(), id.as_str()) > (key_marker.as_str(), id_marker),
            None => key > key_marker,
        });
    }
    let truncated = uploads.len() > limit as usize;
    uploads.truncate(limit as usize);
    let last = uploads.last().filter(|_| truncated).cloned();
    let uploads = uploads
        .into_iter()
        .map(|(key, id, initiated)| MultipartUpload {
            key: Some(key),
            upload_id: Some(id),
            initiated: Some(Timestamp::from(initiated)),
            ..Default::default()
        });
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        uploads: Some(uploads.collect()),
        is_truncated: Some(truncated),
        max_uploads: Some(limit),
        next_key_marker: last.as_ref().map(|(key, ..)| key.clone()),
        next_upload_id_marker: last.map(|(_, id, _)| id),
        prefix: input.prefix,
        key_marker: input.key_marker,
        upload_id_marker: input.upload_id_marker,
        ..Default::default()
    }))
}

pub(crate) async fn complete(
    store: &Store,
    req: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let input = req.input;
    let bucket = store.bucket(&input.bucket)?;
    let upload = find(&bucket, &input.upload_id, &input.key)?;
    let named = input
        .multipart_upload
        .as_ref()
        .and_then(|upload| upload.parts.as_deref())
        .unwrap_or_default();
    let parts = chosen(&lock(&upload.parts), named, store.part_minimum())?;
    if input
        .mpu_object_size
        .is_some_and(|size| size as u64 != parts.iter().map(|part| part.size).sum::<u64>())
    {
        return Err(s3_error!(
            InvalidRequest,
            "The provided 'x-amz-mp-object-size' header does not match what was computed."
        ));
    }

    let directory = bucket.upload_path(&input.upload_id);
    let whole = declared!(input);
    let algorithm = upload
        .start
        .algorithm
        .clone()
        .filter(|_| upload.start.full)
        .map(ChecksumAlgorithm::from);
    let hasher = hasher(
        if upload.start.full { &whole } else { &NONE },
        algorithm.as_ref(),
        &http::HeaderMap::new(),
    );
    let files: Vec<_> = parts
        .iter()
        .map(|part| (directory.join(part.number.to_string()), part.size))
        .collect();
    let chunks = futures_util::stream::iter(files)
        .map(|(path, size)| file::read(fs::File::open(path)?, 0, size))
        .try_flatten()
        .map_err(S3Error::internal_error);
    let staged = Staged::write(&bucket.staging(), chunks, hasher).await?;
    let checksums = if upload.start.full {
        staged.checksums.clone()
    } else {
        Checksums::composite(
            &parts
                .iter()
                .map(|part| part.checksums.clone())
                .collect::<Vec<_>>(),
        )
    };
    checksums.verify(&whole)?;

    let mut digest = Md5::new();
    for part in &parts {
        digest.update(&part.md5);
    }
    let record = Record {
        key: input.key.clone(),
        size: staged.size,
        etag: format!("{}-{}", random::to_hex(&digest.finalize()), parts.len()),
        modified: SystemTime::now(),
        headers: upload.start.headers.clone(),
        checksums,
        composite: !upload.start.full,
    };
    let condition = WriteCondition {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
    };
    let record = bucket.commit(staged, record, &condition)?;
    drop_upload(&bucket, &input.upload_id)?;

    let mut output = CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, input.key)),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(record.etag()),
        checksum_type: (record.checksums != NONE).then(|| checksum_type(upload.start.full)),
        ..Default::default()
    };
    set_checksums!(output, record.checksums.clone());
    Ok(S3Response::new(output))
}

pub(crate) fn abort(
    store: &Store,
    req: &S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let bucket = store.bucket(&req.input.bucket)?;
    find(&bucket, &req.input.upload_id, &req.input.key)?;
    drop_upload(&bucket, &req.input.upload_id)?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

const NONE: Checksums = Checksums {
    crc32: None,
    crc32c: None,
    crc64nvme: None,
    sha1: None,
    sha256: None,
};

/// The parts that a completion names, checked as S3 does.
fn chosen(
    parts: &BTreeMap<i32, PartRecord>,
    named: &[CompletedPart],
    minimum: u64,
) -> S3Result<Vec<PartRecord>> {
    if named.is_empty() {
        return Err(s3_error!(
            MalformedXML,
            "You must specify at least one part"
        ));
    }
    if !named.is_sorted_by(|a, b| a.part_number < b.part_number) {
        return Err(s3_error!(
            InvalidPartOrder,
            "The list of parts was not in ascending order."
        ));
    }
    let mut chosen = Vec::with_capacity(named.len());
    for (position, name) in named.iter().enumerate() {
        let part = name
            .part_number
            .and_then(|number| parts.get(&number))
            .filter(|part| {
                name.e_tag
                    .as_ref()
                    .is_some_and(|etag| etag.value() == part.etag)
            })
            .filter(|part| part.checksums.verify(&declared!(name)).is_ok())
            .ok_or_else(|| {
                s3_error!(
                    InvalidPart,
                    "One or more of the specified parts could not be found."
                )
            })?;
        if part.size < minimum && position + 1 < named.len() {
            return Err(s3_error!(
                EntityTooSmall,
                "Your proposed upload is smaller than the minimum allowed size"
            ));
        }
        chosen.push(part.clone());
    }
    Ok(chosen)
}

fn listed(part: &PartRecord) -> Part {
    let mut listed = Part {
        part_number: Some(part.number),
        size: Some(part.size as i64),
        e_tag: Some(s3s::dto::ETag::Strong(part.etag.clone())),
        last_modified: Some(Timestamp::from(part.modified)),
        ..Default::default()
    };
    set_checksums!(listed, part.checksums.clone());
    listed
}

fn checksum_type(full: bool) -> ChecksumType {
    ChecksumType::from_static(if full {
        ChecksumType::FULL_OBJECT
    } else {
        ChecksumType::COMPOSITE
    })
}
