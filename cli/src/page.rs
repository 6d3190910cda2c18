//! A compile report as one HTML page: verdict, pictures, everything else as text. It refers to
//! nothing outside itself.

use crate::terminal;
use crate::verdict::{Mark, Verdict, dollars_a_million};
use cipherfn_compiler::Report;
use std::fmt::Write;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1d2733;--soft:#66727f;--line:#d8dee5;--paper:#fff;--bar:#3b6ea8;--second:#9cb9d8;--good:#1a7f4b;--fair:#a86400;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaef;--soft:#9aa5b1;--line:#3a444f;--paper:#161b21;--bar:#7fb0e6;--second:#3f5f82;--good:#5fd39b;--fair:#f0b35a;--bad:#ff8a80}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:0}h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}p.soft,figcaption{color:var(--soft)}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .8rem .3rem 0;vertical-align:top}tr+tr td{border-top:1px solid var(--line)}
.Good{color:var(--good)}.Fair{color:var(--fair)}.Bad{color:var(--bad)}.mark{font-weight:700;width:1.5rem}
figure{margin:1rem 0}svg{width:100%;height:auto}svg text{fill:var(--ink);font-size:13px}svg text.soft{fill:var(--soft)}
pre{overflow-x:auto;border:1px solid var(--line);border-radius:.4rem;padding:1rem;font-size:13px;white-space:pre-wrap}";

/// Width of a picture and where its bars start and end, in its own units.
const WIDTH: f64 = 760.0;
const LEFT: f64 = 220.0;
const RIGHT: f64 = 560.0;

/// The page.
pub(crate) fn page(report: &Report) -> String {
    let verdict = Verdict::of(report);
    let name = escape(&report.model.name);
    let mut body = format!(
        "<h1>{name}</h1>\n<p class=\"soft\">{}, {}, from {}</p>\n",
        escape(&report.model.family),
        escape(&report.model.task),
        escape(&report.model.producer)
    );
    body.push_str(&verdict_table(&verdict));
    for (title, texts) in [
        ("What would help", &verdict.advice),
        ("Before deploying", &report.warnings),
    ] {
        if !texts.is_empty() {
            let items: Vec<_> = texts
                .iter()
                .map(|text| format!("<li>{}</li>", escape(text)))
                .collect();
            let items = items.concat();
            body.push_str(&section(title, &format!("<ul>{items}</ul>")));
        }
    }
    body.push_str(&section("Cost of a million rows, by stage", &cost(report)));
    body.push_str(&section("Precision", &precision(report)));
    body.push_str(&section("What the client specs reveal", &revealed(report)));
    body.push_str(&section(
        "Everything",
        &format!("<pre>{}</pre>", escape(&report.to_string())),
    ));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{name}: compile report</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

fn section(title: &str, body: &str) -> String {
    format!("<section>\n<h2>{title}</h2>\n{body}\n</section>\n")
}

fn verdict_table(verdict: &Verdict) -> String {
    let rows: Vec<_> = verdict
        .lines
        .iter()
        .map(|line| {
            format!(
                "<tr><td class=\"mark {:?}\">{}</td><th>{}</th><td>{}</td></tr>\n",
                line.mark,
                line.mark.sign(),
                line.name,
                escape(&line.value)
            )
        })
        .collect();
    format!("<table>\n{}</table>\n", rows.concat())
}

/// Bars below each other, each a label, a value with its text, and a class of colour.
fn bars(bars: &[(String, f64, String, &str)], caption: &str) -> String {
    let most = bars
        .iter()
        .map(|bar| bar.1)
        .fold(f64::MIN_POSITIVE, f64::max);
    let mut picture = String::new();
    for (index, (label, value, text, colour)) in bars.iter().enumerate() {
        let y = index as f64 * 22.0;
        let width = (RIGHT - LEFT) * value / most;
        let _ = write!(
            picture,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LEFT:.0}\" y=\"{:.0}\" width=\"{width:.1}\" height=\"14\" rx=\"2\" fill=\"var(--{colour})\"/>\
             <text class=\"soft\" x=\"{:.1}\" y=\"{:.0}\">{}</text>",
            LEFT - 8.0,
            y + 14.0,
            escape(&shortened(label)),
            y + 3.0,
            LEFT + width + 6.0,
            y + 14.0,
            escape(text)
        );
    }
    let height = bars.len() as f64 * 22.0;
    let caption = escape(caption);
    format!(
        "<figure>\n<svg viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" aria-label=\"{caption}\">{picture}</svg>\n\
         <figcaption>{caption}</figcaption>\n</figure>\n"
    )
}

fn cost(report: &Report) -> String {
    let of = |rows: f64, colour: &'static str| -> Vec<(String, f64, String, &str)> {
        dollars_a_million(report, rows)
            .into_iter()
            .map(|(part, dollars)| {
                (
                    part.to_owned(),
                    dollars,
                    format!("${}", terminal::significant(dollars)),
                    colour,
                )
            })
            .collect()
    };
    let mut text = bars(&of(1.0, "bar"), "One row a request, in dollars");
    let many = crate::verdict::rows_a_request(report);
    if many >= 2.0 {
        text.push_str(&bars(
            &of(many, "second"),
            &format!("{many:.0} rows a request, in dollars"),
        ));
    }
    text
}

fn precision(report: &Report) -> String {
    let precision = &report.precision;
    let bits = |label: &str, bits: f64, colour| {
        (label.to_owned(), bits, format!("{bits:.1} bits"), colour)
    };
    let mut text = bars(
        &[
            bits("asked for", precision.target_bits, "second"),
            bits("guaranteed", precision.guaranteed_bits, "bar"),
        ],
        &format!(
            "Bits of the score range of {}; exceeded with probability below 2^{:.0} a row",
            precision.range_of, precision.failure_log2
        ),
    );
    let agreement = report.agreement;
    let rows = |label: &str, rows: u64, mark: Mark| {
        let colour = if mark == Mark::Good { "good" } else { "fair" };
        (
            label.to_owned(),
            rows as f64,
            format!("{rows} rows"),
            colour,
        )
    };
    let lost = |rows: u64| {
        if rows == agreement.rows {
            Mark::Good
        } else {
            Mark::Fair
        }
    };
    let mut kept = vec![
        (
            "calibration rows".to_owned(),
            agreement.rows as f64,
            format!("{} rows", agreement.rows),
            "second",
        ),
        rows(
            "scores within it",
            agreement.within_precision,
            lost(agreement.within_precision),
        ),
    ];
    if agreement.has_labels {
        kept.push(rows(
            "labels as the model's",
            agreement.labels_equal,
            lost(agreement.labels_equal),
        ));
    }
    text.push_str(&bars(
        &kept,
        &format!(
            "Calibration rows, simulated with the predicted noise; largest error {:.3e}",
            agreement.largest_error
        ),
    ));
    text
}

fn revealed(report: &Report) -> String {
    let features = &report.features;
    let encoded: Vec<_> = features
        .encoded
        .iter()
        .map(|feature| {
            let shown = feature.bins.map_or_else(
                || format!("{} bits", feature.bits),
                |bins| {
                    format!(
                        "{bins} bins, {} encrypted bits as {}",
                        feature.bits, feature.form
                    )
                },
            );
            (
                feature.name.clone(),
                f64::from(feature.bins.unwrap_or(feature.bits)),
                shown,
                "bar",
            )
        })
        .collect();
    format!(
        "<p>Whoever has the specs learns {}.</p>\n{}",
        escape(&features.revealed),
        bars(&encoded, &format!("Feature by feature ({})", features.mode))
    )
}

/// At most 28 characters of a label, for which there is room.
fn shortened(label: &str) -> String {
    match label.char_indices().nth(28) {
        Some((end, _)) => format!("{}…", &label[..end]),
        None => label.to_owned(),
    }
}

/// Text as HTML: names come from files.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
