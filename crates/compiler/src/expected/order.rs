//! Columns in another order than the training's, told by the library's own predictions.

use super::{Disagreement, cells};
use crate::calibration::order::{FEW, in_order, permutations};
use crate::error::CompileError;
use cipherfn_protocol::specs::InputColumn;

/// Rows of each kind, differing and agreeing, that an order is tried on.
const ROWS: usize = 150;

/// Orders that files show: entry `i` of the model's only input is then the column `order[i]`.
#[derive(Default)]
pub(super) struct Orders(Vec<Vec<usize>>);

impl Orders {
    /// For columns that the rows' header names in another order, and in that of their names.
    pub(super) fn of(columns: &[InputColumn], header: &[String]) -> Self {
        let place = |index: &usize| header.iter().position(|name| *name == columns[*index].name);
        let mut by_header: Vec<usize> = (0..columns.len()).collect();
        let mut by_name = by_header.clone();
        by_header.sort_by_key(place);
        by_name.sort_by_key(|index| &columns[*index].name);
        Self(vec![by_header, by_name])
    }
}

impl Disagreement<'_> {
    /// The order of the columns in which the model gives what is expected, if it names none and
    /// another order than the present one does: one of `orders`, or any where columns are few.
    pub(super) fn right_order(&self, orders: &Orders) -> Result<Option<Vec<usize>>, CompileError> {
        let width = match self.model.columns.as_slice() {
            [input] if input.width > 1 => input.width,
            _ => return Ok(None),
        };
        let mut tried = orders.0.clone();
        if width <= FEW {
            permutations(&mut (0..width).collect(), 0, &mut |order| {
                tried.push(order.to_vec());
            });
        }
        for order in tried {
            if !order.is_sorted() && self.explains(&order)? {
                return Ok(Some(order));
            }
        }
        Ok(None)
    }

    /// Whether most rows that differ are as expected in an order, and hardly any other row is not.
    fn explains(&self, order: &[usize]) -> Result<bool, CompileError> {
        let differing = self.differing.iter().copied().take(ROWS);
        let agreeing =
            (0..self.rows.len()).filter(|row| self.differing.binary_search(row).is_err());
        Ok(
            self.agree_in(order, differing, 10)?
                && self.agree_in(order, agreeing.take(ROWS), 50)?,
        )
    }

    /// Whether all rows but one in `least` are as expected in an order.
    fn agree_in(
        &self,
        order: &[usize],
        rows: impl Iterator<Item = usize> + Clone,
        least: usize,
    ) -> Result<bool, CompileError> {
        let mut left = rows.clone().count() / least;
        for row in rows {
            let inputs = self.rows[row].iter().map(|tensor| in_order(tensor, order));
            let outputs = self.model.predict(inputs.collect())?;
            if !self.agrees(row, &cells(outputs, &self.model.outputs)) {
                match left.checked_sub(1) {
                    Some(fewer) => left = fewer,
                    None => return Ok(false),
                }
            }
        }
        Ok(true)
    }
}
