//! Which step takes which rows, how large it is, and what a penalty has left of weights by then.

use super::{STEPS, Training, WEIGHT};
use crate::error::TrainingError;

/// Most steps of a training, with those before it: days of them, and what a schedule has memory for.
pub(super) const MAX_STEPS: usize = 1_000_000;

/// Microseconds of one thread for a row of a step: a bootstrap, and little else. Measured on a Zen 5 machine
/// (docs/benchmarks.md); others take up to twice as long.
const ROW_MICROSECONDS: f64 = 19e3;

/// One step of the schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DescentStep {
    /// Which owner's upload, in their order.
    pub upload: usize,
    /// Which batch of it.
    pub batch: usize,
    /// Its rows.
    pub rows: usize,
    /// What weights are multiplied by to be those of the model: 1 without a penalty.
    pub shrunk: f64,
    /// The same after the step.
    pub shrunk_after: f64,
    /// A residual of 1, as a fraction of the torus.
    pub unit: f64,
}

impl DescentStep {
    /// A residual of 1 for each of its rows, as a fraction of the torus.
    pub(super) fn full(&self) -> f64 {
        self.rows as f64 * self.unit
    }

    /// The rate, divided by what a penalty has left of weights as they are kept.
    pub(super) fn rate_as_kept(&self) -> f64 {
        self.full() * f64::from(STEPS) / WEIGHT
    }
}

impl Training {
    /// Batches of so many rows.
    ///
    /// # Errors
    /// Fewer rows than a batch.
    pub fn batches(&self, rows: usize) -> Result<usize, TrainingError> {
        if rows < self.document.batch {
            return Err(TrainingError::TooFewRows {
                found: rows,
                batch: self.document.batch,
            });
        }
        Ok(rows.div_ceil(self.document.batch))
    }

    /// Steps on so many rows.
    ///
    /// # Errors
    /// Fewer rows than a batch.
    pub fn steps(&self, rows: usize) -> Result<u64, TrainingError> {
        let batches = self.batches(rows)? as u64;
        Ok(batches.saturating_mul(self.document.epochs.into()))
    }

    /// Steps on the rows of several owners, so many each.
    ///
    /// # Errors
    /// An owner with fewer rows than a batch.
    pub fn steps_of(&self, owners: &[usize]) -> Result<u64, TrainingError> {
        let add = |sum: u64, rows: &usize| Ok(sum.saturating_add(self.steps(*rows)?));
        owners.iter().try_fold(0, add)
    }

    /// Microseconds of one thread that a step is predicted to take, for all sets of weights.
    pub fn step_microseconds(&self) -> f64 {
        ROW_MICROSECONDS * (self.document.batch * self.sets()) as f64
    }

    /// Batches that share a ciphertext: as many whole ones as it has room for.
    pub fn batches_together(&self) -> usize {
        self.rows_together() / self.document.batch
    }

    /// All steps on so many rows, from nothing.
    ///
    /// # Errors
    /// As [`Self::schedule_after`].
    pub fn schedule(&self, rows: usize) -> Result<Vec<DescentStep>, TrainingError> {
        self.schedule_after(0, rows)
    }

    /// All steps on so many rows, where `before` steps were done on other rows: the rate has decayed by
    /// these. Weights begin as the model's own, whatever a penalty has left of them by then.
    ///
    /// # Errors
    /// Fewer rows than a batch; more steps, with those before, than anybody waits for.
    pub fn schedule_after(
        &self,
        before: u64,
        rows: usize,
    ) -> Result<Vec<DescentStep>, TrainingError> {
        self.schedule_of(before, &[rows])
    }

    /// The same on the rows of several owners, so many each: their batches in turn, in every stretch of an
    /// epoch as many of each owner as its rows are of all.
    ///
    /// # Errors
    /// As [`Self::schedule_after`]; an owner with fewer rows than a batch.
    pub fn schedule_of(
        &self,
        before: u64,
        owners: &[usize],
    ) -> Result<Vec<DescentStep>, TrainingError> {
        let batches = owners.iter().map(|rows| self.batches(*rows));
        let batches = batches.collect::<Result<Vec<_>, _>>()?;
        let all = batches.iter().copied().fold(0, usize::saturating_add);
        let count = all.saturating_mul(self.document.epochs as usize);
        let before = usize::try_from(before).unwrap_or(usize::MAX);
        let found = count.saturating_add(before);
        if found > MAX_STEPS {
            return Err(TrainingError::TooManySteps {
                found,
                before,
                limit: MAX_STEPS,
            });
        }
        let turns = turns(&batches);
        let mut shrunk = 1.0;
        let mut steps = Vec::with_capacity(count);
        for number in 0..count {
            let (upload, batch) = turns[number % all];
            let left = owners[upload] - batch * self.document.batch;
            let rows = self.document.batch.min(left);
            let rate = self.rate(before + number);
            let next = shrunk * (1.0 - rate * self.document.penalty);
            steps.push(DescentStep {
                upload,
                batch,
                rows,
                shrunk,
                shrunk_after: next,
                unit: rate / (rows as f64 * next) * WEIGHT / f64::from(STEPS),
            });
            shrunk = next;
        }
        Ok(steps)
    }

    /// The rate of a step, by its number from 0.
    pub(super) fn rate(&self, number: usize) -> f64 {
        self.document.rate / (1.0 + self.document.decay * number as f64)
    }

    /// What weights are multiplied by after all steps.
    pub(super) fn shrunk_after(steps: &[DescentStep]) -> f64 {
        steps.last().map_or(1.0, |last| last.shrunk_after)
    }
}

/// Batches of uploads in the order of an epoch: each upload's at even distances.
fn turns(batches: &[usize]) -> Vec<(usize, usize)> {
    let uploads = batches.iter().enumerate();
    let all = uploads.flat_map(|(upload, count)| (0..*count).map(move |batch| (upload, batch)));
    let mut turns: Vec<(usize, usize)> = all.collect();
    // Where a batch stands in its upload: (2 batch + 1) / (2 count).
    turns.sort_by(|one, other| {
        let place = |batch: usize, of: usize| (2 * batch as u128 + 1) * batches[of] as u128;
        place(one.1, other.0)
            .cmp(&place(other.1, one.0))
            .then(one.0.cmp(&other.0))
    });
    turns
}
