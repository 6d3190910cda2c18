//! One call of the service: attempts, authentication, and what an answer means.

use super::Service;
use super::endpoint::{self, Endpoint};
use super::error::{ServiceError, Skew};
use super::options::Authentication;
use super::retry::{self, Failure};
use super::sign::{self, ToSign};
use bytes::{Bytes, BytesMut};
use cipherfn_protocol::api::{self, Problem, ProblemType};
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// Difference of clocks in seconds that still passes for none; AWS takes signatures that are off by
/// up to 5 minutes.
const MAX_SKEW: i64 = 240;
/// Bytes of an error that are shown.
const MAX_SHOWN: usize = 200;

/// A request.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Starts with a slash.
    pub(crate) path: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    /// Largest answer that is read, in bytes.
    pub(crate) most: usize,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    pub(crate) fn new(method: Method, path: String) -> Self {
        Self {
            method,
            path,
            headers: Vec::new(),
            body: Bytes::new(),
            most: api::MAX_REPLY,
        }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn body(self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self { body, ..self }.header(CONTENT_TYPE, HeaderValue::from_static(content_type))
    }

    pub(crate) fn route(&self, endpoint: &Endpoint) -> String {
        format!("{} {}", self.method, endpoint.url(&self.path))
    }
}

impl Answer {
    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn problem(&self) -> Option<Problem> {
        let mut problem: Problem = self
            .header(CONTENT_TYPE)
            .is_some_and(|kind| kind.starts_with(api::PROBLEM))
            .then(|| serde_json::from_slice(&self.body).ok())??;
        problem.status = self.status.as_u16();
        // What a terminal would obey is not passed on.
        problem.title = problem.title.replace(char::is_control, " ");
        problem.detail = problem.detail.replace(char::is_control, " ");
        problem.request_id = problem
            .request_id
            .map(|id| id.replace(char::is_control, " "));
        Some(problem)
    }

    /// The start of the text, on one line; nothing of HTML or bytes.
    pub(crate) fn text(&self) -> String {
        let text = std::str::from_utf8(&self.body).unwrap_or_default().trim();
        if text.starts_with("<!") || text.starts_with("<html") {
            return String::new();
        }
        let end = text.floor_char_boundary(MAX_SHOWN);
        text[..end].split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Seconds that the other side's clock is ahead of this machine's.
    fn ahead(&self) -> Option<i64> {
        let date = OffsetDateTime::parse(self.header(DATE)?, &Rfc2822).ok()?;
        Some((date - OffsetDateTime::now_utc()).whole_seconds())
    }
}

/// Why there is no answer to use.
#[derive(Debug)]
pub(crate) enum Cause {
    /// None came.
    Transport(String),
    /// One that is an error.
    Answer(Box<Answer>),
    /// An error of our own.
    Ours(ServiceError),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(text) => f.write_str(text),
            Self::Answer(answer) => write!(f, "status {}", answer.status.as_u16()),
            Self::Ours(error) => error.fmt(f),
        }
    }
}

/// Seconds to add to this machine's clock in signatures, learnt from a refusal.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicI64);

impl Clock {
    fn now(&self) -> SystemTime {
        let ahead = self.0.load(Ordering::Relaxed);
        let shift = Duration::from_secs(ahead.unsigned_abs());
        let now = SystemTime::now();
        if ahead < 0 { now - shift } else { now + shift }
    }

    /// Takes over the service's clock; false where that is what signatures had already.
    fn adopt(&self, ahead: i64) -> bool {
        (self.0.swap(ahead, Ordering::Relaxed) - ahead).abs() > MAX_SKEW
    }
}

impl Service {
    /// Calls the service until it answers with success, a redirect or "not modified", and with the
    /// number of attempts that took.
    pub(crate) async fn call(&self, call: &Call) -> Result<(Answer, u32), ServiceError> {
        let route = || call.route(&self.0.endpoint);
        let result = retry::retry(&self.0.options, route, || self.attempt(call)).await;
        result.map_err(|(cause, attempts)| match cause {
            Cause::Ours(error) => error,
            Cause::Transport(cause) => ServiceError::Unreachable {
                route: route(),
                attempts,
                cause,
            },
            Cause::Answer(answer) => self.refusal(route(), attempts, &answer),
        })
    }

    /// One attempt, or two where the first shows that the clocks differ.
    async fn attempt(&self, call: &Call) -> Result<Answer, Failure<Cause>> {
        let mut answer = self.once(call).await?;
        if answer.status == StatusCode::FORBIDDEN
            && let Authentication::SigV4 { .. } = self.0.options.authentication
            && let Some(ahead) = answer.ahead()
            && self
                .0
                .clock
                .adopt(if ahead.abs() > MAX_SKEW { ahead } else { 0 })
        {
            answer = self.once(call).await?;
        }
        let status = answer.status;
        if status.is_success() || status.is_redirection() {
            return Ok(answer);
        }
        Err(Failure {
            retryable: answer.problem().map_or_else(
                || retry::is_passing(status.as_u16()),
                |problem| problem.is_retryable(),
            ),
            wait: retry::wait(&answer.headers),
            cause: Cause::Answer(Box::new(answer)),
        })
    }

    async fn once(&self, call: &Call) -> Result<Answer, Failure<Cause>> {
        let url = self.0.endpoint.url(&call.path);
        let mut request = self.0.http.request(call.method.clone(), &url);
        for (name, value) in call
            .headers
            .iter()
            .chain(&self.identity(call, &url).await.map_err(ours)?)
        {
            request = request.header(name, value);
        }
        exchange(request.body(call.body.clone()), call.most).await
    }

    /// The headers that tell who is calling.
    async fn identity(
        &self,
        call: &Call,
        url: &str,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, ServiceError> {
        match &self.0.options.authentication {
            Authentication::None => Ok(Vec::new()),
            Authentication::Bearer(token) => {
                let value = token.header().map_err(|error| ServiceError::Request {
                    route: call.route(&self.0.endpoint),
                    cause: error.to_string(),
                })?;
                Ok(vec![(AUTHORIZATION, value)])
            }
            Authentication::SigV4 { credentials, .. } => {
                let request = ToSign {
                    method: call.method.as_str(),
                    url,
                    headers: &call.headers,
                    body: &call.body,
                };
                sign::signature(credentials, &self.0.region, self.0.clock.now(), &request).await
            }
        }
    }

    fn refusal(&self, route: String, attempts: u32, answer: &Answer) -> ServiceError {
        let status = answer.status.as_u16();
        match answer.problem() {
            Some(problem) if problem.kind != ProblemType::Unauthenticated => {
                ServiceError::Problem {
                    route,
                    attempts,
                    problem: Box::new(problem),
                }
            }
            problem if problem.is_some() || matches!(status, 401 | 403) => ServiceError::Denied {
                route,
                status,
                text: problem.map_or_else(|| answer.text(), |problem| problem.detail),
                advice: self.advice(),
                clock: self.skew(answer),
            },
            _ => ServiceError::Status {
                route,
                attempts,
                status,
                text: answer.text(),
            },
        }
    }

    fn advice(&self) -> &'static str {
        match self.0.options.authentication {
            Authentication::None => "give a token, or AWS credentials to sign with",
            Authentication::Bearer(_) => {
                "the token may have expired or belong to another service: give a new one"
            }
            Authentication::SigV4 { .. } => {
                "check the AWS credentials, the region, and that they are allowed execute-api:Invoke on this API"
            }
        }
    }

    fn skew(&self, answer: &Answer) -> Option<Skew> {
        let signs = matches!(self.0.options.authentication, Authentication::SigV4 { .. });
        let ahead = answer
            .ahead()
            .filter(|ahead| signs && ahead.abs() > MAX_SKEW)?;
        Some(Skew { ahead })
    }
}

const fn ours(error: ServiceError) -> Failure<Cause> {
    Failure::permanent(Cause::Ours(error))
}

/// Sends a request and reads the whole answer, at most `most` bytes.
pub(crate) async fn exchange(
    request: reqwest::RequestBuilder,
    most: usize,
) -> Result<Answer, Failure<Cause>> {
    let mut response = request.send().await.map_err(transport)?;
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    let route = endpoint::redacted(response.url());
    let mut body = BytesMut::new();
    while let Some(bytes) = response.chunk().await.map_err(transport)? {
        if body.len() + bytes.len() > most {
            let reason = format!("more than {most} bytes");
            return Err(ours(ServiceError::Answer { route, reason }));
        }
        body.extend_from_slice(&bytes);
    }
    let body = body.freeze();
    Ok(Answer {
        status,
        headers,
        body,
    })
}

/// A failure of the connection, with its causes in one line and without the address, which may be a
/// secret.
fn transport(error: reqwest::Error) -> Failure<Cause> {
    let permanent = error.is_builder() || is_certificate(&error);
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    let cause = Cause::Transport(text);
    if permanent {
        Failure::permanent(cause)
    } else {
        Failure::passing(cause)
    }
}

/// Whether TLS failed because of the other side's certificate, which does not pass.
fn is_certificate(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        // The source of an I/O error that wraps another is that other's source: look at the other
        // too.
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}
