//! The whole service on this machine.

use crate::wire::{self, Answer};
use crate::witness::Witness;
use bytes::Bytes;
use cipherfn_circuit::Bundle;
use cipherfn_client_http::{Authentication, Retry, Service, ServiceOptions, Token};
use cipherfn_emulator::faults::FaultProxy;
use cipherfn_emulator::{
    Authorizer, Config, Emulator, EmulatorError, Function, Lifecycle, Map, Pages, Route, Tenants,
};
use cipherfn_protocol::api::{self, ModelName, ModelSummary, PublishedKind};
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_protocol::statement::{Serial, SignedStatement, Statement};
use cipherfn_service::bucket::Bucket;
use cipherfn_service::registry::{Model, Published};
use cipherfn_service::{Registry, S3, config};
use cipherfn_signing::SigningKey;
use std::net::TcpListener;
use std::num::{NonZeroU32, NonZeroUsize};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use time::OffsetDateTime;

/// Name of the bucket.
pub(crate) const BUCKET: &str = "cipherfn-tests";
/// Region of everything here.
pub(crate) const REGION: &str = "us-east-1";
/// Longest wait for something that must come.
const PATIENCE: Duration = Duration::from_mins(1);
/// A day: how long unfinished uploads stay.
const DAY: Duration = Duration::from_hours(24);

/// Signs what tests publish.
pub(crate) static DEVELOPER: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate().expect("a key"));

/// What a test changes.
pub(crate) struct Setup {
    /// Settings of the functions.
    pub(crate) environment: Vec<(&'static str, String)>,
    pub(crate) authorizer: Authorizer,
    /// Pages that may call.
    pub(crate) pages: Pages,
    /// Whether the functions reach S3 through a proxy that injects faults.
    pub(crate) faulty: bool,
    /// Data of an earlier stack.
    pub(crate) data: Option<TempDir>,
    /// Time that a function may take for a request.
    pub(crate) timeout: Duration,
    /// The worker's, where it is another one.
    pub(crate) worker_timeout: Option<Duration>,
    /// Waits before an event is tried again.
    pub(crate) retries: [Duration; 2],
    /// Smallest part of an upload that S3 joins.
    pub(crate) part_bytes: u64,
}

/// The service, running. Functions' processes end with it.
pub(crate) struct Stack {
    witness: Witness,
    pub(crate) emulator: Emulator,
    proxy: Option<FaultProxy>,
    logs: Logs,
    data: TempDir,
}

/// What functions print, line by line.
type Logs = Arc<Mutex<Vec<String>>>;

impl Stack {
    /// Starts it with AWS's limits and one caller, `local`, or as `change` wants it.
    pub(crate) async fn start(change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup {
            environment: Vec::new(),
            authorizer: Authorizer::Single("local".to_owned()),
            pages: Pages::default(),
            faulty: false,
            data: None,
            timeout: Duration::from_secs(30),
            worker_timeout: None,
            retries: [Duration::from_millis(20); 2],
            part_bytes: 5 << 20,
        };
        change(&mut setup);
        let data = setup
            .data
            .take()
            .unwrap_or_else(|| tempfile::tempdir().expect("a directory"));
        let logs = Logs::default();
        let (emulator, proxy) = loop {
            let (config, proxy) = setup.config(&data, &logs).await;
            match Emulator::start(config).await {
                // Somebody else has taken the port that was free a moment ago.
                Err(EmulatorError::Listen { .. }) => {}
                started => break (started.expect("the emulator starts"), proxy),
            }
        };
        let witness = Witness::start(wire::split(emulator.url()).0).await;
        Self {
            witness,
            emulator,
            proxy,
            logs,
            data,
        }
    }

    /// What functions have printed, without the lines that AWS Lambda adds.
    pub(crate) fn logs(&self) -> Vec<String> {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.iter()
            .filter(|line| !line.starts_with("REPORT "))
            .cloned()
            .collect()
    }

    /// Whether an invocation with this request id has ended.
    pub(crate) fn has_ended(&self, request: &str) -> bool {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let end = format!("REPORT RequestId: {request}");
        logs.iter().any(|line| line.starts_with(&end))
    }

    /// Stops it; its data stays.
    pub(crate) async fn stop(self) -> TempDir {
        self.emulator.stop().await;
        self.data
    }

    /// Base URL of the HTTP API.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.witness.address())
    }

    /// Statuses of the exchanges so far whose method and target contain `what`.
    pub(crate) fn statuses(&self, what: &str) -> Vec<u16> {
        self.witness.statuses(what)
    }

    /// The proxy in front of S3.
    pub(crate) fn faults(&self) -> &FaultProxy {
        self.proxy.as_ref().expect("this stack has a faulty S3")
    }

    /// One request as it is given.
    pub(crate) async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let answer = wire::send(
            self.witness.address(),
            wire::request(method, target, headers, body),
        )
        .await;
        answer.unwrap_or_else(|error| panic!("{method} {target:.200}: {error}"))
    }

    /// A query to a model.
    pub(crate) async fn query(&self, model: &str, query: impl Into<Bytes>) -> Answer {
        let target = format!("/v2/models/{model}/predict");
        self.send("POST", &target, &[("content-type", api::QUERY)], query)
            .await
    }

    /// A client that waits little between attempts.
    pub(crate) fn service(&self, change: impl FnOnce(&mut ServiceOptions)) -> Service {
        let mut options = ServiceOptions {
            retry: Retry {
                attempts: NonZeroU32::new(6).expect("not 0"),
                base: Duration::from_millis(20),
                longest: Duration::from_millis(200),
            },
            ..ServiceOptions::default()
        };
        change(&mut options);
        Service::new(&self.url(), options).expect("options for a service on this machine")
    }

    /// The client of a tenant with a token.
    pub(crate) fn service_of(&self, token: &str) -> Service {
        self.service(|options| {
            options.authentication = Authentication::Bearer(Token::new(token).expect("a token"));
        })
    }

    /// What is in the bucket.
    pub(crate) fn registry(&self) -> Registry {
        let (id, secret) = self.emulator.credentials();
        let endpoint = self.emulator.s3_endpoint();
        Registry::new(S3::at(endpoint, REGION, id, secret, BUCKET))
    }

    /// Keys of all objects.
    pub(crate) async fn objects(&self) -> Vec<String> {
        let objects = self.registry().bucket().list("").await;
        let objects = objects.expect("a listing").into_iter();
        objects.map(|object| object.key).collect()
    }

    /// Whether something lies in quarantine.
    pub(crate) async fn is_quarantining(&self) -> bool {
        let objects = self.objects().await;
        objects.iter().any(|key| key.starts_with("quarantine/"))
    }

    /// Keys of all objects that hold something of tenants' keys: all but the models' and indices.
    pub(crate) async fn key_objects(&self) -> Vec<String> {
        let mut objects = self.objects().await;
        objects.retain(|key| !key.starts_with("models/") && !key.ends_with("/index.json"));
        objects
    }

    /// Publishes a bundle, signed by [`DEVELOPER`].
    pub(crate) async fn publish(&self, name: &str, bundle: &Bundle, keep: usize) -> ModelSummary {
        let version = Published {
            hash: bundle.specs_hash(),
            bundle: Some(
                cipherfn_engine::bundle::write(bundle)
                    .expect("a bundle")
                    .into(),
            ),
            specs: bundle.specs.clone().into(),
            specs_v1: bundle.specs_v1.clone().map(Into::into),
            report: Some(bundle.report.clone().into()),
            kind: PublishedKind::Model,
        };
        self.publish_version(name, &version, keep).await
    }

    /// Publishes a version, signed by [`DEVELOPER`].
    pub(crate) async fn publish_version(
        &self,
        name: &str,
        version: &Published,
        keep: usize,
    ) -> ModelSummary {
        let name: ModelName = name.parse().expect("a name");
        let sign = |_: Option<&Model>, specs| Some(statement(&name, specs));
        let keep = NonZeroUsize::new(keep).expect("one or more");
        let published = self
            .registry()
            .publish(&name, version, &sign, keep, OffsetDateTime::now_utc())
            .await;
        published.expect("published").summary()
    }
}

/// A newer statement of [`DEVELOPER`] than all before.
pub(crate) fn statement(model: &ModelName, specs: SpecsHash) -> SignedStatement {
    static SERIAL: AtomicU64 = AtomicU64::new(1);
    DEVELOPER.sign(Statement {
        model: model.clone(),
        specs,
        serial: Serial(SERIAL.fetch_add(1, Ordering::Relaxed)),
    })
}

impl Setup {
    async fn config(&self, data: &TempDir, logs: &Logs) -> (Config, Option<FaultProxy>) {
        let mut environment: Vec<(String, String)> =
            vec![(config::BUCKET.to_owned(), BUCKET.to_owned())];
        let worker = api::Function::Worker.name();
        environment.push((config::WORKER.to_owned(), worker.to_owned()));
        let map = Map {
            name: "chunks".to_owned(),
            function: worker.to_owned(),
            items: "chunks".to_owned(),
            item: "chunk".to_owned(),
            concurrency: 8,
        };
        environment.push((config::MAP.to_owned(), map.arn()));
        environment.extend(
            self.environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        let mut config = Config::new(data.path(), BUCKET);
        let mut proxy = None;
        if self.faulty {
            config.s3_port = free_port();
            let started = FaultProxy::start(&format!("http://127.0.0.1:{}", config.s3_port))
                .await
                .expect("a proxy");
            environment.push(("AWS_ENDPOINT_URL_S3".to_owned(), started.url().to_owned()));
            proxy = Some(started);
        }
        config.functions = api::Function::ALL
            .map(|function| function_of(function.name(), &environment))
            .to_vec();
        for function in &mut config.functions {
            function.timeout = self.timeout;
            if function.name == worker {
                function.timeout = self.worker_timeout.unwrap_or(self.timeout);
            }
        }
        config.maps = vec![map];
        let routes = api::Route::everywhere().map(|(version, route)| {
            let method = route.method().parse().expect("a method");
            Route::new(method, route.pattern(version), route.function().name())
        });
        config.routes = routes.collect();
        config.authorizer = self.authorizer.clone();
        config.pages = self.pages.clone();
        config.limits.queue_timeout = PATIENCE;
        config.limits.part_bytes = self.part_bytes;
        config.limits.asynchronous_retries = self.retries.to_vec();
        config.lifecycle = vec![Lifecycle {
            prefix: "quarantine/".to_owned(),
            expire_after: Some(DAY),
            abort_multipart_after: Some(DAY),
        }];
        let logs = Arc::clone(logs);
        config.log = Arc::new(move |_, line| {
            logs.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line.to_owned());
        });
        (config, proxy)
    }
}

/// One of the functions in the test's own program.
pub(crate) fn function_of(name: &str, environment: &[(String, String)]) -> Function {
    let mut function = Function::new(name, env!("CARGO_BIN_EXE_cipherfn-test-function"));
    function.arguments = vec![name.into()];
    function.environment = environment.to_vec();
    function
}

/// Tenants with tokens: each one's is its name and `-token`.
pub(crate) fn tenants(names: &[&str]) -> Authorizer {
    let entry = |name: &&str| serde_json::json!({ "name": name, "token": format!("{name}-token") });
    tenants_of(&names.iter().map(entry).collect::<Vec<_>>())
}

/// Tenants of a file's entries.
pub(crate) fn tenants_of(entries: &[serde_json::Value]) -> Authorizer {
    let file = serde_json::json!({ "tenants": entries }).to_string();
    Authorizer::Tenants(Tenants::from_json(file.as_bytes()).expect("tenants"))
}

/// A model's name.
pub(crate) fn name(text: &str) -> ModelName {
    text.parse().expect("a model's name")
}

/// Waits until `done`.
pub(crate) async fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Ends a process as the kernel would.
pub(crate) fn kill(process: u32) {
    let status = Command::new("kill")
        .args(["-9", &process.to_string()])
        .status();
    assert!(status.expect("kill runs").success());
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
