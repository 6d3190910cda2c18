//! One execution environment: a process, the Runtime API that it speaks to, and what it has been
//! asked.

use std::process::Stdio;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};

use super::runtime_api::{Delivery, Phase, RuntimeApi};
use super::{Host, Invocation, InvokeError, log};
use crate::account::REGION;
use crate::server::{self, Server};
use crate::{Function, random};

/// Time for an answer that was sent just before its process ended to be read.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// A process of a function. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Environment {
    host: Arc<Host>,
    invocations: mpsc::Sender<Delivery>,
    exited: watch::Receiver<Option<String>>,
    _kill: oneshot::Sender<()>,
    _api: Server,
}

/// What became of an invocation.
pub(crate) enum Outcome {
    /// The process ended before it took the event.
    NotDelivered,
    /// It took the event.
    Done(Result<Bytes, InvokeError>),
}

impl Environment {
    /// Starts a process and waits until it asks for its first invocation.
    pub(crate) async fn start(host: &Arc<Host>) -> Result<Self, InvokeError> {
        let init = |error: String| InvokeError::Init(error);
        let listener = server::listen(0)
            .await
            .map_err(|error| init(error.to_string()))?;
        let (invocations, queue) = mpsc::channel(1);
        let (phase, mut phases) = watch::channel(Phase::Starting);
        let api = RuntimeApi::new(
            &host.function.name,
            queue,
            phase,
            host.limits.response_bytes,
        );
        let api = Server::start(listener, api).map_err(|error| init(error.to_string()))?;

        let child = command(host, &api.address().to_string()).spawn();
        let mut child = child.map_err(|error| {
            init(format!(
                "cannot start {}: {error}",
                host.function.program.display()
            ))
        })?;
        for pipe in [
            child.stdout.take().map(log::stdout),
            child.stderr.take().map(log::stderr),
        ]
        .into_iter()
        .flatten()
        {
            tokio::spawn(log::forward(
                pipe,
                host.function.name.clone(),
                Arc::clone(&host.log),
            ));
        }
        let (exit, exited) = watch::channel(None);
        let (kill, killed) = oneshot::channel();
        let process = child.id();
        if let Some(process) = process {
            host.processes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(process);
        }
        tokio::spawn(watch_process(
            child,
            process,
            Arc::clone(host),
            killed,
            exit,
        ));
        let mut environment = Self {
            host: Arc::clone(host),
            invocations,
            exited,
            _kill: kill,
            _api: api,
        };

        let ready = async {
            tokio::select! {
                biased;
                phase = phases.wait_for(|phase| *phase != Phase::Starting) => match phase.as_deref() {
                    Ok(Phase::Failed(error)) => Err(init(error.clone())),
                    _ => Ok(()),
                },
                status = ended(&mut environment.exited) => Err(init(status)),
            }
        };
        match tokio::time::timeout(host.limits.init_timeout, ready).await {
            Ok(Ok(())) => Ok(environment),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(init(format!(
                "no request for an invocation within {:?}",
                host.limits.init_timeout
            ))),
        }
    }

    /// Whether the process runs.
    pub(crate) fn alive(&self) -> bool {
        self.exited.borrow().is_none()
    }

    /// Gives the process an event and waits for what it says, at most for the function's timeout.
    pub(crate) async fn invoke(&mut self, invocation: Invocation) -> Outcome {
        let timeout = self.host.function.timeout;
        let (answer, mut answered) = oneshot::channel();
        let (delivered, was_delivered) = watch::channel(false);
        let delivery = Delivery {
            invocation,
            deadline: SystemTime::now() + timeout,
            answer,
            delivered,
        };
        if self.invocations.send(delivery).await.is_err() {
            return Outcome::NotDelivered;
        }
        let outcome = tokio::select! {
            biased;
            result = &mut answered => result.ok(),
            status = ended(&mut self.exited) => {
                match tokio::time::timeout(LAST_WORDS, answered).await {
                    Ok(Ok(result)) => Some(result),
                    _ if !*was_delivered.borrow() => return Outcome::NotDelivered,
                    _ => Some(Err(InvokeError::Crashed(status))),
                }
            }
            () = tokio::time::sleep(timeout) => Some(Err(InvokeError::TimedOut(timeout))),
        };
        let lost = || {
            Err(InvokeError::Crashed(
                "the connection to the runtime was lost".to_owned(),
            ))
        };
        Outcome::Done(outcome.unwrap_or_else(lost))
    }
}

/// The environment variables of Lambda, and little else: nothing of the caller's may leak into a
/// function.
fn command(host: &Host, runtime_api: &str) -> Command {
    let Function {
        name,
        program,
        arguments,
        environment,
        memory_mb,
        ..
    } = &host.function;
    let mut command = Command::new(program);
    command.args(arguments).env_clear();
    for essential in ["PATH", "TMPDIR", "SystemRoot"] {
        if let Some(value) = std::env::var_os(essential) {
            command.env(essential, value);
        }
    }
    let stream = format!("local/[$LATEST]{}", random::hex(16));
    command
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
        .env("AWS_LAMBDA_FUNCTION_NAME", name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory_mb.to_string())
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}"))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", stream)
        .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        .env("AWS_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", &host.s3_key.0)
        .env("AWS_SECRET_ACCESS_KEY", &host.s3_key.1)
        .env("AWS_ENDPOINT_URL_S3", &host.s3_endpoint)
        .env("AWS_ENDPOINT_URL_LAMBDA", &host.lambda_endpoint)
        .env("AWS_ENDPOINT_URL_SFN", &host.lambda_endpoint)
        .env("LANG", "en_US.UTF-8")
        .env("TZ", ":UTC")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // Ctrl-C in a terminal is for the emulator, which lets requests finish first.
    #[cfg(unix)]
    command.process_group(0);
    command
}

/// Reaps the process when it ends, and kills it when its environment is dropped.
async fn watch_process(
    mut child: Child,
    process: Option<u32>,
    host: Arc<Host>,
    mut killed: oneshot::Receiver<()>,
    exit: watch::Sender<Option<String>>,
) {
    let status = tokio::select! {
        status = child.wait() => status,
        _ = &mut killed => {
            let _ = child.start_kill();
            child.wait().await
        }
    };
    if let Some(process) = process {
        host.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&process);
    }
    exit.send_replace(Some(
        status.map_or_else(|error| error.to_string(), |status| status.to_string()),
    ));
    host.ended.notify_waiters();
}

/// Waits for the end of the process; its exit status.
async fn ended(exited: &mut watch::Receiver<Option<String>>) -> String {
    let status = exited.wait_for(Option::is_some).await;
    status
        .ok()
        .and_then(|status| status.clone())
        .unwrap_or_else(|| "unknown status".to_owned())
}
