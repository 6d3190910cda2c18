//! Lambda's [`Invoke`](https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html): how functions
//! invoke each other, and everything else that has the SDK.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::json;

use super::queue::Queue;
use super::{InvokeError, Pool};
use crate::authorizer::sigv4;
use crate::{Limits, body, random};

const PREFIX: &str = "/2015-03-31/functions/";
const SUFFIX: &str = "/invocations";
/// What signatures are for.
const SERVICE: &str = "lambda";

/// Answers the requests of Lambda's API.
#[derive(Clone, Debug)]
pub(crate) struct InvokeApi(Arc<InvokeState>);

struct InvokeState {
    functions: Arc<BTreeMap<String, Arc<Pool>>>,
    queue: Arc<Queue>,
    limits: Limits,
    /// Id and secret of the one access key.
    key: (String, String),
}

impl InvokeApi {
    pub(crate) fn new(
        functions: Arc<BTreeMap<String, Arc<Pool>>>,
        queue: Arc<Queue>,
        limits: Limits,
        (id, secret): (&str, &str),
    ) -> Self {
        Self(Arc::new(InvokeState {
            functions,
            queue,
            limits,
            key: (id.to_owned(), secret.to_owned()),
        }))
    }
}

impl hyper::service::Service<Request<Incoming>> for InvokeApi {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let state = Arc::clone(&self.0);
        Box::pin(async move {
            Ok(state
                .answer(request)
                .await
                .unwrap_or_else(InvokeFailure::response))
        })
    }
}

impl InvokeState {
    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, InvokeFailure> {
        let (parts, body) = request.into_parts();
        let limit = self.limits.event_bytes;
        let body = body::read(body, limit, self.limits.body_timeout).await;
        let body = body.map_err(|error| match error {
            body::Error::TooLarge => InvokeFailure::TooLarge(limit),
            body::Error::Broken | body::Error::Stalled => InvokeFailure::Body,
        })?;
        self.authorize(&parts, &body)?;
        let path = parts.uri.path();
        let name = path
            .strip_prefix(PREFIX)
            .and_then(|path| path.strip_suffix(SUFFIX))
            .filter(|_| parts.method == Method::POST)
            .ok_or(InvokeFailure::Operation)?;
        let pool = self.functions.get(name).map(Arc::clone);
        let pool = pool.ok_or_else(|| InvokeFailure::Function(name.to_owned()))?;
        // An invocation without payload has the event `{}`.
        let event = if body.is_empty() {
            Bytes::from_static(b"{}")
        } else {
            body
        };
        if serde_json::from_slice::<serde::de::IgnoredAny>(&event).is_err() {
            return Err(InvokeFailure::Body);
        }
        let kind = parts.headers.get("x-amz-invocation-type");
        match kind.map_or(b"RequestResponse" as &[u8], HeaderValue::as_bytes) {
            b"Event" => {
                let limit = self.limits.asynchronous_event_bytes;
                if event.len() > limit {
                    return Err(InvokeFailure::TooLarge(limit));
                }
                self.queue.push(pool, event);
                Ok(answer(StatusCode::ACCEPTED, Bytes::new()))
            }
            b"RequestResponse" => {
                let (trace, patience) = (random::trace(), Some(self.limits.queue_timeout));
                let result = pool.invoke(&random::uuid(), event, trace, patience).await;
                respond(result)
            }
            b"DryRun" => Ok(answer(StatusCode::NO_CONTENT, Bytes::new())),
            _ => Err(InvokeFailure::Operation),
        }
    }

    fn authorize(&self, parts: &http::request::Parts, body: &[u8]) -> Result<(), InvokeFailure> {
        let credentials = parts.headers.get(header::AUTHORIZATION);
        let credentials = credentials.and_then(|value| value.to_str().ok());
        let signature = credentials.and_then(sigv4::Authorization::parse);
        let (id, secret) = &self.key;
        let signed = signature.is_some_and(|signature| {
            signature.access_key_id == *id
                && signature.verify(SERVICE, parts, body, secret, SystemTime::now())
        });
        if signed {
            Ok(())
        } else {
            Err(InvokeFailure::Access)
        }
    }
}

/// What a function said, or how it failed, which is an answer too.
fn respond(result: Result<Bytes, InvokeError>) -> Result<Response<Full<Bytes>>, InvokeFailure> {
    match result {
        Ok(payload) => Ok(answer(StatusCode::OK, payload)),
        Err(InvokeError::Throttled | InvokeError::Stopping) => Err(InvokeFailure::Throttled),
        Err(InvokeError::EventTooLarge { limit, .. }) => Err(InvokeFailure::TooLarge(limit)),
        Err(error) => {
            let report = json!({ "errorMessage": error.to_string() }).to_string();
            let mut response = answer(StatusCode::OK, report.into());
            let unhandled = HeaderValue::from_static("Unhandled");
            let headers = response.headers_mut();
            headers.insert("x-amz-function-error", unhandled);
            Ok(response)
        }
    }
}

fn answer(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Why nothing was invoked.
#[derive(Debug)]
enum InvokeFailure {
    Access,
    Operation,
    Function(String),
    Body,
    TooLarge(usize),
    Throttled,
}

impl InvokeFailure {
    fn response(self) -> Response<Full<Bytes>> {
        let (status, kind, message) = match self {
            Self::Access => (
                StatusCode::FORBIDDEN,
                "AccessDeniedException",
                "the request is not signed with this emulator's access key".to_owned(),
            ),
            Self::Operation => (
                StatusCode::NOT_FOUND,
                "UnknownOperationException",
                "of Lambda's API this emulator has Invoke".to_owned(),
            ),
            Self::Function(name) => (
                StatusCode::NOT_FOUND,
                "ResourceNotFoundException",
                format!("Function not found: {name}"),
            ),
            Self::Body => (
                StatusCode::BAD_REQUEST,
                "InvalidRequestContentException",
                "Could not parse request body into json".to_owned(),
            ),
            Self::TooLarge(limit) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestTooLargeException",
                format!(
                    "Request must be smaller than {limit} bytes for the InvokeFunction operation"
                ),
            ),
            Self::Throttled => (
                StatusCode::TOO_MANY_REQUESTS,
                "TooManyRequestsException",
                "Rate Exceeded.".to_owned(),
            ),
        };
        let mut response = answer(status, json!({ "Message": message }).to_string().into());
        let kind = HeaderValue::from_static(kind);
        response.headers_mut().insert("x-amzn-errortype", kind);
        response
    }
}

impl std::fmt::Debug for InvokeState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InvokeState")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}
