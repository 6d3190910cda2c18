//! Text of one cell to a value.

use crate::error::{Place, TableError};
use cipherfn_program::Tensor;
use cipherfn_protocol::specs::InputColumn;

/// Reads one cell as the kind of `tensor` and appends it. Empty cells and NaN are missing values,
/// which become NaN (numbers) or the empty text where the column allows them; an integer is never
/// missing.
pub(crate) fn push(
    tensor: &mut Tensor,
    text: &str,
    column: &InputColumn,
    place: impl Fn() -> Place,
) -> Result<(), TableError> {
    let missing = || TableError::Missing { place: place() };
    let number = Number {
        text: text.trim(),
        column,
        place: &place,
    };
    match tensor {
        Tensor::Text(_) if text.is_empty() && !column.missing => return Err(missing()),
        Tensor::Text(values) => values.push(text.to_owned()),
        Tensor::F32(values) => match number.parse::<f32>()? {
            None if !column.missing => return Err(missing()),
            None => values.push(f32::NAN),
            Some(value) if value.is_finite() => values.push(value),
            Some(_) => return Err(number.not_finite()),
        },
        Tensor::F64(values) => match number.parse::<f64>()? {
            None if !column.missing => return Err(missing()),
            None => values.push(f64::NAN),
            Some(value) if value.is_finite() => values.push(value),
            Some(_) => return Err(number.not_finite()),
        },
        Tensor::I64(values) => match number.parse::<f64>()? {
            None => return Err(missing()),
            Some(value) if value.is_finite() => values.push(number.integer(value)?),
            Some(_) => return Err(number.not_finite()),
        },
    }
    Ok(())
}

/// A cell that must hold a number.
struct Number<'a, P> {
    text: &'a str,
    column: &'a InputColumn,
    place: &'a P,
}

impl<P: Fn() -> Place> Number<'_, P> {
    /// The number, or `None` where it is missing.
    fn parse<F: std::str::FromStr + PartialEq>(&self) -> Result<Option<F>, TableError> {
        if self.text.is_empty() {
            return Ok(None);
        }
        let value: F = self.text.parse().map_err(|_| self.not_a_number())?;
        #[expect(clippy::eq_op, reason = "only NaN differs from itself")]
        let is_nan = value != value;
        Ok((!is_nan).then_some(value))
    }

    /// `3`, and `3.0` as data frames write integers next to missing values.
    fn integer(&self, value: f64) -> Result<i64, TableError> {
        const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
        let whole = || (value.fract() == 0.0 && value.abs() <= EXACT).then_some(value as i64);
        self.text
            .parse()
            .ok()
            .or_else(whole)
            .ok_or_else(|| self.not_a_number())
    }

    fn not_a_number(&self) -> TableError {
        TableError::NotANumber {
            place: (self.place)(),
            text: self.shortened(),
            kind: self.column.kind,
        }
    }

    fn not_finite(&self) -> TableError {
        TableError::NotFinite {
            place: (self.place)(),
            text: self.shortened(),
            kind: self.column.kind,
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
