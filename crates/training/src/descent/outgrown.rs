//! Trainings on rows that nobody has all of, and so nobody has simulated: whether their weights have kept to the
//! residuals' table.
//!
//! Weights are kept divided by what the penalty has left of them, so their forms are looked up divided by it, too.
//! Far beyond the table's end residuals have the wrong sign, and further than twice of it forms go around the torus:
//! what such steps lead to may look like weights again once it is multiplied by what the penalty leaves, and where
//! columns are few also without one. So the steps watch the forms that they look up (`scheme::descent::Watch`): a
//! residual's table, read a quarter of the torus further, is that of the table's end where a form is small, zero at
//! the table's ends, and negative beyond. The key holder decrypts the sum of that over rows and steps alone.

use super::schedule::MAX_STEPS;
use super::simulate::{DEVIATIONS, dot};
use super::{DescentStep, ENDS, FARTHEST, RANGE, Training, WEIGHT};
use crate::error::TrainingError;
use std::ops::Range;

/// Part of the forms that may be beyond the table: of runs in the clear whose watched steps had more, most had left it.
const BEYOND: f64 = 1.0 / 32.0;
/// Most that is watched, as part of the torus: twice of it is what forms that are all beyond the table come short by.
const WATCHED: f64 = 0.45;

impl Training {
    /// That steps leave weights a place in the table, whatever the rows: forms of 1, which tell a class from
    /// another by 73 to 27, must be looked up within it to the end, and the last step, after which nothing is
    /// looked up, must not lead further than the table has room.
    ///
    /// # Errors
    /// [`TrainingError::Shrinks`], [`TrainingError::Leaps`].
    pub fn require_room(steps: &[DescentStep]) -> Result<(), TrainingError> {
        let shrunk = Self::shrunk_after(steps);
        let (held, largest) = (1.0 / shrunk, 1.0);
        if held > FARTHEST {
            return Err(TrainingError::Shrinks {
                shrunk,
                held,
                largest,
                range: FARTHEST,
            });
        }
        require_no_leap(steps.last().map_or(0.0, DescentStep::rate_as_kept))
    }

    /// That there are numbers of rows whose last step leads no further than the table has room.
    ///
    /// # Errors
    /// [`TrainingError::Leaps`].
    pub fn require_steady(&self) -> Result<(), TrainingError> {
        require_no_leap(self.rate(MAX_STEPS - 1))
    }

    /// Steps whose forms are watched: as many of the last ones as the torus has room for the sum of.
    pub fn watched(&self, steps: &[DescentStep]) -> Range<usize> {
        let mut sum = 0.0;
        let is_within = |step: &&DescentStep| {
            sum += self.within(step, 0.0);
            sum <= WATCHED
        };
        let count = steps.iter().rev().take_while(is_within).count();
        steps.len() - count..steps.len()
    }

    /// What a step's rows add to what is watched where all their forms are z.
    fn within(&self, step: &DescentStep, z: f64) -> f64 {
        let quarter = 0.25 - (z / (4.0 * RANGE)).abs();
        step.full() * self.odd_residual(step, quarter)
    }

    /// That the forms which the watched steps have looked up lay in the table, but for few: weights that come of
    /// others have wrong signs, wherever they lie. `watched` is of each set, a fraction of the torus, with an
    /// error of the standard deviation `deviation`.
    ///
    /// # Errors
    /// [`TrainingError::Outgrown`], and not how many did: whoever has run the steps may have chosen it. Steps that
    /// are too large for the torus to have room for the sum of one.
    pub fn require_watched(
        &self,
        steps: &[DescentStep],
        watched: &[f64],
        deviation: f64,
    ) -> Result<(), TrainingError> {
        let own = &steps[self.watched(steps)];
        let sum = |z: f64| own.iter().map(|step| self.within(step, z)).sum::<f64>();
        // With a penalty the table is flatter, and says less of forms that are far from both of its ends.
        let (all, half) = (sum(0.0), sum(RANGE / 2.0));
        let margin = DEVIATIONS * deviation;
        let most = all - half + BEYOND * all + margin;
        let is_within = |found: &f64| {
            let short = (all - found + margin).rem_euclid(1.0) - margin;
            !own.is_empty() && short <= most
        };
        match watched.iter().position(|found| !is_within(found)) {
            None if watched.len() == self.sets() => Ok(()),
            None => Err(TrainingError::Unwatched),
            Some(set) => {
                let class = self.class_of(set);
                let what =
                    format!("part of the forms that steps have looked up for class {class:?}");
                Err(TrainingError::Outgrown { what })
            }
        }
    }

    /// Rows and steps that are watched.
    pub fn watched_rows(&self, steps: &[DescentStep]) -> (usize, usize) {
        let own = &steps[self.watched(steps)];
        (own.iter().map(|step| step.rows).sum(), own.len())
    }

    /// That forms which lay in the table on the torus lay in it: 64 apart they are the same there. They are in their
    /// place where no row within the ranges can be led beyond 48, or where steps from zero, each of them watched,
    /// move no form by more than 32 at once. Many columns that are nearly constant move all forms together, by tens
    /// in a step, although each weight is small.
    ///
    /// # Errors
    /// [`TrainingError::Ambiguous`].
    pub fn require_in_place(
        &self,
        steps: &[DescentStep],
        fractions: &[Vec<f64>],
    ) -> Result<(), TrainingError> {
        let reach = |weights: &Vec<f64>| {
            let (constant, columns) = weights.split_last()?;
            let columns: f64 = columns.iter().map(|weight| weight.abs()).sum();
            Some((ENDS * columns + constant.abs()) / WEIGHT)
        };
        // A NaN is nowhere.
        let is_near = |weights: &Vec<f64>| reach(weights).is_some_and(|own| own <= 3.0 * RANGE);
        if fractions.iter().all(is_near) {
            return Ok(());
        }
        let squares = ENDS * ENDS * self.numbers().len() as f64 + 1.0;
        let jump = |step: &DescentStep| step.rate_as_kept() * squares;
        let is_slow = steps.iter().all(|step| jump(step) <= 2.0 * RANGE);
        if is_slow && self.watched(steps).start == 0 {
            return Ok(());
        }
        Err(TrainingError::Ambiguous {
            reach: 3.0 * RANGE,
            rate: 2.0 * RANGE / squares * Self::shrunk_after(steps),
        })
    }

    /// That decrypted weights, fractions of the torus as the steps have kept them, lie in the table: none leads
    /// beyond twice its range by a unit of its column alone, nor any of the rows that are known beyond what
    /// residuals are right for.
    ///
    /// # Errors
    /// What does not, and not by how much: whoever has run the steps may have chosen it.
    pub fn require_within_table(
        &self,
        fractions: &[Vec<f64>],
        rows: &[(Vec<i32>, usize)],
    ) -> Result<(), TrainingError> {
        for (set, weights) in fractions.iter().enumerate() {
            // A NaN is not within anything.
            let is_within = |weight: &f64| weight.abs() <= 2.0 * RANGE * WEIGHT;
            if let Some(place) = weights.iter().position(|weight| !is_within(weight)) {
                let (name, class) = self.name_of_weight(set, place);
                let what = format!("the weight{name}{class}");
                return Err(TrainingError::Outgrown { what });
            }
            let is_within = |row: &[i32]| Self::form(dot(row, weights)).abs() <= FARTHEST;
            if let Some(row) = rows.iter().position(|(row, _)| !is_within(row)) {
                let what = format!("the form of own row {}", row + 1);
                return Err(TrainingError::Outgrown { what });
            }
        }
        Ok(())
    }
}

/// That a step of this rate, on rows at their ranges' ends with residuals of 1 each, moves no weight by more than
/// the table has room for.
fn require_no_leap(rate: f64) -> Result<(), TrainingError> {
    let jump = ENDS * rate;
    if jump > RANGE {
        return Err(TrainingError::Leaps { jump, range: RANGE });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
