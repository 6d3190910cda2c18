//! A model's client: what its specs say.

use crate::error::Failure;
use crate::predictions::{Collected, Predictions};
use crate::wait::Waiting;
use cipherfn_client::Client;
use cipherfn_program::ColumnKind;
use cipherfn_scheme::SecretKey;
use pyo3::prelude::*;
use std::sync::Arc;

/// What a client knows of a model.
#[pyclass(frozen)]
pub(crate) struct ModelClient {
    pub(crate) client: Arc<Client>,
    pub(crate) trust: Option<String>,
}

#[pymethods]
impl ModelClient {
    /// From the specs' document.
    #[staticmethod]
    fn from_specs(json: &[u8]) -> PyResult<Self> {
        let client = Client::from_specs(json).map_err(Failure::from)?;
        Ok(Self {
            client: Arc::new(client),
            trust: None,
        })
    }

    /// Decrypts a whole reply, as `cipherfn decrypt` does, with the bytes of a secret key's file.
    fn decrypt(&self, py: Python<'_>, secret: Vec<u8>, reply: Vec<u8>) -> PyResult<Predictions> {
        let client = Arc::clone(&self.client);
        let waiting = Waiting {
            py,
            tell: None,
            stop: None,
        };
        waiting.compute(move |_| {
            let secret = SecretKey::from_file_bytes(&secret)?;
            let mut collected = Collected::new(&client);
            client.decrypt(&secret, None, reply.as_slice(), |answers| {
                collected.take(&client, &answers);
                Ok::<_, Failure>(())
            })?;
            Ok(collected.into())
        })
    }

    /// Names of the columns that rows need, the kind of each, and whether its values may be missing.
    #[getter]
    fn columns(&self) -> Vec<(String, &'static str, bool)> {
        let columns = self.client.specs().specs().columns.iter();
        columns
            .map(|column| {
                let kind = match column.kind {
                    ColumnKind::Float32 => "float32",
                    ColumnKind::Float64 => "float64",
                    ColumnKind::Text => "text",
                    _ => "int64",
                };
                (column.name.clone(), kind, column.missing)
            })
            .collect()
    }

    /// Names of the columns of its predictions.
    #[getter]
    fn outputs(&self) -> Vec<String> {
        self.client.prediction_columns()
    }

    #[getter]
    fn name(&self) -> &str {
        &self.client.specs().specs().model.name
    }

    #[getter]
    fn task(&self) -> &str {
        &self.client.specs().specs().model.task
    }

    #[getter]
    fn parameter_set(&self) -> &'static str {
        self.client.parameter_set().name
    }

    #[getter]
    fn specs_hash(&self) -> String {
        self.client.specs().hash().to_string()
    }

    /// Why a service's specs were taken.
    #[getter]
    fn trust(&self) -> Option<&str> {
        self.trust.as_deref()
    }

    /// Number of raw scores.
    #[getter]
    fn scores(&self) -> usize {
        self.client.specs().specs().decoding.scores.len()
    }
}
