//! The HTTP side of the embedded S3.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use s3s::service::S3Service;

use crate::cors::Cors;

use super::store::lock;

/// A refused body is read up to this size, so that the client gets to see why.
const DRAIN: usize = 256 << 20;

/// Answers requests with `s3s`, and reads what a refused upload still sends: a connection closed in
/// the middle of an upload would reach the client as a reset instead of as S3's answer.
#[derive(Clone, Debug)]
pub(crate) struct S3Front {
    pub(crate) service: S3Service,
    pub(crate) cors: Arc<Mutex<Cors>>,
}

impl hyper::service::Service<Request<Incoming>> for S3Front {
    type Response = Response<s3s::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (service, cors) = (self.service.clone(), lock(&self.cors).clone());
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            if let Some(preflight) = cors.preflight(&parts.method, &parts.headers) {
                return Ok(preflight.map(s3s::Body::from));
            }
            let page = cors.allowed(&parts.headers);
            // Such a client waits for an answer before it sends the body.
            let waits = parts.headers.contains_key(http::header::EXPECT);
            let mut body = SharedBody(Arc::new(Mutex::new(body)));
            let request = Request::from_parts(parts, s3s::Body::http_body(body.clone()));
            let mut response = service.call(request).await.unwrap_or_else(|error| {
                tracing::warn!(?error, "S3 request failed");
                let mut response = Response::new(s3s::Body::empty());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            });
            if response.status().is_client_error() && !waits {
                let mut size = 0;
                while let Some(Ok(frame)) = body.frame().await {
                    size += frame.data_ref().map_or(0, Bytes::len);
                    if size > DRAIN {
                        break;
                    }
                }
            }
            cors.mark(page.as_ref(), response.headers_mut());
            Ok(response)
        })
    }
}

/// A request's body that is still there after a service dropped it.
#[derive(Clone, Debug)]
struct SharedBody(Arc<Mutex<Incoming>>);

impl Body for SharedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut *lock(&self.0)).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).size_hint()
    }
}
