//! How long work takes in this environment, so that what cannot finish in time is refused before it
//! starts.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time kept for everything after the evaluation, and for the first ciphertext that is packed, when
/// nothing is known of a key switch: its 2,048 take some 60 ms on one core.
const MARGIN: Duration = Duration::from_millis(500);

/// Rows that are evaluated before the clock is looked at again.
const WAVE: usize = 32;

/// What is to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Rows to evaluate.
    pub rows: usize,
    /// Key switches to pack their results with.
    pub key_switches: usize,
}

/// How long a row takes, and a key switch of packing.
#[derive(Debug, Default)]
pub struct Estimate {
    row: Average,
    key_switch: Average,
}

/// Nanoseconds of one, many in parallel: a moving average of what was measured, 0 before that.
#[derive(Debug, Default)]
struct Average(AtomicU64);

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

impl Average {
    fn learn(&self, count: usize, time: Duration) {
        let measured = u64::try_from(time.as_nanos() / count.max(1) as u128)
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

    fn of(&self, count: usize) -> u128 {
        u128::from(self.0.load(Ordering::Relaxed)) * count as u128
    }
}

impl Estimate {
    /// Rows to evaluate before the clock is looked at again: while nothing is known of a row, one a
    /// thread. More could pass the deadline, end the environment, and leave the next one as
    /// ignorant.
    fn wave(&self) -> usize {
        match self.row.of(1) {
            0 => rayon::current_num_threads(),
            _ => WAVE,
        }
    }

    /// Refuses work that will not be done before the deadline.
    pub fn check(&self, work: Work, deadline: Instant) -> Result<(), OutOfTime> {
        let left = deadline
            .saturating_duration_since(Instant::now())
            .saturating_sub(MARGIN)
            .as_nanos();
        let needed = self.row.of(work.rows) + self.key_switch.of(work.key_switches);
        if left > 0 && needed <= left {
            return Ok(());
        }
        let fit = (left * work.rows as u128).checked_div(needed).unwrap_or(0);
        if fit == 0 {
            return Err(OutOfTime::NoTime);
        }
        // Half of what fits: the next environment may be slower.
        let most = u64::try_from(fit / 2).unwrap_or(u64::MAX).max(1);
        Err(OutOfTime::TooManyRows {
            rows: work.rows,
            most,
        })
    }
}

/// Who looks at the clock before each piece of work.
pub(crate) trait Clock {
    /// Why a piece is not done.
    type Late;
    /// Rows to evaluate at once, at least 1.
    fn wave(&self) -> usize;
    /// Evaluates some rows.
    fn rows<T>(&mut self, rows: usize, work: impl FnOnce() -> T) -> Result<T, Self::Late>;
    /// Whether results that take so many key switches may be packed now: once begun, a block is.
    fn block(&self, key_switches: usize) -> Result<(), Self::Late>;
    /// Packs results of one ciphertext.
    fn packing<T>(
        &mut self,
        key_switches: usize,
        work: impl FnOnce() -> T,
    ) -> Result<T, Self::Late>;
}

/// Nobody.
pub(crate) struct Untimed;

impl Clock for Untimed {
    type Late = Infallible;

    fn wave(&self) -> usize {
        WAVE
    }

    fn rows<T>(&mut self, _: usize, work: impl FnOnce() -> T) -> Result<T, Infallible> {
        Ok(work())
    }

    fn block(&self, _: usize) -> Result<(), Infallible> {
        Ok(())
    }

    fn packing<T>(&mut self, _: usize, work: impl FnOnce() -> T) -> Result<T, Infallible> {
        Ok(work())
    }
}

/// An estimate that refuses what cannot be done, and learns from what is.
pub(crate) struct Timed<'a> {
    pub(crate) estimate: &'a Estimate,
    pub(crate) deadline: Instant,
    /// Rows of the whole query.
    pub(crate) rows: usize,
    /// What is left to do.
    pub(crate) left: Work,
}

impl Clock for Timed<'_> {
    type Late = OutOfTime;

    fn wave(&self) -> usize {
        self.estimate.wave()
    }

    fn rows<T>(&mut self, rows: usize, work: impl FnOnce() -> T) -> Result<T, OutOfTime> {
        self.estimate.check(self.left, self.deadline)?;
        let start = Instant::now();
        let done = work();
        self.estimate.row.learn(rows, start.elapsed());
        self.left.rows = self.left.rows.saturating_sub(rows);
        Ok(done)
    }

    /// Each ciphertext is a decision of its own.
    fn block(&self, _: usize) -> Result<(), OutOfTime> {
        Ok(())
    }

    fn packing<T>(
        &mut self,
        key_switches: usize,
        work: impl FnOnce() -> T,
    ) -> Result<T, OutOfTime> {
        let in_time = self.estimate.check(self.left, self.deadline);
        // All rows may be evaluated by now: fewer would have left time to pack them.
        in_time.map_err(|late| match self.rows {
            0 | 1 => late,
            rows => OutOfTime::TooManyRows {
                rows,
                most: rows as u64 / 2,
            },
        })?;
        let start = Instant::now();
        let done = work();
        self.estimate
            .key_switch
            .learn(key_switches, start.elapsed());
        self.left.key_switches = self.left.key_switches.saturating_sub(key_switches);
        Ok(done)
    }
}

/// When work that can go on later is to stop: after `pause` once some rows are done, and before what
/// would not be over at `end`.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// No more rows after this, but some.
    pub pause: Instant,
    /// Nothing may take longer.
    pub end: Instant,
}

/// An estimate that keeps work to a stretch, and learns from what is done.
pub(crate) struct Paced<'a> {
    pub(crate) estimate: &'a Estimate,
    pub(crate) stretch: Stretch,
    /// Whether some rows are done.
    pub(crate) moved: bool,
}

/// The stretch is over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Over;

impl Paced<'_> {
    /// Whether what takes so long is over at the end.
    fn fits(&self, nanoseconds: u128) -> Result<(), Over> {
        let left = self.stretch.end.saturating_duration_since(Instant::now());
        if left.is_zero() || left.as_nanos() < nanoseconds {
            Err(Over)
        } else {
            Ok(())
        }
    }
}

impl Clock for Paced<'_> {
    type Late = Over;

    /// No more rows than are done by the pause, but one a thread.
    fn wave(&self) -> usize {
        let most = self.estimate.wave();
        let pause = self.stretch.pause.min(self.stretch.end);
        let left = pause.saturating_duration_since(Instant::now());
        let fit = left.as_nanos().checked_div(self.estimate.row.of(1));
        let fit = fit.map_or(most, |rows| usize::try_from(rows).unwrap_or(most));
        fit.clamp(rayon::current_num_threads().min(most), most)
    }

    fn rows<T>(&mut self, rows: usize, work: impl FnOnce() -> T) -> Result<T, Over> {
        if self.moved && Instant::now() >= self.stretch.pause {
            return Err(Over);
        }
        self.fits(self.estimate.row.of(rows))?;
        let start = Instant::now();
        let done = work();
        self.estimate.row.learn(rows, start.elapsed());
        self.moved = true;
        Ok(done)
    }

    /// Not paused before: results take more room than what they are packed into.
    fn block(&self, key_switches: usize) -> Result<(), Over> {
        self.fits(self.estimate.key_switch.of(key_switches))
    }

    fn packing<T>(&mut self, key_switches: usize, work: impl FnOnce() -> T) -> Result<T, Over> {
        let start = Instant::now();
        let done = work();
        self.estimate
            .key_switch
            .learn(key_switches, start.elapsed());
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn rows(rows: usize) -> Work {
        Work {
            rows,
            key_switches: 0,
        }
    }

    #[test]
    fn work_that_cannot_finish_is_refused() {
        let estimate = Estimate::default();
        let deadline = Instant::now() + Duration::from_hours(1);
        assert!(
            estimate.check(rows(usize::MAX), deadline).is_ok(),
            "nothing is known yet"
        );
        estimate.row.learn(10, Duration::from_secs(100));
        assert!(estimate.check(rows(300), deadline).is_ok());
        match estimate.check(rows(400), deadline) {
            Err(OutOfTime::TooManyRows { rows: 400, most }) => assert!((1..=180).contains(&most)),
            other => panic!("{other:?}"),
        }
        let soon = Instant::now() + Duration::from_secs(5);
        assert_eq!(estimate.check(rows(1), soon), Err(OutOfTime::NoTime));
        assert_eq!(
            estimate.check(rows(1), Instant::now()),
            Err(OutOfTime::NoTime)
        );
    }

    /// A row of 10 s on one thread, in an environment that has seen none: the rest is refused after
    /// the first row, and the next query before it.
    #[test]
    fn the_first_wave_measures_a_row_a_thread() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build();
        pool.unwrap().install(|| {
            let estimate = Estimate::default();
            let mut clock = Timed {
                estimate: &estimate,
                deadline: Instant::now() + Duration::from_secs(29),
                rows: 32,
                left: rows(32),
            };
            assert_eq!(clock.wave(), 3);
            assert_eq!(clock.rows(3, || ()), Ok(()), "nothing is known yet");
            assert_eq!(clock.wave(), WAVE);
            estimate.row.0.store(10_000_000_000, Ordering::Relaxed);
            let late = Err(OutOfTime::TooManyRows { rows: 29, most: 1 });
            assert_eq!(clock.rows(WAVE, || ()), late);
        });
    }

    /// The first ciphertext measures a key switch; the rest of a block that takes 10 s for each is
    /// refused before it, though all rows are evaluated.
    #[test]
    fn packing_is_timed_from_its_first_ciphertext_on() {
        let estimate = Estimate::default();
        let mut clock = Timed {
            estimate: &estimate,
            deadline: Instant::now() + Duration::from_secs(29),
            rows: 8,
            left: Work {
                rows: 0,
                key_switches: 8,
            },
        };
        assert_eq!(clock.packing(2, || ()), Ok(()), "nothing is known yet");
        assert_eq!(clock.left.key_switches, 6);
        estimate.key_switch.0.store(1, Ordering::Relaxed);
        assert_eq!(clock.packing(2, || ()), Ok(()), "there is time");
        estimate
            .key_switch
            .0
            .store(10_000_000_000, Ordering::Relaxed);
        let late = Err(OutOfTime::TooManyRows { rows: 8, most: 4 });
        assert_eq!(clock.packing(2, || ()), late);
        clock.rows = 1;
        assert_eq!(clock.packing(2, || ()), Err(OutOfTime::NoTime));
    }

    #[test]
    fn packing_takes_time_too() {
        let estimate = Estimate::default();
        let deadline = Instant::now() + Duration::from_hours(1);
        let work = Work {
            rows: 100,
            key_switches: 110,
        };
        estimate.row.learn(10, Duration::from_secs(100));
        assert!(estimate.check(work, deadline).is_ok());
        estimate.key_switch.learn(1, Duration::from_secs(30));
        // 4,300 s of 3,600: half of 83 rows.
        assert_eq!(
            estimate.check(work, deadline),
            Err(OutOfTime::TooManyRows {
                rows: 100,
                most: 41
            })
        );
    }

    #[test]
    fn a_stretch_ends_at_its_pause_and_before_what_would_pass_its_end() {
        let estimate = Estimate::default();
        let now = Instant::now();
        let stretch = |pause, end| Stretch {
            pause: now + Duration::from_secs(pause),
            end: now + Duration::from_secs(end),
        };
        let mut clock = Paced {
            estimate: &estimate,
            stretch: stretch(0, 3600),
            moved: false,
        };
        assert_eq!(clock.rows(1, || ()), Ok(()), "something is done first");
        assert_eq!(clock.rows(1, || ()), Err(Over));
        assert_eq!(clock.block(1), Ok(()), "they are packed with the rows");
        // Rows of 10 s: two until the pause, none that the end would cut off.
        clock.stretch = stretch(25, 3600);
        estimate.row.0.store(10_000_000_000, Ordering::Relaxed);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        assert_eq!(pool.unwrap().install(|| clock.wave()), 2);
        clock.stretch = stretch(25, 15);
        assert_eq!(clock.rows(2, || ()), Err(Over));
        assert_eq!(clock.rows(1, || ()), Ok(()));
        clock.stretch = stretch(25, 0);
        clock.moved = false;
        assert_eq!(clock.rows(1, || ()), Err(Over), "not even the first one");
        assert_eq!(clock.block(1), Err(Over));
    }
}
