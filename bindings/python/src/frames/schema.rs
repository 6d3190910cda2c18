//! Schemas of frames.

use super::cells::cells;
use crate::error::{Failure, Result};
use crate::table::Table;
use crate::wait::{Stop, Waiting};
use cipherfn_frame::infer::Inference;
use cipherfn_frame::schema::Schema;
use pyo3::prelude::*;

/// What is public of a frame.
#[pyclass(frozen)]
pub(crate) struct FrameSchema(pub(crate) Schema);

#[pymethods]
impl FrameSchema {
    /// From TOML, as `cipherfn frame schema` writes it.
    #[staticmethod]
    fn from_toml(text: &str) -> PyResult<Self> {
        Ok(Self(Schema::from_toml(text).map_err(Failure::from)?))
    }

    /// From JSON, as files of frames have it.
    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Self> {
        let schema = Schema::from_json(text.as_bytes());
        Ok(Self(schema.map_err(Failure::from)?))
    }

    /// The narrowest one that holds every cell of a table.
    #[staticmethod]
    #[pyo3(signature = (table, name, stop=None))]
    fn infer(
        py: Python<'_>,
        table: &Table,
        name: String,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<Self> {
        let names = table.names()?;
        let batches = table.batches()?;
        let waiting = Waiting {
            py,
            tell: None,
            stop,
        };
        waiting.compute(move |watch| {
            let mut inference = Inference::new(names.iter().cloned());
            cells(batches, &names, watch, |_, row| {
                Ok(inference.row_of_values(row)?)
            })?;
            Ok(Self(inference.finish(name)?))
        })
    }

    fn to_toml(&self) -> PyResult<String> {
        Ok(self.0.to_toml().map_err(Failure::from)?)
    }

    fn to_json(&self) -> PyResult<String> {
        let json: Result<_> = self.0.to_json().map_err(Failure::from);
        Ok(String::from_utf8_lossy(&json?).into_owned())
    }
}
