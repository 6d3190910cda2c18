//! Tables of data frames as Arrow has them: cells that are encrypted, and columns of answers.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal128Type, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, Date32Array, Decimal128Array, Float64Array,
    Int64Array, PrimitiveArray, RecordBatch, StringArray,
};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use cipherfn_frame::answer::{Cell, ResultType, Table};
use cipherfn_frame::date::Date;
use cipherfn_frame::number::Number;
use cipherfn_frame::plan::Literal;
use std::sync::Arc;

/// Most digits of a decimal.
const DIGITS: u8 = 38;
/// Seconds of a day.
const DAY: i64 = 86_400;

/// Why columns are no cells of a frame, or cells no columns.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnError {
    /// A type that frames do not have.
    #[error("column {column:?} is of type {found}; make it a number, a boolean, a date or text")]
    Type {
        /// The column.
        column: String,
        /// Its type.
        found: String,
    },
    /// A value that no cell of a frame is.
    #[error("row {row}, column {column:?}: {value} {problem}")]
    Value {
        /// The row, from 1.
        row: usize,
        /// The column.
        column: String,
        /// The value.
        value: String,
        /// What is wrong, and what would do.
        problem: &'static str,
    },
    /// A number of an answer that has no room in its column.
    #[error("column {column:?} has a number of more than 63 bits; decrypt to CSV")]
    Large {
        /// The column.
        column: String,
    },
    /// Arrow's own rules.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

/// The cells of the columns of a batch, of which the first row is `first` (from 1): numbers by their
/// shortest decimal form, dates as texts, missing ones (NaN too) as nulls.
///
/// # Errors
/// A type that frames do not have; a number of too many digits, a time of day.
pub fn values(batch: &RecordBatch, first: usize) -> Result<Vec<Vec<Literal>>, ColumnError> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, array)| {
        let cells = Cells {
            column: field.name(),
            first,
        };
        cells.of(array)
    });
    columns.collect()
}

/// A column that is read.
#[derive(Clone, Copy)]
struct Cells<'a> {
    column: &'a str,
    first: usize,
}

impl Cells<'_> {
    fn of(self, array: &ArrayRef) -> Result<Vec<Literal>, ColumnError> {
        match array.data_type() {
            DataType::Int8 => self.numbers::<Int8Type>(array),
            DataType::Int16 => self.numbers::<Int16Type>(array),
            DataType::Int32 => self.numbers::<Int32Type>(array),
            DataType::Int64 => self.numbers::<Int64Type>(array),
            DataType::UInt8 => self.numbers::<UInt8Type>(array),
            DataType::UInt16 => self.numbers::<UInt16Type>(array),
            DataType::UInt32 => self.numbers::<UInt32Type>(array),
            DataType::UInt64 => self.numbers::<UInt64Type>(array),
            DataType::Float16 => self.numbers::<Float16Type>(array),
            DataType::Float32 => self.numbers::<Float32Type>(array),
            DataType::Float64 => self.numbers::<Float64Type>(array),
            DataType::Decimal128(_, scale) => {
                let places = u8::try_from(*scale).map_err(|_| self.unknown(array))?;
                let number = |units: i128| {
                    let number = i64::try_from(units).ok();
                    let number = number.and_then(|units| Number::new(units, places));
                    let text = Cell::Number { units, places };
                    number
                        .map(Literal::Number)
                        .ok_or((text.to_string(), "has too many digits; round it"))
                };
                self.each(array.as_primitive::<Decimal128Type>().iter(), number)
            }
            DataType::Boolean => self.each(array.as_boolean().iter(), |truth| {
                Ok(Literal::Boolean(truth))
            }),
            DataType::Date32 => {
                let days = array.as_primitive::<Date32Type>().iter();
                self.each(days, |days| date(days.into()))
            }
            DataType::Date64 => self.times::<Date64Type>(array, 1_000),
            DataType::Timestamp(unit, None) => match unit {
                TimeUnit::Second => self.times::<TimestampSecondType>(array, 1),
                TimeUnit::Millisecond => self.times::<TimestampMillisecondType>(array, 1_000),
                TimeUnit::Microsecond => self.times::<TimestampMicrosecondType>(array, 1_000_000),
                TimeUnit::Nanosecond => self.times::<TimestampNanosecondType>(array, 1_000_000_000),
            },
            DataType::Utf8 => self.texts(array.as_string::<i32>().iter()),
            DataType::LargeUtf8 => self.texts(array.as_string::<i64>().iter()),
            DataType::Utf8View => self.texts(array.as_string_view().iter()),
            DataType::Dictionary(..) => {
                let dictionary = array.as_any_dictionary();
                let values = self.of(dictionary.values())?;
                // Keys of no entries cannot be normalized: all are missing.
                if values.is_empty() {
                    return Ok(vec![Literal::Null; array.len()]);
                }
                let keys = dictionary.normalized_keys().into_iter().enumerate();
                let cell = |(row, key): (usize, usize)| match values.get(key) {
                    Some(value) if array.is_valid(row) => value.clone(),
                    _ => Literal::Null,
                };
                Ok(keys.map(cell).collect())
            }
            DataType::Null => Ok(vec![Literal::Null; array.len()]),
            _ => Err(self.unknown(array)),
        }
    }

    fn each<T>(
        self,
        values: impl Iterator<Item = Option<T>>,
        cell: impl Fn(T) -> Result<Literal, (String, &'static str)>,
    ) -> Result<Vec<Literal>, ColumnError> {
        let cells = values.enumerate().map(|(row, value)| {
            let cell = value.map_or(Ok(Literal::Null), &cell);
            cell.map_err(|(value, problem)| ColumnError::Value {
                row: self.first + row,
                column: self.column.to_owned(),
                value,
                problem,
            })
        });
        cells.collect()
    }

    fn numbers<T: ArrowPrimitiveType<Native: ToString>>(
        self,
        array: &ArrayRef,
    ) -> Result<Vec<Literal>, ColumnError> {
        let numbers: &PrimitiveArray<T> = array.as_primitive();
        self.each(numbers.iter(), |number| match number.to_string() {
            text if text == "NaN" => Ok(Literal::Null),
            text => text
                .parse()
                .map(Literal::Number)
                .map_err(|_| (text, "has more than 18 digits, or is none; round it")),
        })
    }

    /// Days of times that are midnights, in so many units a second.
    fn times<T: ArrowPrimitiveType<Native = i64>>(
        self,
        array: &ArrayRef,
        second: i64,
    ) -> Result<Vec<Literal>, ColumnError> {
        let times: &PrimitiveArray<T> = array.as_primitive();
        let day = second * DAY;
        self.each(times.iter(), |time| {
            if time.rem_euclid(day) != 0 {
                let problem = "units since 1970 are a time of day; frames have days: cast the column to dates";
                return Err((time.to_string(), problem));
            }
            date(time.div_euclid(day))
        })
    }

    fn texts<'t>(
        self,
        texts: impl Iterator<Item = Option<&'t str>>,
    ) -> Result<Vec<Literal>, ColumnError> {
        self.each(texts, |text| Ok(Literal::Text(text.to_owned())))
    }

    fn unknown(self, array: &ArrayRef) -> ColumnError {
        ColumnError::Type {
            column: self.column.to_owned(),
            found: array.data_type().to_string(),
        }
    }
}

fn date(days: i64) -> Result<Literal, (String, &'static str)> {
    let date = Date::from_days(days).map(|date| Literal::Text(date.to_string()));
    date.ok_or((format!("day {days}"), "is not in the calendar"))
}

/// Decrypted rows as typed columns.
///
/// # Errors
/// A number that has no room in its column.
pub fn answer_columns(table: &Table) -> Result<RecordBatch, ColumnError> {
    let columns = table.columns.iter().enumerate();
    let arrays = columns.map(|(index, (name, kind))| {
        let cells = table.rows.iter().map(|row| &row[index]);
        Ok((name.clone(), answer_column(name, kind, cells)?, true))
    });
    let arrays = arrays.collect::<Result<Vec<_>, ColumnError>>()?;
    Ok(RecordBatch::try_from_iter_with_nullable(arrays)?)
}

/// The cells of a column, of which those of another kind than it are missing.
fn answer_column<'a>(
    name: &str,
    kind: &ResultType,
    cells: impl Iterator<Item = &'a Cell>,
) -> Result<ArrayRef, ColumnError> {
    let large = || ColumnError::Large {
        column: name.to_owned(),
    };
    Ok(match kind {
        ResultType::Number { places: 0 } => {
            let cells = cells.map(|cell| units(cell, 0).map(i64::try_from).transpose());
            let cells = cells.collect::<Result<Vec<_>, _>>();
            Arc::new(Int64Array::from(cells.map_err(|_| large())?))
        }
        ResultType::Number { places } => {
            let units: Decimal128Array = cells.map(|cell| units(cell, *places)).collect();
            let scale = i8::try_from(*places).map_err(|_| large())?;
            Arc::new(units.with_precision_and_scale(DIGITS, scale)?)
        }
        ResultType::Real => Arc::new(cells.map(real).collect::<Float64Array>()),
        ResultType::Boolean => Arc::new(cells.map(truth).collect::<BooleanArray>()),
        ResultType::Date => Arc::new(cells.map(day).collect::<Date32Array>()),
        ResultType::Text { .. } => Arc::new(cells.map(text).collect::<StringArray>()),
    })
}

/// A number in units of `10^-places`: it may have been rounded to fewer.
fn units(cell: &Cell, places: u8) -> Option<i128> {
    match cell {
        Cell::Number { units, places: own } => {
            Some(units * 10i128.pow(places.saturating_sub(*own).into()))
        }
        _ => None,
    }
}

const fn real(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Real(value) => Some(*value),
        _ => None,
    }
}

const fn truth(cell: &Cell) -> Option<bool> {
    match cell {
        Cell::Boolean(truth) => Some(*truth),
        _ => None,
    }
}

fn day(cell: &Cell) -> Option<i32> {
    match cell {
        Cell::Date(date) => i32::try_from(date.days()).ok(),
        _ => None,
    }
}

fn text(cell: &Cell) -> Option<&str> {
    match cell {
        Cell::Text(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{DictionaryArray, Int8Array, TimestampMillisecondArray};

    fn column(array: impl Array + 'static) -> Result<Vec<Literal>, ColumnError> {
        let array = Arc::new(array) as ArrayRef;
        let batch = RecordBatch::try_from_iter_with_nullable([("c", array, true)]);
        values(&batch.unwrap(), 5).map(|mut columns| columns.remove(0))
    }

    fn number(text: &str) -> Literal {
        Literal::Number(text.parse().unwrap())
    }

    fn word(text: &str) -> Literal {
        Literal::Text(text.to_owned())
    }

    #[test]
    fn cells_are_what_columns_hold() {
        let floats = Float64Array::from(vec![Some(0.1), None, Some(f64::NAN), Some(1e-7)]);
        let expected = [number("0.1"), Literal::Null, Literal::Null, number("1e-7")];
        assert_eq!(column(floats).unwrap(), expected);
        let decimals = Decimal128Array::from(vec![1250, -5]);
        let decimals = decimals.with_precision_and_scale(10, 2).unwrap();
        let expected = [number("12.5"), number("-0.05")];
        assert_eq!(column(decimals).unwrap(), expected);
        let midnights = TimestampMillisecondArray::from(vec![Some(-86_400_000), None]);
        let expected = [word("1969-12-31"), Literal::Null];
        assert_eq!(column(midnights).unwrap(), expected);
        let keys = Int8Array::from(vec![Some(1), None, Some(0)]);
        let texts = StringArray::from(vec![Some("NA"), Some("b")]);
        let texts = DictionaryArray::new(keys, Arc::new(texts));
        let expected = [word("b"), Literal::Null, word("NA")];
        assert_eq!(column(texts).unwrap(), expected);
        let keys = Int8Array::from(vec![None::<i8>, None]);
        let texts = StringArray::from(Vec::<Option<&str>>::new());
        let missing = DictionaryArray::new(keys, Arc::new(texts));
        assert_eq!(column(missing).unwrap(), [Literal::Null, Literal::Null]);
    }

    #[test]
    fn cells_that_are_none_are_named() {
        let endless = column(Float64Array::from(vec![1.0, f64::INFINITY]));
        let noon = column(TimestampMillisecondArray::from(vec![43_200_000]));
        let binary = column(arrow_array::BinaryArray::from(vec![&b"x"[..]]));
        for (found, expected) in [
            (endless, "row 6, column \"c\": inf "),
            (noon, "row 5, column \"c\": 43200000 units"),
            (binary, "column \"c\" is of type Binary"),
        ] {
            let error = found.unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn answers_are_typed_columns() {
        let kinds = [
            ("n", ResultType::Number { places: 0 }),
            ("p", ResultType::Number { places: 2 }),
            ("d", ResultType::Date),
        ];
        let columns = kinds.map(|(name, kind)| (name.to_owned(), kind));
        let cells = |units| {
            let rounded = Cell::Number {
                units: 13,
                places: 1,
            };
            vec![Cell::Number { units, places: 0 }, rounded, Cell::Null]
        };
        let table = |units| Table {
            columns: columns.to_vec(),
            rows: vec![cells(units)],
        };
        let batch = answer_columns(&table(7)).unwrap();
        assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(0), 7);
        let prices = batch.column(1).as_primitive::<Decimal128Type>();
        assert_eq!((prices.value(0), prices.scale()), (130, 2));
        assert!(batch.column(2).is_null(0));
        let error = answer_columns(&table(1 << 70)).unwrap_err();
        assert!(error.to_string().contains("column \"n\""), "{error}");
    }
}
