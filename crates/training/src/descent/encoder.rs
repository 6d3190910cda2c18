//! Rows of a training on their way to its steps.

use super::Training;
use crate::error::TrainingError;
use std::collections::BTreeMap;

/// Rows as they are encrypted: features as integers, and a class each.
#[derive(Clone, Debug)]
pub struct TrainingRows {
    /// In the order of descent.
    pub rows: Vec<(Vec<i32>, usize)>,
    /// How many values of a column lie outside of its range: they count as the range's ends.
    pub clipped: BTreeMap<String, u64>,
}

/// Takes rows in the table's order.
#[derive(Clone, Debug)]
pub struct RowEncoder<'a> {
    training: &'a Training,
    rows: Vec<(Vec<i32>, usize)>,
    clipped: BTreeMap<String, u64>,
}

impl<'a> RowEncoder<'a> {
    /// No rows.
    pub const fn new(training: &'a Training) -> Self {
        Self {
            training,
            rows: Vec::new(),
            clipped: BTreeMap::new(),
        }
    }

    /// Takes a row: its numbers in the order of the columns, and its class.
    ///
    /// # Errors
    /// A number that is not finite, a class that is not listed, another number of cells.
    pub fn add(&mut self, numbers: &[f64], class: &str) -> Result<(), TrainingError> {
        let row = self.rows.len() as u64 + 1;
        let (features, beyond) = self.training.encode(row, numbers)?;
        for index in beyond {
            let name = self.training.numbers()[index].name.clone();
            *self.clipped.entry(name).or_default() += 1;
        }
        let class = self.training.class(row, class)?;
        self.rows.push((features, class));
        Ok(())
    }

    /// All rows.
    ///
    /// # Errors
    /// A column that is the same in all of them.
    pub fn finish(self) -> Result<TrainingRows, TrainingError> {
        for (index, column) in self.training.numbers().iter().enumerate() {
            let mut values = self.rows.iter().map(|(features, _)| features[index]);
            let first = values.next();
            if values.all(|value| Some(value) == first) {
                return Err(TrainingError::Constant {
                    column: column.name.clone(),
                });
            }
        }
        let order = Training::order(self.rows.len()).into_iter();
        Ok(TrainingRows {
            rows: order.map(|place| self.rows[place].clone()).collect(),
            clipped: self.clipped,
        })
    }
}

/// The mean of the squares of all features, the constant included: what noise of steps grows with.
pub fn mean_square(training: &Training, rows: &[(Vec<i32>, usize)]) -> f64 {
    let squares = rows.iter().flat_map(|(features, _)| features);
    let squares: f64 = squares.map(|x| f64::from(x * x)).sum();
    squares / (rows.len() * training.features()).max(1) as f64
}
