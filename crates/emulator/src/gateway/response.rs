//! What a function returns, as a response.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    status_code: u16,
    #[serde(default)]
    headers: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    multi_value_headers: Option<BTreeMap<String, Vec<Value>>>,
    #[serde(default)]
    cookies: Option<Vec<String>>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: Option<bool>,
}

/// The response; `None` where API Gateway takes the payload for invalid.
pub(crate) fn build(payload: &Bytes) -> Option<Response<Full<Bytes>>> {
    let value: Value = serde_json::from_slice(payload).ok()?;
    if value.get("statusCode").is_none() {
        // Format 2.0: JSON without a status code is the body itself.
        let mut response = Response::new(Full::new(payload.clone()));
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        return Some(response);
    }
    let payload: Payload = serde_json::from_value(value).ok()?;
    let body = payload.body.unwrap_or_default();
    let body = if payload.is_base64_encoded == Some(true) {
        STANDARD.decode(body).ok()?
    } else {
        body.into_bytes()
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(payload.status_code)
        .ok()
        .filter(|status| status.as_u16() >= 200)?;
    for (name, value) in payload.headers.into_iter().flatten() {
        let (name, value) = parse(&name, &value)?;
        response.headers_mut().insert(name, value);
    }
    for (name, values) in payload.multi_value_headers.into_iter().flatten() {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        response.headers_mut().remove(&name);
        for value in values {
            let (name, value) = parse(name.as_str(), &value)?;
            response.headers_mut().append(name, value);
        }
    }
    for cookie in payload.cookies.into_iter().flatten() {
        response
            .headers_mut()
            .append(header::SET_COOKIE, HeaderValue::from_str(&cookie).ok()?);
    }
    // The server sets these itself.
    for name in [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
    ] {
        response.headers_mut().remove(name);
    }
    Some(response)
}

fn parse(name: &str, value: &Value) -> Option<(HeaderName, HeaderValue)> {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    Some((
        HeaderName::from_bytes(name.as_bytes()).ok()?,
        HeaderValue::from_str(&text).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(payload: &str) -> Option<u16> {
        build(&Bytes::copy_from_slice(payload.as_bytes()))
            .map(|response| response.status().as_u16())
    }

    #[test]
    fn format_2_0() {
        assert_eq!(
            status(r#"{"statusCode":201,"headers":{"a":1},"body":"eA==","isBase64Encoded":true}"#),
            Some(201)
        );
        assert_eq!(status(r#"{"hello":"world"}"#), Some(200));
        assert_eq!(status(r#""text""#), Some(200));
    }

    #[test]
    fn invalid_payloads_are_no_response() {
        for payload in [
            "",
            "{",
            r#"{"statusCode":"200 OK"}"#,
            r#"{"statusCode":99}"#,
            r#"{"statusCode":200,"headers":{"bad name":"x"}}"#,
            r#"{"statusCode":200,"headers":{"a":"x\ny"}}"#,
            r#"{"statusCode":200,"body":"*","isBase64Encoded":true}"#,
        ] {
            assert_eq!(status(payload), None, "{payload}");
        }
    }
}
