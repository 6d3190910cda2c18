//! Presigned requests: to S3, with exactly what their signature covers.

use super::Service;
use super::endpoint;
use super::error::ServiceError;
use super::retry::{self, Failure};
use super::transport::{self, Answer, Cause};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::Url;
use std::collections::BTreeMap;

/// A presigned request as the service gives it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Presigned<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    pub(crate) headers: &'a BTreeMap<String, String>,
}

/// Why nothing was transferred.
#[derive(Debug)]
pub(crate) enum TransferFailure {
    /// The request makes no sense, or leads where this client does not go.
    Address,
    /// Ours.
    Ours(ServiceError),
    /// S3 said no, or nothing.
    Failed {
        /// Where, without the signature.
        to: String,
        attempts: u32,
        /// How the last attempt failed.
        cause: String,
        /// Whether a new address can help.
        renew: bool,
    },
}

impl Service {
    /// Makes a presigned request of `method`, again where that can help; reads at most `most` bytes
    /// of the answer. For a PUT, what is there already is as good as what arrives.
    pub(crate) async fn transfer(
        &self,
        method: Method,
        presigned: Presigned<'_>,
        body: Bytes,
        most: usize,
    ) -> Result<Bytes, TransferFailure> {
        let address = self.address(&method, presigned);
        let (url, headers) = address.ok_or(TransferFailure::Address)?;
        let send = || async {
            let request = self.0.http.request(method.clone(), url.clone());
            let request = request.headers(headers.clone()).body(body.clone());
            judge(&method, transport::exchange(request, most).await?)
        };
        let route = || format!("{method} {}", endpoint::redacted(&url));
        let (cause, attempts) = match retry::retry(&self.0.options, route, send).await {
            Ok((answer, _)) => return Ok(answer.body),
            Err(failed) => failed,
        };
        let (cause, renew) = match cause {
            Cause::Ours(error) => return Err(TransferFailure::Ours(error)),
            Cause::Transport(cause) => (cause, true),
            Cause::Answer(answer) => (describe(&answer), answer.status == StatusCode::FORBIDDEN),
        };
        Err(TransferFailure::Failed {
            to: endpoint::redacted(&url),
            attempts,
            cause,
            renew,
        })
    }

    /// Address and headers, where all of them make sense.
    fn address(&self, method: &Method, presigned: Presigned<'_>) -> Option<(Url, HeaderMap)> {
        let url = Url::parse(presigned.url).ok()?;
        if !self.0.endpoint.may_point_to(&url) || presigned.method != method.as_str() {
            return None;
        }
        let mut headers = HeaderMap::new();
        for (name, value) in presigned.headers {
            let name = HeaderName::try_from(name).ok()?;
            // These two follow from the address and the body.
            if name == HOST || name == CONTENT_LENGTH {
                continue;
            }
            // What a presigned request needs. Others are for servers that the service cannot reach
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
        Some((url, headers))
    }
}

fn judge(method: &Method, answer: Answer) -> Result<Answer, Failure<Cause>> {
    let status = answer.status;
    // "If-None-Match: *" failed: it is there. What it holds is checked by whoever reads it.
    let is_there = *method == Method::PUT && status == StatusCode::PRECONDITION_FAILED;
    if status.is_success() || is_there {
        return Ok(answer);
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
