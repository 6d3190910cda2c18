//! Request bodies in memory, up to a limit.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};

/// A body over its limit is read on, up to so many times the limit, so that the sender gets to see
/// the answer.
const DRAIN: usize = 8;

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    TooLarge,
    Broken,
}

/// The whole body, if it has at most `limit` bytes.
pub(crate) async fn read(mut body: Incoming, limit: usize) -> Result<Bytes, Error> {
    let mut bytes = BytesMut::with_capacity(body.size_hint().lower().min(limit as u64) as usize);
    let mut size = 0usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Error::Broken)?.into_data() else {
            continue;
        };
        size = size.saturating_add(data.len());
        if size <= limit {
            bytes.extend_from_slice(&data);
        } else if size > limit.saturating_mul(DRAIN) {
            break;
        }
    }
    if size > limit {
        Err(Error::TooLarge)
    } else {
        Ok(bytes.freeze())
    }
}
