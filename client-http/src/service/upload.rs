//! One piece of a key to a presigned address.

use super::Service;
use super::endpoint::{self, Endpoint};
use super::error::ServiceError;
use super::retry::{self, Failure};
use super::transport::{self, Answer, Cause};
use bytes::Bytes;
use cipherfn_protocol::api::v2::PieceUpload;
use cipherfn_protocol::api::{ApiVersion, Route};
use cipherfn_protocol::message::KeyId;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::Url;

/// Largest answer to an upload that is read, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// A piece that did not arrive.
#[derive(Debug)]
pub(crate) struct PieceFailure {
    pub(crate) error: ServiceError,
    /// Whether asking for what is missing again can help.
    pub(crate) renew: bool,
}

impl Service {
    /// Uploads one piece of a part's file. A piece that is there already is as good as one that arrives.
    pub(crate) async fn put(
        &self,
        key: KeyId,
        piece: &PieceUpload,
        file: &Bytes,
    ) -> Result<(), PieceFailure> {
        let Some((url, headers, body)) = request(&self.0.endpoint, piece, file) else {
            let error = ServiceError::Answer {
                route: format!(
                    "POST {}",
                    self.0
                        .endpoint
                        .url(&Route::DeclareKey.path(ApiVersion::V2, ""))
                ),
                reason: format!(
                    "piece {} of the part {:?} lies outside the file or cannot be sent there",
                    piece.number, piece.part
                ),
            };
            return Err(PieceFailure {
                error,
                renew: false,
            });
        };
        let put = || async {
            let request = self
                .0
                .http
                .put(url.clone())
                .headers(headers.clone())
                .body(body.clone());
            judge(transport::exchange(request, MAX_ANSWER).await?)
        };
        let route = || format!("PUT {}", endpoint::redacted(&url));
        let Err((cause, attempts)) = retry::retry(&self.0.options, route, put).await else {
            return Ok(());
        };
        let (cause, renew) = match cause {
            Cause::Ours(error) => {
                return Err(PieceFailure {
                    error,
                    renew: false,
                });
            }
            Cause::Transport(cause) => (cause, true),
            Cause::Answer(answer) => (describe(&answer), answer.status == StatusCode::FORBIDDEN),
        };
        let error = ServiceError::Upload {
            key,
            part: piece.part.clone(),
            piece: piece.number,
            to: endpoint::redacted(&url),
            attempts,
            cause,
        };
        Err(PieceFailure { error, renew })
    }
}

/// Address, headers and body, where all of them make sense.
fn request(
    endpoint: &Endpoint,
    piece: &PieceUpload,
    file: &Bytes,
) -> Option<(Url, HeaderMap, Bytes)> {
    let url = Url::parse(&piece.url).ok()?;
    if !endpoint.may_point_to(&url) {
        return None;
    }
    if piece.method != Method::PUT.as_str() {
        return None;
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &piece.headers {
        let name = HeaderName::try_from(name).ok()?;
        // These two follow from the address and the body.
        if name == HOST || name == CONTENT_LENGTH {
            continue;
        }
        // What a presigned upload needs. Others are for servers that the service cannot reach
        // itself and this machine can.
        let is_usual = [CONTENT_TYPE, IF_NONE_MATCH].contains(&name)
            || ["content-md5", "x-amz-"]
                .iter()
                .any(|usual| name.as_str().starts_with(usual));
        if !is_usual {
            return None;
        }
        headers.insert(name, HeaderValue::try_from(value).ok()?);
    }
    let range = usize::try_from(piece.offset).ok()?
        ..usize::try_from(piece.offset.checked_add(piece.bytes)?).ok()?;
    file.get(range.clone())?;
    Some((url, headers, file.slice(range)))
}

fn judge(answer: Answer) -> Result<(), Failure<Cause>> {
    let status = answer.status;
    // "If-None-Match: *" failed: the piece is there. What it holds is checked by `complete`.
    if status.is_success() || status == StatusCode::PRECONDITION_FAILED {
        return Ok(());
    }
    let passing = retry::is_passing(status.as_u16())
        || matches!(
            code(&answer),
            "RequestTimeout" | "ConditionalRequestConflict"
        );
    Err(Failure {
        retryable: passing,
        wait: retry::wait(&answer.headers),
        cause: Cause::Answer(Box::new(answer)),
    })
}

fn describe(answer: &Answer) -> String {
    match code(answer) {
        "" => format!("status {}", answer.status.as_u16()),
        code => format!("status {}, {code}", answer.status.as_u16()),
    }
}

/// S3's error code, letters only; the rest of its answer may quote the signature.
fn code(answer: &Answer) -> &str {
    let text = std::str::from_utf8(&answer.body).unwrap_or_default();
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"));
    code.map(|(code, _)| code)
        .filter(|code| code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        .unwrap_or_default()
}
