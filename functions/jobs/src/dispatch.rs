//! Starting the function that does the work: by an event a chunk, or by a state machine where there are
//! many, which bounds how many are worked on at a time.

use aws_sdk_sfn::error::DisplayErrorContext;
use aws_sdk_sfn::types::ExecutionStatus;
use cipherfn_protocol::api::job::JobId;
use cipherfn_service::bucket::sdk_config;
use cipherfn_service::config::{self, ConfigError};
use cipherfn_service::{Failure, Workers};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;

/// Events that are sent at the same time.
const IN_FLIGHT: usize = 32;

/// Whoever does the work.
pub(crate) struct Dispatch {
    workers: Workers,
    map: Option<Map>,
}

/// The state machine that runs the function with each chunk of a list.
struct Map {
    client: aws_sdk_sfn::Client,
    arn: String,
    /// Chunks up to which there are events.
    above: usize,
}

impl Dispatch {
    /// What the environment names.
    pub(crate) async fn connect() -> Result<Self, ConfigError> {
        let workers = Workers::connect().await?;
        let map = match config::map()? {
            Some((arn, above)) => Some(Map {
                client: aws_sdk_sfn::Client::new(&sdk_config().await),
                arn,
                above,
            }),
            None => None,
        };
        Ok(Self { workers, map })
    }

    /// Has chunks worked on. Where it fails, the same declaration again sends those that nobody has
    /// begun.
    pub(crate) async fn start(&self, job: JobId, chunks: &[usize]) -> Result<(), Failure> {
        if let Some(map) = self.map.as_ref().filter(|map| chunks.len() > map.above) {
            return map.start(job, chunks).await;
        }
        let sent = chunks.iter().map(|chunk| self.workers.send(job, *chunk));
        let sent: Vec<_> = sent.collect();
        stream::iter(sent)
            .buffer_unordered(IN_FLIGHT)
            .try_collect()
            .await
    }
}

impl Map {
    /// Starts an execution over chunks, unless one of the job runs. It has the job's name, and where
    /// that has ended the next number beside it, so that of declarations at the same time one starts it.
    async fn start(&self, job: JobId, chunks: &[usize]) -> Result<(), Failure> {
        let input = json!({ "job": job, "chunks": chunks }).to_string();
        let mut name = job.to_string();
        let mut ended = 0_u32;
        while !self.execute(&name, &input).await? && !self.is_running(&name).await? {
            ended += 1;
            name = format!("{job}-{ended}");
        }
        Ok(())
    }

    /// Whether there is a new execution, or the same one already; `false` where another has its
    /// name.
    async fn execute(&self, name: &str, input: &str) -> Result<bool, Failure> {
        let request = self.client.start_execution().state_machine_arn(&self.arn);
        match request.name(name).input(input).send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(refusal) if refusal.is_execution_already_exists() => Ok(false),
                _ => Err(failure(name, &error)),
            },
        }
    }

    async fn is_running(&self, name: &str) -> Result<bool, Failure> {
        let execution = self.arn.replacen(":stateMachine:", ":execution:", 1);
        let request = self.client.describe_execution();
        let request = request.execution_arn(format!("{execution}:{name}"));
        let found = request
            .send()
            .await
            .map_err(|error| failure(name, &error))?;
        Ok(*found.status() == ExecutionStatus::Running)
    }
}

fn failure(name: &str, error: &(impl std::error::Error + Send + Sync)) -> Failure {
    let error = DisplayErrorContext(error);
    Failure::Internal(format!("no execution {name} of the state machine: {error}"))
}
