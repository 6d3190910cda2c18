//! Arrow record batches in and out.

use crate::batch::{Batch, Column, Values};
use crate::error::ClientError;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, Float32Array, Float64Array, Int64Array,
    PrimitiveArray, RecordBatch, StringArray,
};
use arrow_schema::DataType;
use std::sync::Arc;

impl TryFrom<&RecordBatch> for Batch {
    type Error = ClientError;

    /// Takes over the columns of numbers, texts and booleans, as they are or by a dictionary. Any other
    /// is an error that names it: leave out or convert what the model does not use.
    fn try_from(batch: &RecordBatch) -> Result<Self, ClientError> {
        let schema = batch.schema();
        let mut fields = schema.fields().iter().zip(batch.columns());
        fields.try_fold(Self::new(), |columns, (field, array)| {
            Ok(columns.with(field.name(), column(field.name(), array)?))
        })
    }
}

fn column(name: &str, array: &ArrayRef) -> Result<Column, ClientError> {
    let unknown = |found: &str| ClientError::ColumnType {
        name: name.to_owned(),
        found: found.to_owned(),
    };
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
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>().values().iter();
            let values = values.map(|value| i64::try_from(*value));
            let values: Result<_, _> = values.collect();
            Values::I64(values.map_err(|_| unknown("UInt64 beyond 64-bit integers"))?)
        }
        DataType::Float16 => {
            let values = array.as_primitive::<Float16Type>().values().iter();
            Values::F32(values.map(|value| value.to_f32()).collect())
        }
        // Nothing but missing values, of whatever kind.
        DataType::Null => Values::F64(vec![f64::NAN; array.len()]),
        DataType::Dictionary(..) => return looked_up(name, array),
        DataType::Boolean => {
            let values = array.as_boolean();
            // A null's bit may be anything.
            Values::Bool(values.iter().map(Option::unwrap_or_default).collect())
        }
        DataType::Utf8 => texts(array.as_string::<i32>().iter()),
        DataType::LargeUtf8 => texts(array.as_string::<i64>().iter()),
        DataType::Utf8View => texts(array.as_string_view().iter()),
        other => return Err(unknown(&other.to_string())),
    };
    let validity =
        (array.null_count() > 0).then(|| (0..array.len()).map(|row| array.is_valid(row)).collect());
    Ok(Column::new(values, validity))
}

/// The values of a dictionary's keys, as categories have them.
fn looked_up(name: &str, array: &ArrayRef) -> Result<Column, ClientError> {
    let dictionary = array.as_any_dictionary();
    let entries = column(name, dictionary.values())?;
    let nulls = dictionary.nulls().cloned();
    let is_valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    // No entry where the key is missing.
    let keys = if entries.values().is_empty() {
        vec![0; array.len()]
    } else {
        dictionary.normalized_keys()
    };
    macro_rules! values {
        ($kind:ident, $entries:expr) => {
            Values::$kind(
                keys.iter()
                    .map(|key| $entries.get(*key).cloned().unwrap_or_default())
                    .collect(),
            )
        };
    }
    let values = match entries.values() {
        Values::F32(own) => values!(F32, own),
        Values::F64(own) => values!(F64, own),
        Values::I64(own) => values!(I64, own),
        Values::Text(own) => values!(Text, own),
        Values::Bool(own) => values!(Bool, own),
    };
    let there = |(row, key): (usize, &usize)| {
        is_valid(row) && *key < entries.values().len() && entries.is_valid(*key)
    };
    let validity: Vec<bool> = keys.iter().enumerate().map(there).collect();
    let validity = (!validity.iter().all(|valid| *valid)).then_some(validity);
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
    use arrow_array::{DictionaryArray, Int8Array, NullArray, UInt64Array};

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
    fn categories_are_their_values() {
        let keys = Int8Array::from(vec![Some(1), None, Some(0), Some(2)]);
        let texts = StringArray::from(vec![Some("a"), Some("b"), None]);
        let array = DictionaryArray::new(keys, Arc::new(texts));
        let none = DictionaryArray::new(
            Int8Array::from(vec![None; 4]),
            Arc::new(StringArray::from(Vec::<&str>::new())),
        );
        let columns = [
            ("plan", Arc::new(array) as ArrayRef),
            ("none", Arc::new(none) as ArrayRef),
        ];
        let batch = Batch::try_from(&RecordBatch::try_from_iter(columns).unwrap()).unwrap();
        let plan = batch.column("plan").unwrap();
        let texts =
            |values: &[&str]| Values::Text(values.iter().map(|&text| text.into()).collect());
        assert_eq!(plan.validity(), Some(&[true, false, true, false][..]));
        let Values::Text(values) = plan.values() else {
            panic!("{plan:?}")
        };
        assert_eq!((values[0].as_str(), values[2].as_str()), ("b", "a"));
        let none = batch.column("none").unwrap();
        assert_eq!(none.values(), &texts(&["", "", "", ""]));
        assert_eq!(none.validity(), Some(&[false; 4][..]));
    }

    #[test]
    fn numbers_of_other_widths_are_taken_where_they_fit() {
        let large = UInt64Array::from(vec![7, u64::MAX]);
        let record = RecordBatch::try_from_iter([
            ("small", Arc::new(large.slice(0, 1)) as ArrayRef),
            ("null", Arc::new(NullArray::new(1)) as ArrayRef),
        ]);
        let batch = Batch::try_from(&record.unwrap()).unwrap();
        let small = batch.column("small").unwrap();
        assert_eq!(small.values(), &Values::I64(vec![7]));
        assert!(
            matches!(batch.column("null").unwrap().values(), Values::F64(values) if values[0].is_nan())
        );
        let record = RecordBatch::try_from_iter([("large", Arc::new(large) as ArrayRef)]).unwrap();
        let error = Batch::try_from(&record).unwrap_err().to_string();
        assert!(error.contains("\"large\" is UInt64 beyond"), "{error}");
    }

    #[test]
    fn a_column_of_another_type_is_named() {
        let dates = arrow_array::Date32Array::from(vec![1, 2]);
        let record = RecordBatch::try_from_iter([("day", Arc::new(dates) as ArrayRef)]).unwrap();
        let error = Batch::try_from(&record).unwrap_err().to_string();
        assert!(error.contains("\"day\" is Date32"), "{error}");
    }
}
