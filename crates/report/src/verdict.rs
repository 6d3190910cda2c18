//! What a compile report means for whoever deploys the model: a few lines with a mark each, and
//! what would help where one is bad.
//!
//! Sizes are the report's; time and memory are those of [`crate::demands`], which are said beside it.
//! Limits are those of the service's HTTP API and of the function as `template.yaml` sizes it.

use crate::demands::Demands;
use crate::quantity;
use cipherfn_compiler::Report;
use cipherfn_compiler::fit::{Demand, Limits};
use cipherfn_compiler::report::LayerReport;
use cipherfn_protocol::api::{MAX_REPLY, MAX_REQUEST};

mod dollars;

pub(crate) use dollars::dollars_a_million;

#[cfg(test)]
mod tests;

/// A row that takes longer, in milliseconds, is slow.
const SLOW: f64 = 1000.0;
/// A query row of more bytes is large.
const LARGE: f64 = 1e6;

/// Whether something is as one would want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
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
    pub const fn sign(self) -> char {
        match self {
            Self::Good => '✓',
            Self::Fair => '!',
            Self::Bad => '✗',
        }
    }
}

/// One statement of a verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// How good it is.
    pub mark: Mark,
    /// What it is about.
    pub name: &'static str,
    /// What is the case.
    pub value: String,
}

/// The verdict on a compiled model.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// A line a matter.
    pub lines: Vec<Line>,
    /// What would help, with its predicted effect; empty where nothing has to change.
    pub advice: Vec<String>,
}

impl Verdict {
    /// On the model of this report, of which a row takes `demands`.
    pub fn of(report: &Report, demands: &Demands) -> Self {
        let milliseconds = demands.usual.seconds * 1000.0;
        let (query, reply) = (report.sizes.query_row, report.sizes.reply_row);
        let rows = rows_a_request(report, &demands.usual);
        let total = |rows| -> f64 {
            dollars_a_million(report, demands.usual.seconds, rows)
                .iter()
                .map(|part| part.1)
                .sum()
        };
        let one = total(1.0);
        let mut dollars = format!(
            "${} a million rows, one a request",
            quantity::significant(one)
        );
        if rows >= 2.0 {
            let many = quantity::significant(total(rows));
            dollars = format!("{dollars}; ${many} in requests of {rows:.0}");
        }
        let mut lines = vec![
            fidelity(report),
            Line {
                mark: Mark::of(milliseconds, SLOW / 3.0, SLOW),
                name: "time",
                value: format!(
                    "{} a row on one thread, predicted{}",
                    quantity::seconds(milliseconds / 1000.0),
                    on_more_vcpus(report, demands.usual.seconds)
                ),
            },
            Line {
                mark: Mark::of(query as f64, LARGE / 5.0, LARGE),
                name: "bytes",
                value: format!(
                    "query {}, reply {} a row{}",
                    quantity::bytes(query as u64),
                    quantity::bytes(reply as u64),
                    report
                        .sizes
                        .shared
                        .map_or_else(String::new, |shared| format!(
                            "; {} and {} among many",
                            quantity::bytes(shared.query_row as u64),
                            quantity::bytes(shared.reply_row as u64)
                        ))
                ),
            },
        ];
        lines.extend(report.work.counts.map(|_| memory(demands)));
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
            || demands.alone.memory > Limits::LAMBDA.memory;
        Self {
            lines,
            advice: if over {
                advice(report, query as f64 > LARGE)
            } else {
                Vec::new()
            },
        }
    }

    /// For a terminal: the model, the lines, what would help.
    pub fn text(&self, report: &Report) -> String {
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

/// A row's time on several vCPUs, which takes so many seconds on one.
fn on_more_vcpus(report: &Report, seconds: f64) -> String {
    let work = &report.work;
    let one = work.predicted_microseconds.get();
    let several = work.on_vcpus.iter().filter(|own| own.vcpus > 1);
    let several = several.map(|own| {
        let seconds = seconds * own.microseconds.get() / one;
        format!("{} on {}", quantity::seconds(seconds), own.vcpus)
    });
    let several: Vec<String> = several.collect();
    if several.is_empty() {
        String::new()
    } else {
        format!("; with more vCPUs {}", several.join(", "))
    }
}

/// What a row takes of the function's memory.
fn memory(demands: &Demands) -> Line {
    let usual = Limits::LAMBDA.memory;
    let [own, least, whole] =
        [usual, demands.usual.memory, demands.alone.memory].map(|bytes| bytes.div_ceil(1 << 20));
    let value = if least > own {
        format!("a row needs a function of at least {least} MB; usual are {own} MB")
    } else if whole > own {
        format!(
            "all of a row's selectors fit a function of {whole} MB, half of which is for rows; with the \
             usual {own} MB they are expanded again and again, in more time"
        )
    } else {
        format!(
            "all of a row's selectors fit a function of {whole} MB, half of which is for rows; usual are \
             {own} MB"
        )
    };
    let (whole, usual) = (demands.alone.memory as f64, usual as f64);
    Line {
        mark: Mark::of(whole, usual / 2.0, usual),
        name: "memory",
        value,
    }
}

/// Rows of one request within its bytes, its answer's bytes and its time on one vCPU.
pub(crate) fn rows_a_request(report: &Report, usual: &Demand) -> f64 {
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
        .min(Limits::LAMBDA.seconds / usual.seconds)
        .floor()
}

/// What makes a row faster or smaller, with the effect that is predicted for it. `large`: whether it is
/// the query that is too large.
fn advice(report: &Report, large: bool) -> Vec<String> {
    let packed = (large && report.security.profile == "keyless").then(|| {
        "--profile balanced: selectors travel packed, some hundred in 10 KB, and the server needs an \
         evaluation key of 1.3 MB"
            .to_owned()
    });
    let Some(trees) = report.model.trees else {
        let features = "fewer features: bytes fall with them".to_owned();
        return packed
            .into_iter()
            .chain(rougher_scores(report))
            .chain(fewer_functions(report))
            .chain([features])
            .collect();
    };
    let found = [
        packed,
        fewer_decimals(report),
        coarser_grid(report),
        less_precision(report),
    ];
    let mut found: Vec<_> = found.into_iter().flatten().collect();
    found.push(format!(
        "fewer or smaller trees in training: time and bytes fall with the nodes, {} now; with half of \
         them the time falls to about {}",
        trees.nodes,
        quantity::seconds(report.work.predicted_microseconds.get() / 2e6)
    ));
    found
}

/// Whether it is less by a tenth at least: what saves less is no help.
fn is_clearly_less(then: usize, now: usize) -> bool {
    10 * then <= 9 * now
}

/// Decimals that calibration rows have, if they make split points one.
fn fewer_decimals(report: &Report) -> Option<String> {
    let (now, then) = report.features.with_decimals?;
    is_clearly_less(then, now).then(|| {
        format!(
            "--decimals auto: {then} split points in place of {now}, exactly the same labels, as \
             calibration rows have few decimals; time, memory and bytes fall with them, and rows with \
             more decimals are refused"
        )
    })
}

/// Less exact scores of a model that has functions, where they are better than has to be.
fn rougher_scores(report: &Report) -> Option<String> {
    let errors = report.layers.iter().map(|layer| layer.error);
    let error = errors.reduce(f64::max)?;
    (error < 0.01).then(|| {
        format!(
            "--max-error 2, where labels are all that counts: scores may be off by 2 % of their range \
             (root mean square), now {:.2} %, and the cheapest circuit within that is taken",
            100.0 * error
        )
    })
}

/// What takes most of the time of a model that has functions.
fn fewer_functions(report: &Report) -> Option<String> {
    let functions: usize = report.layers.iter().map(LayerReport::functions).sum();
    (functions > 0).then(|| {
        format!(
            "fewer hidden values, filters or support vectors in training: time falls with the \
             functions, {functions} now, and with the features that each of them reads"
        )
    })
}

/// A grid whose thresholds are fewer than the selectors now.
fn coarser_grid(report: &Report) -> Option<String> {
    let now = report.work.counts?.selectors;
    let bits = if report.features.mode.starts_with("exact") {
        6
    } else {
        4
    };
    let most = ((1 << bits) - 1) * report.features.encoded.len() as u32;
    is_clearly_less(most as usize, now as usize).then(|| {
        format!(
            "--features grid:{bits}: at most {most} selectors in place of {now}, so bytes and \
             memory fall by up to {:.0} %, time mostly less; labels of rows near a threshold change, \
             and too many of them are refused (then a bit more, or --min-agreement)",
            100.0 * (1.0 - f64::from(most) / f64::from(now))
        )
    })
}

/// The gadget that is one cheaper, and what it gives.
fn less_precision(report: &Report) -> Option<String> {
    let least = 4.0;
    let cheaper = report.work.alternatives.iter().filter(|other| {
        other.bits >= least
            && other.bits < report.precision.guaranteed_bits
            && other.microseconds.get() < report.work.predicted_microseconds.get()
    });
    let next = cheaper.max_by(|a, b| a.bits.total_cmp(&b.bits))?;
    Some(format!(
        "--precision {:.1} or less: about {} and a query of {} a row, in place of {} and {}",
        (next.bits * 10.0).floor() / 10.0,
        quantity::seconds(next.microseconds.get() / 1e6),
        quantity::bytes(next.query_row as u64),
        quantity::seconds(report.work.predicted_microseconds.get() / 1e6),
        quantity::bytes(report.sizes.query_row as u64),
    ))
}
