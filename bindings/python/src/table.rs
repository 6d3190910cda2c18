//! Tables from Python: batches of columns, by Arrow's C data interface or column by column.

use crate::error::{Failure, Result};
use arrow_array::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow_array::{RecordBatch, RecordBatchReader};
use cipherfn_client::{Batch, Client, ClientError, Column, InputRow, Values};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyList};
use std::sync::{Arc, Mutex, PoisonError};

/// Rows that are made ready at a time.
const ROWS: usize = 4096;
/// Name of a capsule that holds a stream.
const STREAM: &std::ffi::CStr = c"arrow_array_stream";

/// A table that is read once.
#[pyclass(frozen)]
pub(crate) struct Table(Mutex<Option<Source>>);

enum Source {
    Stream(Box<RecordBatchStreamReader>),
    Columns(Batch),
}

#[pymethods]
impl Table {
    /// What `__arrow_c_stream__` gives.
    #[staticmethod]
    fn from_stream(capsule: &Bound<'_, PyCapsule>) -> PyResult<Self> {
        let stream = capsule.pointer_checked(Some(STREAM))?;
        // SAFETY: a capsule of this name holds a stream by the Arrow PyCapsule interface. Taking the stream marks it as released there, and a
        // released one is an error of the reader.
        #[allow(unsafe_code)]
        let reader = unsafe {
            RecordBatchStreamReader::from_raw(stream.as_ptr().cast::<FFI_ArrowArrayStream>())
        };
        let reader = reader.map_err(|error| Failure::Table(error.to_string()))?;
        Ok(Self::new(Source::Stream(Box::new(reader))))
    }

    /// Columns of numbers as bytes in the machine's order, or of texts as lists; `valid` has a byte a row, 0
    /// where the value is missing.
    #[staticmethod]
    fn from_columns(
        columns: Vec<(String, String, Bound<'_, PyAny>, Option<Vec<u8>>)>,
    ) -> PyResult<Self> {
        let mut batch = Batch::new();
        for (name, kind, values, valid) in columns {
            let column = column(&kind, &values, valid)?;
            if batch.columns().len() > 0 && column.values().len() != batch.rows() {
                let (found, expected) = (column.values().len(), batch.rows());
                let text = format!(
                    "column {name:?} has {found} values and others {expected}; give all the same number"
                );
                return Err(Failure::Table(text).into());
            }
            batch = batch.with(name, column);
        }
        Ok(Self::new(Source::Columns(batch)))
    }

    /// Names of the columns.
    #[getter]
    pub(crate) fn names(&self) -> PyResult<Vec<String>> {
        let source = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match source.as_ref().ok_or_else(read_already)? {
            Source::Stream(reader) => {
                let schema = reader.schema();
                schema
                    .fields()
                    .iter()
                    .map(|field| field.name().clone())
                    .collect()
            }
            Source::Columns(batch) => batch.columns().map(|(name, _)| name.to_owned()).collect(),
        })
    }
}

impl Table {
    fn new(source: Source) -> Self {
        Self(Mutex::new(Some(source)))
    }

    /// All of its columns.
    pub(crate) fn batches(&self) -> Result<Batches> {
        Ok(match self.take()? {
            Source::Columns(batch) if batch.columns().len() == 0 => Box::new(std::iter::empty()),
            Source::Columns(batch) => Box::new(std::iter::once(Ok(RecordBatch::from(&batch)))),
            Source::Stream(reader) => Box::new(
                reader.map(|batch| batch.map_err(|error| Failure::Table(error.to_string()))),
            ),
        })
    }

    fn take(&self) -> Result<Source> {
        let source = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        source.ok_or_else(read_already)
    }

    /// Its rows, for a model's client.
    pub(crate) fn rows(&self, client: &Arc<Client>) -> Result<Rows> {
        Ok(Rows {
            client: Arc::clone(client),
            source: self.take()?,
            batch: None,
            ready: Vec::new().into_iter(),
        })
    }
}

/// A table's batches, as they come.
pub(crate) type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

fn read_already() -> Failure {
    Failure::Table("the table has been read already; give a new one".into())
}

fn column(kind: &str, values: &Bound<'_, PyAny>, valid: Option<Vec<u8>>) -> Result<Column> {
    let bytes = || -> PyResult<&[u8]> { Ok(values.cast::<PyBytes>()?.as_bytes()) };
    macro_rules! numbers {
        ($variant:ident, $number:ty) => {{
            let (words, _) = bytes()?.as_chunks();
            Values::$variant(
                words
                    .iter()
                    .map(|word| <$number>::from_ne_bytes(*word))
                    .collect(),
            )
        }};
    }
    let mut valid = valid.map(|valid| valid.into_iter().map(|flag| flag != 0).collect::<Vec<_>>());
    let values = match kind {
        "f4" => numbers!(F32, f32),
        "f8" => numbers!(F64, f64),
        "i8" => numbers!(I64, i64),
        "b1" => Values::Bool(bytes()?.iter().map(|byte| *byte != 0).collect()),
        "text" => {
            let texts: Vec<Option<String>> =
                values.cast::<PyList>().map_err(PyErr::from)?.extract()?;
            let mut present = valid.unwrap_or_default();
            present.resize(texts.len(), true);
            for (flag, text) in present.iter_mut().zip(&texts) {
                *flag &= text.is_some();
            }
            valid = Some(present);
            Values::Text(texts.into_iter().map(Option::unwrap_or_default).collect())
        }
        other => return Err(Failure::Argument(format!("no column is of kind {other:?}"))),
    };
    if valid
        .as_ref()
        .is_some_and(|valid| valid.len() != values.len())
    {
        return Err(Failure::Argument("a flag a value is needed".into()));
    }
    Ok(Column::new(values, valid))
}

/// The rows of a table as a model takes them; a batch is read when its first row is wanted.
pub(crate) struct Rows {
    client: Arc<Client>,
    source: Source,
    /// What was read and is not yet made ready.
    batch: Option<RecordBatch>,
    ready: std::vec::IntoIter<InputRow>,
}

impl Rows {
    /// Makes more rows ready; false after the last one.
    fn fill(&mut self) -> Result<bool> {
        let reader = match &mut self.source {
            Source::Columns(batch) => {
                let batch = std::mem::take(batch);
                let rows = if batch.columns().len() == 0 {
                    Vec::new()
                } else {
                    self.client.rows(&batch)?
                };
                self.ready = rows.into_iter();
                return Ok(self.ready.len() > 0);
            }
            Source::Stream(reader) => reader,
        };
        let batch = loop {
            match self.batch.take() {
                Some(batch) if batch.num_rows() > 0 => break batch,
                _ => {}
            }
            match reader.next() {
                Some(batch) => {
                    let batch = batch.map_err(|error| Failure::Table(error.to_string()))?;
                    self.batch = Some(own_columns(&self.client, &batch)?);
                }
                None => return Ok(false),
            }
        };
        let taken = batch.num_rows().min(ROWS);
        let rows = self
            .client
            .rows(&Batch::try_from(&batch.slice(0, taken))?)?;
        self.ready = rows.into_iter();
        self.batch = Some(batch.slice(taken, batch.num_rows() - taken));
        Ok(true)
    }
}

/// The model's columns: others may be of types that no model takes.
fn own_columns(client: &Client, batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = batch.schema();
    let wanted = &client.specs().specs().columns;
    let index = |name: &str| {
        schema
            .fields()
            .iter()
            .position(|field| field.name() == name)
    };
    let missing = wanted.iter().filter(|column| index(&column.name).is_none());
    let names: Vec<String> = missing.map(|column| column.name.clone()).collect();
    if !names.is_empty() {
        let found = schema.fields().iter().map(|field| field.name().clone());
        let found = found.collect();
        return Err(ClientError::MissingColumns { names, found }.into());
    }
    let indices: Vec<usize> = wanted
        .iter()
        .filter_map(|column| index(&column.name))
        .collect();
    let batch = batch.project(&indices);
    batch.map_err(|error| Failure::Table(error.to_string()))
}

impl Iterator for Rows {
    type Item = Result<InputRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.len() == 0 {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    // Nothing comes after an error.
                    self.source = Source::Columns(Batch::new());
                    self.batch = None;
                    return Some(Err(error));
                }
            }
        }
        self.ready.next().map(Ok)
    }
}
