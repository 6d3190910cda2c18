//! What a load test found.

use super::Seen;
use crate::terminal::{facts, seconds, significant};
use anyhow::{Result, bail};
use std::fmt;
use std::time::Duration;

/// Examples of failures that are shown.
const SHOWN: usize = 5;

/// The result of a run.
pub(super) struct LoadOutcome {
    seen: Seen,
    time: Duration,
    clients: usize,
    tenants: usize,
}

impl LoadOutcome {
    pub(super) fn new(mut seen: Seen, time: Duration, clients: usize, tenants: usize) -> Self {
        seen.latencies.sort();
        Self {
            seen,
            time,
            clients,
            tenants,
        }
    }

    /// Fails if an answer was lost or wrong.
    pub(super) fn verdict(&self) -> Result<()> {
        let (lost, wrong) = (self.seen.lost.len(), self.seen.wrong.len());
        if lost + wrong > 0 {
            let first = self.seen.lost.first().or(self.seen.wrong.first());
            bail!(
                "{lost} predictions were lost and {wrong} were wrong; the first: {}",
                first.map_or("", String::as_str)
            );
        }
        Ok(())
    }

    /// The latency that a part of the predictions stays below.
    fn percentile(&self, part: f64) -> f64 {
        let last = self.seen.latencies.len().saturating_sub(1);
        let index = (part * last as f64).round() as usize;
        self.seen
            .latencies
            .get(index)
            .map_or(0.0, Duration::as_secs_f64)
    }

    fn rate(&self) -> f64 {
        self.seen.latencies.len() as f64 / self.time.as_secs_f64()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "answered": self.seen.latencies.len(),
            "lost": self.seen.lost.len(),
            "wrong": self.seen.wrong.len(),
            "examples": self.seen.lost.iter().chain(&self.seen.wrong).take(SHOWN).collect::<Vec<_>>(),
            "clients": self.clients,
            "tenants": self.tenants,
            "seconds": self.time.as_secs_f64(),
            "predictions_a_second": self.rate(),
            "latency_seconds": { "p50": self.percentile(0.5), "p90": self.percentile(0.9), "p99": self.percentile(0.99), "max": self.percentile(1.0) },
        })
    }
}

impl fmt::Display for LoadOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percentiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];
        let latency =
            percentiles.map(|(name, part)| format!("{name} {}", seconds(self.percentile(part))));
        f.write_str(&facts([
            (
                "predictions",
                format!(
                    "{} answered, {} lost, {} wrong",
                    self.seen.latencies.len(),
                    self.seen.lost.len(),
                    self.seen.wrong.len()
                ),
            ),
            (
                "callers",
                format!("{} clients of {} tenants", self.clients, self.tenants),
            ),
            ("rate", format!("{} a second", significant(self.rate()))),
            ("latency", latency.join(", ")),
        ]))
    }
}
