//! A proxy that injects faults, for tests: it stands in front of a loopback HTTP endpoint and
//! misbehaves on request.
//!
//! ```text
//! client ---> FaultProxy ---> endpoint
//! ```
//!
//! The `Host` header and everything else that a client signed are passed on as they are, so that
//! signatures stay valid: the endpoint must not insist on its own address in `Host` (the embedded
//! S3 does not).

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::server::{self, Server};
use crate::{EmulatorError, random};

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// 500 with S3's error document; the endpoint does not see the request.
    InternalError,
    /// 503 `SlowDown` with S3's error document; the endpoint does not see the request.
    SlowDown,
    /// The request is passed on after this time.
    Delay(Duration),
    /// The connection is closed after this many bytes of the response's body, which announces more.
    ResetAfter(u64),
    /// The request is passed on, and the connection is closed without an answer.
    LostAnswer,
    /// The connection is closed without an answer after this many bytes of the request's body; the
    /// endpoint does not see the request.
    ResetRequestAfter(u64),
}

/// A fault and the requests it befalls.
#[derive(Clone, Debug)]
struct Rule {
    fault: Fault,
    path: String,
    left: Option<usize>,
}

/// A proxy that passes requests on until it is told otherwise. It stops when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    url: String,
    state: Arc<FaultsState>,
    _server: Server,
}

#[derive(Debug)]
struct FaultsState {
    upstream: String,
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<String>>,
}

impl FaultProxy {
    /// Stands in front of `endpoint`, such as `http://127.0.0.1:9000`, on a free port.
    pub async fn start(endpoint: &str) -> Result<Self, EmulatorError> {
        let listener = server::listen(0).await?;
        let upstream = endpoint
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let state = Arc::new(FaultsState {
            upstream,
            rules: Mutex::default(),
            seen: Mutex::default(),
        });
        let server = Server::start(listener, Front(Arc::clone(&state)))
            .map_err(|source| EmulatorError::Listen { port: 0, source })?;
        Ok(Self {
            url: format!("http://{}", server.address()),
            state,
            _server: server,
        })
    }

    /// Base URL of the proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `fault` befalls the next `count` requests whose path and query contain `path` (empty: all),
    /// besides other rules.
    pub fn next(&self, count: usize, path: &str, fault: Fault) {
        self.state.rules().push(Rule {
            fault,
            path: path.to_owned(),
            left: Some(count),
        });
    }

    /// `fault` befalls all requests whose path and query contain `path` (empty: all), until
    /// [`pass`](Self::pass).
    pub fn always(&self, path: &str, fault: Fault) {
        self.state.rules().push(Rule {
            fault,
            path: path.to_owned(),
            left: None,
        });
    }

    /// Forgets all faults.
    pub fn pass(&self) {
        self.state.rules().clear();
    }

    /// Method and path with query of every request so far, in order of arrival.
    pub fn requests(&self) -> Vec<String> {
        self.state
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[derive(Clone, Debug)]
struct Front(Arc<FaultsState>);

type ProxyBody = BoxBody<Bytes, io::Error>;

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Response<ProxyBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let state = Arc::clone(&self.0);
        Box::pin(async move { Ok(state.answer(request).await) })
    }
}

impl FaultsState {
    async fn answer(&self, request: Request<Incoming>) -> Response<ProxyBody> {
        match self.fault(&request) {
            Some(Fault::InternalError) => {
                refuse(
                    request,
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "InternalError",
                    "We encountered an internal error. Please try again.",
                )
                .await
            }
            Some(Fault::SlowDown) => {
                refuse(
                    request,
                    StatusCode::SERVICE_UNAVAILABLE,
                    "SlowDown",
                    "Please reduce your request rate.",
                )
                .await
            }
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                self.pass_on(request).await
            }
            Some(Fault::ResetAfter(bytes)) => self
                .pass_on(request)
                .await
                .map(|body| Cut { body, left: bytes }.boxed()),
            Some(Fault::ResetRequestAfter(bytes)) => {
                let mut body = request.into_body();
                let mut size = 0;
                while size < bytes
                    && let Some(Ok(frame)) = body.frame().await
                {
                    size += frame.data_ref().map_or(0, |data| data.len() as u64);
                }
                no_answer()
            }
            Some(Fault::LostAnswer) => {
                self.pass_on(request).await;
                no_answer()
            }
            None => self.pass_on(request).await,
        }
    }

    /// The first rule that is about this request, counted down.
    fn fault(&self, request: &Request<Incoming>) -> Option<Fault> {
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", |target| target.as_str());
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(format!("{} {target}", request.method()));
        let mut rules = self.rules();
        let position = rules.iter().position(|rule| target.contains(&rule.path))?;
        let rule = rules.get_mut(position)?;
        let fault = rule.fault.clone();
        if let Some(left) = &mut rule.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                rules.remove(position);
            }
        }
        Some(fault)
    }

    async fn pass_on(&self, request: Request<Incoming>) -> Response<ProxyBody> {
        match self.forward(request).await {
            Ok(response) => response.map(|body| body.map_err(io::Error::other).boxed()),
            Err(error) => {
                let body = Full::new(Bytes::from(error))
                    .map_err(|never| match never {})
                    .boxed();
                let mut response = Response::new(body);
                *response.status_mut() = StatusCode::BAD_GATEWAY;
                response
            }
        }
    }

    /// One connection a request: nothing of one request can touch another.
    async fn forward(&self, request: Request<Incoming>) -> Result<Response<Incoming>, String> {
        let stream = TcpStream::connect(&self.upstream)
            .await
            .map_err(|error| error.to_string())?;
        let _ = stream.set_nodelay(true);
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        sender
            .send_request(request)
            .await
            .map_err(|error| error.to_string())
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that fails at once, before the head is sent: the connection closes without an answer.
fn no_answer() -> Response<ProxyBody> {
    let body = Full::new(Bytes::from_static(b"-")).map_err(|never| match never {});
    let body = body.boxed();
    Response::new(Cut { body, left: 0 }.boxed())
}

/// S3's error document, after the request's body was read.
async fn refuse(
    request: Request<Incoming>,
    status: StatusCode,
    code: &str,
    message: &str,
) -> Response<ProxyBody> {
    let _ = request.into_body().collect().await;
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{}</RequestId></Error>",
        random::hex(8).to_ascii_uppercase()
    );
    let mut response = Response::new(
        Full::new(Bytes::from(text))
            .map_err(|never| match never {})
            .boxed(),
    );
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/xml"),
    );
    response
}

/// A body that breaks off: the server closes the connection in the middle of the response.
struct Cut {
    body: ProxyBody,
    left: u64,
}

impl Body for Cut {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())));
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let Ok(mut data) = frame.into_data() else {
                    return Poll::Ready(None);
                };
                data.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= data.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            other => other,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
