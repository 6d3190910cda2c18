//! How long a row takes in this environment, so that work which cannot finish in time is refused
//! before it starts.

use cipherfn_protocol::api::{Problem, ProblemType};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time kept for everything after the evaluation.
const MARGIN: Duration = Duration::from_millis(500);

/// Nanoseconds a row, rows in parallel: a moving average of what was measured, 0 before that.
#[derive(Debug, Default)]
pub(crate) struct Estimate(AtomicU64);

impl Estimate {
    /// Learns from `rows` that took `time` together.
    pub(crate) fn learn(&self, rows: usize, time: Duration) {
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
    pub(crate) fn check(&self, rows: usize, deadline: Instant) -> Result<(), Problem> {
        let left = deadline
            .saturating_duration_since(Instant::now())
            .saturating_sub(MARGIN);
        let a_row = self.0.load(Ordering::Relaxed);
        let fit = left
            .as_nanos()
            .checked_div(u128::from(a_row))
            .unwrap_or(u128::MAX);
        if left.is_zero() || fit == 0 {
            return Err(Problem::new(
                ProblemType::OutOfTime,
                "too little time is left for a row; try again, or raise the function's timeout",
            ));
        }
        if (rows as u128) <= fit {
            return Ok(());
        }
        // Half of what fits: the next environment may be slower.
        let most = u64::try_from(fit / 2).unwrap_or(u64::MAX).max(1);
        let mut problem = Problem::new(
            ProblemType::TooManyRows,
            format!(
                "{rows} rows cannot be answered in the time that is left; send at most {most} at a time"
            ),
        );
        problem.most_rows = Some(most);
        Err(problem)
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
        let problem = estimate.check(400, deadline).unwrap_err();
        assert_eq!(problem.kind, ProblemType::TooManyRows);
        assert!((1..=180).contains(&problem.most_rows.unwrap()));
        let problem = estimate
            .check(1, Instant::now() + Duration::from_secs(5))
            .unwrap_err();
        assert_eq!(problem.kind, ProblemType::OutOfTime);
        assert_eq!(
            estimate.check(1, Instant::now()).unwrap_err().kind,
            ProblemType::OutOfTime
        );
    }
}
