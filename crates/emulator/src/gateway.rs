//! The HTTP API: routes, callers, and requests as events of payload format 2.0.

mod event;
mod response;
mod routes;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::authorizer::{Authorizer, Refusal};
use crate::cors::Cors;
use crate::lambda::{Invocation, InvokeError, Pool};
use crate::{Limits, body, random};
pub(crate) use routes::Table;

/// Answers the requests of an HTTP API.
#[derive(Clone, Debug)]
pub(crate) struct Gateway(Arc<GatewayState>);

#[derive(Debug)]
struct GatewayState {
    routes: Table,
    functions: Arc<BTreeMap<String, Arc<Pool>>>,
    authorizer: Authorizer,
    cors: Cors,
    limits: Limits,
    port: u16,
}

impl Gateway {
    pub(crate) fn new(
        routes: Table,
        functions: Arc<BTreeMap<String, Arc<Pool>>>,
        (authorizer, cors): (Authorizer, Cors),
        limits: Limits,
        port: u16,
    ) -> Self {
        Self(Arc::new(GatewayState {
            routes,
            functions,
            authorizer,
            cors,
            limits,
            port,
        }))
    }
}

impl hyper::service::Service<Request<Incoming>> for Gateway {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let state = Arc::clone(&self.0);
        Box::pin(async move {
            let ids = event::Ids::new(request.headers());
            let preflight = state.cors.preflight(request.method(), request.headers());
            let page = state.cors.allowed(request.headers());
            let mut response = if let Some(preflight) = preflight {
                preflight.map(Full::new)
            } else {
                let answer = state.answer(request, &ids).await;
                let mut response = answer.unwrap_or_else(GatewayFailure::response);
                state.cors.mark(page.as_ref(), response.headers_mut());
                response
            };
            for (name, value) in [
                ("apigw-requestid", &ids.request),
                ("x-amzn-trace-id", &ids.trace),
            ] {
                if let Ok(value) = HeaderValue::from_str(value) {
                    response.headers_mut().insert(name, value);
                }
            }
            Ok(response)
        })
    }
}

impl GatewayState {
    async fn answer(
        &self,
        request: Request<Incoming>,
        ids: &event::Ids,
    ) -> Result<Response<Full<Bytes>>, GatewayFailure> {
        let (parts, body) = request.into_parts();
        // Read first: an answer that comes before the end of an upload may not reach the client.
        let body = body::read(body, self.limits.request_bytes, self.limits.body_timeout).await;
        let matched = self
            .routes
            .find(&parts.method, parts.uri.path())
            .ok_or(GatewayFailure::NotFound)?;
        let body = match body {
            Ok(body) => body,
            Err(body::Error::TooLarge) => return Err(GatewayFailure::RequestTooLarge),
            Err(body::Error::Broken) => return Err(GatewayFailure::BadRequest),
            Err(body::Error::Stalled) => return Err(GatewayFailure::RequestTimeout),
        };
        let caller = self
            .authorizer
            .authorize(&parts, &body)
            .map_err(GatewayFailure::Refused)?;
        let pool = self
            .functions
            .get(matched.function)
            .map(Arc::clone)
            .ok_or(GatewayFailure::Internal)?;
        let event = event::build(&parts, &body, &matched, &caller, ids, self.port);
        drop(body);

        // The function goes on when the client or this gateway loses patience, as on AWS.
        let invocation = Invocation {
            trace: ids.trace.clone(),
            ..Invocation::new(event)
        };
        let patience = Some(self.limits.queue_timeout);
        let invocation = tokio::spawn(async move { pool.invoke(&invocation, patience).await });
        match tokio::time::timeout(self.limits.gateway_timeout, invocation).await {
            Ok(Ok(Ok(payload))) => response::build(&payload).ok_or(GatewayFailure::Internal),
            Ok(Ok(Err(error))) => {
                tracing::debug!(function = matched.function, %error, "invocation failed");
                Err(GatewayFailure::from(error))
            }
            Ok(Err(_)) => Err(GatewayFailure::Internal),
            Err(_) => Err(GatewayFailure::Unavailable),
        }
    }
}

/// Answers that do not come from a function.
#[derive(Debug)]
enum GatewayFailure {
    BadRequest,
    RequestTimeout,
    Refused(Refusal),
    NotFound,
    RequestTooLarge,
    EventTooLarge,
    Internal,
    Unavailable,
}

impl GatewayFailure {
    fn response(self) -> Response<Full<Bytes>> {
        let (status, message) = match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "Bad Request"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "Request Timeout"),
            Self::Refused(Refusal::Unauthorized) => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::Refused(Refusal::Forbidden) => (StatusCode::FORBIDDEN, "Forbidden"),
            Self::NotFound => (StatusCode::NOT_FOUND, "Not Found"),
            Self::RequestTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"),
            Self::EventTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        };
        let mut response = Response::new(Full::new(Bytes::from(
            serde_json::json!({ "message": message }).to_string(),
        )));
        *response.status_mut() = status;
        response.headers_mut().insert(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if matches!(self, Self::Refused(Refusal::Unauthorized)) {
            response.headers_mut().insert(
                http::header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer"),
            );
        }
        response
    }
}

impl From<InvokeError> for GatewayFailure {
    fn from(error: InvokeError) -> Self {
        match error {
            InvokeError::EventTooLarge { .. } => Self::EventTooLarge,
            InvokeError::Throttled | InvokeError::TimedOut(_) | InvokeError::Stopping => {
                Self::Unavailable
            }
            _ => Self::Internal,
        }
    }
}

/// A new id as API Gateway makes them.
pub(crate) fn request_id() -> String {
    format!("{}=", random::hex(8))
}
