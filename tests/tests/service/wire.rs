//! HTTP without a client's manners: paths, headers and bodies go out as they are given.

use bytes::Bytes;
use cipherfn_protocol::api::{PROBLEM, Problem};
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// An answer that was read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn content_type(&self) -> &str {
        self.header("content-type")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The problem that this is.
    pub(crate) fn problem(&self) -> Problem {
        assert_eq!(self.content_type(), PROBLEM, "{self:?}");
        let problem: Problem =
            serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert_eq!(problem.status, self.status);
        problem
    }
}

/// A request to `target`, a path with its query.
pub(crate) fn request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<Bytes> {
    let mut request = Request::new(body.into());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).expect("a method");
    *request.uri_mut() = target.parse().expect("a target");
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
        request
            .headers_mut()
            .append(name, value.parse().expect("a header's value"));
    }
    request
}

/// Sends a request to `address` (`HOST:PORT`) over a connection of its own.
pub(crate) async fn send(address: &str, mut request: Request<Bytes>) -> Result<Answer, String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| error.to_string())?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    if !request.headers().contains_key(HOST) {
        let host = HeaderValue::from_str(address).map_err(|error| error.to_string())?;
        request.headers_mut().insert(HOST, host);
    }
    let response = sender
        .send_request(request.map(Full::new))
        .await
        .map_err(|error| error.to_string())?;
    let (parts, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|error| error.to_string())?
        .to_bytes();
    Ok(Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
    })
}

/// The address and the target of a URL.
pub(crate) fn split(url: &str) -> (&str, &str) {
    let rest = url
        .strip_prefix("http://")
        .expect("plain HTTP on this machine");
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}

/// The content type of a request.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    value
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
}
