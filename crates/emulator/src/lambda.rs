//! Lambda: functions as processes, one invocation at a time each.

mod environment;
mod events;
mod invoke_api;
mod log;
mod queue;
mod runtime_api;
mod states_api;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::{Function, Limits, LogSink, random, server};
use environment::{Environment, Outcome};
pub(crate) use events::Events;
pub(crate) use invoke_api::InvokeApi;
pub use queue::DeadLetter;
pub(crate) use queue::Queue;
pub(crate) use states_api::{Executions, StatesApi};

/// An invocation is tried again in another environment when one dies before it takes the event.
const DELIVERIES: usize = 3;

/// Why an invocation has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// No function of that name.
    #[error("no function {0:?}")]
    Unknown(String),
    /// All execution environments were busy for the whole queue time.
    #[error("rate exceeded: every execution environment is busy")]
    Throttled,
    /// The event is over [`Limits::event_bytes`].
    #[error("the event has {size} bytes; the limit is {limit}")]
    EventTooLarge {
        /// Bytes of the event.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The process did not come as far as asking for an invocation.
    #[error("init failed: {0}")]
    Init(String),
    /// The function took longer than its timeout; its process was killed.
    #[error("task timed out after {:.2} seconds", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The process ended during the invocation.
    #[error("runtime exited: {0}")]
    Crashed(String),
    /// The function answered with an error.
    #[error("function error: {0}")]
    Function(String),
    /// The response is over [`Limits::response_bytes`].
    #[error("the response is over the limit of {limit} bytes")]
    ResponseTooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// The emulator is stopping.
    #[error("the emulator is stopping")]
    Stopping,
}

/// An event on its way to a function, and what goes with it.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    /// Names it: the attempts at an event of an asynchronous invocation have one name.
    pub(crate) id: String,
    /// JSON.
    pub(crate) event: Bytes,
    pub(crate) trace: String,
    /// What the caller says of itself, JSON.
    pub(crate) client_context: Option<String>,
}

impl Invocation {
    /// A new one.
    pub(crate) fn new(event: Bytes) -> Self {
        Self {
            id: random::uuid(),
            event,
            trace: random::trace(),
            client_context: None,
        }
    }
}

/// A function with its execution environments.
#[derive(Debug)]
pub(crate) struct Pool {
    host: Arc<Host>,
    permits: Semaphore,
    idle: Mutex<Vec<Environment>>,
    stopping: tokio::sync::watch::Sender<bool>,
}

/// What the environments of a function share.
pub(crate) struct Host {
    pub(crate) function: Function,
    pub(crate) limits: Limits,
    pub(crate) s3_endpoint: String,
    /// Where Lambda's API is.
    pub(crate) lambda_endpoint: String,
    pub(crate) s3_key: (String, String),
    pub(crate) log: LogSink,
    pub(crate) processes: Mutex<BTreeSet<u32>>,
    pub(crate) ended: tokio::sync::Notify,
}

impl Pool {
    pub(crate) fn new(host: Host) -> Self {
        let permits = Semaphore::new(host.function.concurrency.max(1));
        Self {
            host: Arc::new(host),
            permits,
            idle: Mutex::default(),
            stopping: tokio::sync::watch::Sender::new(false),
        }
    }

    /// Name of the function.
    pub(crate) fn name(&self) -> &str {
        &self.host.function.name
    }

    /// Runs the function on an event in an idle environment or a new one; waits for one at most for
    /// `patience`, where there is a limit.
    pub(crate) async fn invoke(
        &self,
        invocation: &Invocation,
        patience: Option<Duration>,
    ) -> Result<Bytes, InvokeError> {
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            result = self.run(invocation, patience) => result,
            () = server::stopped(&mut stopping) => Err(InvokeError::Stopping),
        }
    }

    async fn run(
        &self,
        invocation: &Invocation,
        patience: Option<Duration>,
    ) -> Result<Bytes, InvokeError> {
        let limits = &self.host.limits;
        if invocation.event.len() > limits.event_bytes {
            return Err(InvokeError::EventTooLarge {
                size: invocation.event.len(),
                limit: limits.event_bytes,
            });
        }
        let permit = match patience {
            Some(patience) => tokio::time::timeout(patience, self.permits.acquire())
                .await
                .map_err(|_| InvokeError::Throttled)?,
            None => self.permits.acquire().await,
        };
        let _permit = permit.map_err(|_| InvokeError::Stopping)?;
        for _ in 0..DELIVERIES {
            let begin = Instant::now();
            let (mut environment, init) = match self.take_idle() {
                Some(environment) => (environment, None),
                None => (Environment::start(&self.host).await?, Some(begin.elapsed())),
            };
            let begin = Instant::now();
            let outcome = environment.invoke(invocation.clone()).await;
            let result = match outcome {
                Outcome::NotDelivered => continue,
                Outcome::Done(result) => result,
            };
            self.report(&invocation.id, begin.elapsed(), init, &result);
            if matches!(
                result,
                Ok(_) | Err(InvokeError::Function(_) | InvokeError::ResponseTooLarge { .. })
            ) && !self.permits.is_closed()
            {
                self.idle().push(environment);
            }
            return result;
        }
        Err(InvokeError::Crashed(
            "no execution environment stays alive between invocations".to_owned(),
        ))
    }

    /// Ids of the processes that are alive.
    pub(crate) fn process_ids(&self) -> Vec<u32> {
        self.host
            .processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .copied()
            .collect()
    }

    /// Takes no more invocations, kills all environments, and waits until no process is left.
    pub(crate) async fn stop(&self) {
        self.permits.close();
        self.stopping.send_replace(true);
        self.idle().clear();
        loop {
            let ended = self.host.ended.notified();
            if self.process_ids().is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// The environment that was used last, as its caches are warmest.
    fn take_idle(&self) -> Option<Environment> {
        let mut idle = self.idle();
        while let Some(environment) = idle.pop() {
            if environment.alive() {
                return Some(environment);
            }
        }
        None
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Environment>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The line that Lambda writes after each invocation.
    fn report(
        &self,
        request: &str,
        duration: Duration,
        init: Option<Duration>,
        result: &Result<Bytes, InvokeError>,
    ) {
        use std::fmt::Write as _;
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
        let mut line = format!(
            "REPORT RequestId: {request}\tDuration: {:.2} ms\tMemory Size: {} MB",
            milliseconds(duration),
            self.host.function.memory_mb
        );
        if let Some(init) = init {
            let _ = write!(line, "\tInit Duration: {:.2} ms", milliseconds(init));
        }
        if let Err(error) = result {
            let _ = write!(line, "\tStatus: {error}");
        }
        (self.host.log)(&self.host.function.name, &line);
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("function", &self.function)
            .finish_non_exhaustive()
    }
}
