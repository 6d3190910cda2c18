//! Whole objects from ranges.

use super::{Bucket, Object, StorageError};
use bytes::BytesMut;
use futures_util::{StreamExt, TryStreamExt, stream};

/// Bytes of one range; larger objects are fetched by several at once.
const RANGE: u64 = 8 << 20;
/// Ranges of one object at the same time.
const IN_FLIGHT: usize = 4;

/// An object of at most `limit` bytes.
pub(super) async fn whole<B: Bucket>(
    bucket: &B,
    key: &str,
    limit: u64,
) -> Result<Option<Object>, StorageError> {
    let Some(first) = bucket.range(key, 0, RANGE, None).await? else {
        return Ok(None);
    };
    if first.total > limit {
        return Err(StorageError::TooLarge {
            key: key.to_owned(),
            bytes: first.total,
            limit,
        });
    }
    if first.total <= RANGE {
        return Ok(Some(first.object));
    }
    let broken = |message: String| StorageError::Broken {
        key: key.to_owned(),
        message,
    };
    let etag = first.object.etag;
    let mut rest = Vec::new();
    for start in (RANGE..first.total).step_by(RANGE as usize) {
        rest.push(bucket.range(key, start, RANGE, Some(&etag)));
    }
    let rest: Vec<_> = stream::iter(rest).buffered(IN_FLIGHT).try_collect().await?;
    let mut bytes = BytesMut::with_capacity(first.total as usize);
    bytes.extend_from_slice(&first.object.bytes);
    for range in rest {
        let range = range.ok_or_else(|| broken("it was removed meanwhile".to_owned()))?;
        bytes.extend_from_slice(&range.object.bytes);
    }
    if bytes.len() as u64 != first.total {
        return Err(broken(format!(
            "{} of {} bytes arrived",
            bytes.len(),
            first.total
        )));
    }
    Ok(Some(Object {
        bytes: bytes.freeze(),
        etag,
    }))
}
