//! Headers that are kept with an object.

use s3s::dto::Metadata;
use s3s::{S3Result, s3_error};

use super::file::Headers;

/// S3's limit on user metadata, bytes.
const METADATA_LIMIT: usize = 2048;

/// Reads the headers that are kept from an input.
macro_rules! headers {
    ($input:expr) => {
        $crate::s3::file::Headers {
            content_type: $input.content_type.clone(),
            content_encoding: $input.content_encoding.clone(),
            content_disposition: $input.content_disposition.clone(),
            content_language: $input.content_language.clone(),
            cache_control: $input.cache_control.clone(),
            metadata: $input
                .metadata
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect(),
        }
    };
}
pub(crate) use headers;

/// Sets the headers that were kept in an output.
macro_rules! set_headers {
    ($output:expr, $headers:expr) => {{
        let headers = &$headers;
        $output.content_type = Some(
            headers
                .content_type
                .clone()
                .unwrap_or_else(|| "binary/octet-stream".to_owned()),
        );
        $output.content_encoding = headers.content_encoding.clone();
        $output.content_disposition = headers.content_disposition.clone();
        $output.content_language = headers.content_language.clone();
        $output.cache_control = headers.cache_control.clone();
        $output.metadata = headers.metadata();
    }};
}
pub(crate) use set_headers;

impl Headers {
    /// Refuses more user metadata than S3 keeps.
    pub(crate) fn check(&self) -> S3Result<()> {
        let size: usize = self
            .metadata
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if size > METADATA_LIMIT {
            return Err(s3_error!(
                MetadataTooLarge,
                "Your metadata headers exceed the maximum allowed metadata size."
            ));
        }
        Ok(())
    }

    pub(crate) fn metadata(&self) -> Option<Metadata> {
        (!self.metadata.is_empty()).then(|| self.metadata.clone().into_iter().collect())
    }
}
