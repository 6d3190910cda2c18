//! Answers as typed columns: Parquet and Arrow files.

use anyhow::{Context, Result};
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    StringArray,
};
use arrow_ipc::writer::FileWriter;
use cipherfn_frame::answer::{AnswerColumn, Cell, ResultType};
use parquet::arrow::ArrowWriter;
use std::path::Path;
use std::sync::Arc;

/// Most digits of a decimal.
const DIGITS: u8 = 38;

/// A file of typed columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columnar {
    Parquet,
    Arrow,
}

impl Columnar {
    /// What the name of a file asks for.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "parquet" => Some(Self::Parquet),
            "arrow" | "feather" | "ipc" => Some(Self::Arrow),
            _ => None,
        }
    }

    /// The bytes of a file of these columns.
    pub(super) fn bytes(self, columns: &[AnswerColumn], rows: &[Vec<Cell>]) -> Result<Vec<u8>> {
        let arrays = columns.iter().enumerate().map(|(index, column)| {
            let cells = rows.iter().map(|row| &row[index]);
            let array =
                array(&column.kind, cells).with_context(|| format!("column {:?}", column.name));
            Ok((column.name.clone(), array?, true))
        });
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let batch = RecordBatch::try_from_iter_with_nullable(arrays)?;
        let mut bytes = Vec::new();
        match self {
            Self::Parquet => {
                let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None)?;
                writer.write(&batch)?;
                writer.close()?;
            }
            Self::Arrow => {
                let mut writer = FileWriter::try_new(&mut bytes, &batch.schema())?;
                writer.write(&batch)?;
                writer.finish()?;
            }
        }
        Ok(bytes)
    }
}

/// The cells of a column, of which those of another kind than it are missing.
fn array<'a>(kind: &ResultType, cells: impl Iterator<Item = &'a Cell>) -> Result<ArrayRef> {
    Ok(match kind {
        ResultType::Number { places: 0 } => {
            let cells = cells.map(|cell| units(cell, 0).map(i64::try_from).transpose());
            let cells = cells.collect::<Result<Vec<_>, _>>();
            Arc::new(Int64Array::from(
                cells.context("a number has more than 63 bits; write CSV")?,
            ))
        }
        ResultType::Number { places } => {
            let units: Decimal128Array = cells.map(|cell| units(cell, *places)).collect();
            Arc::new(units.with_precision_and_scale(DIGITS, i8::try_from(*places)?)?)
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
