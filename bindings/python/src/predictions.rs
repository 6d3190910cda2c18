//! Predictions on their way to Python: typed columns, by Arrow's C data interface or as bytes.

use crate::error::Failure;
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{RecordBatch, RecordBatchIterator};
use cipherfn_client::{Answer, Batch, Client, Values};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyList};

/// Answers to rows as columns, in pieces.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    names: Vec<String>,
    pieces: Vec<Batch>,
    scores: Vec<f64>,
    remarks: Vec<(u64, bool, String)>,
    rows: u64,
}

impl Collected {
    /// No rows of a model.
    pub(crate) fn new(client: &Client) -> Self {
        Self {
            names: client.prediction_columns(),
            // Columns keep their types where there are no rows.
            pieces: vec![client.predictions(&[])],
            ..Self::default()
        }
    }

    /// Takes the answers to the next rows.
    pub(crate) fn take(&mut self, client: &Client, answers: &[Answer]) {
        let width = client.specs().specs().decoding.scores.len();
        for (number, answer) in (self.rows..).zip(answers) {
            match &answer.prediction {
                Some(prediction) => self.scores.extend(&prediction.scores),
                None => self.scores.extend(std::iter::repeat_n(f64::NAN, width)),
            }
            if let Some(remark) = &answer.remark {
                self.remarks
                    .push((number, answer.prediction.is_some(), remark.clone()));
            }
        }
        self.rows += answers.len() as u64;
        self.pieces.push(client.predictions(answers));
    }
}

/// Predictions, one a row.
#[pyclass(frozen)]
pub(crate) struct Predictions(Collected);

impl From<Collected> for Predictions {
    fn from(collected: Collected) -> Self {
        Self(collected)
    }
}

#[pymethods]
impl Predictions {
    fn __len__(&self) -> usize {
        self.0.rows as usize
    }

    /// Names of the columns.
    #[getter]
    fn names(&self) -> Vec<String> {
        self.0.names.clone()
    }

    /// Kind of a column, its values as bytes in the machine's order or a list of texts, and whether each is there.
    fn column<'py>(
        &self,
        py: Python<'py>,
        index: usize,
    ) -> PyResult<(&'static str, Bound<'py, PyAny>, Bound<'py, PyBytes>)> {
        if index >= self.0.names.len() {
            return Err(Failure::Argument(format!("there is no column {index}")).into());
        }
        let columns = || {
            let pieces = self.0.pieces.iter();
            pieces.filter_map(move |piece| Some(piece.columns().nth(index)?.1))
        };
        let valid = columns().flat_map(|column| {
            (0..column.values().len()).map(|row| u8::from(column.is_valid(row)))
        });
        let valid = PyBytes::new(py, &valid.collect::<Vec<_>>());
        macro_rules! bytes {
            ($kind:ident) => {{
                let values = columns().flat_map(|column| match column.values() {
                    Values::$kind(values) => values.as_slice(),
                    _ => &[],
                });
                let bytes: Vec<u8> = values.flat_map(|value| value.to_ne_bytes()).collect();
                PyBytes::new(py, &bytes).into_any()
            }};
        }
        let (kind, values) = match columns().next().map(cipherfn_client::Column::values) {
            Some(Values::F32(_)) => ("f4", bytes!(F32)),
            Some(Values::F64(_)) => ("f8", bytes!(F64)),
            Some(Values::I64(_)) => ("i8", bytes!(I64)),
            _ => {
                let values = columns().flat_map(|column| match column.values() {
                    Values::Text(values) => values.as_slice(),
                    _ => &[],
                });
                ("text", PyList::new(py, values)?.into_any())
            }
        };
        Ok((kind, values, valid))
    }

    /// Raw scores as bytes of 64-bit floats, row by row; NaN where there is no prediction.
    fn scores<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let bytes: Vec<u8> = self
            .0
            .scores
            .iter()
            .flat_map(|score| score.to_ne_bytes())
            .collect();
        PyBytes::new(py, &bytes)
    }

    /// Rows of which there is something to say: number from 0, whether it has a prediction, and the text.
    fn remarks(&self) -> Vec<(u64, bool, String)> {
        self.0.remarks.clone()
    }

    /// The columns as an Arrow stream.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema; // The interface lets a producer give its own.
        let batches: Vec<RecordBatch> = self.0.pieces.iter().map(RecordBatch::from).collect();
        stream(py, batches)
    }
}

/// Batches of one schema, one at least, as a capsule of the Arrow PyCapsule interface.
pub(crate) fn stream(py: Python<'_>, batches: Vec<RecordBatch>) -> PyResult<Bound<'_, PyCapsule>> {
    let schema = batches[0].schema();
    let reader = RecordBatchIterator::new(batches.into_iter().map(Ok), schema);
    let stream = FFI_ArrowArrayStream::new(Box::new(reader));
    PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
}
