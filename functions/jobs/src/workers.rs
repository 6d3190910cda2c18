//! Starting the function that does the work.

use aws_sdk_lambda::error::DisplayErrorContext;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use cipherfn_protocol::api::job::JobId;
use cipherfn_service::Failure;
use cipherfn_service::bucket::sdk_config;
use cipherfn_service::config::{self, ConfigError};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;

/// Events that are sent at the same time.
const IN_FLIGHT: usize = 32;

/// The function `worker`, as AWS Lambda names it.
pub(crate) struct Workers {
    client: aws_sdk_lambda::Client,
    function: String,
}

impl Workers {
    /// The function that the environment names.
    pub(crate) async fn connect() -> Result<Self, ConfigError> {
        Ok(Self {
            function: config::worker()?,
            client: aws_sdk_lambda::Client::new(&sdk_config().await),
        })
    }

    /// Sends an event a chunk. Where it fails, the same declaration again sends those that nobody
    /// has begun.
    pub(crate) async fn start(&self, job: JobId, chunks: &[usize]) -> Result<(), Failure> {
        let sent = chunks.iter().map(|chunk| self.send(job, *chunk));
        let sent: Vec<_> = sent.collect();
        stream::iter(sent)
            .buffer_unordered(IN_FLIGHT)
            .try_collect()
            .await
    }

    /// An event says job and chunk, and nothing that a worker would have to believe.
    async fn send(&self, job: JobId, chunk: usize) -> Result<(), Failure> {
        let event = json!({ "job": job, "chunk": chunk }).to_string();
        let request = self.client.invoke().function_name(&self.function);
        let request = request.invocation_type(InvocationType::Event);
        let sent = request.payload(Blob::new(event)).send().await;
        sent.map(drop).map_err(|error| {
            let error = DisplayErrorContext(&error);
            Failure::Internal(format!("no worker for chunk {chunk} of job {job}: {error}"))
        })
    }
}
