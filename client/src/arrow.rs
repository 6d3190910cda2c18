//! Arrow record batches in and out.

use crate::batch::{Batch, Column, Values};
use crate::error::ClientError;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type,
};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, Float32Array, Float64Array, Int64Array,
    PrimitiveArray, RecordBatch, StringArray,
};
use arrow_schema::DataType;
use std::sync::Arc;

impl TryFrom<&RecordBatch> for Batch {
    type Error = ClientError;

    /// Takes over the columns of numbers, texts and booleans. Any other is an error that names it:
    /// leave out or convert what the model does not use.
    fn try_from(batch: &RecordBatch) -> Result<Self, ClientError> {
        let schema = batch.schema();
        let mut fields = schema.fields().iter().zip(batch.columns());
        fields.try_fold(Self::new(), |columns, (field, array)| {
            Ok(columns.with(field.name(), column(field.name(), array)?))
        })
    }
}

fn column(name: &str, array: &ArrayRef) -> Result<Column, ClientError> {
    let values = match array.data_type() {
        DataType::Float32 => Values::F32(array.as_primitive::<Float32Type>().values().to_vec()),
        DataType::Float64 => Values::F64(array.as_primitive::<Float64Type>().values().to_vec()),
        DataType::Int64 => Values::I64(array.as_primitive::<Int64Type>().values().to_vec()),
        DataType::Int32 => integers(array.as_primitive::<Int32Type>()),
        DataType::Int16 => integers(array.as_primitive::<Int16Type>()),
        DataType::Int8 => integers(array.as_primitive::<Int8Type>()),
        DataType::UInt32 => integers(array.as_primitive::<UInt32Type>()),
        DataType::UInt16 => integers(array.as_primitive::<UInt16Type>()),
        DataType::UInt8 => integers(array.as_primitive::<UInt8Type>()),
        DataType::Boolean => {
            let values = array.as_boolean();
            // A null's bit may be anything.
            Values::Bool(values.iter().map(Option::unwrap_or_default).collect())
        }
        DataType::Utf8 => texts(array.as_string::<i32>().iter()),
        DataType::LargeUtf8 => texts(array.as_string::<i64>().iter()),
        DataType::Utf8View => texts(array.as_string_view().iter()),
        other => {
            return Err(ClientError::ColumnType {
                name: name.to_owned(),
                found: other.to_string(),
            });
        }
    };
    let validity =
        (array.null_count() > 0).then(|| (0..array.len()).map(|row| array.is_valid(row)).collect());
    Ok(Column::new(values, validity))
}

fn integers<T: ArrowPrimitiveType<Native: Into<i64>>>(array: &PrimitiveArray<T>) -> Values {
    Values::I64(array.values().iter().map(|value| (*value).into()).collect())
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Values {
    Values::Text(
        values
            .map(|text| text.unwrap_or_default().to_owned())
            .collect(),
    )
}

impl From<&Batch> for RecordBatch {
    /// The same columns; missing values become nulls.
    ///
    /// # Panics
    /// If the batch has no columns: a record batch of no columns has no number of rows.
    fn from(batch: &Batch) -> Self {
        let columns = batch
            .columns()
            .map(|(name, column)| (name, array(column), true));
        Self::try_from_iter_with_nullable(columns).expect("columns of equal length, one at least")
    }
}

fn array(column: &Column) -> ArrayRef {
    /// Values and nulls as an iterator of options, which every array is made from.
    macro_rules! optional {
        ($values:expr) => {
            $values
                .iter()
                .enumerate()
                .map(|(row, value)| column.is_valid(row).then_some(value))
        };
    }
    match column.values() {
        Values::F32(values) => Arc::new(
            optional!(values)
                .map(Option::<&f32>::copied)
                .collect::<Float32Array>(),
        ),
        Values::F64(values) => Arc::new(
            optional!(values)
                .map(Option::<&f64>::copied)
                .collect::<Float64Array>(),
        ),
        Values::I64(values) => Arc::new(
            optional!(values)
                .map(Option::<&i64>::copied)
                .collect::<Int64Array>(),
        ),
        Values::Bool(values) => Arc::new(
            optional!(values)
                .map(Option::<&bool>::copied)
                .collect::<BooleanArray>(),
        ),
        Values::Text(values) => Arc::new(optional!(values).collect::<StringArray>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_batches_come_back_as_they_were() {
        let flags = vec![true, false];
        let batch = Batch::new()
            .with("a", Values::F32(vec![1.5, -2.0]))
            .with(
                "b",
                Column::new(Values::F64(vec![0.25, 0.0]), Some(flags.clone())),
            )
            .with("c", Values::I64(vec![1, -7]))
            .with(
                "d",
                Column::new(
                    Values::Text(vec!["x".into(), String::new()]),
                    Some(flags.clone()),
                ),
            )
            .with(
                "e",
                Column::new(Values::Bool(vec![true, false]), Some(flags)),
            );
        let record = RecordBatch::from(&batch);
        assert_eq!((record.num_rows(), record.num_columns()), (2, 5));
        assert_eq!(Batch::try_from(&record).unwrap(), batch);
    }

    #[test]
    fn a_column_of_another_type_is_named() {
        let dates = arrow_array::Date32Array::from(vec![1, 2]);
        let record = RecordBatch::try_from_iter([("day", Arc::new(dates) as ArrayRef)]).unwrap();
        let error = Batch::try_from(&record).unwrap_err().to_string();
        assert!(error.contains("\"day\" is Date32"), "{error}");
    }
}
