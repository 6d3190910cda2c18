//! Rows on their way to the leaves.

use super::boosted::Said;
use super::{LeafTarget, LeafTraining};
use crate::error::TrainingError;

/// A row as it is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafRow {
    /// A bin a column.
    pub bins: Vec<u32>,
    /// The class, or the number of steps.
    pub label: u64,
}

/// Takes rows in the table's order.
#[derive(Clone, Debug)]
pub struct LeafRowEncoder<'a> {
    training: &'a LeafTraining,
    /// Of boosted leaves.
    said: Option<Said<'a>>,
    rows: Vec<LeafRow>,
    clipped: u64,
}

impl LeafTraining {
    /// Bits of a row, as [`Self::selectors`] says.
    pub fn bits(&self, row: &LeafRow) -> Vec<bool> {
        let mut bits = Vec::with_capacity(self.selectors());
        for (column, bin) in row.bins.iter().enumerate() {
            bits.extend((0..self.bin_bits(column)).map(|bit| bin >> bit & 1 == 1));
        }
        bits.extend(self.label_bits(row.label));
        bits
    }

    /// Bits of a label: of a class whether it is each but the first, of a number its binary digits.
    pub(super) fn label_bits(&self, label: u64) -> impl Iterator<Item = bool> {
        let is_class = matches!(self.target(), LeafTarget::Classes { .. });
        (0..self.target().bits() as u64).map(move |bit| {
            if is_class {
                label == bit + 1
            } else {
                label >> bit & 1 == 1
            }
        })
    }
}

impl<'a> LeafRowEncoder<'a> {
    /// No rows.
    pub fn new(training: &'a LeafTraining) -> Self {
        Self {
            training,
            said: training.said(),
            rows: Vec::new(),
            clipped: 0,
        }
    }

    /// Takes a row: its numbers in the order of the columns, a numeric target last; a class.
    ///
    /// # Errors
    /// A number that is not finite, a class that is not listed, another number of cells.
    pub fn add(&mut self, numbers: &[f64], class: Option<&str>) -> Result<(), TrainingError> {
        let row = self.rows.len() as u64 + 1;
        let cuts = self.training.cuts();
        let target = self.training.target();
        let is_number = matches!(target, LeafTarget::Number { .. });
        let expected = cuts.len() + usize::from(is_number);
        if numbers.len() != expected {
            return Err(TrainingError::Cells {
                row,
                what: "numbers",
                expected,
                found: numbers.len(),
            });
        }
        let names = self.training.columns().chain([target.name()]);
        if let Some((column, value)) = names.zip(numbers).find(|(_, value)| !value.is_finite()) {
            return Err(TrainingError::Number {
                row,
                column: column.into(),
                value: *value,
            });
        }
        let bins = cuts.iter().zip(numbers).map(|(cuts, value)| {
            // As models take numbers: 32-bit floats.
            let value = *value as f32;
            cuts.partition_point(|cut| value > *cut) as u32
        });
        let bins: Vec<u32> = bins.collect();
        let label = match target {
            LeafTarget::Number {
                low, step, steps, ..
            } => {
                let said = self.said.as_ref().map_or(0.0, |said| said.of(&bins));
                let found = ((numbers[cuts.len()] - said - low) / step).round();
                self.clipped += u64::from(!(0.0..=*steps as f64).contains(&found));
                found.clamp(0.0, *steps as f64) as u64
            }
            LeafTarget::Classes { name, classes } => {
                let text = class.unwrap_or_default();
                let place = classes.iter().position(|own| own == text);
                place.ok_or_else(|| TrainingError::Category {
                    row,
                    column: name.clone(),
                    value: text.chars().take(80).collect(),
                    known: classes.join(", "),
                })? as u64
            }
        };
        self.rows.push(LeafRow { bins, label });
        Ok(())
    }

    /// All rows, and how many labels, or residuals of boosted leaves, lie outside of their range: these
    /// count as its ends.
    ///
    /// # Errors
    /// There are none.
    pub fn finish(self) -> Result<(Vec<LeafRow>, u64), TrainingError> {
        if self.rows.is_empty() {
            return Err(TrainingError::fit(
                "the leaves",
                "there are no rows; give one at least",
            ));
        }
        Ok((self.rows, self.clipped))
    }
}
