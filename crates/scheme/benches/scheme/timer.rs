//! Seconds a call.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Times operations.
pub(crate) struct Timer {
    /// Each once.
    pub(crate) once: bool,
}

impl Timer {
    /// Seconds a call: the best of ten groups of calls, as other work on the machine only ever adds
    /// time.
    pub(crate) fn time<T>(&self, mut operation: impl FnMut() -> T) -> f64 {
        const GROUP: Duration = Duration::from_millis(50);
        let start = Instant::now();
        black_box(operation());
        let first = start.elapsed().max(Duration::from_nanos(100));
        if self.once {
            return first.as_secs_f64();
        }
        let calls = (GROUP.as_secs_f64() / first.as_secs_f64()).ceil() as u32;
        let group = |_| {
            let start = Instant::now();
            (0..calls).for_each(|_| {
                black_box(operation());
            });
            start.elapsed().as_secs_f64() / f64::from(calls)
        };
        (0..10).map(group).fold(f64::INFINITY, f64::min)
    }
}

pub(crate) fn line(what: &str, seconds: f64, note: &str) {
    println!("  {what:<32} {:>11.2} us  {note}", seconds * 1e6);
}
