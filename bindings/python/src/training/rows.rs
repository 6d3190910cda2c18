//! Tables as rows of numbers and texts.

use crate::error::{Failure, Result};
use crate::table::Batches;
use crate::wait::Watch;
use arrow_array::RecordBatch;
use cipherfn_client::{Batch, Column, Values};

/// Columns of a table, by name.
pub(super) struct Columns<'a> {
    /// Of numbers.
    pub(super) numbers: Vec<&'a str>,
    /// Of texts.
    pub(super) texts: Vec<&'a str>,
}

impl Columns<'_> {
    /// Gives `take` the cells of each row. Missing ones are errors.
    pub(super) fn each_row(
        &self,
        batches: Batches,
        watch: &Watch,
        mut take: impl FnMut(&[f64], &[&str]) -> Result<()>,
    ) -> Result<()> {
        let mut first = 1;
        for batch in batches {
            watch.check()?;
            let batch = self.select(&batch?)?;
            let numbers = self.numbers.iter().map(|name| {
                let column = find(&batch, name)?;
                numbers(name, column, first)
            });
            let numbers = numbers.collect::<Result<Vec<_>>>()?;
            let texts = self.texts.iter().map(|name| {
                let column = find(&batch, name)?;
                texts(name, column, first)
            });
            let texts = texts.collect::<Result<Vec<_>>>()?;
            for row in 0..batch.rows() {
                let numbers: Vec<f64> = numbers.iter().map(|column| column[row]).collect();
                let texts: Vec<&str> = texts.iter().map(|column| column[row].as_str()).collect();
                take(&numbers, &texts)?;
                watch.add(1);
            }
            first += batch.rows();
        }
        Ok(())
    }

    /// Gives `take` the numbers of each row, missing ones as no numbers: what is wrong with a row is not to be told
    /// before all are read.
    pub(super) fn each_numbers(
        &self,
        batches: Batches,
        watch: &Watch,
        mut take: impl FnMut(&[f64]),
    ) -> Result<()> {
        for batch in batches {
            watch.check()?;
            let batch = self.select(&batch?)?;
            let columns = self.numbers.iter().map(|name| {
                let column = find(&batch, name)?;
                Ok((column, values(name, column)?))
            });
            let columns = columns.collect::<Result<Vec<_>>>()?;
            for row in 0..batch.rows() {
                let number = |(column, values): &(&Column, Vec<f64>)| {
                    if column.is_valid(row) {
                        values[row]
                    } else {
                        f64::NAN
                    }
                };
                take(&columns.iter().map(number).collect::<Vec<f64>>());
            }
        }
        Ok(())
    }

    /// The named columns: others may be of types that nothing here takes.
    fn select(&self, batch: &RecordBatch) -> Result<Batch> {
        let schema = batch.schema();
        let fields = schema.fields().iter().enumerate();
        let named = fields.filter(|(_, field)| {
            let name = field.name().as_str();
            self.numbers.contains(&name) || self.texts.contains(&name)
        });
        let places: Vec<usize> = named.map(|(place, _)| place).collect();
        let own = batch.project(&places);
        let own = own.map_err(|error| Failure::Table(error.to_string()))?;
        Ok(Batch::try_from(&own)?)
    }
}

fn find<'b>(batch: &'b Batch, name: &str) -> Result<&'b Column> {
    batch
        .column(name)
        .ok_or_else(|| Failure::Table(format!("the table has no column {name:?}")))
}

fn numbers(name: &str, column: &Column, first: usize) -> Result<Vec<f64>> {
    present(name, column, first)?;
    values(name, column)
}

fn values(name: &str, column: &Column) -> Result<Vec<f64>> {
    Ok(match column.values() {
        Values::F32(values) => values.iter().map(|value| (*value).into()).collect(),
        Values::F64(values) => values.clone(),
        Values::I64(values) => values.iter().map(|value| *value as f64).collect(),
        Values::Bool(values) => values
            .iter()
            .map(|value| f64::from(u8::from(*value)))
            .collect(),
        Values::Text(_) => {
            return Err(Failure::Table(format!(
                "column {name:?} is text where numbers are taken; df[{name:?}].astype(float), or list its categories"
            )));
        }
    })
}

/// Texts as they are, whole numbers and truth values by their digits and words.
fn texts(name: &str, column: &Column, first: usize) -> Result<Vec<String>> {
    present(name, column, first)?;
    Ok(match column.values() {
        Values::Text(values) => values.clone(),
        Values::I64(values) => values.iter().map(i64::to_string).collect(),
        Values::Bool(values) => {
            // As Python writes them.
            let word = |truth: &bool| if *truth { "True" } else { "False" };
            values.iter().map(|truth| word(truth).to_owned()).collect()
        }
        Values::F32(_) | Values::F64(_) => {
            return Err(Failure::Table(format!(
                "column {name:?} is of fractional numbers where listed texts are taken; df[{name:?}].astype(str)"
            )));
        }
    })
}

fn present(name: &str, column: &Column, first: usize) -> Result<()> {
    let missing = (0..column.values().len()).find(|row| !column.is_valid(*row));
    missing.map_or(Ok(()), |row| {
        Err(Failure::Table(format!(
            "row {}, column {name:?}: the cell is missing; leave the row out, or fill it in",
            first + row
        )))
    })
}
