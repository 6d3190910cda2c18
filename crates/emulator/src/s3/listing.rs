//! `ListObjectsV2` and its older form.

use s3s::dto::{
    CommonPrefix, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
    Object,
};
use s3s::{S3Request, S3Response, S3Result};

use super::store::Store;

const PAGE: i32 = 1000;

pub(crate) fn list_v2(
    store: &Store,
    req: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let input = req.input;
    let limit = input.max_keys.unwrap_or(PAGE).clamp(0, PAGE);
    let after = input
        .continuation_token
        .as_deref()
        .or(input.start_after.as_deref());
    let page = page(
        store,
        &input.bucket,
        input.prefix.as_deref(),
        input.delimiter.as_deref(),
        after,
        limit,
    )?;
    Ok(S3Response::new(ListObjectsV2Output {
        key_count: Some((page.objects.len() + page.prefixes.len()) as i32),
        max_keys: Some(limit),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next,
        contents: Some(page.objects),
        common_prefixes: Some(page.prefixes),
        name: Some(input.bucket),
        prefix: Some(input.prefix.unwrap_or_default()),
        delimiter: input.delimiter,
        continuation_token: input.continuation_token,
        start_after: input.start_after,
        ..Default::default()
    }))
}

pub(crate) fn list(
    store: &Store,
    req: S3Request<ListObjectsInput>,
) -> S3Result<S3Response<ListObjectsOutput>> {
    let input = req.input;
    let limit = input.max_keys.unwrap_or(PAGE).clamp(0, PAGE);
    let page = page(
        store,
        &input.bucket,
        input.prefix.as_deref(),
        input.delimiter.as_deref(),
        input.marker.as_deref(),
        limit,
    )?;
    Ok(S3Response::new(ListObjectsOutput {
        max_keys: Some(limit),
        is_truncated: Some(page.next.is_some()),
        next_marker: page.next,
        contents: Some(page.objects),
        common_prefixes: Some(page.prefixes),
        name: Some(input.bucket),
        prefix: Some(input.prefix.unwrap_or_default()),
        delimiter: input.delimiter,
        marker: input.marker,
        ..Default::default()
    }))
}

struct Page {
    objects: Vec<Object>,
    prefixes: Vec<CommonPrefix>,
    /// The last key or prefix, where more follow it.
    next: Option<String>,
}

fn page(
    store: &Store,
    bucket: &str,
    prefix: Option<&str>,
    delimiter: Option<&str>,
    after: Option<&str>,
    limit: i32,
) -> S3Result<Page> {
    let prefix = prefix.unwrap_or("");
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty());
    let mut page = Page {
        objects: Vec::new(),
        prefixes: Vec::new(),
        next: None,
    };
    let mut last: Option<String> = None;
    for record in store.bucket(bucket)?.list(prefix, after) {
        let rest = &record.key[prefix.len()..];
        let group = delimiter.and_then(|delimiter| {
            rest.find(delimiter)
                .map(|at| &record.key[..prefix.len() + at + delimiter.len()])
        });
        // A prefix counts once, and not again on the page after it.
        if group.is_some_and(|group| last.as_deref() == Some(group) || after == Some(group)) {
            continue;
        }
        if page.objects.len() + page.prefixes.len() == limit as usize {
            page.next = last.filter(|_| limit > 0);
            return Ok(page);
        }
        last = Some(group.unwrap_or(&record.key).to_owned());
        match group {
            Some(group) => page.prefixes.push(CommonPrefix {
                prefix: Some(group.to_owned()),
            }),
            None => page.objects.push(Object {
                key: Some(record.key.clone()),
                size: Some(record.size as i64),
                e_tag: Some(record.etag()),
                last_modified: Some(record.modified()),
                ..Default::default()
            }),
        }
    }
    Ok(page)
}
