//! An HTTP server on loopback that answers as a test says.

use cipherfn_protocol::api::{self, Problem};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::net::TcpListener;

pub(crate) type Request = http::Request<Bytes>;
pub(crate) type Response = http::Response<Bytes>;

/// What a test answers.
pub(crate) enum Answer {
    Whole(Response),
    /// Announces more bytes than it sends, then closes the connection.
    Cut(Response),
    /// Closes the connection.
    Reset,
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self::Whole(response)
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        response(
            problem.status,
            api::PROBLEM,
            serde_json::to_vec(&problem).unwrap(),
        )
        .into()
    }
}

type Body = Either<Full<Bytes>, Cut>;

/// A body that breaks off.
struct Cut(Option<Bytes>);

impl hyper::body::Body for Cut {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

type Pending = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The server; it stops with the test's runtime.
pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers each request at once.
    pub(crate) async fn start<A: Into<Answer>>(
        answer: impl Fn(&Request) -> A + Send + Sync + 'static,
    ) -> Self {
        Self::start_waiting(move |request| {
            let answer = answer(request).into();
            Box::pin(async move { answer })
        })
        .await
    }

    /// Answers each request when its future is ready.
    pub(crate) async fn start_waiting(
        answer: impl Fn(&Request) -> Pending + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                let serve = service_fn(move |request: http::Request<Incoming>| {
                    let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
                        let request = Request::from_parts(head, body);
                        let pending = answer(&request);
                        log.lock().unwrap().push(request);
                        match pending.await {
                            Answer::Whole(response) => {
                                Ok(response.map(|body| Body::Left(Full::new(body))))
                            }
                            Answer::Cut(mut response) => {
                                let announced = response.body().len() + 1;
                                response
                                    .headers_mut()
                                    .insert("content-length", announced.into());
                                Ok(response.map(|body| Body::Right(Cut(Some(body)))))
                            }
                            Answer::Reset => Err(io::Error::other("reset")),
                        }
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), serve),
                );
            }
        });
        Self { url, seen }
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// Method and path of the requests so far.
    pub(crate) fn routes(&self) -> Vec<String> {
        let route = |request: &Request| format!("{} {}", request.method(), request.uri().path());
        self.seen.lock().unwrap().iter().map(route).collect()
    }
}

pub(crate) fn response(status: u16, content_type: &str, body: impl Into<Bytes>) -> Response {
    http::Response::builder()
        .status(status)
        .header("content-type", content_type)
        .body(body.into())
        .unwrap()
}

/// A reply to a query.
pub(crate) fn reply(body: impl Into<Bytes>) -> Response {
    response(200, api::REPLY, body)
}

/// JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> Response {
    response(200, api::JSON, serde_json::to_vec(value).unwrap())
}
