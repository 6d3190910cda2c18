//! Lifecycle rules: expiry of objects and of multipart uploads.

use std::time::{Duration, SystemTime};

use super::store::Store;
use super::upload::drop_upload;
use crate::Lifecycle;

/// Applies the rules to every bucket, as of `now`.
pub(crate) fn sweep(store: &Store, rules: &[Lifecycle], now: SystemTime) {
    let old = |time: SystemTime, age: Duration| {
        now.duration_since(time).is_ok_and(|passed| passed >= age)
    };
    for (_, bucket) in store.buckets() {
        for rule in rules {
            if let Some(age) = rule.expire_after {
                for record in bucket
                    .list(&rule.prefix, None)
                    .into_iter()
                    .filter(|record| old(record.modified, age))
                {
                    // It may have been replaced since it was listed.
                    let result = bucket.delete(&record.key, |current| {
                        if current.is_none_or(|current| old(current.modified, age)) {
                            Ok(())
                        } else {
                            Err(s3s::s3_error!(PreconditionFailed))
                        }
                    });
                    tracing::debug!(key = record.key, ?result, "expired");
                }
            }
            if let Some(age) = rule.abort_multipart_after {
                let uploads: Vec<String> = bucket
                    .uploads()
                    .iter()
                    .filter(|(_, upload)| {
                        upload.start.key.starts_with(&rule.prefix)
                            && old(upload.start.initiated, age)
                    })
                    .map(|(id, _)| id.clone())
                    .collect();
                for id in uploads {
                    let result = drop_upload(&bucket, &id);
                    tracing::debug!(id, ?result, "multipart upload expired");
                }
            }
        }
    }
}
