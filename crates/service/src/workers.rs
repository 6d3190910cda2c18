//! The function `worker`: how work is given to it.

use crate::Failure;
use crate::bucket::sdk_config;
use crate::config::{self, ConfigError};
use aws_sdk_lambda::error::DisplayErrorContext;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use cipherfn_protocol::api::job::JobId;
use serde_json::json;

/// The function `worker`, as AWS Lambda names it.
pub struct Workers {
    client: aws_sdk_lambda::Client,
    function: String,
}

impl Workers {
    /// What the environment names.
    pub async fn connect() -> Result<Self, ConfigError> {
        let function = config::worker()?;
        Ok(Self {
            function,
            client: aws_sdk_lambda::Client::new(&sdk_config().await),
        })
    }

    /// Sends an event, which says job and chunk, and nothing that a worker would have to believe.
    pub async fn send(&self, job: JobId, chunk: usize) -> Result<(), Failure> {
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
