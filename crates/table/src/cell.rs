//! Text of one cell to a value.

use crate::format::Decimal;
use cipherfn_program::Tensor;
use cipherfn_program::{ColumnKind, InputColumn};
use std::borrow::Cow;
use std::str::FromStr;

/// What stands for a missing number, beside nothing at all: what pandas, R, SQL, Python and
/// spreadsheets write, in any case.
const MISSING: [&str; 7] = ["nan", "na", "n/a", "#n/a", "<na>", "null", "none"];

/// A column that a model reads.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) input: InputColumn,
    /// The text that the model knows for a missing value, in a column of texts.
    pub(crate) missing_text: Option<String>,
    /// Whether True and False are numbers here.
    pub(crate) booleans: Booleans,
}

/// Whether True and False are the numbers 1 and 0 in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Booleans {
    /// They are: the model says so.
    Taken,
    /// They are not.
    Refused,
    /// The first cell that is not missing decides.
    Open,
}

/// What is wrong with a cell; lower case and without its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CellError {
    /// Text where a number must be.
    #[error("{text:?} is not {}; correct the cell", kind_name(*.kind))]
    NotANumber {
        /// What it holds, shortened.
        text: String,
        /// What it should hold.
        kind: ColumnKind,
    },
    /// A number with separators between its thousands: `1,005` is 1005 here and 1.005 elsewhere.
    #[error(
        "{text:?} has commas in it, which may separate thousands or decimals; write the number without them"
    )]
    Thousands {
        /// What it holds, shortened.
        text: String,
    },
    /// An empty cell or what stands for one, without a meaning.
    #[error(
        "the value is missing and the model has no rule for missing values; fill it in or leave the row out"
    )]
    Missing,
    /// Infinite, or too large for the type.
    #[error("{text:?} is not finite as {}; give a finite value", kind_name(*.kind))]
    NotFinite {
        /// What it holds, shortened.
        text: String,
        /// What it should hold.
        kind: ColumnKind,
    },
    /// Bytes that are not UTF-8.
    #[error("the cell is not UTF-8 text; save the file as UTF-8")]
    NotUtf8,
}

/// Reads one cell as the kind of `tensor` and appends it.
///
/// A missing value becomes NaN (numbers) or the text that the model knows for it; an integer is
/// never missing. Infinite floats are values.
pub(crate) fn push(
    tensor: &mut Tensor,
    bytes: &[u8],
    column: &mut Column,
    decimal: Decimal,
) -> Result<(), CellError> {
    let text = std::str::from_utf8(bytes).map_err(|_| CellError::NotUtf8)?;
    let mut number = Number {
        text: text.trim(),
        column,
        decimal,
    };
    match tensor {
        Tensor::Text(values) => values.push(if text.is_empty() {
            match &column.missing_text {
                Some(known) => known.clone(),
                None if column.input.missing => String::new(),
                None => return Err(CellError::Missing),
            }
        } else {
            text.to_owned()
        }),
        Tensor::F32(values) => values.push(number.float(f32::NAN)?),
        Tensor::F64(values) => values.push(number.float(f64::NAN)?),
        Tensor::I64(values) => values.push(number.integer()?),
    }
    Ok(())
}

/// A cell that must hold a number.
struct Number<'a> {
    text: &'a str,
    column: &'a mut Column,
    decimal: Decimal,
}

impl Number<'_> {
    fn boolean(&self) -> Option<bool> {
        let is = |word| self.text.eq_ignore_ascii_case(word);
        match () {
            () if is("true") => Some(true),
            () if is("false") => Some(false),
            () => None,
        }
    }

    fn is_missing(&self) -> bool {
        self.text.is_empty()
            || MISSING
                .iter()
                .any(|word| self.text.eq_ignore_ascii_case(word))
    }

    fn float<F: FromStr + From<u8>>(&mut self, missing: F) -> Result<F, CellError> {
        if self.is_missing() {
            let is_known = self.column.input.missing;
            return is_known.then_some(missing).ok_or(CellError::Missing);
        }
        let boolean = self.boolean();
        if self.column.booleans == Booleans::Open {
            self.column.booleans = match boolean {
                Some(_) => Booleans::Taken,
                None => Booleans::Refused,
            };
        }
        match boolean {
            Some(truth) if self.column.booleans == Booleans::Taken => Ok(F::from(u8::from(truth))),
            _ => self.parse(),
        }
    }

    /// `3`, and `3.0` as data frames write integers next to missing values.
    fn integer(&self) -> Result<i64, CellError> {
        const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
        if let Some(truth) = self.boolean() {
            return Ok(i64::from(truth));
        }
        let value: f64 = self.parse()?;
        if !value.is_finite() {
            return Err(CellError::NotFinite {
                text: self.shortened(),
                kind: self.column.input.kind,
            });
        }
        let whole = || (value.fract() == 0.0 && value.abs() <= EXACT).then_some(value as i64);
        self.text
            .parse()
            .ok()
            .or_else(whole)
            .ok_or_else(|| self.not_a_number())
    }

    /// The number as it is written; a missing one is an error.
    fn parse<F: FromStr>(&self) -> Result<F, CellError> {
        if self.is_missing() {
            return Err(CellError::Missing);
        }
        let text = match self.decimal {
            Decimal::Point => Cow::Borrowed(self.text),
            Decimal::Comma if self.text.contains('.') => return Err(self.not_a_number()),
            Decimal::Comma => Cow::Owned(self.text.replacen(',', ".", 1)),
        };
        text.parse().map_err(|_| self.not_a_number())
    }

    fn not_a_number(&self) -> CellError {
        let text = self.shortened();
        let is_number = |text: &str| text.parse::<f64>().is_ok_and(f64::is_finite);
        if text.contains(',') && is_number(&text.replace([',', '.'], "")) {
            return CellError::Thousands { text };
        }
        CellError::NotANumber {
            text,
            kind: self.column.input.kind,
        }
    }

    fn shortened(&self) -> String {
        const SHOWN: usize = 40;
        match self.text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}...", &self.text[..end]),
            None => self.text.to_owned(),
        }
    }
}

const fn kind_name(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Float32 => "a 32-bit number",
        ColumnKind::Float64 => "a 64-bit number",
        ColumnKind::Int64 => "a whole number",
        ColumnKind::Text => "text",
    }
}
