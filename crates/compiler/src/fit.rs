//! What a row of a compiled model takes of a function, and what that misses.

use serde::{Deserialize, Serialize};

mod demand;
mod parts;
#[cfg(test)]
mod tests;

pub use crate::options::{FitOptions, Limits, ParseLimitsError};
pub(crate) use demand::stretch;
pub use demand::{Demand, streaming};
pub use parts::InParts;

/// How many times what there is a row takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Excess {
    pub(crate) memory: f64,
    pub(crate) seconds: f64,
    pub(crate) bytes: f64,
}

impl Excess {
    /// The limit that is missed most.
    pub(crate) fn largest(self) -> f64 {
        self.memory.max(self.seconds).max(self.bytes)
    }
}

impl Excess {
    /// How many times what there is by `limits` a row takes.
    pub(crate) fn of(demand: &Demand, limits: &Limits) -> Self {
        let bytes = demand.query_bytes.max(demand.reply_bytes);
        Self {
            memory: demand.memory as f64 / limits.memory as f64,
            seconds: demand.seconds / limits.seconds,
            bytes: bytes as f64 / limits.bytes as f64,
        }
    }
}

impl Demand {
    /// The limits that a row misses.
    pub(crate) fn missed(&self, limits: &Limits) -> Vec<Limit> {
        let missed = [
            (Limit::Memory, self.memory > limits.memory),
            (Limit::Time, self.seconds > limits.seconds),
            (Limit::Query, self.query_bytes > limits.bytes),
            (Limit::Reply, self.reply_bytes > limits.bytes),
        ];
        let missed = missed.into_iter().filter(|(_, missed)| *missed);
        missed.map(|(limit, _)| limit).collect()
    }
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Memory of the function.
    Memory,
    /// Seconds a row.
    Time,
    /// Bytes of a request.
    Query,
    /// Bytes of a reply.
    Reply,
}
