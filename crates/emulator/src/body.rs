//! Request bodies in memory, up to a limit in bytes, and with a limit on the wait for the next ones.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};

/// A body over its limit is read on, up to so many times the limit, so that the sender gets to see
/// the answer.
const DRAIN: usize = 8;
/// Whoever sends nothing for so long is not waited for: a body that never ends would hold its
/// connection and what it has sent for ever.
pub(crate) const STALLED: Duration = Duration::from_secs(10);

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    TooLarge,
    Broken,
    Stalled,
}

/// The whole body, if it has at most `limit` bytes and the wait for the next ones is never longer
/// than `patience`.
pub(crate) async fn read(
    mut body: Incoming,
    limit: usize,
    patience: Duration,
) -> Result<Bytes, Error> {
    let mut bytes = BytesMut::with_capacity(body.size_hint().lower().min(limit as u64) as usize);
    let mut size = 0usize;
    while let Some(frame) = next(&mut body, patience).await? {
        let Ok(data) = frame.into_data() else {
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

async fn next(body: &mut Incoming, patience: Duration) -> Result<Option<Frame<Bytes>>, Error> {
    match tokio::time::timeout(patience, body.frame()).await {
        Ok(frame) => frame.transpose().map_err(|_| Error::Broken),
        Err(_) => Err(Error::Stalled),
    }
}
