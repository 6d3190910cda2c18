//! Requests as events of [payload format 2.0](https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html).

use std::collections::BTreeMap;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use serde_json::{Map, Value, json};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::routes::{Match, decode};
use crate::account::ACCOUNT;
use crate::authorizer::Caller;
use crate::random;

const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

/// Ids that a request gets.
pub(crate) struct Ids {
    pub(crate) request: String,
    pub(crate) trace: String,
}

impl Ids {
    /// New ids; the client's trace id is kept if it sent one.
    pub(crate) fn new(headers: &HeaderMap) -> Self {
        let sent = headers
            .get("x-amzn-trace-id")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let trace = sent.unwrap_or_else(|| {
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs();
            format!("Root=1-{now:08x}-{}", random::hex(12))
        });
        Self {
            request: super::request_id(),
            trace,
        }
    }
}

/// The event as JSON.
pub(crate) fn build(
    parts: &Parts,
    body: &Bytes,
    matched: &Match<'_>,
    caller: &Caller,
    ids: &Ids,
    port: u16,
) -> Bytes {
    let now = time::OffsetDateTime::now_utc();
    let headers = headers(parts, ids, port);
    let host = headers.get("host").cloned().unwrap_or_default();
    let mut event = json!({
        "version": "2.0",
        "routeKey": matched.key,
        "rawPath": parts.uri.path(),
        "rawQueryString": parts.uri.query().unwrap_or(""),
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "local",
            "authorizer": caller.context(),
            "domainName": host,
            "domainPrefix": host.split(['.', ':']).next(),
            "http": {
                "method": parts.method.as_str(),
                "path": parts.uri.path(),
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get("user-agent").cloned().unwrap_or_default(),
            },
            "requestId": ids.request,
            "routeKey": matched.key,
            "stage": "$default",
            "time": now.format(TIME).unwrap_or_default(),
            "timeEpoch": (now.unix_timestamp_nanos() / 1_000_000) as i64,
        },
        "headers": headers,
        "isBase64Encoded": false,
    });
    let cookies = cookies(&parts.headers);
    let query = query(parts.uri.query().unwrap_or(""));
    let (text, encoded) = encode(&parts.headers, body);
    if let Some(event) = event.as_object_mut() {
        let mut set = |name: &str, value: Value| event.insert(name.to_owned(), value);
        if !cookies.is_empty() {
            set("cookies", json!(cookies));
        }
        if !query.is_empty() {
            set("queryStringParameters", Value::Object(query));
        }
        if !matched.parameters.is_empty() {
            set("pathParameters", json!(matched.parameters));
        }
        if !body.is_empty() {
            set("body", Value::String(text));
            set("isBase64Encoded", Value::Bool(encoded));
        }
    }
    Bytes::from(event.to_string())
}

/// Names in lower case, values of one name joined by commas; cookies go into their own field.
fn headers(parts: &Parts, ids: &Ids, port: u16) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in parts
        .headers
        .iter()
        .filter(|(name, _)| **name != header::COOKIE)
    {
        let value = String::from_utf8_lossy(value.as_bytes());
        headers
            .entry(name.as_str().to_owned())
            .and_modify(|values| {
                values.push(',');
                values.push_str(&value);
            })
            .or_insert_with(|| value.to_string());
    }
    headers.insert("x-amzn-trace-id".to_owned(), ids.trace.clone());
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1".to_owned()),
        ("x-forwarded-proto", "http".to_owned()),
        ("x-forwarded-port", port.to_string()),
    ] {
        headers.insert(name.to_owned(), value);
    }
    headers
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let values = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(';'))
        .map(|cookie| cookie.trim().to_owned())
        .filter(|cookie| !cookie.is_empty())
        .collect()
}

/// Values of one name joined by commas.
fn query(query: &str) -> Map<String, Value> {
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let [name, value] = [name, value].map(|text| decode(&text.replace('+', " ")));
        parameters
            .entry(name)
            .and_modify(|values| {
                values.push(',');
                values.push_str(&value);
            })
            .or_insert_with(|| value.clone());
    }
    parameters
        .into_iter()
        .map(|(name, value)| (name, Value::String(value)))
        .collect()
}

/// The body as text, and whether that is base64: for everything but text, JSON, JavaScript and XML.
fn encode(headers: &HeaderMap, body: &Bytes) -> (String, bool) {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
        .to_ascii_lowercase();
    let media_type = content_type.split(';').next().unwrap_or("").trim();
    let textual = media_type.starts_with("text/")
        || matches!(
            media_type,
            "application/json" | "application/javascript" | "application/xml"
        );
    match std::str::from_utf8(body) {
        Ok(text) if textual && !headers.contains_key(header::CONTENT_ENCODING) => {
            (text.to_owned(), false)
        }
        _ => (STANDARD.encode(body), true),
    }
}
