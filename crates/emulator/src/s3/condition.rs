//! Conditions of reads.

use http::{HeaderMap, HeaderValue, header};
use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::file::Record;
use super::store::precondition_failed;

/// Conditions of a read.
pub(crate) struct ReadCondition {
    pub(crate) matches: Option<ETagCondition>,
    pub(crate) none_match: Option<ETagCondition>,
    pub(crate) modified_since: Option<Timestamp>,
    pub(crate) unmodified_since: Option<Timestamp>,
}

impl ReadCondition {
    /// RFC 9110, section 13.2.2.
    pub(crate) fn check(&self, record: &Record) -> S3Result<()> {
        let modified = seconds(record.modified());
        let etag = record.etag();
        if let Some(condition) = &self.matches {
            if condition
                .as_etag()
                .is_some_and(|wanted| !wanted.strong_cmp(&etag))
            {
                return Err(precondition_failed("If-Match"));
            }
        } else if self
            .unmodified_since
            .clone()
            .is_some_and(|since| modified > seconds(since))
        {
            return Err(precondition_failed("If-Unmodified-Since"));
        }
        let unchanged = match &self.none_match {
            Some(condition) => condition
                .as_etag()
                .is_none_or(|known| known.weak_cmp(&etag)),
            None => self
                .modified_since
                .clone()
                .is_some_and(|since| modified <= seconds(since)),
        };
        if unchanged {
            let mut error = S3Error::new(S3ErrorCode::NotModified);
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_str(&format!("\"{}\"", record.etag)) {
                headers.insert(header::ETAG, value);
            }
            error.set_headers(headers);
            return Err(error);
        }
        Ok(())
    }
}

fn seconds(time: Timestamp) -> i64 {
    time::OffsetDateTime::from(time).unix_timestamp()
}
