//! Fitted models.

use cipherfn_compiler::write::write_onnx;
use cipherfn_training::{FittedFunction, FittedModel};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A model that was fitted.
#[pyclass(frozen)]
pub(crate) struct Fitted(pub(crate) FittedModel);

#[pymethods]
impl Fitted {
    /// The ONNX file.
    fn to_onnx<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &write_onnx(&self.0))
    }

    /// Columns of numbers: name, what is subtracted, and the factor.
    #[getter]
    fn numbers(&self) -> Vec<(String, f64, f64)> {
        let columns = self.0.numbers.iter();
        columns
            .map(|column| (column.name.clone(), column.offset, column.scale))
            .collect()
    }

    /// Columns of listed texts.
    #[getter]
    fn categories(&self) -> Vec<String> {
        let columns = self.0.categories.iter();
        columns.map(|column| column.name.clone()).collect()
    }

    /// Labels of a classifier's classes.
    #[getter]
    fn classes(&self) -> Vec<String> {
        match &self.0.function {
            FittedFunction::Classifier { labels, .. } => labels.clone(),
            _ => Vec::new(),
        }
    }

    /// Rows of weights on the columns' own numbers, and constants, of a function that is linear in them; rows of
    /// weights on scaled numbers, and no constants, of a map.
    fn weights(&self) -> Option<(Vec<Vec<f64>>, Vec<f64>)> {
        match &self.0.function {
            FittedFunction::Map { weights } => Some((weights.clone(), Vec::new())),
            _ => self.0.raw_weights(),
        }
    }
}
