//! Rows of a training on their way to its steps.

use super::simulate::Random;
use super::{ENDS, STEPS, Training};
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

impl Training {
    /// An order of rows that has nothing to do with their values: tables are often sorted by class.
    pub fn order(rows: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..rows).collect();
        let mut random = Random::new(0x5eed);
        for place in (1..rows).rev() {
            order.swap(place, random.below(place + 1));
        }
        order
    }

    /// A row's features as integers, the constant last; and which of them were clipped.
    ///
    /// # Errors
    /// A number that is not finite, another number of cells.
    pub fn encode(
        &self,
        row: u64,
        numbers: &[f64],
    ) -> Result<(Vec<i32>, Vec<usize>), TrainingError> {
        if numbers.len() != self.numbers.len() {
            return Err(TrainingError::Cells {
                row,
                what: "numbers",
                expected: self.numbers.len(),
                found: numbers.len(),
            });
        }
        let (mut features, mut clipped) = (Vec::with_capacity(self.features()), Vec::new());
        for (index, (column, value)) in self.numbers.iter().zip(numbers).enumerate() {
            if !value.is_finite() {
                return Err(TrainingError::Number {
                    row,
                    column: column.name.clone(),
                    value: *value,
                });
            }
            if !column.contains(*value) {
                clipped.push(index);
            }
            let scaled = (value - column.middle()) / column.half();
            let steps = scaled.clamp(-1.0, 1.0) * ENDS * f64::from(STEPS);
            features.push(steps.round() as i32);
        }
        features.push(STEPS);
        Ok((features, clipped))
    }

    /// The class of a text.
    ///
    /// # Errors
    /// A text that is not listed.
    pub fn class(&self, row: u64, text: &str) -> Result<usize, TrainingError> {
        let mut all = self.target.categories.iter();
        all.position(|own| own == text)
            .ok_or_else(|| TrainingError::Category {
                row,
                column: self.target.name.clone(),
                value: text.chars().take(80).collect(),
                known: self.target.categories.join(", "),
            })
    }

    /// A row's features with its label folded in: for a set of weights those of its class as they are,
    /// of others negated.
    pub fn folded(&self, set: usize, features: &[i32], class: usize) -> Vec<i32> {
        let own = match self.sets() {
            1 => class == 1,
            _ => class == set,
        };
        let sign = if own { 1 } else { -1 };
        features.iter().map(|value| sign * value).collect()
    }
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

    /// One owner's rows of several: a column may be the same in all of them, and other in others'.
    pub fn finish_part(self) -> TrainingRows {
        let order = Training::order(self.rows.len()).into_iter();
        TrainingRows {
            rows: order.map(|place| self.rows[place].clone()).collect(),
            clipped: self.clipped,
        }
    }

    /// All rows.
    ///
    /// # Errors
    /// A column that is the same in all of them; rows of one class alone.
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
        let mut classes = self.rows.iter().map(|(_, class)| *class);
        if let Some(first) = classes.next()
            && classes.all(|class| class == first)
        {
            return Err(TrainingError::OneClass {
                class: self.training.target().categories[first].clone(),
            });
        }
        Ok(self.finish_part())
    }
}

/// The mean of the squares of all features, the constant included: what noise of steps grows with.
pub fn mean_square(training: &Training, rows: &[(Vec<i32>, usize)]) -> f64 {
    let squares = rows.iter().flat_map(|(features, _)| features);
    let squares: f64 = squares.map(|x| f64::from(x * x)).sum();
    squares / (rows.len() * training.features()).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::RowEncoder;
    use crate::descent::tests::training;

    /// What tells nothing is named, by its column, row or class; and what lies outside of a range is counted.
    #[test]
    fn rows_that_cannot_be_trained_on_are_named() {
        let own = training("rate = 1.0");
        let encoded = |rows: &[([f64; 2], &str)]| {
            let mut encoder = RowEncoder::new(&own);
            for (numbers, class) in rows {
                encoder.add(numbers, class)?;
            }
            encoder.finish()
        };
        let sound = [
            ([1.0, 0.5], "no"),
            ([9.0, -0.5], "yes"),
            ([11.0, 3.0], "yes"),
        ];
        let counts = encoded(&sound).unwrap().clipped.into_iter();
        assert!(counts.eq([("a".to_owned(), 1), ("b".to_owned(), 1)]));
        for (place, row, expected) in [
            (
                1,
                ([f64::NAN, 0.1], "yes"),
                "row 2, column \"a\": NaN is no finite number",
            ),
            (
                2,
                ([1.0, f64::NEG_INFINITY], "no"),
                "row 3, column \"b\": -inf is no finite number",
            ),
            (
                0,
                ([1.0, 0.1], "maybe"),
                "\"maybe\" is not among the values",
            ),
        ] {
            let mut rows = sound;
            rows[place] = row;
            let error = encoded(&rows).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
        // 0.5 and 0.51 are the same in steps of 0.083.
        let constant = [([1.0, 0.5], "no"), ([9.0, 0.51], "yes")];
        let error = encoded(&constant).unwrap_err().to_string();
        assert!(error.contains("column \"b\" is constant"), "{error}");
        let error = encoded(&sound[1..]).unwrap_err().to_string();
        assert!(error.contains("all rows are of class \"yes\""), "{error}");
        // One owner of several may have no others.
        let mut part = RowEncoder::new(&own);
        part.add(&[1.0, 0.5], "no").unwrap();
        assert_eq!(part.finish_part().rows.len(), 1);
    }
}
