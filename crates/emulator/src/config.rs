//! What an emulator is started with.

use crate::account::{ACCOUNT, REGION};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::Authorizer;

/// Receives what functions print, one line at a time: function name, line without its end.
pub type LogSink = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// What [`Emulator::start`](crate::Emulator::start) starts. Build it with [`Config::new`] and
/// change fields.
#[derive(Clone)]
pub struct Config {
    /// Root of the embedded S3: one directory a bucket, and the access key in `credentials.json`.
    pub data: PathBuf,
    /// Loopback port of the HTTP API; 0 takes a free one.
    pub port: u16,
    /// Loopback port of the embedded S3; 0 takes a free one.
    pub s3_port: u16,
    /// Bucket that exists from the start.
    pub bucket: String,
    /// Functions that routes can name.
    pub functions: Vec<Function>,
    /// State machines of Step Functions.
    pub maps: Vec<Map>,
    /// Routes of the HTTP API.
    pub routes: Vec<Route>,
    /// Pages that may call, and one that is served.
    pub pages: Pages,
    /// Who may call the HTTP API.
    pub authorizer: Authorizer,
    /// Limits that AWS sets.
    pub limits: Limits,
    /// Lifecycle rules of the embedded S3.
    pub lifecycle: Vec<Lifecycle>,
    /// Time between two applications of the lifecycle rules (S3 does it about once a day).
    pub lifecycle_interval: Duration,
    /// Where the functions' output goes; dropped by default.
    pub log: LogSink,
}

impl Config {
    /// A configuration without functions, on free ports, with AWS's limits, where every caller is
    /// `local`.
    pub fn new(data: impl Into<PathBuf>, bucket: impl Into<String>) -> Self {
        Self {
            data: data.into(),
            port: 0,
            s3_port: 0,
            bucket: bucket.into(),
            functions: Vec::new(),
            maps: Vec::new(),
            routes: Vec::new(),
            pages: Pages::default(),
            authorizer: Authorizer::Single("local".to_owned()),
            limits: Limits::default(),
            lifecycle: Vec::new(),
            lifecycle_interval: Duration::from_mins(1),
            log: Arc::new(|_, _| {}),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("data", &self.data)
            .field("port", &self.port)
            .field("s3_port", &self.s3_port)
            .field("bucket", &self.bucket)
            .field("functions", &self.functions)
            .field("maps", &self.maps)
            .field("routes", &self.routes)
            .field("pages", &self.pages)
            .field("authorizer", &self.authorizer)
            .field("limits", &self.limits)
            .field("lifecycle", &self.lifecycle)
            .finish_non_exhaustive()
    }
}

/// Pages whose scripts may call the HTTP API and the bucket's presigned addresses; by default none.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// Their origins, such as `https://www.example.com`.
    pub origins: Vec<String>,
    /// A folder with a page to serve, on an origin of its own that may call.
    pub folder: Option<PathBuf>,
    /// Loopback port of that page; 0 takes a free one.
    pub port: u16,
}

/// A Lambda function: a program that runs the `lambda_runtime` loop.
///
/// Its environment holds what Lambda sets, [`environment`](Self::environment), `PATH` and `TMPDIR`;
/// nothing else of the emulator's.
#[derive(Clone)]
pub struct Function {
    /// Name, unique; letters, digits, `-` and `_`.
    pub name: String,
    /// Program to run.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Environment variables besides Lambda's own; these win over Lambda's.
    pub environment: Vec<(String, String)>,
    /// Memory in MB: told to the function, not enforced.
    pub memory_mb: u32,
    /// Time an invocation may take before its process is killed.
    pub timeout: Duration,
    /// Execution environments (processes) at a time, at least 1.
    pub concurrency: usize,
}

impl Function {
    /// A function of 1,769 MB (one vCPU) with a timeout of 30 s and two execution environments.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            memory_mb: 1769,
            timeout: Duration::from_secs(30),
            concurrency: 2,
        }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.environment.iter().map(|(name, _)| name).collect();
        f.debug_struct("Function")
            .field("name", &self.name)
            .field("program", &self.program)
            .field("arguments", &self.arguments)
            .field("environment", &names)
            .field("memory_mb", &self.memory_mb)
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .finish()
    }
}

/// A state machine that is one Distributed Map: it invokes a function with each of a list of items, as
/// many at a time as it may, and tries again what fails.
///
/// An execution's input is an object with the list in `items`; a function's event is the same object,
/// with one of them in `item` in place of the list.
#[derive(Clone, Debug)]
pub struct Map {
    /// Name of the state machine.
    pub name: String,
    /// Name of the function.
    pub function: String,
    /// Field of the input that holds the items.
    pub items: String,
    /// Field of an event that holds its item.
    pub item: String,
    /// Most invocations at a time.
    pub concurrency: usize,
}

impl Map {
    /// What names it for Step Functions.
    pub fn arn(&self) -> String {
        arn("stateMachine", &self.name)
    }
}

/// An ARN of Step Functions.
pub(crate) fn arn(kind: &str, name: &str) -> String {
    format!("arn:aws:states:{REGION}:{ACCOUNT}:{kind}:{name}")
}

/// A route of the HTTP API: method and path to a function.
#[derive(Clone, Debug)]
pub struct Route {
    /// Method, or `ANY`.
    pub method: http::Method,
    /// Pattern such as `/v1/models/{model}`; a last segment `{name+}` takes the rest of the path.
    pub path: String,
    /// Name of the function that answers.
    pub function: String,
}

impl Route {
    /// `method` on `path` goes to `function`.
    pub fn new(method: http::Method, path: impl Into<String>, function: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            function: function.into(),
        }
    }
}

/// Limits of API Gateway, Lambda and S3. The default is AWS's.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Body of a request to an HTTP API, bytes: 10 MB.
    pub request_bytes: usize,
    /// Event of a synchronous invocation, bytes of JSON, the base64 body included: 6,291,556.
    pub event_bytes: usize,
    /// Answer of a synchronous invocation, bytes of JSON: 6,291,556.
    pub response_bytes: usize,
    /// Time an HTTP API waits for a function: 30 s.
    pub gateway_timeout: Duration,
    /// How long the HTTP API waits for the next bytes of a request's body (10 s); then it answers 408.
    pub body_timeout: Duration,
    /// Time from process start to the first request for an invocation: 10 s.
    pub init_timeout: Duration,
    /// Time a request waits for a busy function before 503. AWS does not wait, but starts up to
    /// 1,000 environments.
    pub queue_timeout: Duration,
    /// Event of an asynchronous invocation, bytes of JSON: 1 MB.
    pub asynchronous_event_bytes: usize,
    /// Waits before an asynchronous invocation that failed is tried again: 1 and 2 minutes. What
    /// fails after the last one is a dead letter.
    pub asynchronous_retries: Vec<Duration>,
    /// Smallest part of an S3 upload but the last, bytes: 5 MiB.
    pub part_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: 10 << 20,
            event_bytes: 6_291_556,
            response_bytes: 6_291_556,
            gateway_timeout: Duration::from_secs(30),
            body_timeout: crate::body::STALLED,
            init_timeout: Duration::from_secs(10),
            queue_timeout: Duration::from_secs(10),
            asynchronous_event_bytes: 1 << 20,
            asynchronous_retries: vec![Duration::from_mins(1), Duration::from_mins(2)],
            part_bytes: 5 << 20,
        }
    }
}

/// A lifecycle rule of the embedded S3.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    /// Keys that the rule is about.
    pub prefix: String,
    /// Age at which objects are deleted.
    pub expire_after: Option<Duration>,
    /// Age at which multipart uploads that were not completed are dropped.
    pub abort_multipart_after: Option<Duration>,
}
