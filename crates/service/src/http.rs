//! Requests and responses: routes, bodies of a declared type and size, JSON, problems.

use cipherfn_protocol::api::{self, Function, Problem, ProblemType, ROUTES};
use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Request, RequestExt, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::str::FromStr;

/// The route of [`ROUTES`] that a request takes: method, pattern, and the value of the path's
/// parameter, empty where it has none.
pub fn route(
    function: Function,
    request: &Request,
) -> Result<(&'static str, &'static str, String), Problem> {
    let path = request.raw_http_path();
    let mut allowed = Vec::new();
    for (method, pattern, of) in ROUTES {
        let Some(parameter) = matches(pattern, path) else {
            continue;
        };
        if of == function && request.method().as_str() == method {
            return Ok((method, pattern, parameter));
        }
        allowed.push(method);
    }
    Err(if allowed.is_empty() {
        Problem::new(
            ProblemType::UnknownRoute,
            "no such route; /v1/openapi.json lists all of them",
        )
    } else {
        Problem::new(
            ProblemType::WrongMethod,
            format!("this route takes {}", allowed.join(" or ")),
        )
    })
}

/// Matches a path with a pattern of at most one parameter, and gives the parameter's value.
fn matches(pattern: &str, path: &str) -> Option<String> {
    let (mut parameter, mut rest) = (String::new(), path.split('/'));
    for part in pattern.split('/') {
        let value = rest.next()?;
        if part.starts_with('{') {
            value.clone_into(&mut parameter);
        } else if part != value {
            return None;
        }
    }
    rest.next().is_none().then_some(parameter)
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
                shorten(found)
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
        Problem::new(
            ProblemType::MalformedRequest,
            format!("the body is not what this route takes: {error}"),
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

/// Text from outside, short enough to be repeated.
fn shorten(text: &str) -> &str {
    &text[..text.floor_char_boundary(100)]
}

#[cfg(test)]
mod tests;
