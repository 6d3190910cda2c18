//! Calibration rows: the columns that name the features, and the values that ranges and grids are
//! fitted on.

use crate::error::CompileError;
use crate::model::{Estimator, Model};
use cipherfn_program::Tensor;
use cipherfn_protocol::specs::{ColumnKind, InputColumn};
use cipherfn_table::Table;
use std::io::Read;

/// Most rows that are read.
pub const MAX_ROWS: usize = 20_000;

/// A CSV file of calibration rows.
#[derive(Debug)]
pub struct Calibration<R> {
    /// Name for errors.
    pub source_name: String,
    /// The text.
    pub input: R,
    /// Column that is no input, if the file has one.
    pub target: Option<String>,
}

/// The file as the model reads it.
pub(crate) struct CalibrationRows {
    /// One a column, in the order of the program's inputs.
    pub columns: Vec<InputColumn>,
    /// Program inputs, at most [`MAX_ROWS`] rows.
    pub rows: Vec<Vec<Tensor>>,
    /// Names of columns with missing values that no node of the model mentions.
    pub gaps: Vec<String>,
}

impl<R: Read> Calibration<R> {
    /// Matches the columns with the model's inputs and reads the rows.
    ///
    /// A tree answers rows with missing values even if none of its nodes says where they go: a
    /// comparison with NaN is false. Some exporters rely on it, so calibration rows that have
    /// missing values allow them, in the inputs where they do.
    pub(crate) fn read(self, model: &mut Model) -> Result<CalibrationRows, CompileError> {
        let table = Table::open(self.source_name.as_str(), self.input)?;
        let own: Vec<bool> = model.columns.iter().map(|input| input.missing).collect();
        let is_trees = |estimator: &Estimator| matches!(estimator, Estimator::Trees(_));
        if model.estimators.iter().all(is_trees) {
            for input in model
                .columns
                .iter_mut()
                .filter(|input| matches!(input.kind, ColumnKind::Float32 | ColumnKind::Float64))
            {
                input.missing = true;
            }
        }
        let mut columns = match_columns(
            model,
            table.header(),
            self.target.as_deref(),
            &self.source_name,
        )?;
        let rows = table
            .select(&columns, &model.preprocess)?
            .take(MAX_ROWS)
            .collect::<Result<Vec<_>, _>>()?;
        let mut gaps = Vec::new();
        let mut next = 0;
        for (index, (input, own)) in model.columns.iter_mut().zip(own).enumerate() {
            let columns = &mut columns[next..next + input.width];
            next += input.width;
            if own || !input.missing {
                continue;
            }
            let missing = |entry: usize| rows.iter().any(|row| is_nan(&row[index], entry));
            let found: Vec<usize> = (0..input.width).filter(|entry| missing(*entry)).collect();
            input.missing = !found.is_empty();
            for column in columns.iter_mut() {
                column.missing = input.missing;
            }
            gaps.extend(found.into_iter().map(|entry| columns[entry].name.clone()));
        }
        Ok(CalibrationRows {
            columns,
            rows,
            gaps,
        })
    }
}

fn is_nan(tensor: &Tensor, entry: usize) -> bool {
    match tensor {
        Tensor::F32(values) => values[entry].is_nan(),
        Tensor::F64(values) => values[entry].is_nan(),
        Tensor::I64(_) | Tensor::Text(_) => false,
    }
}

/// The file's column for each entry of each input. One wide input takes the columns in the file's
/// order; several are matched by name.
fn match_columns(
    model: &Model,
    header: &[String],
    target: Option<&str>,
    source_name: &str,
) -> Result<Vec<InputColumn>, CompileError> {
    if let Some(target) = target.filter(|target| !header.iter().any(|name| name == target)) {
        return Err(CompileError::Target {
            source_name: source_name.into(),
            target: target.into(),
            found: header.join(", "),
        });
    }
    let names: Vec<&String> = header
        .iter()
        .filter(|name| Some(name.as_str()) != target)
        .collect();
    let mismatch = |model: String| {
        let found = names
            .iter()
            .map(|name| name.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        CompileError::Columns {
            source_name: source_name.into(),
            model,
            count: names.len(),
            found,
        }
    };
    match model.columns.as_slice() {
        [input] if input.width == names.len() => Ok(names
            .into_iter()
            .map(|name| InputColumn {
                name: name.clone(),
                kind: input.kind,
                missing: input.missing,
            })
            .collect()),
        [input] if input.width != 1 => Err(mismatch(format!(
            "one input {:?} of {} entries",
            input.name, input.width
        ))),
        inputs => {
            let wanted = || {
                inputs
                    .iter()
                    .map(|input| input.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            let by_name = |input: &crate::model::Column| {
                let found = input.width == 1 && names.iter().any(|name| **name == input.name);
                found.then(|| InputColumn {
                    name: input.name.clone(),
                    kind: input.kind,
                    missing: input.missing,
                })
            };
            inputs
                .iter()
                .map(by_name)
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| mismatch(format!("the inputs {}", wanted())))
        }
    }
}
