//! Tables in the clear: published as models are, read by queries over frames.

use super::{LiveVersion, Registry, live_table};
use crate::Failure;
use crate::bucket::Bucket;
use bytes::Bytes;
use cipherfn_protocol::api::frames::TableVersion;
use cipherfn_protocol::api::{ModelName, Problem, ProblemType};

impl<B: Bucket> Registry<B> {
    /// A version of a table, which must be live, and its document.
    pub async fn table(&self, table: &TableVersion) -> Result<(LiveVersion, Bytes), Failure> {
        let (name, specs) = (&table.name, table.specs);
        let model = self.model(name).await?;
        let version = live_table(model.as_ref(), name, specs)?;
        let document = self.specs(name, version, specs).await?;
        let document = document.ok_or_else(|| removed(name))?;
        Ok((version.clone(), document))
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
