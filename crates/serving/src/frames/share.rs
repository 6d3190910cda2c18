//! Queries that invocations share.

use super::{Demand, PreparedQuery};
use cipherfn_protocol::api::frames::{MAX_QUERY_PARTS, ROWS_TOGETHER};

/// Seconds of a core that a part of a query should take.
const PART_SECONDS: f64 = 60.0;
/// More bits than any column has: only what is exact is worth as much.
const EXACT_BITS: f64 = 1024.0;

impl Demand {
    /// As a number, which documents have.
    pub const fn bits(self) -> f64 {
        match self {
            Self::Exact => EXACT_BITS,
            Self::Bits(bits) => bits,
        }
    }
}

impl PreparedQuery {
    /// Rows that one invocation evaluates in about a minute, but so many that no more than may share the
    /// query.
    pub fn rows_a_part(&self) -> u64 {
        let passes = self.passes.passes.iter().zip(&self.figures);
        let rows: u64 = passes
            .clone()
            .map(|(pass, _)| self.rows_of(pass) as u64)
            .sum();
        let slowest = passes
            .map(|(pass, figures)| figures.seconds / self.rows_of(pass).max(1) as f64)
            .fold(f64::MIN_POSITIVE, f64::max);
        let minute = (PART_SECONDS / slowest) as u64;
        let parts = (MAX_QUERY_PARTS - self.figures.len().min(MAX_QUERY_PARTS - 1)) as u64;
        let least = rows.div_ceil(parts);
        minute
            .clamp(least.max(1), u64::from(u32::MAX).max(least))
            .next_multiple_of(ROWS_TOGETHER)
    }
}
