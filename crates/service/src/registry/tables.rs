//! What queries over frames read of what is published: tables in the clear, and linear models.

use super::{LiveVersion, Registry, live_table, live_version};
use crate::Failure;
use crate::bucket::Bucket;
use bytes::Bytes;
use cipherfn_protocol::api::frames::PublishedVersion;
use cipherfn_protocol::api::{ApiVersion, ModelName, Problem, ProblemType};

impl<B: Bucket> Registry<B> {
    /// A version of a table, which must be live, and its document.
    pub async fn table(&self, table: &PublishedVersion) -> Result<(LiveVersion, Bytes), Failure> {
        let (name, specs) = (&table.name, table.specs);
        let model = self.model(name).await?;
        let version = live_table(model.as_ref(), name, specs)?;
        let document = self.specs(name, version, specs).await?;
        let document = document.ok_or_else(|| removed(name))?;
        Ok((version.clone(), document))
    }

    /// A version of a model whose score a query takes, which must be live, and its specs.
    pub async fn scored(&self, named: &PublishedVersion) -> Result<(LiveVersion, Bytes), Failure> {
        let (name, specs) = (&named.name, named.specs);
        let model = self.model(name).await?;
        let version = live_version(model.as_ref(), (ApiVersion::V2, name), specs)?;
        let document = self.specs(name, version, specs).await?;
        let document = document.ok_or_else(|| removed_model(name))?;
        Ok((version.clone(), document))
    }

    /// The bundle of such a version.
    pub async fn scored_bundle(
        &self,
        name: &ModelName,
        version: &LiveVersion,
    ) -> Result<Bytes, Failure> {
        let bundle = self.bundle(name, version).await?;
        Ok(bundle.ok_or_else(|| removed_model(name))?)
    }

    /// The file of a version of a table, with its cells.
    pub async fn table_file(
        &self,
        name: &ModelName,
        version: &LiveVersion,
    ) -> Result<Bytes, Failure> {
        let file = self.bundle(name, version).await?;
        Ok(file.ok_or_else(|| removed(name))?)
    }
}

/// A version is named as long as it is complete: one whose files are gone was removed meanwhile.
fn removed(name: &ModelName) -> Problem {
    let detail =
        format!("table {name} was removed meanwhile; GET /v2/models lists those there are");
    Problem::new(ProblemType::UnknownTable, detail)
}

fn removed_model(name: &ModelName) -> Problem {
    let detail =
        format!("model {name} was removed meanwhile; GET /v2/models lists those there are");
    Problem::new(ProblemType::UnknownModel, detail)
}
