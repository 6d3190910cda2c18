//! What a compile report means for whoever deploys the model: a few lines with a mark each, and
//! what would help where one is bad.
//!
//! Time and sizes are the report's. Limits are those of the service's HTTP API and of the function
//! as `template.yaml` sizes it; prices are those of `infra/prices.json`, summed as `infra/cost`
//! does.

use crate::terminal;
use cipherfn_compiler::Report;
use cipherfn_protocol::api::{MAX_REPLY, MAX_REQUEST};
use cipherfn_scheme::parameters::ParameterSet;

#[cfg(test)]
mod tests;

/// Memory of `infer` unless the template's parameter says otherwise, in MB: one vCPU.
const FUNCTION_MB: f64 = 1769.0;
/// Milliseconds that a request may take.
const TIMEOUT: f64 = 29_000.0;
/// A row that takes longer, in milliseconds, is slow.
const SLOW: f64 = 1000.0;
/// A query row of more bytes is large.
const LARGE: f64 = 1e6;

/// Whether something is as one would want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mark {
    /// It is.
    Good,
    /// Worth a look.
    Fair,
    /// Something has to change.
    Bad,
}

impl Mark {
    /// `Bad` above `bad`, `Fair` above `fair`.
    fn of(value: f64, fair: f64, bad: f64) -> Self {
        match value {
            value if value > bad => Self::Bad,
            value if value > fair => Self::Fair,
            _ => Self::Good,
        }
    }

    /// One character.
    pub(crate) const fn sign(self) -> char {
        match self {
            Self::Good => '✓',
            Self::Fair => '!',
            Self::Bad => '✗',
        }
    }
}

/// One statement of a verdict.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) mark: Mark,
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

/// The verdict on a compiled model.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) lines: Vec<Line>,
    /// What would help, with its predicted effect; empty where nothing has to change.
    pub(crate) advice: Vec<String>,
}

impl Verdict {
    /// On the model of this report.
    pub(crate) fn of(report: &Report) -> Self {
        let milliseconds = report.work.predicted_microseconds / 1000.0;
        let (query, reply) = (report.sizes.query_row, report.sizes.reply_row);
        let memory = selector_bytes(report);
        let rows = rows_a_request(report);
        let total = |rows| -> f64 {
            dollars_a_million(report, rows)
                .iter()
                .map(|part| part.1)
                .sum()
        };
        let one = total(1.0);
        let mut dollars = format!(
            "${} a million rows, one a request",
            terminal::significant(one)
        );
        if rows >= 2.0 {
            let many = terminal::significant(total(rows));
            dollars = format!("{dollars}; ${many} in requests of {rows:.0}");
        }
        let mut lines = vec![
            fidelity(report),
            Line {
                mark: Mark::of(milliseconds, SLOW / 3.0, SLOW),
                name: "time",
                value: format!(
                    "{} a row, predicted, one thread",
                    terminal::seconds(milliseconds / 1000.0)
                ),
            },
            Line {
                mark: Mark::of(query as f64, LARGE / 5.0, LARGE),
                name: "bytes",
                value: format!(
                    "query {}, reply {} a row{}",
                    terminal::bytes(query as u64),
                    terminal::bytes(reply as u64),
                    report
                        .sizes
                        .shared
                        .map_or_else(String::new, |shared| format!(
                            "; {} and {} among many",
                            terminal::bytes(shared.query_row as u64),
                            terminal::bytes(shared.reply_row as u64)
                        ))
                ),
            },
        ];
        lines.extend(memory.map(|bytes| Line {
            mark: Mark::of(bytes / 1e6, FUNCTION_MB / 4.0, FUNCTION_MB),
            name: "memory",
            value: format!(
                "{} for a row's selectors; the function has {FUNCTION_MB:.0} MB",
                terminal::bytes(bytes as u64)
            ),
        }));
        lines.push(Line {
            mark: Mark::of(one, 10.0, 100.0),
            name: "cost",
            value: dollars,
        });
        lines.push(Line {
            mark: Mark::of(1.0 / rows.max(0.5), 0.11, 1.5),
            name: "rows",
            value: if rows >= 1.0 {
                format!("up to {rows:.0} a request (4 MiB, 29 s)")
            } else {
                "not even one fits a request (4 MiB, 29 s)".to_owned()
            },
        });
        let over = milliseconds > SLOW
            || query as f64 > LARGE
            || memory.is_some_and(|bytes| bytes / 1e6 > FUNCTION_MB);
        Self {
            lines,
            advice: if over { advice(report) } else { Vec::new() },
        }
    }

    /// For a terminal: the model, the lines, what would help.
    pub(crate) fn text(&self, report: &Report) -> String {
        let model = &report.model;
        let mut lines = vec![format!("{} ({}, {})", model.name, model.family, model.task)];
        if let Some(trees) = model.trees {
            lines[0] = format!(
                "{}: {} trees, {} nodes, {} features",
                lines[0], trees.trees, trees.nodes, model.features
            );
        }
        lines.extend(
            self.lines
                .iter()
                .map(|line| format!("{} {:<10}{}", line.mark.sign(), line.name, line.value)),
        );
        if !self.advice.is_empty() {
            lines.push("What would help:".to_owned());
            lines.extend(self.advice.iter().map(|advice| format!("  {advice}")));
        }
        lines.join("\n")
    }
}

/// How well labels and scores of the calibration rows survive.
fn fidelity(report: &Report) -> Line {
    let agreement = report.agreement;
    let (equal, what) = if agreement.has_labels {
        (agreement.labels_equal, "labels as the model's")
    } else {
        (agreement.within_precision, "scores within the precision")
    };
    let lost = agreement.rows.saturating_sub(equal) as f64 / agreement.rows.max(1) as f64;
    let mut value = format!(
        "{equal} of {} {what}, scores to {:.1} bits",
        agreement.rows, report.precision.guaranteed_bits
    );
    if let Some(rows) = report.expected_rows {
        value = format!("{value}; the library's own predictions on {rows} rows");
    }
    Line {
        mark: Mark::of(lost, 0.0, 0.01),
        name: "fidelity",
        value,
    }
}

/// Bytes of a row's selectors as the engine holds them: GGSW ciphertexts of (k + 1)^2 transformed
/// polynomials a level, N/2 complex numbers each. None for models without selectors.
fn selector_bytes(report: &Report) -> Option<f64> {
    let (work, gadget) = (report.work.counts?, report.work.gadget?);
    let ring = &ParameterSet::by_name(&report.security.parameter_set)
        .ok()?
        .ring;
    let polynomials = (ring.glwe_dimension + 1).pow(2) as f64;
    let level = polynomials * ring.polynomial_size as f64 / 2.0 * 16.0;
    Some(f64::from(work.selectors) * f64::from(gadget.levels) * level)
}

/// Rows of one request within its bytes, its answer's bytes and its time on one vCPU.
pub(crate) fn rows_a_request(report: &Report) -> f64 {
    let sizes = report.sizes;
    let (query, reply) = sizes
        .shared
        .map_or((sizes.query_row, sizes.reply_row), |it| {
            (it.query_row, it.reply_row)
        });
    let fits = |limit: usize, bytes: usize| limit as f64 / bytes.max(1) as f64;
    if sizes.query_row > MAX_REQUEST {
        return 0.0;
    }
    fits(MAX_REQUEST, query)
        .min(fits(MAX_REPLY, reply))
        .min(TIMEOUT * 1000.0 / report.work.predicted_microseconds)
        .floor()
}

/// Dollars for a million rows by part, on `x86_64` with one vCPU: the sum of `infra/cost`, with the
/// assumptions of `infra/measurements.json`.
pub(crate) fn dollars_a_million(report: &Report, rows: f64) -> [(&'static str, f64); 8] {
    let sizes = report.sizes;
    let a_row = |alone: usize, shared: Option<usize>| {
        shared.map_or(alone as f64, |shared| {
            (shared as f64).max(alone as f64 / rows).min(alone as f64)
        })
    };
    let query = rows * a_row(sizes.query_row, sizes.shared.map(|it| it.query_row));
    let reply = rows * a_row(sizes.reply_row, sizes.shared.map(|it| it.reply_row));
    // In millions.
    let requests = 1.0 / rows;
    let warm = (1.0 + (rows * report.work.predicted_microseconds / 1000.0).max(20.0)).ceil();
    let gigabyte_seconds = requests * 1e3 * FUNCTION_MB / 1024.0 * (warm + 0.01 * 250.0);
    let key = sizes.evaluation_key as f64;
    let reads = 2.02 - f64::from(u8::from(sizes.evaluation_key == 0));
    // A key serves ten thousand rows.
    let keys = if sizes.evaluation_key > 0 { 100.0 } else { 0.0 };
    [
        ("Lambda, computing", gigabyte_seconds * 0.000_016_666_7),
        ("Lambda, requests", requests * 0.2),
        (
            "HTTP API",
            requests * (query.max(reply) / 524_288.0).ceil().max(1.0),
        ),
        ("S3, reads", requests * reads * 0.4),
        (
            "transfer of replies",
            requests * (reply + 1000.0) * 1e-3 * 0.09,
        ),
        ("logs", requests * 2.0 * 0.53),
        ("traces", requests * 0.05 * 5.0),
        ("keys", keys * (key * 1e-9 * 0.023 + 25e-6)),
    ]
}

/// What makes a row faster or smaller, with what can be said of the effect without compiling again.
fn advice(report: &Report) -> Vec<String> {
    let mut found = Vec::new();
    let Some(trees) = report.model.trees else {
        return vec!["fewer features: bytes fall with them".to_owned()];
    };
    if report.features.mode.starts_with("exact") {
        let most = 63 * report.features.encoded.len();
        if most < trees.predicates {
            found.push(format!(
                "--features grid:6: at most {most} thresholds in place of {}, so bytes and memory by up to {:.0} times less; labels near a threshold may change",
                trees.predicates,
                trees.predicates as f64 / most as f64
            ));
        }
    }
    if let Some(gadget) = report.work.gadget.filter(|gadget| gadget.levels > 1) {
        let part = 100.0 / f64::from(gadget.levels);
        found.push(format!(
            "--precision {:.0}, which may need {} gadget levels in place of {}: bytes, memory and time by up to {part:.0} % less",
            (report.precision.guaranteed_bits - 3.0).max(4.0).floor(),
            gadget.levels - 1,
            gadget.levels
        ));
    }
    found.push(format!(
        "fewer or smaller trees in training: time falls with the nodes, {} now; half of the trees, half of the time",
        trees.nodes
    ));
    if report.security.profile != "wide" {
        found.push(
            "--profile wide where rows come in batches: they share ciphertexts both ways"
                .to_owned(),
        );
    }
    found
}
