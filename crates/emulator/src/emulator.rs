//! Everything together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::cors::{self, Cors};
use crate::gateway::{Gateway, Table};
use crate::lambda::{
    DeadLetter, Events, Executions, Host, Invocation, InvokeApi, InvokeError, Pool, Queue,
    StatesApi,
};
use crate::server::{self, Server};
use crate::site::Site;
use crate::{Config, EmulatorError, Function, S3Server};

/// A running HTTP API with its functions and its S3. Functions' processes end with it.
#[derive(Debug)]
pub struct Emulator {
    url: String,
    gateway: Server,
    lambda: Server,
    page: Option<Server>,
    s3: S3Server,
    functions: Arc<BTreeMap<String, Arc<Pool>>>,
    queue: Arc<Queue>,
    executions: Executions,
    patience: Duration,
}

impl Emulator {
    /// Starts everything; functions' processes start with the first request for them, or with the
    /// events that an emulator before this one has left in the data directory.
    pub async fn start(config: Config) -> Result<Self, EmulatorError> {
        check(&config.functions)?;
        let routes = Table::new(&config.routes, |name| {
            config
                .functions
                .iter()
                .any(|function| function.name == name)
        })?;
        let listener = server::listen(config.port).await?;
        let fail = |source| EmulatorError::Listen {
            port: config.port,
            source,
        };
        let port = listener.local_addr().map_err(fail)?.port();

        let s3 = S3Server::start(
            &config.data,
            config.s3_port,
            &config.bucket,
            config.lifecycle,
            config.lifecycle_interval,
        )
        .await?;
        let mut pages = config.pages;
        let page = match pages.folder.take() {
            Some(folder) => Some((folder, server::listen(pages.port).await?)),
            None => None,
        };
        let fail_page = |source| EmulatorError::Listen {
            port: pages.port,
            source,
        };
        if let Some((_, listener)) = &page {
            let port = listener.local_addr().map_err(fail_page)?.port();
            let hosts = ["127.0.0.1", "localhost"].map(|host| format!("http://{host}:{port}"));
            pages.origins.extend(hosts);
        }
        s3.allow_origins(pages.origins.clone());
        s3.set_part_minimum(config.limits.part_bytes);
        let (id, secret) = s3.credentials();
        let lambda = server::listen(0).await?;
        let fail_lambda = |source| EmulatorError::Listen { port: 0, source };
        let lambda_endpoint = format!("http://{}", lambda.local_addr().map_err(fail_lambda)?);
        let pool = |function: Function| {
            let host = Host {
                limits: config.limits.clone(),
                s3_endpoint: s3.endpoint().to_owned(),
                lambda_endpoint: lambda_endpoint.clone(),
                s3_key: (id.to_owned(), secret.to_owned()),
                log: Arc::clone(&config.log),
                processes: Mutex::default(),
                ended: tokio::sync::Notify::new(),
                function,
            };
            (host.function.name.clone(), Arc::new(Pool::new(host)))
        };
        let functions: Arc<BTreeMap<_, _>> =
            Arc::new(config.functions.into_iter().map(pool).collect());
        let retries = config.limits.asynchronous_retries.clone();
        let fail_events = |source| EmulatorError::Data {
            path: config.data.clone(),
            source,
        };
        let events = Events::open(&config.data).map_err(fail_events)?;
        let queue = Arc::new(Queue::new(retries, config.log, events));
        let executions = Executions::default();
        let states = StatesApi::new(config.maps, &functions, &queue, executions.clone())?;
        let api = InvokeApi::new(
            Arc::clone(&functions),
            Arc::clone(&queue),
            states,
            config.limits.clone(),
            (id, secret),
        );
        let lambda = Server::start(lambda, api).map_err(fail_lambda)?;
        let patience = config.limits.queue_timeout;
        let gateway = Gateway::new(
            routes,
            Arc::clone(&functions),
            (config.authorizer, Cors::new(pages.origins, cors::API)),
            config.limits,
            port,
        );
        let gateway = Server::start(listener, gateway).map_err(fail)?;
        let url = format!("http://{}", gateway.address());
        let serve = |(folder, listener): (PathBuf, _)| {
            let fail = |source| EmulatorError::Data {
                path: folder.clone(),
                source,
            };
            let site = Site::new(&folder, &url, s3.endpoint()).map_err(fail)?;
            Server::start(listener, site).map_err(fail_page)
        };
        let page = page.map(serve).transpose()?;
        queue.go_on(&functions).map_err(fail_events)?;
        Ok(Self {
            url,
            gateway,
            lambda,
            page,
            s3,
            functions,
            queue,
            executions,
            patience,
        })
    }

    /// Base URL of the HTTP API, such as `http://127.0.0.1:8080`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Address of the page, where one is served.
    pub fn page_url(&self) -> Option<String> {
        let page = self.page.as_ref()?;
        Some(format!("http://{}/", page.address()))
    }

    /// Base URL of the embedded S3.
    pub fn s3_endpoint(&self) -> &str {
        self.s3.endpoint()
    }

    /// Base URL of Lambda's API, of which there is `Invoke`.
    pub fn lambda_endpoint(&self) -> String {
        format!("http://{}", self.lambda.address())
    }

    /// Events of asynchronous invocations that failed for good, the oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.queue.dead_letters()
    }

    /// Names of the state machines' executions so far, in alphabetical order.
    pub fn executions(&self) -> Vec<String> {
        self.executions.names()
    }

    /// Access key id and secret access key of the embedded S3 and of Lambda's API.
    pub fn credentials(&self) -> (&str, &str) {
        self.s3.credentials()
    }

    /// Where the embedded S3 keeps its objects.
    pub fn data(&self) -> PathBuf {
        self.s3.data()
    }

    /// Ids of a function's processes, for fault tests.
    pub fn process_ids(&self, function: &str) -> Vec<u32> {
        self.functions
            .get(function)
            .map_or_else(Vec::new, |pool| pool.process_ids())
    }

    /// Invokes a function with an event, as Lambda's `Invoke` does, without the HTTP API.
    pub async fn invoke(
        &self,
        function: &str,
        event: impl Into<Bytes>,
    ) -> Result<Bytes, InvokeError> {
        let pool = self
            .functions
            .get(function)
            .ok_or_else(|| InvokeError::Unknown(function.to_owned()))?;
        pool.invoke(&Invocation::new(event.into()), Some(self.patience))
            .await
    }

    /// Applies the S3's lifecycle rules now, as if it were `now`.
    pub fn sweep(&self, now: SystemTime) {
        self.s3.sweep(now);
    }

    /// Finishes requests under way, a few seconds at most, then ends all processes and stops.
    /// Asynchronous invocations that are not over begin again at the next start over the same data;
    /// executions of state machines do not.
    pub async fn stop(self) {
        if let Some(page) = self.page {
            page.stop().await;
        }
        self.gateway.stop().await;
        self.lambda.stop().await;
        self.queue.stop();
        for pool in self.functions.values() {
            pool.stop().await;
        }
        self.s3.stop().await;
    }
}

fn check(functions: &[Function]) -> Result<(), EmulatorError> {
    for (position, function) in functions.iter().enumerate() {
        let fail = |problem| {
            Err(EmulatorError::Function {
                name: function.name.clone(),
                problem,
            })
        };
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if function.name.is_empty() || function.name.len() > 64 || !function.name.bytes().all(valid)
        {
            return fail("a name has 1 to 64 letters, digits, `-` and `_`");
        }
        if functions[..position]
            .iter()
            .any(|other| other.name == function.name)
        {
            return fail("another function has the same name");
        }
        if function.concurrency == 0 {
            return fail("`concurrency` must be at least 1");
        }
    }
    Ok(())
}
