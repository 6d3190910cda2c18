//! Columns of typed values: what a data frame is made of, in and out.

use crate::client::Client;
use crate::encrypt::InputRow;
use crate::error::ClientError;
use cipherfn_program::{EntryKind, Tensor};
use cipherfn_protocol::specs::InputColumn;

/// Largest float that is a whole number without doubt, 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Named columns of equal length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    columns: Vec<(String, Column)>,
    rows: usize,
}

/// A column: values, some of which may be missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    values: Values,
    /// Whether each value is there; without it all are.
    validity: Option<Vec<bool>>,
}

/// The values of a column. What stands where a value is missing means nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
    /// 64-bit integers.
    I64(Vec<i64>),
    /// Texts.
    Text(Vec<String>),
    /// True and false.
    Bool(Vec<bool>),
}

impl Values {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::Bool(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Column {
    /// A column in which `validity`, if given, says of each value whether it is there.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn new(values: Values, validity: Option<Vec<bool>>) -> Self {
        if let Some(validity) = &validity {
            assert_eq!(validity.len(), values.len(), "one flag a value");
        }
        Self { values, validity }
    }

    /// The values.
    pub const fn values(&self) -> &Values {
        &self.values
    }

    /// Whether each value is there; `None` where all are.
    pub fn validity(&self) -> Option<&[bool]> {
        self.validity.as_deref()
    }

    /// Whether the value of a row is there.
    pub fn is_valid(&self, row: usize) -> bool {
        self.validity.as_ref().is_none_or(|validity| validity[row])
    }
}

impl From<Values> for Column {
    fn from(values: Values) -> Self {
        Self::new(values, None)
    }
}

impl Batch {
    /// No columns.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column.
    ///
    /// # Panics
    /// If it is not as long as those before it.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, column: impl Into<Column>) -> Self {
        let column = column.into();
        if self.columns.is_empty() {
            self.rows = column.values.len();
        }
        assert_eq!(column.values.len(), self.rows, "columns of equal length");
        self.columns.push((name.into(), column));
        self
    }

    /// Number of rows.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Names and columns, in order.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = (&str, &Column)> {
        self.columns
            .iter()
            .map(|(name, column)| (name.as_str(), column))
    }

    /// The first column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns()
            .find(|(own, _)| *own == name)
            .map(|(_, column)| column)
    }
}

impl Client {
    /// The rows of a batch as the model takes them: its columns, matched by name. Numbers of
    /// another kind are converted where nothing is lost but digits; a value that is missing without
    /// a meaning, or does not fit, spoils its row alone.
    pub fn rows(&self, batch: &Batch) -> Result<Vec<InputRow>, ClientError> {
        let specs = self.specs().specs();
        let mut columns = Vec::with_capacity(specs.columns.len());
        let mut missing = Vec::new();
        for wanted in &specs.columns {
            match batch.column(&wanted.name) {
                Some(column) => columns.push((wanted, column)),
                None => missing.push(wanted.name.clone()),
            }
        }
        if !missing.is_empty() {
            let found = batch.columns().map(|(name, _)| name.to_owned()).collect();
            return Err(ClientError::MissingColumns {
                names: missing,
                found,
            });
        }
        let row = |row: usize| {
            let mut columns = columns.iter();
            let mut inputs = Vec::with_capacity(specs.preprocess.inputs().len());
            for (index, input) in specs.preprocess.inputs().iter().enumerate() {
                let missing_text = specs.preprocess.missing_text(index);
                let mut tensor = empty(input.kind);
                for (wanted, column) in columns.by_ref().take(input.len) {
                    push(&mut tensor, column, row, wanted, missing_text)
                        .map_err(|problem| format!("column {:?}: {problem}", wanted.name))?;
                }
                inputs.push(tensor);
            }
            Ok(inputs)
        };
        Ok((0..batch.rows()).map(row).collect())
    }
}

const fn empty(kind: EntryKind) -> Tensor {
    match kind {
        EntryKind::F32 => Tensor::F32(Vec::new()),
        EntryKind::F64 => Tensor::F64(Vec::new()),
        EntryKind::I64 => Tensor::I64(Vec::new()),
        EntryKind::Text => Tensor::Text(Vec::new()),
    }
}

/// Appends one value of a column as the model's kind.
fn push(
    tensor: &mut Tensor,
    column: &Column,
    row: usize,
    wanted: &InputColumn,
    missing_text: Option<&str>,
) -> Result<(), String> {
    let number = match &column.values {
        _ if !column.is_valid(row) => None,
        Values::F32(values) => Some(f64::from(values[row])),
        Values::F64(values) => Some(values[row]),
        Values::I64(values) => Some(values[row] as f64),
        Values::Bool(values) => Some(f64::from(u8::from(values[row]))),
        // No text is a missing one, as in a file.
        Values::Text(values) if values[row].is_empty() && matches!(tensor, Tensor::Text(_)) => None,
        Values::Text(values) => {
            let text = &values[row];
            return match tensor {
                Tensor::Text(all) => {
                    all.push(text.clone());
                    Ok(())
                }
                _ => Err(format!(
                    "{text:?} is text where the model takes a number; convert it"
                )),
            };
        }
    };
    let number = number.filter(|number| !number.is_nan());
    let missing = "the value is missing and the model has no rule for missing values; fill it in or leave the row out";
    match (tensor, number, &column.values) {
        (Tensor::Text(all), None, _) => match missing_text.or(wanted.missing.then_some("")) {
            Some(text) => all.push(text.to_owned()),
            None => return Err(missing.to_owned()),
        },
        (Tensor::Text(all), Some(_), Values::I64(values)) => all.push(values[row].to_string()),
        (Tensor::Text(all), Some(_), Values::Bool(values)) => {
            all.push(if values[row] { "True" } else { "False" }.to_owned());
        }
        (Tensor::Text(_), Some(number), _) => {
            return Err(format!(
                "{number} is a number where the model takes text; convert it"
            ));
        }
        (Tensor::F32(_) | Tensor::F64(_), None, _) if !wanted.missing => {
            return Err(missing.to_owned());
        }
        (Tensor::F32(all), number, _) => all.push(number.unwrap_or(f64::NAN) as f32),
        (Tensor::F64(all), number, _) => all.push(number.unwrap_or(f64::NAN)),
        (Tensor::I64(all), Some(_), Values::I64(values)) => all.push(values[row]),
        (Tensor::I64(all), Some(number), _) if number.fract() == 0.0 && number.abs() <= EXACT => {
            all.push(number as i64);
        }
        (Tensor::I64(_), Some(number), _) => {
            return Err(format!("{number} is not a whole number; correct it"));
        }
        (Tensor::I64(_), None, _) => return Err(missing.to_owned()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Column, Values, push};
    use cipherfn_program::{ColumnKind, InputColumn, Tensor};

    #[test]
    fn no_text_is_a_missing_one() {
        let column = Column::from(Values::Text(vec![String::new(), "a".into()]));
        let read = |row, known, missing| {
            let wanted = InputColumn {
                name: "letter".into(),
                kind: ColumnKind::Text,
                missing,
            };
            let mut tensor = Tensor::Text(Vec::new());
            push(&mut tensor, &column, row, &wanted, known).map(|()| tensor.to_texts().concat())
        };
        assert_eq!(read(0, Some("nan"), false).as_deref(), Ok("nan"));
        assert_eq!(read(0, None, true).as_deref(), Ok(""));
        assert!(read(0, None, false).unwrap_err().contains("missing"));
        assert_eq!(read(1, Some("nan"), false).as_deref(), Ok("a"));
    }
}
