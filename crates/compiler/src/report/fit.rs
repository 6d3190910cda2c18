//! The tries of a fit as a table.

use super::{FitReport, Try, TryFacts};
use crate::fit::Limit;
use crate::options::Prefer;
use std::fmt::{self, Display, Formatter};

/// What marks a limit that is missed.
const MISSED: char = '!';

impl Display for FitReport {
    /// The limits, then a line a try.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({MISSED}: more than that)", self.limits)?;
        let heads = [
            "features", "bits", "labels", "time", "memory", "query", "reply", "profile",
        ];
        write_cells(f, "try", &heads.map(str::to_owned))?;
        for (number, attempt) in (1..).zip(&self.tries) {
            attempt.write(f, number)?;
        }
        Ok(())
    }
}

impl Try {
    fn write(&self, f: &mut Formatter<'_>, number: usize) -> fmt::Result {
        let profile = match self.prefer {
            None => self.profile.name().to_owned(),
            Some(prefer) => format!("{}, {}", self.profile.name(), Prefer::name(prefer)),
        };
        let Some(facts) = &self.facts else {
            let asked = match self.precision {
                None => "default".to_owned(),
                Some(bits) => format!("{bits}"),
            };
            write!(f, "\n  {number:<4}{:<9}{asked}, {profile}: ", self.features)?;
            return f.write_str(self.problem.as_deref().unwrap_or("cannot be compiled"));
        };
        let cells = [
            self.features.clone(),
            format!("{:.1}", facts.guaranteed_bits),
            labels(facts),
            facts.marked(Limit::Time, seconds(facts.demand.seconds)),
            facts.marked(
                Limit::Memory,
                format!("{} MB", facts.demand.memory.div_ceil(1 << 20)),
            ),
            facts.marked(Limit::Query, kilobytes(facts.demand.query_bytes)),
            facts.marked(Limit::Reply, kilobytes(facts.demand.reply_bytes)),
            profile,
        ];
        write_cells(f, &number.to_string(), &cells)
    }
}

impl TryFacts {
    fn marked(&self, limit: Limit, mut text: String) -> String {
        if self.missed.contains(&limit) {
            text.push(MISSED);
        }
        text
    }
}

fn write_cells(f: &mut Formatter<'_>, number: &str, cells: &[String; 8]) -> fmt::Result {
    let [features, bits, labels, time, memory, query, reply, profile] = cells;
    write!(
        f,
        "\n  {number:<4}{features:<9}{bits:>5}{labels:>11}{time:>10}{memory:>10}{query:>10}{reply:>10}  {profile}"
    )
}

/// Labels that are kept; for scores alone their largest error.
fn labels(facts: &TryFacts) -> String {
    let agreement = &facts.agreement;
    if agreement.has_labels {
        format!("{}/{}", agreement.labels_equal, agreement.rows)
    } else {
        format!("+-{:.1e}", agreement.largest_error)
    }
}

fn seconds(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", 1000.0 * seconds)
    } else {
        format!("{seconds:.1} s")
    }
}

fn kilobytes(bytes: usize) -> String {
    format!("{:.1} KB", bytes as f64 / 1000.0)
}
