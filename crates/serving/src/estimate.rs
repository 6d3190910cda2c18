//! How long a row takes in this environment, so that work which cannot finish in time is refused
//! before it starts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time kept for everything after the evaluation.
const MARGIN: Duration = Duration::from_millis(500);

/// Nanoseconds a row, rows in parallel: a moving average of what was measured, 0 before that.
#[derive(Debug, Default)]
pub struct Estimate(AtomicU64);

/// Work that will not be done before its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutOfTime {
    /// Not even a row can be done.
    #[error("too little time is left for a row; try again, or raise the function's timeout")]
    NoTime,
    /// Fewer rows can be done.
    #[error(
        "{rows} rows cannot be answered in the time that is left; send at most {most} at a time"
    )]
    TooManyRows {
        /// Rows asked for.
        rows: usize,
        /// Rows that can be done in an environment of half the speed.
        most: u64,
    },
}

impl Estimate {
    /// Learns from `rows` that took `time` together.
    pub fn learn(&self, rows: usize, time: Duration) {
        let measured = u64::try_from(time.as_nanos() / rows.max(1) as u128)
            .unwrap_or(u64::MAX)
            .max(1);
        let known = self.0.load(Ordering::Relaxed);
        let average = if known == 0 {
            measured
        } else {
            known / 4 * 3 + measured / 4
        };
        self.0.store(average, Ordering::Relaxed);
    }

    /// Refuses `rows` that will not be done before the deadline.
    pub fn check(&self, rows: usize, deadline: Instant) -> Result<(), OutOfTime> {
        let left = deadline
            .saturating_duration_since(Instant::now())
            .saturating_sub(MARGIN);
        let a_row = self.0.load(Ordering::Relaxed);
        let fit = left
            .as_nanos()
            .checked_div(u128::from(a_row))
            .unwrap_or(u128::MAX);
        if left.is_zero() || fit == 0 {
            return Err(OutOfTime::NoTime);
        }
        if (rows as u128) <= fit {
            return Ok(());
        }
        // Half of what fits: the next environment may be slower.
        let most = u64::try_from(fit / 2).unwrap_or(u64::MAX).max(1);
        Err(OutOfTime::TooManyRows { rows, most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_cannot_finish_is_refused() {
        let estimate = Estimate::default();
        let deadline = Instant::now() + Duration::from_hours(1);
        assert!(
            estimate.check(usize::MAX, deadline).is_ok(),
            "nothing is known yet"
        );
        estimate.learn(10, Duration::from_secs(100));
        assert!(estimate.check(300, deadline).is_ok());
        match estimate.check(400, deadline) {
            Err(OutOfTime::TooManyRows { rows: 400, most }) => assert!((1..=180).contains(&most)),
            other => panic!("{other:?}"),
        }
        assert_eq!(
            estimate.check(1, Instant::now() + Duration::from_secs(5)),
            Err(OutOfTime::NoTime)
        );
        assert_eq!(estimate.check(1, Instant::now()), Err(OutOfTime::NoTime));
    }
}
