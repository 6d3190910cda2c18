//! Tables in the clear: published ones that queries merge with.

use crate::Answering;
use crate::published::PublishedFile;
use bytes::Bytes;
use cipherfn_frame::plain::PlainTable;
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::api::PublishedKind;
use cipherfn_protocol::api::frames::PublishedVersion;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_service::{Call, Failure};
use cipherfn_serving::frames;

/// A published table, of which only what is public was read.
#[derive(Clone)]
pub(crate) struct PublishedTable {
    file: PublishedFile,
    pub(crate) schema: Schema,
}

impl PublishedTable {
    /// Bytes of its file.
    pub(crate) const fn bytes(&self) -> u64 {
        self.file.bytes()
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
            file: PublishedFile {
                kind: PublishedKind::Table,
                named: named.clone(),
                version,
            },
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
        let read = |file: &Bytes| PlainTable::from_bytes(file);
        let plain = self.read_published(&table.file, read, call).await?;
        // The cells are those that the signed document commits to.
        if *plain.schema() != table.schema {
            return Err(table.file.damaged("its file is that of another version"));
        }
        Ok(frames::StoredFrame::plain(set, plain))
    }
}
