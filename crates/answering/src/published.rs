//! What is published, of which queries over frames read the document first and the file when they evaluate.

use crate::Answering;
use bytes::Bytes;
use cipherfn_protocol::api::PublishedKind;
use cipherfn_protocol::api::frames::PublishedVersion;
use cipherfn_service::registry::LiveVersion;
use cipherfn_service::telemetry::Metric;
use cipherfn_service::{Call, Failure};
use std::fmt::Display;

/// A version whose file was not read yet.
#[derive(Clone)]
pub(crate) struct PublishedFile {
    pub(crate) kind: PublishedKind,
    pub(crate) named: PublishedVersion,
    pub(crate) version: LiveVersion,
}

impl PublishedFile {
    /// Bytes of the file.
    pub(crate) const fn bytes(&self) -> u64 {
        self.version.bundle_bytes
    }

    pub(crate) fn damaged(&self, problem: &str) -> Failure {
        let PublishedVersion { name, specs } = &self.named;
        Failure::Internal(format!(
            "version {specs} of {} {name}: {problem}",
            self.kind
        ))
    }
}

impl Answering {
    /// Fetches the file and reads it.
    pub(crate) async fn read_published<T: Send + 'static, E: Display + Send + 'static>(
        &self,
        file: &PublishedFile,
        read: impl FnOnce(&Bytes) -> Result<T, E> + Send + 'static,
        call: &Call,
    ) -> Result<T, Failure> {
        let fetch = (self.registry).published_file(file.kind, &file.named.name, &file.version);
        let bytes = call.stage(Metric::ModelFetch, fetch).await?;
        let read = tokio::task::spawn_blocking(move || read(&bytes));
        let read = call.stage(Metric::ModelPrepare, read).await;
        read.map_err(|error| file.damaged(&error.to_string()))?
            .map_err(|error| file.damaged(&error.to_string()))
    }
}
