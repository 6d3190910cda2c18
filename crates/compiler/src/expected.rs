//! The library's own predictions, compared with the model's row by row.
//!
//! An export can lose what its file format cannot say, and the file is then another model. Nothing
//! in it tells; only the library's predictions do.

use crate::calibration::{CalibrationRows, Expected};
use crate::error::{CompileError, Remedy};
use crate::labels::{self, same_label};
use crate::model::Model;
use cipherfn_program::{EntryKind, PredictionColumn, Tensor, TensorType};
use cipherfn_protocol::specs::{ColumnKind, InputColumn, OutputField};
use cipherfn_table::{Format, Table, TableError};
use order::Orders;
use std::io::Read;

mod causes;
mod columns;
mod order;

/// Rows that an error names.
const SHOWN: usize = 3;
/// Largest difference of two numbers that are taken as one, in parts of the column's range: 32-bit
/// sums of a few hundred trees differ by 1e-6 of it, one leaf of them by 1e-3.
const TOLERANCE: f64 = 2e-4;

/// Where the model's predictions are not the expected ones.
struct Disagreement<'a> {
    model: &'a Model,
    rows: &'a [Vec<Tensor>],
    /// Expected cells of each row.
    wanted: &'a [Vec<String>],
    /// For each expected column, the model's cell ...
    cells: Vec<usize>,
    /// ... and what may be rounding there.
    tolerances: Vec<f64>,
    /// The model's cells of each row.
    found: Vec<Vec<Cell>>,
    /// Rows that differ.
    differing: Vec<usize>,
}

/// A cell of a prediction.
#[derive(Clone, Debug, PartialEq)]
enum Cell {
    /// One of a set of names; numbers among them are compared as such.
    Label(String),
    /// A probability, score or value.
    Number(f64),
}

/// What agrees.
pub(crate) struct Agreeing {
    /// Number of rows.
    pub(crate) rows: usize,
    /// What the only column was compared with.
    pub(crate) note: Option<String>,
}

/// Compares all rows. `classes` are the names that were given beside the file.
pub(crate) fn check<R: Read>(
    expected: Expected<R>,
    format: Format,
    model: &Model,
    classes: Option<&[String]>,
    calibration: &CalibrationRows,
) -> Result<Agreeing, CompileError> {
    let source_name = expected.source_name;
    let incomparable = |problem| CompileError::Incomparable {
        source_name: source_name.clone(),
        problem,
    };
    let (header, mut wanted) = read_text(&source_name, expected.predictions, format)?;
    let is_calibration = expected.rows.is_none();
    let other;
    let (rows, count, of, orders) = match expected.rows {
        None => (
            calibration.rows.as_slice(),
            calibration.count,
            &calibration.source_name,
            Orders::of(&calibration.columns, &[]),
        ),
        Some((name, input)) => {
            let table = Table::open_as(name.as_str(), input, format)?;
            let orders = Orders::of(&calibration.columns, table.header());
            let rows = table
                .select(&calibration.columns, model.preprocess.inputs())
                .map_err(|error| incomparable(error.to_string()))?
                .missing_texts(&model.preprocess)
                .collect::<Result<Vec<_>, _>>()?;
            other = (rows, name);
            (other.0.as_slice(), other.0.len(), &other.1, orders)
        }
    };
    if wanted.len() != count {
        return Err(incomparable(format!(
            "it has {} rows, {of} has {count}: give one prediction a row, in the same order",
            wanted.len()
        )));
    }
    let columns = PredictionColumn::of(&model.outputs, &model.postprocess.outputs());
    let Some(cells) = columns::matched(&header, &columns, &wanted) else {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        return Err(incomparable(format!(
            "it has {} columns ({}), the model predicts {}: {}; give all of them, or the labels \
             alone, and name labels \"label\"",
            header.len(),
            header.join(", "),
            columns.len(),
            names.join(", ")
        )));
    };
    let is_label = |cell: usize| columns[cell].is_label;
    if let Some(classes) = classes.filter(|_| labels::has_one(model)) {
        for (column, _) in cells
            .iter()
            .enumerate()
            .filter(|(_, cell)| is_label(**cell))
        {
            labels::name_codes(&mut wanted, column, classes);
        }
    }
    let note = match (header.as_slice(), cells.as_slice()) {
        ([name], [cell]) if columns.len() > 1 => Some(format!(
            "{source_name}: its column {name:?} is compared with the model's {}",
            columns[*cell].name
        )),
        _ => None,
    };
    let stride = if is_calibration {
        calibration.stride
    } else {
        1
    };
    let wanted: Vec<Vec<String>> = wanted.into_iter().step_by(stride).collect();
    let comparison = Disagreement::new(model, rows, &wanted, cells)?;
    let differing = comparison.differing.len();
    if differing == 0 {
        return Ok(Agreeing {
            rows: rows.len(),
            note,
        });
    }
    let shown = comparison.differing.iter().take(SHOWN);
    let first = shown
        .map(|row| comparison.describe(*row, row * stride + 1, &header))
        .collect();
    let order = comparison.right_order(&orders)?;
    let (cause, remedy) = match order {
        None => (causes::of(&comparison)?, None),
        Some(order) => {
            let names = order
                .iter()
                .map(|index| calibration.columns[*index].name.clone());
            let columns: Vec<String> = names.collect();
            let cause = format!(
                "the model names no features, and with the columns in another order it gives what \
                 is expected: {}. That is the order of the training: give it, or calibration rows \
                 in it",
                columns.join(", ")
            );
            (cause, Some(Remedy::Order { columns }))
        }
    };
    Err(CompileError::Disagreement {
        source_name,
        differing,
        rows: rows.len(),
        first,
        cause,
        remedy,
    })
}

/// Header and cells of a whole file.
fn read_text<R: Read>(
    source_name: &str,
    input: R,
    format: Format,
) -> Result<(Vec<String>, Vec<Vec<String>>), TableError> {
    let table = Table::open_as(source_name, input, format)?;
    let header = table.header().to_vec();
    let columns: Vec<InputColumn> = header
        .iter()
        .map(|name| InputColumn {
            name: name.clone(),
            kind: ColumnKind::Text,
            missing: true,
        })
        .collect();
    let all = TensorType {
        kind: EntryKind::Text,
        len: columns.len(),
    };
    let rows = table.select(&columns, &[all])?.map(|row| {
        Ok(match row?.pop() {
            Some(Tensor::Text(cells)) => cells,
            _ => Vec::new(),
        })
    });
    Ok((header, rows.collect::<Result<_, TableError>>()?))
}

/// All cells of a prediction.
fn cells(outputs: Vec<Tensor>, fields: &[OutputField]) -> Vec<Cell> {
    let of = |(tensor, field): (Tensor, &OutputField)| -> Vec<Cell> {
        match tensor.to_f64() {
            Some(numbers) if *field != OutputField::Label => {
                numbers.into_iter().map(Cell::Number).collect()
            }
            _ => tensor.to_texts().into_iter().map(Cell::Label).collect(),
        }
    };
    outputs.into_iter().zip(fields).flat_map(of).collect()
}

impl<'a> Disagreement<'a> {
    fn new(
        model: &'a Model,
        rows: &'a [Vec<Tensor>],
        wanted: &'a [Vec<String>],
        cells: Vec<usize>,
    ) -> Result<Self, CompileError> {
        let predict =
            |row: &Vec<Tensor>| Ok(self::cells(model.predict(row.clone())?, &model.outputs));
        let found = rows
            .iter()
            .map(predict)
            .collect::<Result<Vec<_>, CompileError>>()?;
        let mut comparison = Self {
            model,
            rows,
            wanted,
            tolerances: (0..cells.len())
                .map(|column| tolerance(wanted, column))
                .collect(),
            cells,
            found,
            differing: Vec::new(),
        };
        comparison.differing = (0..rows.len())
            .filter(|row| !comparison.agrees(*row, &comparison.found[*row]))
            .collect();
        Ok(comparison)
    }

    /// Whether `found` is what is expected in a row.
    fn agrees(&self, row: usize, found: &[Cell]) -> bool {
        let found = || self.cells.iter().map(|cell| &found[*cell]);
        let cells = self.wanted[row].iter().zip(found()).zip(&self.tolerances);
        let differs = |((wanted, found), tolerance): &((&String, &Cell), &f64)| match found {
            Cell::Label(label) => !same_label(wanted, label),
            Cell::Number(found) => !same_number(wanted, *found, **tolerance),
        };
        let labels_alone = cells
            .clone()
            .filter(differs)
            .all(|((_, found), _)| matches!(found, Cell::Label(_)));
        // Two classes as good as equal: either may be named.
        cells.clone().all(|cell| !differs(&cell)) || (labels_alone && is_tied(found()))
    }

    fn describe(&self, row: usize, number: usize, header: &[String]) -> String {
        let found: Vec<String> = self
            .cells
            .iter()
            .zip(header)
            .map(|(cell, name)| match &self.found[row][*cell] {
                Cell::Label(label) => format!("{name} {label}"),
                Cell::Number(number) => format!("{name} {number:.6}"),
            })
            .collect();
        format!(
            "  row {number}: expected {}, the model gives {}",
            self.wanted[row].join(", "),
            found.join(", ")
        )
    }
}

/// Whether the two largest numbers of a prediction of several are equal up to the tolerance.
fn is_tied<'a>(found: impl Iterator<Item = &'a Cell>) -> bool {
    let numbers = found.filter_map(|cell| match cell {
        Cell::Number(number) => Some(*number),
        Cell::Label(_) => None,
    });
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_unstable_by(|a, b| b.total_cmp(a));
    matches!(numbers.as_slice(), [first, second, ..] if first - second <= TOLERANCE)
}

/// Whether `found` is the expected number up to `tolerance`. No number is none alone: an empty cell
/// or NaN is only what is missing here, too, and an infinity only itself.
fn same_number(wanted: &str, found: f64, tolerance: f64) -> bool {
    let wanted = match wanted.trim() {
        "" => Some(f64::NAN),
        text => text.parse().ok(),
    };
    wanted.is_some_and(|wanted| {
        // Infinities have no difference.
        wanted.total_cmp(&found).is_eq()
            || (wanted.is_nan() && found.is_nan())
            || (wanted - found).abs() <= tolerance
    })
}

/// What may be rounding, in a column of numbers.
fn tolerance(wanted: &[Vec<String>], column: usize) -> f64 {
    let numbers = wanted
        .iter()
        .filter_map(|row| row.get(column)?.trim().parse::<f64>().ok());
    let finite = numbers.filter(|number| number.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| {
        (low.min(number), high.max(number))
    });
    let size = low.abs().max(high.abs());
    if low <= high {
        TOLERANCE * (high - low).max(1e-3 * size)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::same_number;

    #[test]
    fn no_number_agrees_with_none_alone() {
        let (nan, infinity) = (f64::NAN, f64::INFINITY);
        for (wanted, found) in [
            ("1.5", 1.6),
            ("nan", nan),
            ("", nan),
            ("NaN", nan),
            ("-inf", -infinity),
        ] {
            assert!(same_number(wanted, found, 0.2), "{wanted:?} {found}");
        }
        for (wanted, found) in [
            ("123", nan),
            ("123", infinity),
            ("nan", 0.0),
            ("", 0.0),
            ("inf", 1.0),
            ("inf", -infinity),
            ("inf", nan),
            ("none", nan),
            ("1.5", 1.8),
        ] {
            assert!(!same_number(wanted, found, 0.2), "{wanted:?} {found}");
        }
    }
}
