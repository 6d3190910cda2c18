//! Operations on objects.

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, DeleteObjectInput,
    DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    Error as DeleteError, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    MetadataDirective, PutObjectInput, PutObjectOutput, StreamingBlob,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::checksum::{declared, hasher, set_checksums};
use super::condition::ReadCondition;
use super::file::{self, Record, Staged};
use super::headers::{headers, set_headers};
use super::store::{Store, WriteCondition, precondition_failed};
use crate::random;

/// Largest object of one `PutObject` and largest part: 5 GiB.
pub(crate) const PUT_LIMIT: i64 = 5 << 30;

pub(crate) async fn put(
    store: &Store,
    req: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let input = req.input;
    check_key(&input.key)?;
    let bucket = store.bucket(&input.bucket)?;
    if input
        .content_length
        .is_some_and(|length| length > PUT_LIMIT)
    {
        return Err(s3_error!(EntityTooLarge));
    }
    let mut declared = declared!(input);
    let hasher = hasher(&declared, input.checksum_algorithm.as_ref(), &req.headers);
    let headers = headers!(input);
    headers.check()?;
    let body = input
        .body
        .unwrap_or_else(|| StreamingBlob::from(s3s::Body::empty()));
    let staged = Staged::receive(&bucket.staging(), body, hasher).await?;
    if let Some(trailers) = req.trailing_headers.and_then(|trailers| trailers.take()) {
        declared.merge_trailers(&trailers);
    }
    check_received(&staged, input.content_md5.as_deref())?;
    staged.checksums.verify(&declared)?;

    let condition = WriteCondition {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
    };
    let record = Record {
        key: input.key,
        size: staged.size,
        etag: random::to_hex(&staged.md5),
        modified: SystemTime::now(),
        headers,
        checksums: staged.checksums.clone(),
        composite: false,
    };
    let record = bucket.commit(staged, record, &condition)?;
    let mut output = PutObjectOutput {
        e_tag: Some(record.etag()),
        ..Default::default()
    };
    set_checksums!(output, record.checksums.clone());
    Ok(S3Response::new(output))
}

pub(crate) fn get(
    store: &Store,
    req: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
    let input = req.input;
    check_key(&input.key)?;
    let bucket = store.bucket(&input.bucket)?;
    let (record, file) = bucket.with_object(&input.key, |path| std::fs::File::open(path))?;
    ReadCondition {
        matches: input.if_match,
        none_match: input.if_none_match,
        modified_since: input.if_modified_since,
        unmodified_since: input.if_unmodified_since,
    }
    .check(&record)?;
    let range = match input.range {
        Some(range) => Some(
            range
                .check(record.size)
                .map_err(|_| range_error(record.size))?,
        ),
        None => None,
    };
    let span = range.clone().unwrap_or(0..record.size);
    let length = span.end - span.start;
    let body = file::read(file, span.start, length).map_err(S3Error::internal_error)?;
    let mut output = GetObjectOutput {
        body: Some(StreamingBlob::wrap(body)),
        content_length: Some(length as i64),
        content_range: range
            .map(|range| format!("bytes {}-{}/{}", range.start, range.end - 1, record.size)),
        accept_ranges: Some("bytes".to_owned()),
        last_modified: Some(record.modified()),
        e_tag: Some(record.etag()),
        ..Default::default()
    };
    set_headers!(output, record.headers);
    if input.checksum_mode.is_some() && length == record.size {
        set_checksums!(output, record.checksums.clone());
        output.checksum_type = Some(checksum_type(&record));
    }
    Ok(S3Response::new(output))
}

pub(crate) fn head(
    store: &Store,
    req: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let input = req.input;
    check_key(&input.key)?;
    let bucket = store.bucket(&input.bucket)?;
    let record = bucket
        .object(&input.key)
        .ok_or_else(|| s3_error!(NoSuchKey))?;
    ReadCondition {
        matches: input.if_match,
        none_match: input.if_none_match,
        modified_since: input.if_modified_since,
        unmodified_since: input.if_unmodified_since,
    }
    .check(&record)?;
    let mut output = HeadObjectOutput {
        content_length: Some(record.size as i64),
        accept_ranges: Some("bytes".to_owned()),
        last_modified: Some(record.modified()),
        e_tag: Some(record.etag()),
        ..Default::default()
    };
    set_headers!(output, record.headers);
    if input.checksum_mode.is_some() {
        set_checksums!(output, record.checksums.clone());
        output.checksum_type = Some(checksum_type(&record));
    }
    Ok(S3Response::new(output))
}

pub(crate) async fn copy(
    store: &Arc<Store>,
    req: S3Request<CopyObjectInput>,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let input = req.input;
    check_key(&input.key)?;
    let CopySource::Bucket {
        bucket: source_bucket,
        key: source_key,
        ..
    } = &input.copy_source
    else {
        return Err(s3_error!(
            NotImplemented,
            "only objects of buckets can be copied"
        ));
    };
    check_key(source_key)?;
    let bucket = store.bucket(&input.bucket)?;
    let replace = input
        .metadata_directive
        .as_ref()
        .is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
    if !replace && **source_bucket == *input.bucket && **source_key == *input.key {
        return Err(s3_error!(
            InvalidRequest,
            "This copy request is illegal because it changes nothing."
        ));
    }
    let (source, content) = store
        .bucket(source_bucket)?
        .with_object(source_key, |path| std::fs::File::open(path))?;
    ReadCondition {
        matches: input.copy_source_if_match.clone(),
        none_match: input.copy_source_if_none_match.clone(),
        modified_since: input.copy_source_if_modified_since.clone(),
        unmodified_since: input.copy_source_if_unmodified_since.clone(),
    }
    .check(&source)
    .map_err(|error| {
        if *error.code() == S3ErrorCode::NotModified {
            precondition_failed("x-amz-copy-source-if")
        } else {
            error
        }
    })?;

    let headers = if replace {
        headers!(input)
    } else {
        source.headers.clone()
    };
    headers.check()?;
    let chunks = file::read(content, 0, source.size).map_err(S3Error::internal_error)?;
    let chunks =
        futures_util::StreamExt::map(chunks, |chunk| chunk.map_err(S3Error::internal_error));
    let hasher = hasher(
        &source.checksums,
        input.checksum_algorithm.as_ref(),
        &HeaderMap::new(),
    );
    let staged = Staged::write(&bucket.staging(), chunks, hasher).await?;
    let record = Record {
        key: input.key,
        size: staged.size,
        etag: random::to_hex(&staged.md5),
        modified: SystemTime::now(),
        headers,
        checksums: staged.checksums.clone(),
        composite: false,
    };
    let record = bucket.commit(staged, record, &WriteCondition::default())?;
    let mut result = CopyObjectResult {
        e_tag: Some(record.etag()),
        last_modified: Some(record.modified()),
        ..Default::default()
    };
    set_checksums!(result, record.checksums.clone());
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(result),
        ..Default::default()
    }))
}

pub(crate) fn delete(
    store: &Store,
    req: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let input = req.input;
    check_key(&input.key)?;
    let condition = WriteCondition {
        if_match: input.if_match,
        if_none_match: None,
    };
    store
        .bucket(&input.bucket)?
        .delete(&input.key, |record| condition.check(record))?;
    Ok(S3Response::new(DeleteObjectOutput::default()))
}

pub(crate) fn delete_several(
    store: &Store,
    req: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let bucket = store.bucket(&req.input.bucket)?;
    let quiet = req.input.delete.quiet.unwrap_or(false);
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for object in req.input.delete.objects {
        match check_key(&object.key).and_then(|()| bucket.delete(&object.key, |_| Ok(()))) {
            Ok(()) => deleted.push(DeletedObject {
                key: Some(object.key),
                ..Default::default()
            }),
            Err(error) => errors.push(DeleteError {
                code: Some(error.code().as_str().to_owned()),
                key: Some(object.key),
                message: error.message().map(str::to_owned),
                version_id: None,
            }),
        }
    }
    let deleted = (!quiet && !deleted.is_empty()).then_some(deleted);
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted,
        errors: (!errors.is_empty()).then_some(errors),
        ..Default::default()
    }))
}

/// Refuses keys that S3 refuses. None of them could leave the data directory: see
/// [`Bucket::object_path`](super::store::Bucket::object_path).
pub(crate) fn check_key(key: &str) -> S3Result<()> {
    if key.split('/').any(|segment| segment == "..") {
        return Err(s3_error!(InvalidURI, "Couldn't parse the specified URI."));
    }
    if key.is_empty() || key.contains('\0') {
        return Err(s3_error!(
            InvalidArgument,
            "the key is empty or contains NUL"
        ));
    }
    Ok(())
}

/// Refuses a body whose MD5 is not the declared one.
pub(crate) fn check_received(staged: &Staged, content_md5: Option<&str>) -> S3Result<()> {
    match content_md5.map(|text| STANDARD.decode(text)) {
        None => Ok(()),
        Some(Ok(digest)) if digest == staged.md5 => Ok(()),
        Some(Ok(digest)) if digest.len() == 16 => Err(s3_error!(
            BadDigest,
            "The Content-MD5 you specified did not match what we received."
        )),
        Some(_) => Err(s3_error!(
            InvalidDigest,
            "The Content-MD5 you specified is not valid."
        )),
    }
}

fn checksum_type(record: &Record) -> s3s::dto::ChecksumType {
    use s3s::dto::ChecksumType;
    ChecksumType::from_static(if record.composite {
        ChecksumType::COMPOSITE
    } else {
        ChecksumType::FULL_OBJECT
    })
}

fn range_error(size: u64) -> S3Error {
    let mut error = s3_error!(InvalidRange, "The requested range is not satisfiable");
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}")) {
        headers.insert(header::CONTENT_RANGE, value);
    }
    error.set_headers(headers);
    error
}
