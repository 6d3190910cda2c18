//! Functions to run, and clients to call them with.
//!
//! The functions are this test binary, started again: the test `function_process` is a Lambda
//! function where the Runtime API is there, and nothing otherwise.

use std::ffi::OsString;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use bytes::Bytes;
use cipherfn_emulator::{Config, Emulator, Function, Route};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const BUCKET: &str = "test-bucket";

/// Not a test: the process of a function.
#[test]
fn function_process() {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        return;
    }
    match std::env::var("INIT").as_deref() {
        Ok("exit") => std::process::exit(3),
        Ok("hang") => std::thread::sleep(std::time::Duration::from_hours(1)),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    let result = runtime.block_on(async {
        if std::env::var("MODE").as_deref() == Ok("http") {
            lambda_http::run(lambda_http::service_fn(http_function)).await
        } else {
            lambda_runtime::run(service_fn(function)).await
        }
    });
    result.expect("the Runtime API is there");
}

static INVOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// Does what the first segment of the path says.
async fn function(event: LambdaEvent<Value>) -> Result<Value, lambda_runtime::Error> {
    let count = INVOCATIONS.fetch_add(1, Ordering::SeqCst) + 1;
    let path = event.payload["rawPath"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let body = match segments[..] {
        ["event"] => event.payload,
        ["context"] => json!({ "deadline": event.context.deadline, "id": event.context.request_id,
            "arn": event.context.invoked_function_arn, "trace": event.context.xray_trace_id, "memory": event.context.env_config.memory }),
        ["environment"] => std::env::vars()
            .map(|(name, value)| (name, Value::String(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        ["process"] => json!({ "process": std::process::id(), "count": count }),
        ["gate", port] => {
            let mut gate = TcpStream::connect(("127.0.0.1", port.parse()?)).await?;
            gate.write_u32(std::process::id()).await?;
            gate.read_u8().await?;
            json!({ "process": std::process::id() })
        }
        ["exit"] => std::process::exit(3),
        ["panic"] => panic!("as asked"),
        ["error"] => return Err("as asked".into()),
        ["hang"] => std::future::pending().await,
        ["invalid"] => return Ok(json!({ "statusCode": "200" })),
        ["print", text] => {
            println!("out {text}");
            eprintln!("err {text}");
            Value::Null
        }
        ["size", size] => {
            return Ok(json!({ "statusCode": 200, "body": "x".repeat(size.parse()?) }));
        }
        ["cookies"] => {
            return Ok(
                json!({ "statusCode": 201, "cookies": ["a=1", "b=2"], "headers": { "X-Answer": "yes" }, "body": "text" }),
            );
        }
        _ => Value::Null,
    };
    Ok(
        json!({ "statusCode": 200, "headers": { "content-type": "application/json" }, "body": body.to_string() }),
    )
}

/// Sends the body back with what `lambda_http` makes of the event.
async fn http_function(
    request: lambda_http::Request,
) -> Result<lambda_http::Response<lambda_http::Body>, lambda_http::Error> {
    use lambda_http::RequestExt as _;
    let model = request
        .path_parameters()
        .first("model")
        .unwrap_or_default()
        .to_owned();
    let query = request
        .query_string_parameters()
        .first("q")
        .unwrap_or_default()
        .to_owned();
    let body = request.body().as_ref().to_vec();
    let response = lambda_http::Response::builder()
        .header("x-model", model)
        .header("x-query", query);
    Ok(response
        .header("content-type", "application/octet-stream")
        .body(body.into())?)
}

/// A function that is this binary.
pub(crate) fn function_of(name: &str) -> Function {
    let mut function = Function::new(name, std::env::current_exe().expect("path of this binary"));
    function.arguments = ["support::function_process", "--exact", "--nocapture"]
        .map(OsString::from)
        .to_vec();
    function
}

/// A configuration with one function, `f`, behind every path.
pub(crate) fn config(data: &tempfile::TempDir) -> Config {
    let mut config = Config::new(data.path(), BUCKET);
    config.functions = vec![function_of("f")];
    config.routes = vec![Route::new(
        Method::from_bytes(b"ANY").expect("a token"),
        "/{rest+}",
        "f",
    )];
    config
}

/// An emulator with one function, `f`, behind every path.
pub(crate) async fn emulator(change: impl FnOnce(&mut Config)) -> (Emulator, tempfile::TempDir) {
    let data = tempfile::tempdir().expect("temporary directory");
    let mut config = config(&data);
    change(&mut config);
    (Emulator::start(config).await.expect("starts"), data)
}

/// Lines that functions printed.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    pub(crate) fn sink(&self) -> cipherfn_emulator::LogSink {
        let lines = self.clone();
        Arc::new(move |function, line| {
            lines
                .0
                .lock()
                .expect("not poisoned")
                .push(format!("{function}: {line}"));
        })
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().expect("not poisoned").clone()
    }
}

/// Where functions wait until they are let go.
pub(crate) struct Gate(TcpListener);

impl Gate {
    pub(crate) async fn new() -> Self {
        Self(
            TcpListener::bind(("127.0.0.1", 0))
                .await
                .expect("a free port"),
        )
    }

    pub(crate) fn path(&self) -> String {
        format!("/gate/{}", self.0.local_addr().expect("bound").port())
    }

    /// The next function that arrives: its process, and what to open it with.
    pub(crate) async fn arrival(&self) -> (u32, TcpStream) {
        let (mut stream, _) = self.0.accept().await.expect("arrives");
        (stream.read_u32().await.expect("process id"), stream)
    }
}

/// Lets a function at a gate go on.
pub(crate) async fn open(mut stream: TcpStream) {
    stream.write_u8(1).await.expect("the function waits");
}

/// An answer in memory.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub(crate) fn message(&self) -> (u16, String) {
        (
            self.status.as_u16(),
            self.json()["message"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    }
}

/// Waits for a condition that another process brings about.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came about: {what}");
}

/// Sends a request; `Err` where the connection broke.
pub(crate) async fn send(request: Request<Bytes>) -> Result<Answer, String> {
    let client: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let response = client
        .request(request.map(Full::new))
        .await
        .map_err(|error| format!("{error:?}"))?;
    let (parts, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|error| format!("{error:?}"))?
        .to_bytes();
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    })
}

pub(crate) async fn get(url: impl AsRef<str>) -> Answer {
    send(
        Request::get(url.as_ref())
            .body(Bytes::new())
            .expect("valid"),
    )
    .await
    .expect("answered")
}

pub(crate) async fn post(url: impl AsRef<str>, body: impl Into<Bytes>) -> Answer {
    send(
        Request::post(url.as_ref())
            .body(body.into())
            .expect("valid"),
    )
    .await
    .expect("answered")
}

/// The real client for an S3 at `endpoint`, without retries.
pub(crate) fn s3_client(endpoint: &str, (id, secret): (&str, &str)) -> aws_sdk_s3::Client {
    s3_client_with(endpoint, (id, secret), RetryConfig::disabled())
}

pub(crate) fn s3_client_with(
    endpoint: &str,
    (id, secret): (&str, &str),
    retry: RetryConfig,
) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new(id, secret, None, None, "test"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .retry_config(retry)
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    aws_sdk_s3::Client::from_conf(config.build())
}
