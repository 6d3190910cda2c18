//! Which pages' scripts may call: CORS, as an HTTP API and a bucket do it.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

/// What a side allows, which differs as on AWS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    methods: &'static str,
    headers: &'static str,
    exposed: &'static str,
    /// Of preflights from pages that may call, and from others.
    statuses: (StatusCode, StatusCode),
}

/// The HTTP API's: it answers every preflight, and says nothing of pages that may not call.
pub(crate) const API: Rules = Rules {
    methods: "GET, POST, DELETE",
    headers: "accept, authorization, content-type, if-none-match",
    exposed: "apigw-requestid, cipherfn-statement, date, etag, retry-after",
    statuses: (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT),
};
/// The bucket's, for presigned addresses.
pub(crate) const BUCKET: Rules = Rules {
    methods: "GET, PUT",
    headers: "*",
    exposed: "etag",
    statuses: (StatusCode::OK, StatusCode::FORBIDDEN),
};
/// Seconds that a browser may remember what a preflight said.
const MAX_AGE: &str = "3600";

/// The pages that may call, by their origins; none by default.
#[derive(Clone, Debug)]
pub(crate) struct Cors {
    origins: Vec<String>,
    rules: Rules,
}

impl Cors {
    pub(crate) const fn new(origins: Vec<String>, rules: Rules) -> Self {
        Self { origins, rules }
    }

    /// The answer to a preflight, if this is one and any page may call.
    pub(crate) fn preflight(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Option<Response<Bytes>> {
        let asks = method == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !asks || self.origins.is_empty() {
            return None;
        }
        let allowed = self.allowed(headers);
        let (good, bad) = self.rules.statuses;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = if allowed.is_some() { good } else { bad };
        if allowed.is_some() {
            // A bucket repeats the headers that are asked for.
            let asked = headers.get(http::header::ACCESS_CONTROL_REQUEST_HEADERS);
            let listed = HeaderValue::from_static(self.rules.headers);
            let named = asked.cloned().filter(|_| self.rules.headers == "*");
            self.mark(allowed.as_ref(), response.headers_mut());
            let preflight: [(HeaderName, HeaderValue); 3] = [
                (
                    ACCESS_CONTROL_ALLOW_METHODS,
                    HeaderValue::from_static(self.rules.methods),
                ),
                (ACCESS_CONTROL_ALLOW_HEADERS, named.unwrap_or(listed)),
                (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE)),
            ];
            response.headers_mut().extend(preflight);
        }
        Some(response)
    }

    /// The origin of a request, if its page may call.
    pub(crate) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        let mut origins = self.origins.iter();
        origins
            .any(|allowed| allowed.as_bytes() == origin.as_bytes())
            .then(|| origin.clone())
    }

    /// Lets the page of that origin read an answer.
    pub(crate) fn mark(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        let Some(origin) = origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(self.rules.exposed),
        );
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
}
