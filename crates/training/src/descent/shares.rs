//! How much of the final weights each row of an owner makes.
//!
//! What protects a row is that many others count as it does. The number of steps does not say that: with a decay of
//! 1000 the first of forty steps makes nearly all of the weights, and with a penalty the last ones do. A step adds to
//! the final weights by its rate, divided by its rows, and what later steps leave of it under a penalty. All of that
//! follows from the program and the numbers of rows.

use super::{DescentStep, Training};
use crate::error::TrainingError;

/// How many times its even share one row may have ...
const UNEVEN: f64 = 4.0;
/// ... or else what part of all: as of 50 rows that count alike, where an owner's rows are alone ...
const ALONE: f64 = 0.02;
/// ... and of ten where others' steps lie between them.
const BESIDE: f64 = 0.1;
/// How much larger the number of others' batches is from one look to the next, until there are more steps than are
/// run.
const OTHERS: f64 = 1.25;
/// A weight as it is kept, of a unit, below which nothing is seen: noise and rounding are no smaller. Of both the
/// penalty leaves as little as of weights.
const SEEN: f64 = 1.0 / 256.0;
/// Batches of an owner that a program is looked at with where nobody has rows yet.
const BATCHES: [usize; 3] = [8, 64, 512];

/// How much rows of an owner count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowShares {
    /// How many rows there are.
    pub rows: usize,
    /// As how many rows that count alike they count: (sum c)^2 / sum c^2, of what each adds.
    pub counting: f64,
    /// The largest part of what all of them add that one row has.
    pub largest: f64,
}

/// The same for an owner that nobody can show whose rows the others are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OwnerShares {
    /// Of its rows alone.
    pub alone: RowShares,
    /// Of its rows with steps of others between them, as few or many as are worst.
    pub worst: RowShares,
}

impl RowShares {
    fn is_within(&self, part: f64) -> bool {
        self.largest <= part.max(UNEVEN / self.rows as f64)
    }

    fn require(&self, part: f64, among: &'static str) -> Result<(), TrainingError> {
        if self.is_within(part) {
            return Ok(());
        }
        Err(TrainingError::Uneven {
            rows: self.rows,
            counting: self.counting,
            largest: 100.0 * self.largest,
            among,
        })
    }
}

impl OwnerShares {
    /// That no row has much more of the weights than an even share.
    ///
    /// # Errors
    /// One that has more than four times of it, and more than a fiftieth of all; beside others' rows a tenth.
    pub fn require_even(&self) -> Result<(), TrainingError> {
        self.alone.require(ALONE, "")?;
        self.worst.require(BESIDE, " beside rows of others")
    }
}

impl Training {
    /// How much each of an owner's rows counts in the weights.
    ///
    /// # Errors
    /// As [`Self::steps`].
    pub fn shares(&self, rows: usize) -> Result<OwnerShares, TrainingError> {
        let (alone, _) = self.shares_beside(rows, 0)?;
        let own = self.batches(rows)?;
        let mut worst = alone;
        let mut others = own as f64;
        // More steps than a training may have are those of nobody.
        while let Ok((beside, seen)) = self.shares_beside(rows, others as usize) {
            if seen && beside.largest > worst.largest {
                worst = beside;
            }
            others *= OTHERS;
        }
        Ok(OwnerShares { alone, worst })
    }

    /// That a program leaves no owner's row, however many rows it has, much more of the weights than an even share.
    ///
    /// # Errors
    /// As [`OwnerShares::require_even`], of rows alone.
    pub fn require_even(&self) -> Result<(), TrainingError> {
        for batches in BATCHES {
            match self.shares_beside(batches * self.batch(), 0) {
                Ok((shares, _)) => shares.require(ALONE, "")?,
                // As many rows cannot be trained on.
                Err(TrainingError::TooManySteps { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Shares beside so many batches of others, and whether anything is seen of all rows together.
    fn shares_beside(
        &self,
        rows: usize,
        others: usize,
    ) -> Result<(RowShares, bool), TrainingError> {
        let others = others.saturating_mul(self.batch());
        // The key holder's own rows come first.
        let owners = if others > 0 {
            vec![others, rows]
        } else {
            vec![rows]
        };
        let own = owners.len() - 1;
        let steps = self.schedule_of(0, &owners)?;
        let mut of_batches = vec![(0.0, 0); self.batches(rows)?];
        // What all later steps leave under a penalty.
        let mut left = 1.0;
        for (number, step) in steps.iter().enumerate().rev() {
            let DescentStep {
                upload,
                batch,
                rows,
                ..
            } = *step;
            let rate = self.rate(number);
            if upload == own {
                let (sum, count) = &mut of_batches[batch];
                *sum += rate / rows as f64 * left;
                *count = rows;
            }
            left *= 1.0 - rate * self.document.penalty;
        }
        let of_rows = |of: fn(f64) -> f64| -> f64 {
            let each = of_batches.iter();
            each.map(|(sum, rows)| of(*sum) * *rows as f64).sum()
        };
        let all = of_rows(|one| one);
        let largest = of_batches.iter().map(|(sum, _)| *sum).fold(0.0, f64::max);
        // Where nothing is left of any row, none has more than others.
        let share = |part: f64| if all > 0.0 { part / all } else { 0.0 };
        let squares = of_rows(|one| one * one);
        let shares = RowShares {
            rows,
            counting: if squares > 0.0 {
                all * all / squares
            } else {
                0.0
            },
            largest: share(largest),
        };
        Ok((shares, all >= SEEN * left))
    }
}

#[cfg(test)]
mod tests {
    use crate::descent::Training;

    fn training(batch: usize, rest: &str) -> Training {
        let text = format!(
            "format = 1\nname = \"t\"\nalgorithm = \"logistic\"\nbatch = {batch}\n{rest}\n[[column]]\nname = \"a\"\nlow = 0\nhigh = 10\n[target]\nname = \"y\"\nclasses = [\"no\", \"yes\"]"
        );
        Training::from_toml(&text).unwrap()
    }

    /// Shares are what the weights of a model change by where one row's residual does: of a program whose residuals
    /// hardly depend on weights.
    #[test]
    fn shares_are_those_of_the_final_weights() {
        let own = training(2, "epochs = 2\nrate = 0.001\ndecay = 0.3\npenalty = 100.0");
        let shares = own.shares(7).unwrap().alone;
        let steps = own.schedule(7).unwrap();
        let left = steps.last().unwrap().shrunk_after;
        let of = |batch: usize| -> f64 {
            let own = steps.iter().filter(|step| step.batch == batch);
            own.map(|step| step.unit * left).sum()
        };
        let rows: Vec<f64> = (0..7).map(|row| of(row / 2)).collect();
        let all: f64 = rows.iter().sum();
        let largest = rows.iter().copied().fold(0.0, f64::max) / all;
        let counting = all * all / rows.iter().map(|one| one * one).sum::<f64>();
        assert!((shares.largest - largest).abs() < 1e-12, "{shares:?}");
        assert!((shares.counting - counting).abs() < 1e-9, "{shares:?}");
    }

    #[test]
    fn even_programs_pass_and_those_of_one_row_do_not() {
        let even = training(8, "epochs = 2\nrate = 1.0\ndecay = 0.05").shares(320);
        let even = even.unwrap();
        even.require_even().unwrap();
        assert!(even.alone.counting > 200.0, "{even:?}");
        assert!(even.worst.counting < even.alone.counting, "{even:?}");
        let plain = training(4, "epochs = 1\nrate = 0.5").shares(16).unwrap();
        assert!((plain.alone.counting - 16.0).abs() < 1e-9, "{plain:?}");
        assert!((plain.alone.largest - 1.0 / 16.0).abs() < 1e-12);
        assert!((plain.worst.largest - 1.0 / 16.0).abs() < 1e-12);

        // The first step alone, and the last.
        for rest in [
            "epochs = 1\nrate = 1.0\ndecay = 1000.0",
            "epochs = 1\nrate = 1.0\ndecay = 30.0",
            "epochs = 1\nrate = 1.0\npenalty = 0.9",
        ] {
            let one = training(1, rest);
            let shares = one.shares(40).unwrap();
            assert!(shares.alone.counting < 2.0, "{rest}: {shares:?}");
            let error = shares.require_even().unwrap_err().to_string();
            assert!(error.contains("40 rows count as"), "{error}");
            one.require_even().unwrap_err();
        }
        // A batch is no crowd where one of many counts.
        let batch = training(16, "epochs = 1\nrate = 1.0\ndecay = 1000.0");
        batch.require_even().unwrap_err();
        batch.shares(640).unwrap().require_even().unwrap_err();

        // Even alone; with 64 batches of others to one of its own the last one stands out.
        let apart = training(1, "epochs = 1\nrate = 1.0\npenalty = 0.01");
        apart.require_even().unwrap();
        let shares = apart.shares(100).unwrap();
        shares.alone.require(0.02, "").unwrap();
        let error = shares.require_even().unwrap_err().to_string();
        assert!(error.contains("beside rows of others"), "{error}");
    }
}
