//! Schemas of frames.

use super::cells::cells;
use crate::error::{Failure, Result};
use crate::table::Table;
use crate::wait::{Stop, Waiting};
use cipherfn_frame::infer::Inference;
use cipherfn_frame::schema::{NameForm, Schema};
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

    /// From JSON, as `to_json` writes it.
    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Self> {
        let schema = Schema::from_editable_json(text.as_bytes());
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

    /// JSON to be edited, with names as far as they are known.
    fn to_json(&self) -> PyResult<String> {
        let json: Result<_> = self.0.to_editable_json().map_err(Failure::from);
        Ok(String::from_utf8_lossy(&json?).into_owned())
    }
}

impl FrameSchema {
    /// The schema in names, which are to be hashed if they were.
    pub(super) fn in_names(&self) -> Result<Schema> {
        Ok(match self.0.names() {
            NameForm::Revealed(_) => Schema::from_editable_json(&self.0.to_editable_json()?)?,
            NameForm::Clear | NameForm::ToHash | NameForm::Hashed(_) => self.0.clone(),
        })
    }
}
