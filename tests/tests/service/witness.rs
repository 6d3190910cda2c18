//! A proxy that watches: it passes everything on as it is, and holds every exchange to the
//! contract, those of the client library included.

use crate::contract::CONTRACT;
use crate::wire::{self, Answer};
use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The proxy. When it goes, what it saw must have been as documented.
pub(crate) struct Witness {
    address: String,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    /// Method, target and status of every exchange.
    exchanges: Mutex<Vec<(String, String, u16)>>,
    violations: Mutex<Vec<String>>,
}

impl Witness {
    /// Stands in front of `upstream`, `HOST:PORT`.
    pub(crate) async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let seen = Arc::new(Seen::default());
        let (upstream, watching) = (upstream.to_owned(), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (upstream, seen) = (upstream.clone(), Arc::clone(&watching));
                let service = service_fn(move |request| {
                    pass_on(upstream.clone(), Arc::clone(&seen), request)
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self {
            address,
            seen,
            task,
        }
    }

    /// `HOST:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Statuses of the exchanges so far whose method and target contain `what`, in order of their
    /// answers.
    pub(crate) fn statuses(&self, what: &str) -> Vec<u16> {
        let exchanges = self
            .seen
            .exchanges
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let of_interest = exchanges
            .iter()
            .filter(|(method, target, _)| format!("{method} {target}").contains(what));
        of_interest.map(|(_, _, status)| *status).collect()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
        if !std::thread::panicking() {
            let violations = self
                .seen
                .violations
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            assert!(
                violations.is_empty(),
                "not as docs/openapi.json says:\n{}",
                violations.join("\n")
            );
        }
    }
}

async fn pass_on(
    upstream: String,
    seen: Arc<Seen>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(refusal(StatusCode::BAD_REQUEST, "the request broke off"));
    };
    parts.headers.remove(TRANSFER_ENCODING);
    let request = Request::from_parts(parts, body.to_bytes());
    let answer = match wire::send(&upstream, request.clone()).await {
        Ok(answer) => answer,
        Err(error) => return Ok(refusal(StatusCode::BAD_GATEWAY, &error)),
    };
    let (method, target) = (request.method().to_string(), request.uri().to_string());
    if let Err(violation) = CONTRACT.check(&request, &answer) {
        let mut violations = seen
            .violations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        violations.push(format!(
            "{method} {target:.200} ({}): {violation}",
            answer.status
        ));
    }
    let mut exchanges = seen
        .exchanges
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    exchanges.push((method, target, answer.status));
    Ok(response(answer))
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).expect("a status");
    *response.headers_mut() = answer.headers;
    response.headers_mut().remove(TRANSFER_ENCODING);
    response
}

fn refusal(status: StatusCode, reason: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(reason.as_bytes())));
    *response.status_mut() = status;
    response
}
