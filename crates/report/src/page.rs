//! A compile report as one HTML page: verdict, pictures, everything else as text. It refers to
//! nothing outside itself.

mod picture;

use crate::demands::Demands;
use crate::quantity;
use crate::verdict::{Mark, Verdict, dollars_a_million, rows_a_request};
use cipherfn_compiler::Report;
use picture::{Point, bars, points};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1d2733;--soft:#66727f;--line:#d8dee5;--paper:#fff;--bar:#3b6ea8;--second:#9cb9d8;--good:#1a7f4b;--fair:#a86400;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaef;--soft:#9aa5b1;--line:#3a444f;--paper:#161b21;--bar:#7fb0e6;--second:#3f5f82;--good:#5fd39b;--fair:#f0b35a;--bad:#ff8a80}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:0}h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}p.soft,figcaption{color:var(--soft)}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .8rem .3rem 0;vertical-align:top}tr+tr>*{border-top:1px solid var(--line)}
.Good{color:var(--good)}.Fair{color:var(--fair)}.Bad{color:var(--bad)}.mark{font-weight:700;width:1.5rem}
figure{margin:1rem 0;overflow-x:auto}svg{width:100%;min-width:34rem;height:auto}svg text{fill:var(--ink);font-size:13px}svg text.soft{fill:var(--soft)}
pre{overflow-x:auto;border:1px solid var(--line);border-radius:.4rem;padding:1rem;font-size:13px;white-space:pre-wrap}";

/// Most rows that a picture shows.
const MOST_ROWS: usize = 500;

/// The page; `demands` is what a row takes, and `scores` are the last raw scores of calibration rows, the model's and the compiled
/// model's.
pub fn page(report: &Report, demands: &Demands, scores: &[[f64; 2]]) -> String {
    let verdict = Verdict::of(report, demands);
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
    body.push_str(&section("Cost by stage", &cost(report, demands)));
    body.push_str(&section(
        "Precision",
        &(precision(report) + &precision_against_cost(report) + &calibration(scores)),
    ));
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

fn cost(report: &Report, demands: &Demands) -> String {
    let of = |rows: f64, colour: &'static str| -> Vec<(String, f64, String, &str)> {
        dollars_a_million(report, demands.usual.seconds, rows)
            .into_iter()
            .map(|(part, dollars)| {
                (
                    part.to_owned(),
                    dollars,
                    format!("${}", quantity::significant(dollars)),
                    colour,
                )
            })
            .collect()
    };
    let stages = report.work.stages.iter().map(|stage| {
        let time = quantity::seconds(stage.microseconds.get() / 1e6);
        (stage.name.clone(), stage.microseconds.get(), time, "bar")
    });
    let stages: Vec<_> = stages.collect();
    let mut text = bars(&stages, "Time of a row on one thread, predicted");
    text.push_str(&bars(
        &of(1.0, "bar"),
        "A million rows, one a request, in dollars",
    ));
    let many = rows_a_request(report, &demands.usual);
    if many >= 2.0 {
        text.push_str(&bars(
            &of(many, "second"),
            &format!("A million rows, {many:.0} a request, in dollars"),
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
            "Bits of the score range of {}; {}",
            precision.range_of,
            precision.bound.text(precision.failure_log2)
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

/// What the same circuit would take with each gadget; nothing where there is no choice.
fn precision_against_cost(report: &Report) -> String {
    let all = &report.work.alternatives;
    let is_chosen = |gadget| Some(gadget) == report.work.gadget;
    // Of gadgets that cost the same, the one that is chosen, or gives more.
    let known = all.iter().filter(|own| {
        own.bits > 0.0
            && all.iter().all(|other| {
                other.gadget.levels != own.gadget.levels
                    || (is_chosen(own.gadget), own.bits) >= (is_chosen(other.gadget), other.bits)
            })
    });
    let known = known.map(|own| Point {
        at: [own.bits, own.microseconds.get() / 1000.0],
        label: format!(
            "{} levels, query {}",
            own.gadget.levels,
            quantity::bytes(own.query_row as u64)
        ),
        is_chosen: is_chosen(own.gadget),
    });
    let known: Vec<_> = known.collect();
    if known.len() < 2 {
        return String::new();
    }
    points(
        &known,
        ["guaranteed bits, about", "ms a row"],
        "Precision against cost: the same circuit with other gadgets; the filled one is chosen",
    )
}

/// The compiled model's score over the model's.
fn calibration(scores: &[[f64; 2]]) -> String {
    let step = scores.len().div_ceil(MOST_ROWS).max(1);
    let rows = scores.iter().step_by(step).map(|scores| Point {
        at: *scores,
        label: String::new(),
        is_chosen: true,
    });
    points(
        &rows.collect::<Vec<_>>(),
        ["score of the model", "as compiled"],
        "Calibration rows, with simulated noise: on the diagonal where nothing is lost",
    )
}

fn revealed(report: &Report) -> String {
    let features = &report.features;
    let what = match features.mode.as_str() {
        mode if mode.starts_with("grid") => "how many quantiles are shown, in how many bits",
        "ranges" => "bits of a value",
        _ => "how many split points are shown, in how many bits",
    };
    let encoded: Vec<_> = features
        .encoded
        .iter()
        .map(|feature| {
            let splits = feature.bins.map(|bins| bins.saturating_sub(1));
            let shown = splits.map_or_else(
                || format!("its range; {} bits a value", feature.bits),
                |splits| format!("{splits} in {} bits ({})", feature.bits, feature.form),
            );
            let size = splits.unwrap_or(feature.bits);
            (feature.name.clone(), f64::from(size), shown, "bar")
        })
        .collect();
    let caption = format!("Feature by feature ({}): {what}", features.mode);
    format!(
        "<p>Whoever has the specs learns {}.</p>\n{}",
        escape(&features.revealed),
        bars(&encoded, &caption)
    )
}

/// Text as HTML: names come from files.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
