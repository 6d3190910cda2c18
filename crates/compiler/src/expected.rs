//! The library's own predictions, compared with the model's row by row.
//!
//! An export can lose what its file format cannot say, and the file is then another model. Nothing
//! in it tells; only the library's predictions do.

use crate::calibration::{CalibrationRows, Expected};
use crate::error::CompileError;
use crate::labels::same_label;
use crate::model::Model;
use cipherfn_program::{Kind, Tensor, TensorType};
use cipherfn_protocol::specs::{ColumnKind, InputColumn, OutputField};
use cipherfn_table::{Table, TableError};
use std::io::Read;

mod causes;

/// Rows that an error names.
const SHOWN: usize = 3;
/// Largest difference of two numbers that are taken as one, in parts of the column's range: 32-bit
/// sums of a few hundred trees differ by 1e-6 of it, one leaf of them by 1e-3.
const TOLERANCE: f64 = 2e-4;

/// Where the model's predictions are not the expected ones.
struct Comparison<'a> {
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

/// Compares; returns the number of rows.
pub(crate) fn check<R: Read>(
    expected: Expected<R>,
    model: &Model,
    calibration: &CalibrationRows,
) -> Result<usize, CompileError> {
    let source_name = expected.source_name;
    let incomparable = |problem| CompileError::Incomparable {
        source_name: source_name.clone(),
        problem,
    };
    let (header, wanted) = read_text(&source_name, expected.predictions)?;
    let other;
    let (rows, count, of) = match expected.rows {
        None => (
            calibration.rows.as_slice(),
            calibration.count,
            &calibration.source_name,
        ),
        Some((name, input)) => {
            let rows = Table::open(name.as_str(), input)?
                .select(&calibration.columns, model.preprocess.inputs())
                .map_err(|error| incomparable(error.to_string()))?
                .missing_texts(&model.preprocess)
                .collect::<Result<Vec<_>, _>>()?;
            other = (rows, name);
            (other.0.as_slice(), other.0.len(), &other.1)
        }
    };
    if wanted.len() != count {
        return Err(incomparable(format!(
            "it has {} rows, {of} has {count}: give one prediction a row, in the same order",
            wanted.len()
        )));
    }
    let columns = columns(model);
    let Some(cells) = match_cells(&header, &columns) else {
        return Err(incomparable(format!(
            "it has {} columns ({}), the model predicts {}: {}; give all of them, or the labels \
             alone, and name labels \"label\"",
            header.len(),
            header.join(", "),
            columns.len(),
            columns.join(", ")
        )));
    };
    let comparison = Comparison::new(model, rows, &wanted, cells)?;
    let differing = comparison.differing.len();
    if differing == 0 {
        return Ok(rows.len());
    }
    let shown = comparison.differing.iter().take(SHOWN);
    let first = shown
        .map(|row| comparison.describe(*row, &header))
        .collect();
    let cause = causes::of(&comparison)?;
    Err(CompileError::Disagreement {
        source_name,
        differing,
        rows: rows.len(),
        first,
        cause,
    })
}

/// Header and cells of a whole file.
fn read_text<R: Read>(
    source_name: &str,
    input: R,
) -> Result<(Vec<String>, Vec<Vec<String>>), TableError> {
    let table = Table::open(source_name, input)?;
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
        kind: Kind::Text,
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

/// Names of the columns of the model's predictions.
fn columns(model: &Model) -> Vec<String> {
    let outputs = model.outputs.iter().zip(model.postprocess.outputs());
    let of = |(field, output): (&OutputField, TensorType)| match field {
        OutputField::Label => (0..output.len).map(|_| "label".to_owned()).collect(),
        OutputField::Probabilities(classes) => prefixed("probability", classes),
        OutputField::Scores(classes) => prefixed("score", classes),
        OutputField::Prediction => vec!["prediction".to_owned(); output.len],
    };
    outputs.flat_map(of).collect()
}

/// For each expected column, the model's column that it stands for: labels by their name, numbers in
/// their order. Labels may stand alone, and of two probabilities that of the second class.
fn match_cells(header: &[String], columns: &[String]) -> Option<Vec<usize>> {
    let is_label = |name: &String| name.to_lowercase().starts_with("label");
    let (labels, numbers): (Vec<usize>, Vec<usize>) =
        (0..columns.len()).partition(|column| is_label(&columns[*column]));
    if header.len() == labels.len() {
        return Some(labels);
    }
    let wanted = header.iter().filter(|name| is_label(name)).count();
    if wanted != 0 && wanted != labels.len() {
        return None;
    }
    let numbers = match (header.len() - wanted, numbers.as_slice()) {
        (all, numbers) if all == numbers.len() => numbers,
        (1, [_, second]) => std::slice::from_ref(second),
        _ => return None,
    };
    let (mut labels, mut numbers) = (labels.iter(), numbers.iter());
    header
        .iter()
        .map(|name| {
            let of_kind = if is_label(name) {
                &mut labels
            } else {
                &mut numbers
            };
            of_kind.next().copied()
        })
        .collect()
}

fn prefixed(prefix: &str, classes: &[String]) -> Vec<String> {
    classes
        .iter()
        .map(|class| format!("{prefix}_{class}"))
        .collect()
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

impl<'a> Comparison<'a> {
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
            Cell::Number(found) => match wanted.trim().parse::<f64>() {
                Ok(wanted) if wanted.is_finite() => (wanted - found).abs().gt(*tolerance),
                Ok(wanted) => wanted.is_nan() != found.is_nan(),
                Err(_) => true,
            },
        };
        let labels_alone = cells
            .clone()
            .filter(differs)
            .all(|((_, found), _)| matches!(found, Cell::Label(_)));
        // Two classes as good as equal: either may be named.
        cells.clone().all(|cell| !differs(&cell)) || (labels_alone && is_tied(found()))
    }

    fn describe(&self, row: usize, header: &[String]) -> String {
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
            "  row {}: expected {}, the model gives {}",
            row + 1,
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
