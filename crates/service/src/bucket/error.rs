//! What can go wrong with the bucket.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use cipherfn_protocol::api::{ModelName, PublishedKind};
use std::error::Error;
use std::fmt::Debug;

/// An error of the bucket, or of what lies in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// S3 refused, failed or could not be reached.
    #[error("{operation} {key} failed: {message}")]
    S3 {
        /// What was tried.
        operation: &'static str,
        /// Key or prefix.
        key: String,
        /// S3's error code, if it answered with one.
        code: Option<String>,
        /// HTTP status, if it answered.
        status: Option<u16>,
        /// S3's message, or that of the connection.
        message: String,
    },
    /// A body broke off.
    #[error("reading {key} broke off: {message}")]
    Broken {
        /// Key.
        key: String,
        /// Cause.
        message: String,
    },
    /// Larger than it may be.
    #[error(
        "{key} has {bytes} bytes, more than the {limit} that it may have; publish or register it again"
    )]
    TooLarge {
        /// Key.
        key: String,
        /// Size found.
        bytes: u64,
        /// Limit in force.
        limit: u64,
    },
    /// A stored document that does not parse.
    #[error("{key} is corrupt: {reason}; publish or register it again")]
    Corrupt {
        /// Key.
        key: String,
        /// Why.
        reason: String,
    },
    /// A stored document of a later format than this build knows.
    #[error("{key} has format {format}, which this build does not know; use a newer one")]
    Newer {
        /// Key.
        key: String,
        /// Its format.
        format: u16,
    },
    /// Two kinds of what is published under one name.
    #[error(
        "{name} is a {held}, and this is a {wanted}; publish it under another name, or remove the {held} before (`cipherfn models remove {name}`)"
    )]
    NameTaken {
        /// Name.
        name: ModelName,
        /// What it stands for.
        held: PublishedKind,
        /// What was to be published.
        wanted: PublishedKind,
    },
    /// No random numbers.
    #[error("the operating system gave no random numbers: {0}")]
    Random(getrandom::Error),
    /// Others keep changing the same document.
    #[error("{key} was changed by others {attempts} times in a row; try again")]
    Contended {
        /// Key.
        key: String,
        /// Attempts made.
        attempts: u32,
    },
}

impl StorageError {
    pub(super) fn new<E, R>(operation: &'static str, key: &str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: Debug + 'static,
        SdkError<E, R>: RawStatus,
    {
        Self::S3 {
            operation,
            key: key.to_owned(),
            code: error.code().map(str::to_owned),
            status: error.raw_status(),
            message: describe(error),
        }
    }

    /// Whether the same request can succeed later: S3 could not be reached, was busy, or broke off.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::S3 { status, .. } => status.is_none_or(|status| status == 429 || status >= 500),
            Self::Broken { .. } | Self::Contended { .. } => true,
            Self::TooLarge { .. }
            | Self::Corrupt { .. }
            | Self::Newer { .. }
            | Self::NameTaken { .. }
            | Self::Random(_) => false,
        }
    }
}

/// S3's own words, or what kept it from saying any.
fn describe<E: ProvideErrorMetadata + Error + 'static>(error: &E) -> String {
    if let Some(message) = error.message() {
        return error
            .code()
            .map_or_else(|| message.to_owned(), |code| format!("{code}: {message}"));
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The HTTP status of an answer that is an error.
pub(super) trait RawStatus {
    fn raw_status(&self) -> Option<u16>;
}

impl<E> RawStatus for SdkError<E, aws_sdk_s3::config::http::HttpResponse> {
    fn raw_status(&self) -> Option<u16> {
        self.raw_response()
            .map(|response| response.status().as_u16())
    }
}

/// Whether S3 says that there is no such object.
pub(super) fn is_missing<E>(error: &SdkError<E, aws_sdk_s3::config::http::HttpResponse>) -> bool {
    error.raw_status() == Some(404)
}

/// Whether a condition of the request did not hold.
pub(super) fn is_precondition<E>(
    error: &SdkError<E, aws_sdk_s3::config::http::HttpResponse>,
) -> bool {
    // 409: another conditional write was under way.
    matches!(error.raw_status(), Some(409 | 412))
}

/// Whether the object ends before the range begins.
pub(super) fn is_no_range<E>(error: &SdkError<E, aws_sdk_s3::config::http::HttpResponse>) -> bool {
    error.raw_status() == Some(416)
}
