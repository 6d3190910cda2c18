//! Decrypted answers on their way to Python: typed columns, by Arrow's C data interface or as bytes.

use crate::error::{Failure, Result};
use crate::predictions::stream;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use cipherfn_client::frames::{answer_columns, decrypt_reply};
use cipherfn_frame::answer::{ResultType, Table};
use cipherfn_frame::reply::Reply;
use cipherfn_scheme::SecretKey;
use cipherfn_serving::frames::PreparedQuery;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyList};

/// The columns of an answer.
#[pyclass(frozen)]
pub(crate) struct FrameAnswer {
    batch: RecordBatch,
    kinds: Vec<ResultType>,
}

/// The rows of an answer.
pub(super) fn decrypted(
    prepared: &PreparedQuery,
    secret: &SecretKey,
    reply: &Reply,
) -> Result<Table> {
    let last = prepared.last();
    let words = decrypt_reply(secret, last, prepared.rows_of(last), &reply.ciphertexts)?;
    Ok(prepared.table(&words))
}

impl FrameAnswer {
    /// Rows as columns.
    pub(super) fn of(table: &Table) -> Result<Self> {
        Ok(Self {
            batch: answer_columns(table)?,
            kinds: table.columns.iter().map(|(_, kind)| kind.clone()).collect(),
        })
    }
}

#[pymethods]
impl FrameAnswer {
    fn __len__(&self) -> usize {
        self.batch.num_rows()
    }

    /// Names of the columns.
    #[getter]
    fn names(&self) -> Vec<String> {
        let schema = self.batch.schema();
        let fields = schema.fields().iter();
        fields.map(|field| field.name().clone()).collect()
    }

    /// Kind of a column, its values as bytes in the machine's order or a list of texts, and whether each is there.
    /// Decimals are the nearest floats, dates days since 1970.
    fn column<'py>(
        &self,
        py: Python<'py>,
        index: usize,
    ) -> PyResult<(&'static str, Bound<'py, PyAny>, Bound<'py, PyBytes>)> {
        let Some(kind) = self.kinds.get(index) else {
            return Err(Failure::Argument(format!("there is no column {index}")).into());
        };
        let array = self.batch.column(index);
        let valid = (0..array.len()).map(|row| u8::from(array.is_valid(row)));
        let valid = PyBytes::new(py, &valid.collect::<Vec<_>>());
        macro_rules! bytes {
            ($values:expr) => {{
                let bytes: Vec<u8> = $values.flat_map(|value| value.to_ne_bytes()).collect();
                PyBytes::new(py, &bytes).into_any()
            }};
        }
        let (name, values) = match kind {
            ResultType::Number { places: 0 } => {
                let values = array.as_primitive::<Int64Type>().values();
                ("i8", bytes!(values.iter()))
            }
            ResultType::Number { .. } => {
                let values = array.as_primitive::<Decimal128Type>();
                let texts = (0..values.len()).map(|row| values.value_as_string(row));
                // The shortest way to the nearest float: its text is read as every other's.
                (
                    "f8",
                    bytes!(texts.map(|text| text.parse().unwrap_or(f64::NAN))),
                )
            }
            ResultType::Real => {
                let values = array.as_primitive::<Float64Type>().values();
                ("f8", bytes!(values.iter()))
            }
            ResultType::Boolean => {
                let values = array.as_boolean().iter();
                let values = values.map(|truth| u8::from(truth.unwrap_or_default()));
                ("b1", bytes!(values))
            }
            ResultType::Date => {
                let days = array.as_primitive::<Date32Type>().values();
                ("M8[D]", bytes!(days.iter().map(|day| i64::from(*day))))
            }
            ResultType::Text { .. } => {
                let texts = array.as_string::<i32>().iter();
                (
                    "text",
                    PyList::new(py, texts.collect::<Vec<_>>())?.into_any(),
                )
            }
        };
        Ok((name, values, valid))
    }

    /// The columns as an Arrow stream.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema; // The interface lets a producer give its own.
        stream(py, vec![self.batch.clone()])
    }
}
