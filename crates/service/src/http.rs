//! Requests and responses: routes, bodies of a declared type and size, JSON, problems.

use cipherfn_protocol::api::{self, Function, NoRoute, Problem, ProblemType, Requested, Route};
use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Request, RequestExt, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::str::FromStr;

/// The route that a request takes, which must be one of this function's.
pub fn route(function: Function, request: &Request) -> Result<Requested<'_>, Problem> {
    let wrong_method = |methods: &[&str]| {
        Problem::new(
            ProblemType::WrongMethod,
            format!("this route takes {}", methods.join(" or ")),
        )
    };
    match Route::find(request.method().as_str(), request.raw_http_path()) {
        Ok(requested) if requested.route.function() == function => Ok(requested),
        Ok(requested) => Err(wrong_method(&[requested.route.method()])),
        Err(NoRoute::Method(methods)) => Err(wrong_method(&methods)),
        Err(NoRoute::Path) => Err(Problem::new(
            ProblemType::UnknownRoute,
            "no such route; /v2/openapi.json lists all of them",
        )),
    }
}

/// Parses an id from outside; `what` it names.
pub fn id<T: FromStr<Err: std::fmt::Display>>(what: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| {
        Problem::new(
            ProblemType::MalformedRequest,
            format!("the request does not name a {what}: {error}"),
        )
    })
}

/// The body, which must be of `content_type` and at most `limit` bytes.
pub fn body<'a>(
    request: &'a Request,
    content_type: &str,
    limit: usize,
) -> Result<&'a [u8], Problem> {
    let found = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = found.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(content_type) {
        return Err(Problem::new(
            ProblemType::WrongContentType,
            format!(
                "the body has the content type {:?}, this route takes {content_type}",
                shorten(found, 100)
            ),
        ));
    }
    let bytes: &[u8] = request.body().as_ref();
    if bytes.len() > limit {
        return Err(Problem::new(
            ProblemType::BodyTooLarge,
            format!(
                "the body has {} bytes, this route takes at most {limit}; send fewer rows at a time",
                bytes.len()
            ),
        ));
    }
    Ok(bytes)
}

/// A JSON body.
pub fn json_body<T: DeserializeOwned>(request: &Request) -> Result<T, Problem> {
    serde_json::from_slice(body(request, api::JSON, api::MAX_JSON)?).map_err(|error| {
        // It may quote what was sent, at any length.
        let error = error.to_string();
        Problem::new(
            ProblemType::MalformedRequest,
            format!(
                "the body is not what this route takes: {}",
                shorten(&error, 300)
            ),
        )
    })
}

/// A response with a body.
pub fn response(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A JSON response.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    serialized(status, api::JSON, value)
}

/// A problem as a response.
pub fn problem(problem: &Problem) -> Response<Body> {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    serialized(status, api::PROBLEM, problem)
}

fn serialized(
    status: StatusCode,
    content_type: &'static str,
    value: &impl Serialize,
) -> Response<Body> {
    match serde_json::to_string(value) {
        Ok(text) => response(status, content_type, text),
        Err(_) => response(StatusCode::INTERNAL_SERVER_ERROR, api::PROBLEM, Body::Empty),
    }
}

/// Text from outside, at most so many bytes of it, short enough to be repeated.
fn shorten(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests;
