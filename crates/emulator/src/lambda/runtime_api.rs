//! The [Lambda Runtime API](https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), one listener an environment.

use std::convert::Infallible;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use super::InvokeError;
use crate::account::{ACCOUNT, REGION};
use crate::body;

const PREFIX: &str = "/2018-06-01/runtime/";
/// Error reports are short.
const ERROR_LIMIT: usize = 256 << 10;

/// How far a process has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Ready,
    Failed(String),
}

/// An event on its way to a process.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) id: String,
    pub(crate) event: Bytes,
    pub(crate) trace: String,
    pub(crate) deadline: SystemTime,
    pub(crate) answer: oneshot::Sender<Result<Bytes, InvokeError>>,
    /// Set when the process has asked for it.
    pub(crate) delivered: watch::Sender<bool>,
}

/// Answers the requests of one process.
#[derive(Clone, Debug)]
pub(crate) struct RuntimeApi(Arc<RuntimeState>);

#[derive(Debug)]
struct RuntimeState {
    function: String,
    queue: Mutex<mpsc::Receiver<Invocation>>,
    running: StdMutex<Option<Running>>,
    phase: watch::Sender<Phase>,
    response_bytes: usize,
}

#[derive(Debug)]
struct Running {
    id: String,
    answer: oneshot::Sender<Result<Bytes, InvokeError>>,
}

impl RuntimeApi {
    pub(crate) fn new(
        function: &str,
        queue: mpsc::Receiver<Invocation>,
        phase: watch::Sender<Phase>,
        response_bytes: usize,
    ) -> Self {
        let (queue, running) = (Mutex::new(queue), StdMutex::default());
        Self(Arc::new(RuntimeState {
            function: function.to_owned(),
            queue,
            running,
            phase,
            response_bytes,
        }))
    }
}

impl hyper::service::Service<Request<Incoming>> for RuntimeApi {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let state = Arc::clone(&self.0);
        Box::pin(async move { Ok(state.answer(request).await) })
    }
}

impl RuntimeState {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let segments: Vec<&str> = path
            .strip_prefix(PREFIX)
            .unwrap_or_default()
            .split('/')
            .collect();
        match (request.method(), &segments[..]) {
            (&Method::GET, ["invocation", "next"]) => self.next().await,
            (&Method::POST, ["invocation", id, "response"]) => self.response(id, request).await,
            (&Method::POST, ["invocation", id, "error"]) => self.error(id, request).await,
            (&Method::POST, ["init", "error"]) => self.init_error(request).await,
            _ => refusal(
                StatusCode::NOT_FOUND,
                "InvalidRequest",
                "no such operation of the Runtime API",
            ),
        }
    }

    async fn next(&self) -> Response<Full<Bytes>> {
        self.phase.send_replace(Phase::Ready);
        let Some(invocation) = self.queue.lock().await.recv().await else {
            return refusal(
                StatusCode::GONE,
                "Stopping",
                "the execution environment is shut down",
            );
        };
        let Invocation {
            id,
            event,
            trace,
            deadline,
            answer,
            delivered,
        } = invocation;
        delivered.send_replace(true);
        let deadline = deadline
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        let arn = format!(
            "arn:aws:lambda:{REGION}:{ACCOUNT}:function:{}",
            self.function
        );
        let response = Response::builder()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", &id)
            .header("lambda-runtime-deadline-ms", deadline.to_string())
            .header("lambda-runtime-invoked-function-arn", arn)
            .header("lambda-runtime-trace-id", trace)
            .body(Full::new(event));
        *self.running() = Some(Running { id, answer });
        response.unwrap_or_else(|_| {
            refusal(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Internal",
                "a header of the invocation is not valid",
            )
        })
    }

    async fn response(&self, id: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let body = body::read(request.into_body(), self.response_bytes, body::STALLED).await;
        let Some(running) = self.take(id) else {
            return refusal(
                StatusCode::BAD_REQUEST,
                "InvalidRequestID",
                "no invocation of that id is running",
            );
        };
        match body {
            Ok(body) => {
                let _ = running.answer.send(Ok(body));
                accepted()
            }
            Err(body::Error::TooLarge) => {
                let limit = self.response_bytes;
                let _ = running
                    .answer
                    .send(Err(InvokeError::ResponseTooLarge { limit }));
                let message = format!("Exceeded maximum allowed payload size ({limit} bytes).");
                refusal(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "RequestEntityTooLarge",
                    &message,
                )
            }
            Err(body::Error::Broken | body::Error::Stalled) => {
                let _ = running.answer.send(Err(InvokeError::Crashed(
                    "the response broke off".to_owned(),
                )));
                refusal(
                    StatusCode::BAD_REQUEST,
                    "InvalidRequest",
                    "the response broke off",
                )
            }
        }
    }

    async fn error(&self, id: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let report = error_report(request).await;
        let Some(running) = self.take(id) else {
            return refusal(
                StatusCode::BAD_REQUEST,
                "InvalidRequestID",
                "no invocation of that id is running",
            );
        };
        let _ = running.answer.send(Err(InvokeError::Function(report)));
        accepted()
    }

    async fn init_error(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        self.phase
            .send_replace(Phase::Failed(error_report(request).await));
        accepted()
    }

    /// The running invocation, if that is its id.
    fn take(&self, id: &str) -> Option<Running> {
        self.running().take_if(|running| running.id == id)
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `{"errorType": ..., "errorMessage": ...}` in one line.
async fn error_report(request: Request<Incoming>) -> String {
    let body = body::read(request.into_body(), ERROR_LIMIT, body::STALLED)
        .await
        .unwrap_or_default();
    let report: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let field = |name: &str| {
        report
            .get(name)
            .and_then(serde_json::Value::as_str)
            .unwrap_or("unknown")
            .to_owned()
    };
    format!("{}: {}", field("errorType"), field("errorMessage"))
}

fn accepted() -> Response<Full<Bytes>> {
    json(StatusCode::ACCEPTED, &serde_json::json!({ "status": "OK" }))
}

fn refusal(status: StatusCode, kind: &str, message: &str) -> Response<Full<Bytes>> {
    json(
        status,
        &serde_json::json!({ "errorType": kind, "errorMessage": message }),
    )
}

fn json(status: StatusCode, value: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    response
}
