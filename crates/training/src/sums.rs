//! An owner's sums.

use crate::error::TrainingError;
use crate::layout::Layout;
use crate::spec::{CategoricalColumn, StatisticsSpec, Target};

/// Sums over rows, in the clear: they stay with the owner until they are encrypted.
pub struct Sums<'a> {
    spec: &'a StatisticsSpec,
    layout: Layout,
    values: Vec<f64>,
    rows: u64,
    clipped: Vec<u64>,
    scaled: Vec<f64>,
}

impl<'a> Sums<'a> {
    /// Of no rows.
    pub fn new(spec: &'a StatisticsSpec) -> Self {
        let layout = Layout::of(spec);
        Self {
            spec,
            values: vec![0.0; layout.len()],
            rows: 0,
            clipped: vec![0; layout.numbers],
            scaled: vec![0.0; layout.numbers],
            layout,
        }
    }

    /// Adds a row: its numbers in the order of the numeric columns, a numeric target last; its texts
    /// in the order of the categorical ones, a class last.
    ///
    /// # Errors
    /// A number that is not finite, a text that the spec does not list, other numbers of cells, more
    /// rows than the spec has room for. Nothing is added then.
    pub fn add(&mut self, numbers: &[f64], texts: &[&str]) -> Result<(), TrainingError> {
        let row = self.rows + 1;
        if row > self.spec.rows() {
            return Err(TrainingError::TooManyRows {
                found: row,
                limit: self.spec.rows(),
            });
        }
        let (categories, class) = self.check(row, numbers, texts)?;
        for (index, (column, value)) in self.spec.summed().zip(numbers).enumerate() {
            self.clipped[index] += u64::from(!column.contains(*value));
            let value = (value - column.middle()) / column.half();
            self.scaled[index] = value.clamp(-1.0, 1.0);
        }
        self.rows = row;
        let layout = &self.layout;
        self.values[0] += 1.0;
        self.values[layout.count(class)] += 1.0;
        for (index, value) in self.scaled.iter().enumerate() {
            self.values[layout.sum(class, index)] += value;
            self.values[layout.square(class, index)] += value * value;
            for (other, factor) in self.scaled[..index].iter().enumerate() {
                self.values[layout.product(other, index)] += value * factor;
            }
        }
        for (column, category) in categories.into_iter().enumerate() {
            self.values[layout.category(class, column, category)] += 1.0;
        }
        Ok(())
    }

    /// The row's categories and its class.
    fn check(
        &self,
        row: u64,
        numbers: &[f64],
        texts: &[&str],
    ) -> Result<(Vec<usize>, usize), TrainingError> {
        let mut listed: Vec<&CategoricalColumn> = self.spec.categories().iter().collect();
        let class = match self.spec.target() {
            Target::Class(column) => Some(column),
            Target::None | Target::Number(_) => None,
        };
        listed.extend(class);
        for (what, expected, found) in [
            ("numbers", self.layout.numbers, numbers.len()),
            ("texts", listed.len(), texts.len()),
        ] {
            if expected != found {
                return Err(TrainingError::Cells {
                    row,
                    what,
                    expected,
                    found,
                });
            }
        }
        let bad = self.spec.summed().zip(numbers);
        if let Some((column, value)) = bad.into_iter().find(|(_, value)| !value.is_finite()) {
            return Err(TrainingError::Number {
                row,
                column: column.name.clone(),
                value: *value,
            });
        }
        let place = |(column, text): (&&CategoricalColumn, &&str)| {
            let mut all = column.categories.iter();
            all.position(|own| own == text)
                .ok_or_else(|| TrainingError::Category {
                    row,
                    column: column.name.clone(),
                    value: text.chars().take(80).collect(),
                    known: column.categories.join(", "),
                })
        };
        let mut places = listed
            .iter()
            .zip(texts)
            .map(place)
            .collect::<Result<Vec<_>, _>>()?;
        let class = class.and_then(|_| places.pop()).unwrap_or_default();
        Ok((places, class))
    }

    /// Number of rows.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Names of the columns with values outside of their range, and how many: they count as the
    /// range's ends.
    pub fn clipped(&self) -> impl Iterator<Item = (&str, u64)> {
        let columns = self.spec.summed().zip(&self.clipped);
        columns
            .filter(|(_, count)| **count > 0)
            .map(|(column, count)| (column.name.as_str(), *count))
    }

    /// As torus words.
    pub fn words(&self) -> Vec<u64> {
        let word = |fraction: f64| (fraction * 2f64.powi(64)).round() as i64 as u64;
        let guard = word(self.values[0] * self.layout.guard_unit());
        let others = self.values[1..].iter();
        let others = others.map(|value| word(value * self.layout.unit()));
        std::iter::once(guard).chain(others).collect()
    }
}
