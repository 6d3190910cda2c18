//! Tables in the clear: published ones that queries merge with.

use crate::Answering;
use cipherfn_frame::plain::PlainTable;
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::api::frames::PublishedVersion;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_service::registry::LiveVersion;
use cipherfn_service::telemetry::Metric;
use cipherfn_service::{Call, Failure};
use cipherfn_serving::frames;

/// A published table, of which only what is public was read.
#[derive(Clone)]
pub(crate) struct PublishedTable {
    named: PublishedVersion,
    version: LiveVersion,
    pub(crate) schema: Schema,
}

impl PublishedTable {
    /// Bytes of its file.
    pub(crate) const fn bytes(&self) -> u64 {
        self.version.bundle_bytes
    }

    fn damaged(&self, problem: &str) -> Failure {
        let PublishedVersion { name, specs } = &self.named;
        Failure::Internal(format!("version {specs} of table {name}: {problem}"))
    }
}

impl Answering {
    pub(crate) async fn published_table(
        &self,
        named: &PublishedVersion,
    ) -> Result<PublishedTable, Failure> {
        let (version, document) = self.registry.table(named).await?;
        let name = &named.name;
        let schema = Schema::from_json(&document)
            .map_err(|error| Failure::Internal(format!("the schema of table {name}: {error}")))?;
        if schema.name() != name.as_str() || schema.cells().is_none() {
            let problem = format!("what is published as table {name} is another one's document");
            return Err(Failure::Internal(problem));
        }
        Ok(PublishedTable {
            named: named.clone(),
            version,
            schema,
        })
    }

    /// The table with its cells, for rows under a parameter set.
    pub(crate) async fn load_table(
        &self,
        table: &PublishedTable,
        set: &'static ParameterSet,
        call: &Call,
    ) -> Result<frames::StoredFrame, Failure> {
        let file = self.registry.table_file(&table.named.name, &table.version);
        let file = call.stage(Metric::ModelFetch, file).await?;
        let read = tokio::task::spawn_blocking(move || PlainTable::from_bytes(&file));
        let plain = call.stage(Metric::ModelPrepare, read).await;
        let plain = plain
            .map_err(|error| table.damaged(&error.to_string()))?
            .map_err(|error| table.damaged(&error.to_string()))?;
        // The cells are those that the signed document commits to.
        if *plain.schema() != table.schema {
            return Err(table.damaged("its file is that of another version"));
        }
        Ok(frames::StoredFrame::plain(set, plain))
    }
}
