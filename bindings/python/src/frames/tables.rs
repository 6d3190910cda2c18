//! Tables in the clear: here with their cells, or what is public of one that a service has.

use super::cells::cells;
use super::schema::FrameSchema;
use crate::error::{Failure, Result};
use crate::service::{Service, parse_name};
use crate::table::Table;
use crate::wait::{Stop, Waiting};
use cipherfn_client::frames::Tables;
use cipherfn_frame::plain::{PlainTable, SALT_LEN};
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::api::frames::PublishedVersion;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::Arc;

/// A table in the clear, with which encrypted rows merge.
#[pyclass(frozen)]
#[derive(Clone)]
pub(crate) struct ClearTable {
    pub(super) schema: Schema,
    /// The cells, where they are here.
    pub(super) cells: Option<Arc<PlainTable>>,
    /// The version that a service has.
    pub(super) version: Option<PublishedVersion>,
}

#[pymethods]
impl ClearTable {
    /// Makes one of rows, by a schema with look-ups.
    #[staticmethod]
    #[pyo3(signature = (table, schema, salt, tell=None, stop=None))]
    fn make(
        py: Python<'_>,
        table: &Table,
        schema: &FrameSchema,
        salt: [u8; SALT_LEN],
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<Self> {
        let batches = table.batches()?;
        let schema = schema.0.clone();
        let waiting = Waiting { py, tell, stop };
        waiting.compute(move |watch| {
            let columns = schema.columns().iter();
            let names: Vec<String> = columns.map(|column| column.name.clone()).collect();
            let lookups = schema.lookups().iter();
            let mut tables: Vec<Tables<'_>> =
                lookups.map(|lookup| Tables::new(&schema, lookup)).collect();
            let rows = cells(batches, &names, watch, |number, row| {
                let row = schema.row_of_values(number, row)?;
                for table in &mut tables {
                    table.add(&row)?;
                }
                watch.add(1);
                Ok(())
            })?;
            let entries = tables.into_iter().map(Tables::into_entries).collect();
            let table = PlainTable::new(schema.clone(), rows, salt, entries)?;
            Ok(Self::of(table))
        })
    }

    /// From the bytes of a file: one with cells, or what is public of it.
    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> PyResult<Self> {
        if bytes.first() != Some(&b'{') {
            return Ok(Self::of(
                PlainTable::from_bytes(bytes).map_err(Failure::from)?,
            ));
        }
        let schema = Schema::from_json(bytes).map_err(Failure::from)?;
        if schema.cells().is_none() {
            let text = "this is the schema of an encrypted frame, and no table in the clear";
            return Err(Failure::Argument(text.into()).into());
        }
        Ok(Self {
            schema,
            cells: None,
            version: None,
        })
    }

    /// What a service has published under a name, as far as it is public.
    #[staticmethod]
    #[pyo3(signature = (service, name, tell=None, stop=None))]
    fn find(
        py: Python<'_>,
        service: &Service,
        name: &Bound<'_, PyAny>,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<Self> {
        let name = parse_name(name)?;
        let (connection, watch) = service.open();
        let (ring, accept) = (service.ring.clone(), service.accept.clone());
        let waiting = Waiting { py, tell, stop };
        waiting.request(&watch, move || async move {
            let fetched = connection.table(&name, &ring, &accept).await?;
            Ok(Self {
                schema: fetched.schema,
                cells: None,
                version: Some(fetched.version),
            })
        })
    }

    /// The file, with the cells.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes: Result<_> = self.with_cells()?.to_bytes().map_err(Failure::from);
        Ok(PyBytes::new(py, &bytes?))
    }

    /// What is public of it, as JSON.
    fn document(&self) -> PyResult<String> {
        let json: Result<_> = self.schema.to_json().map_err(Failure::from);
        Ok(String::from_utf8_lossy(&json?).into_owned())
    }

    #[getter]
    fn schema(&self) -> FrameSchema {
        FrameSchema(self.schema.clone())
    }

    #[getter]
    fn rows(&self) -> u64 {
        self.schema.rows().count.unwrap_or_default()
    }

    /// Whether its cells are here.
    #[getter]
    fn has_cells(&self) -> bool {
        self.cells.is_some()
    }
}

impl ClearTable {
    fn of(table: PlainTable) -> Self {
        Self {
            schema: table.schema().clone(),
            cells: Some(Arc::new(table)),
            version: None,
        }
    }

    /// The cells.
    pub(super) fn with_cells(&self) -> Result<&PlainTable> {
        self.cells.as_deref().ok_or_else(|| {
            Failure::Argument(format!(
                "the cells of table {:?} are not here; collect(client) asks the service that has them",
                self.schema.name()
            ))
        })
    }

    /// The version that a service is asked for.
    pub(super) fn published(&self) -> Result<PublishedVersion> {
        self.version.clone().ok_or_else(|| {
            Failure::Argument(format!(
                "table {0:?} is here, and no service has it; publish it (`cipherfn frame publish-table`) and take frame.published_table(client, {0:?})",
                self.schema.name()
            ))
        })
    }
}
