//! Calibration rows: the columns that name the features, and the values that ranges and grids are
//! fitted on.

use crate::error::CompileError;
use crate::model::{Estimator, Model};
use cipherfn_program::{EntryKind, Tensor, TensorType};
use cipherfn_protocol::specs::{ColumnKind, InputColumn};
use cipherfn_table::{Format, Table};
use spread::{Thinned, order as spread_order};
use std::io::Read;

mod columns;
pub(crate) mod order;
mod spread;

pub use columns::ColumnSource;

/// Most rows that are kept, from all over the table.
pub const MAX_ROWS: usize = 20_000;
/// Rows that say something of a range.
const FEW_ROWS: usize = 30;

/// A CSV file of calibration rows.
#[derive(Debug)]
pub struct Calibration<R> {
    /// Name for errors.
    pub source_name: String,
    /// The text.
    pub input: R,
    /// How it and the files of [`Self::expected`] write their tables.
    pub format: Format,
    /// Which of its columns are what.
    pub columns: ColumnSource,
    /// The library's own predictions, to compare the model with before it is compiled.
    pub expected: Option<Expected<R>>,
}

/// Predictions to compare with.
#[derive(Debug)]
pub struct Expected<R> {
    /// Name for errors.
    pub source_name: String,
    /// CSV, one row a row of input: all columns of the model's predictions in their order, or the
    /// first of them (the label; the predicted value).
    pub predictions: R,
    /// The rows that were predicted, with a name for errors; `None` for the calibration rows.
    pub rows: Option<(String, R)>,
}

impl<R> Calibration<R> {
    /// Rows whose columns are all inputs of the model.
    pub fn new(source_name: impl Into<String>, input: R) -> Self {
        Self {
            source_name: source_name.into(),
            input,
            format: Format::default(),
            columns: ColumnSource::default(),
            expected: None,
        }
    }

    /// `column` holds what the model should predict: it is no input, and the report says how well
    /// the model does.
    #[must_use]
    pub fn with_target(mut self, column: impl Into<String>) -> Self {
        self.columns.targets.push(column.into());
        self
    }
}

/// The file as the model reads it.
pub(crate) struct CalibrationRows {
    /// Name for errors.
    pub source_name: String,
    /// One a column, in the order of the program's inputs.
    pub columns: Vec<InputColumn>,
    /// Program inputs, at most [`MAX_ROWS`] rows.
    pub rows: Vec<Vec<Tensor>>,
    /// Which rows of the file these are: one in so many, from the first on.
    pub stride: usize,
    /// Names of the target columns.
    pub targets: Vec<String>,
    /// For each row, the cells of the target columns.
    pub target_cells: Vec<Vec<String>>,
    /// Rows of the file.
    pub count: usize,
    /// How the file's columns were matched with the model's inputs, where that is not plain.
    pub notes: Vec<String>,
    /// What is doubtful about the match.
    pub warnings: Vec<String>,
    /// Names of columns with missing values that no node of the model mentions.
    pub gaps: Vec<String>,
}

impl CalibrationRows {
    /// Matches the columns with the model's inputs and reads the rows.
    ///
    /// A tree answers rows with missing values even if none of its nodes says where they go: a
    /// comparison with NaN is false. Some exporters rely on it, so calibration rows that have
    /// missing values allow them, in the inputs where they do.
    pub(crate) fn read<R: Read>(
        source_name: String,
        input: R,
        format: Format,
        source: &ColumnSource,
        model: &mut Model,
    ) -> Result<Self, CompileError> {
        let table = Table::open_as(source_name.as_str(), input, format)?;
        columns::check_header(&source_name, &model.columns, table.header())?;
        let own: Vec<bool> = model.columns.iter().map(|input| input.missing).collect();
        let is_trees = |estimator: &Estimator| {
            matches!(estimator, Estimator::Trees(_) | Estimator::LinearTrees(_))
        };
        if model.estimators.iter().all(is_trees) {
            let is_float = |kind| matches!(kind, ColumnKind::Float32 | ColumnKind::Float64);
            for input in model
                .columns
                .iter_mut()
                .filter(|input| is_float(input.kind))
            {
                input.missing = true;
            }
        }
        let columns::Matched {
            mut columns,
            mut notes,
        } = columns::match_with(&source_name, &model.columns, table.header(), source)?;
        let is_unnamed = matches!(model.columns.as_slice(), [input] if input.width > 1)
            && source.order.is_empty()
            && source.targets.len() == 1;
        let targets = source.targets.iter().map(|name| InputColumn {
            name: name.clone(),
            kind: ColumnKind::Text,
            missing: true,
        });
        let read: Vec<InputColumn> = columns.iter().cloned().chain(targets).collect();
        let mut inputs = model.preprocess.inputs().to_vec();
        inputs.push(TensorType {
            kind: EntryKind::Text,
            len: source.targets.len(),
        });
        let mut table = table
            .select(&read, &inputs)?
            .missing_texts(&model.preprocess)
            .accept_booleans();
        let Thinned {
            mut rows,
            stride,
            count,
        } = spread::thinned(table.by_ref(), MAX_ROWS)?;
        for (column, is_boolean) in columns.iter_mut().zip(table.boolean()) {
            if is_boolean {
                column.kind = ColumnKind::Int64;
            }
        }
        let target_cells = rows.iter_mut().map(|row| match row.pop() {
            Some(Tensor::Text(cells)) => cells,
            _ => Vec::new(),
        });
        let target_cells: Vec<Vec<String>> = target_cells.collect();
        let mut warnings = Vec::new();
        let least = least_rows(model);
        if count < least {
            warnings.push(format!(
                "{source_name} has {count} row{}, and fewer than {least} show little of the ranges \
                 and the distribution of this model's columns: give rows as they will be predicted, \
                 some hundreds if there are",
                if count == 1 { "" } else { "s" }
            ));
        }
        if is_unnamed {
            let target: Vec<&str> = target_cells
                .iter()
                .filter_map(|cells| Some(cells.first()?.trim()))
                .collect();
            if let Some(order) = order::better(model, &rows, &target) {
                columns = order.iter().map(|index| columns[*index].clone()).collect();
                for row in &mut rows {
                    row[0] = order::in_order(&row[0], &order);
                }
                let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
                notes.clear();
                warnings.push(format!(
                    "the model names no features, and in {source_name}'s order of columns it does \
                     not predict the target: the order that predicts it is taken instead: {}. \
                     Check it against the training, or give it",
                    names.join(", ")
                ));
            }
        }
        let gaps = allow_gaps(model, &own, &mut columns, &rows);
        Ok(Self {
            source_name,
            columns,
            rows,
            stride,
            targets: source.targets.clone(),
            target_cells,
            count,
            notes,
            warnings,
            gaps,
        })
    }

    /// Puts the rows in an order in which the first so many are from all over the table.
    pub(crate) fn spread(&mut self) {
        let mut rows: Vec<_> = std::mem::take(&mut self.rows)
            .into_iter()
            .map(Some)
            .collect();
        let cells = std::mem::take(&mut self.target_cells);
        let mut cells: Vec<_> = cells.into_iter().map(Some).collect();
        for index in spread_order(rows.len()) {
            self.rows.extend(rows[index].take());
            self.target_cells.extend(cells[index].take());
        }
    }

    /// The numbers of spread rows in the file, from 1.
    pub(crate) fn numbers(&self) -> Vec<usize> {
        let rows = spread_order(self.rows.len());
        rows.map(|row| row * self.stride + 1).collect()
    }
}

/// Fewer rows are warned of. Ranges and steps of all but trees are those of the rows, and those of
/// networks and their like follow from how features vary together.
fn least_rows(model: &Model) -> usize {
    let of_estimator = |estimator: &Estimator| match estimator {
        Estimator::Trees(_) => 2,
        own if own.looks_up() => FEW_ROWS.max(model.features),
        _ => FEW_ROWS,
    };
    model
        .estimators
        .iter()
        .map(of_estimator)
        .fold(2, usize::max)
}

/// Lets the inputs whose calibration rows have missing values take them, and names their columns.
fn allow_gaps(
    model: &mut Model,
    own: &[bool],
    columns: &mut [InputColumn],
    rows: &[Vec<Tensor>],
) -> Vec<String> {
    let mut gaps = Vec::new();
    let mut rest = columns;
    for (index, (input, own)) in model.columns.iter_mut().zip(own).enumerate() {
        let columns;
        (columns, rest) = rest.split_at_mut(input.width);
        if *own || !input.missing {
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
    gaps
}

fn is_nan(tensor: &Tensor, entry: usize) -> bool {
    match tensor {
        Tensor::F32(values) => values[entry].is_nan(),
        Tensor::F64(values) => values[entry].is_nan(),
        Tensor::I64(_) | Tensor::Text(_) => false,
    }
}
