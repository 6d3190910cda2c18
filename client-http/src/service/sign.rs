//! AWS Signature Version 4.

use super::error::ServiceError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::{HeaderName, HeaderValue};
use std::time::SystemTime;

/// What the signature is for.
const SERVICE: &str = "execute-api";

/// What is signed.
#[derive(Debug)]
pub(crate) struct ToSign<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    pub(crate) headers: &'a [(HeaderName, HeaderValue)],
    pub(crate) body: &'a [u8],
}

/// The headers that carry a signature of a request, its body's hash included, made at `now`.
pub(crate) async fn signature(
    credentials: &SharedCredentialsProvider,
    region: &str,
    now: SystemTime,
    request: &ToSign<'_>,
) -> Result<Vec<(HeaderName, HeaderValue)>, ServiceError> {
    let credentials =
        credentials
            .provide_credentials()
            .await
            .map_err(|source| ServiceError::Credentials {
                source: Box::new(source),
            })?;
    let identity = credentials.into();
    let cannot = |cause: String| ServiceError::Request {
        route: format!("{} {}", request.method, request.url),
        cause,
    };
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| cannot(error.to_string()))?
        .into();
    let headers = request
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let signable = SignableRequest::new(
        request.method,
        request.url,
        headers,
        SignableBody::Bytes(request.body),
    );
    let (instructions, _) = signable
        .and_then(|signable| sign(signable, &parameters))
        .map_err(|error| cannot(error.to_string()))?
        .into_parts();
    instructions
        .into_parts()
        .0
        .iter()
        .map(|header| {
            let name = HeaderName::try_from(header.name());
            let value = HeaderValue::try_from(header.value());
            let (Ok(name), Ok(mut value)) = (name, value) else {
                return Err(cannot("a signature header is malformed".to_owned()));
            };
            value.set_sensitive(true);
            Ok((name, value))
        })
        .collect()
}
