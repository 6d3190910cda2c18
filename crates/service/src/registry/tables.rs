//! What queries over frames read of what is published: tables in the clear, and linear models.

use super::{LiveVersion, Registry, live_table, live_version};
use crate::Failure;
use crate::bucket::Bucket;
use bytes::Bytes;
use cipherfn_protocol::api::frames::PublishedVersion;
use cipherfn_protocol::api::{ApiVersion, ModelName, Problem, ProblemType, PublishedKind};

impl<B: Bucket> Registry<B> {
    /// A version of a table, which must be live, and its document.
    pub async fn table(&self, named: &PublishedVersion) -> Result<(LiveVersion, Bytes), Failure> {
        let model = self.model(&named.name).await?;
        let version = live_table(model.as_ref(), &named.name, named.specs)?;
        let document = self.specs(&named.name, version, named.specs).await?;
        let document = document.ok_or_else(|| removed(PublishedKind::Table, &named.name))?;
        Ok((version.clone(), document))
    }

    /// A version of a model whose score a query takes, which must be live, and its specs.
    pub async fn scored(&self, named: &PublishedVersion) -> Result<(LiveVersion, Bytes), Failure> {
        let model = self.model(&named.name).await?;
        let of = (ApiVersion::V2, &named.name);
        let version = live_version(model.as_ref(), of, named.specs)?;
        let document = self.specs(&named.name, version, named.specs).await?;
        let document = document.ok_or_else(|| removed(PublishedKind::Model, &named.name))?;
        Ok((version.clone(), document))
    }

    /// The file of such a version: a table with its cells, a model's bundle.
    pub async fn published_file(
        &self,
        kind: PublishedKind,
        name: &ModelName,
        version: &LiveVersion,
    ) -> Result<Bytes, Failure> {
        let file = self.bundle(name, version).await?;
        Ok(file.ok_or_else(|| removed(kind, name))?)
    }
}

/// A version is named as long as it is complete: one whose files are gone was removed meanwhile.
fn removed(kind: PublishedKind, name: &ModelName) -> Problem {
    let detail =
        format!("{kind} {name} was removed meanwhile; GET /v2/models lists those there are");
    let problem = match kind {
        PublishedKind::Table => ProblemType::UnknownTable,
        PublishedKind::Model | PublishedKind::Program => ProblemType::UnknownModel,
    };
    Problem::new(problem, detail)
}
