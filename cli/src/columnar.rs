//! Parquet and Arrow files as the CSV text that they would be, a batch in memory: whatever reads tables
//! reads them.

use crate::files::InputSource;
use anyhow::{Context, Result, bail};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, RecordBatch};
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use cipherfn_frame::answer::Cell;
use cipherfn_frame::date::Date;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

/// First bytes of the files.
const PARQUET: &[u8] = b"PAR1";
const ARROW: &[u8] = b"ARROW1";
const ARROW_STREAM: &[u8] = &[0xFF; 4];

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// CSV text of record batches.
pub(crate) struct AsCsv {
    batches: Batches,
    text: Cursor<Vec<u8>>,
}

impl AsCsv {
    /// The text of a Parquet or Arrow file; `None` of any other.
    pub(crate) fn open(source: &InputSource) -> Result<Option<Self>> {
        let Some(mut file) = source.file()? else {
            return Ok(None);
        };
        let mut magic = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        (&file).take(6).read_to_end(&mut magic)?;
        file.seek(SeekFrom::Start(0))?;
        let opened = match magic.as_slice() {
            magic if magic.starts_with(PARQUET) => parquet(file),
            magic if magic.starts_with(ARROW) => FileReader::try_new_buffered(file, None)
                .map(|reader| (reader.schema(), Box::new(reader) as Batches))
                .map_err(anyhow::Error::from),
            magic if magic.starts_with(ARROW_STREAM) => StreamReader::try_new_buffered(file, None)
                .map(|reader| (reader.schema(), Box::new(reader) as Batches))
                .map_err(anyhow::Error::from),
            _ => return Ok(None),
        };
        let (schema, batches) = opened.with_context(|| source.name())?;
        for field in schema.fields() {
            if !is_known(field.data_type()) {
                bail!(
                    "{}: column {:?} is of type {}; write it as a number, a boolean, a date or text",
                    source.name(),
                    field.name(),
                    field.data_type()
                );
            }
        }
        let mut header = csv::Writer::from_writer(Vec::new());
        header.write_record(schema.fields().iter().map(|field| field.name()))?;
        Ok(Some(Self {
            batches,
            text: Cursor::new(header.into_inner()?),
        }))
    }
}

fn parquet(file: File) -> Result<(SchemaRef, Batches)> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let schema = builder.schema().clone();
    Ok((schema, Box::new(builder.build()?)))
}

impl Read for AsCsv {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.text.read(out)?;
            if read > 0 || out.is_empty() {
                return Ok(read);
            }
            let Some(batch) = self.batches.next() else {
                return Ok(0);
            };
            let text = batch
                .map_err(anyhow::Error::from)
                .and_then(|batch| text(&batch));
            self.text = Cursor::new(text.map_err(|error| io::Error::other(format!("{error:#}")))?);
        }
    }
}

/// The rows of a batch.
fn text(batch: &RecordBatch) -> Result<Vec<u8>> {
    let columns: Vec<Vec<String>> = batch.columns().iter().map(cells).collect();
    let mut csv = csv::Writer::from_writer(Vec::new());
    for row in 0..batch.num_rows() {
        csv.write_record(columns.iter().map(|column| &column[row]))?;
    }
    Ok(csv.into_inner()?)
}

/// Whether [`cells`] knows how a type is written.
fn is_known(kind: &DataType) -> bool {
    match kind {
        DataType::Decimal128(_, scale) => (0..=18).contains(scale),
        DataType::Dictionary(_, values) => is_known(values),
        _ => {
            kind.is_integer()
                || matches!(
                    kind,
                    DataType::Null
                        | DataType::Float32
                        | DataType::Float64
                        | DataType::Boolean
                        | DataType::Date32
                        | DataType::Utf8
                        | DataType::LargeUtf8
                        | DataType::Utf8View
                )
        }
    }
}

/// The cells of a column: numbers in their shortest form, nothing of missing ones.
fn cells(array: &ArrayRef) -> Vec<String> {
    match array.data_type() {
        DataType::Int8 => numbers::<Int8Type>(array),
        DataType::Int16 => numbers::<Int16Type>(array),
        DataType::Int32 => numbers::<Int32Type>(array),
        DataType::Int64 => numbers::<Int64Type>(array),
        DataType::UInt8 => numbers::<UInt8Type>(array),
        DataType::UInt16 => numbers::<UInt16Type>(array),
        DataType::UInt32 => numbers::<UInt32Type>(array),
        DataType::UInt64 => numbers::<UInt64Type>(array),
        // NaN is one of the words for a missing cell.
        DataType::Float32 => numbers::<Float32Type>(array),
        DataType::Float64 => numbers::<Float64Type>(array),
        DataType::Decimal128(_, scale) => {
            let places = u8::try_from(*scale).unwrap_or_default();
            written(array.as_primitive::<Decimal128Type>(), |units| {
                Cell::Number { units, places }.to_string()
            })
        }
        DataType::Boolean => all(array.as_boolean().iter(), |truth| truth.to_string()),
        DataType::Date32 => written(array.as_primitive::<Date32Type>(), |days| {
            // A day that calendars do not have is refused as what is written here.
            Date::from_days(days.into())
                .map_or_else(|| format!("day {days}"), |day| day.to_string())
        }),
        DataType::Utf8 => all(array.as_string::<i32>().iter(), str::to_owned),
        DataType::LargeUtf8 => all(array.as_string::<i64>().iter(), str::to_owned),
        DataType::Utf8View => all(array.as_string_view().iter(), str::to_owned),
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            let values = cells(dictionary.values());
            let keys = dictionary.normalized_keys().into_iter().enumerate();
            keys.map(|(row, key)| match values.get(key) {
                Some(value) if array.is_valid(row) => value.clone(),
                _ => String::new(),
            })
            .collect()
        }
        _ => vec![String::new(); array.len()],
    }
}

fn numbers<T: ArrowPrimitiveType<Native: ToString>>(array: &ArrayRef) -> Vec<String> {
    written(array.as_primitive::<T>(), |number| number.to_string())
}

fn written<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    text: impl Fn(T::Native) -> String,
) -> Vec<String> {
    all(array.iter(), text)
}

fn all<T>(cells: impl Iterator<Item = Option<T>>, text: impl Fn(T) -> String) -> Vec<String> {
    cells
        .map(|cell| cell.map_or_else(String::new, &text))
        .collect()
}
