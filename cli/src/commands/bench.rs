//! `cipherfn bench`.

mod batch;
mod measure;
mod parts;
mod reference;

use crate::files::InputSource;
use crate::server;
use crate::terminal::{self, Terminal, Unit, bytes, seconds, significant, table};
use anyhow::{Context, Result};
use measure::{Measured, Sizes, Subject};
use parts::InParts;
use std::num::{NonZeroU32, NonZeroUsize};

/// Measure a bundle on this machine: times, sizes, ratios
///
/// Encrypts rows of arbitrary content (times do not depend on it) and reports the median over rows
/// of each stage, on one thread and on all, and of all rows as one request, which share ciphertexts
/// where the bundle's parameter set lets them. The encrypted evaluation is compared with the circuit's
/// CMUXes done one by one by tfhe's own function, over the same selectors in the same run. With
/// --parts also a row that workers of a job share, a part of the model each.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn bench fraud.cfn --rows 50")]
pub(crate) struct Bench {
    /// The bundle, - for standard input
    bundle: InputSource,
    /// Rows to evaluate for each number of threads
    #[arg(long, value_name = "N", default_value = "20")]
    rows: NonZeroUsize,
    /// Threads of the parallel run [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Measure the model in N parts as well
    #[arg(long, value_name = "N", value_parser = super::predict::parts)]
    parts: Option<NonZeroU32>,
}

impl Bench {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        let file = self.bundle.read_all(server::MAX_BUNDLE)?;
        let bundle = server::parse_bundle(&file, &self.bundle)?;
        let many = self
            .threads
            .or_else(|| std::thread::available_parallelism().ok())
            .map_or(1, NonZeroUsize::get);
        let thread_counts = if many > 1 { vec![1, many] } else { vec![1] };
        let rows = (self.rows.get() * thread_counts.len()) as u64;
        let progress = terminal.progress(Some(rows), Unit::Rows, "measuring");
        let subject = Subject::new(&bundle, self.rows.get())?;
        let mut runs = Vec::new();
        for threads in thread_counts {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .context("cannot start threads")?;
            runs.push(pool.install(|| subject.measure(|| progress.inc(1)))?);
        }
        let in_parts = self
            .parts
            .map(|parts| subject.in_parts(&bundle, parts.get()));
        let in_parts = in_parts.transpose()?;
        progress.finish_and_clear();
        if cfg!(debug_assertions) {
            terminal::notice("this is a debug build; measure with `cargo run --release`");
        }
        let mut value = serde_json::json!({
            "parameter_set": subject.set().name,
            "bundle_bytes": file.len(),
            "secret_key_bytes": subject.sizes.secret_key,
            "evaluation_key_bytes": subject.sizes.evaluation_key,
            "query_row_bytes": subject.sizes.query_row,
            "reply_row_bytes": subject.sizes.reply_row,
            "batch_rows": self.rows,
            "batch_query_row_bytes": subject.sizes.batch_query_row,
            "selectors": subject.selectors(),
            "slots": subject.slots(),
            "cmuxes": subject.cmuxes(),
            "client": subject.client,
            "server": runs.iter().map(|run| run.json(&subject)).collect::<Vec<_>>(),
        });
        if let Some(in_parts) = &in_parts {
            value["parts"] = serde_json::json!(in_parts);
        }
        terminal.report(&value, || {
            let text = text(file.len(), &subject, &runs);
            let in_parts = in_parts.as_ref().map(text_of_parts).unwrap_or_default();
            format!("{text}{in_parts}")
        })
    }
}

fn text(bundle_bytes: usize, subject: &Subject, runs: &[Measured]) -> String {
    let mut header = vec![String::new()];
    header.extend(runs.iter().map(|run| {
        if run.threads == 1 {
            "1 thread".to_owned()
        } else {
            format!("{} threads", run.threads)
        }
    }));
    let mut rows = Vec::new();
    let mut row = |name: &str, value: &dyn Fn(&Measured) -> Option<String>| {
        if let Some(values) = runs.iter().map(value).collect::<Option<Vec<_>>>() {
            rows.push([vec![name.to_owned()], values].concat());
        }
    };
    row("load and expand the evaluation key", &|run| {
        run.key_load.map(seconds)
    });
    row("expand the query", &|run| Some(seconds(run.expand)));
    row("  a slot", &|run| {
        subject
            .slots()
            .map(|slots| seconds(run.expand / slots as f64))
    });
    row("  a selector", &|run| {
        subject
            .selectors()
            .map(|selectors| seconds(run.expand / selectors as f64))
    });
    row("evaluate the circuit", &|run| Some(seconds(run.evaluate)));
    row("compress the reply", &|run| Some(seconds(run.compress)));
    row("server, a row", &|run| Some(seconds(run.server())));
    row("rows a second", &|run| Some(significant(run.rows_a_second)));
    row("server, a row of one request", &|run| {
        Some(seconds(run.batch_row))
    });
    row("tfhe, 1 thread: the same CMUXes one by one", &|run| {
        run.reference.map(seconds)
    });
    row("evaluate / tfhe", &|run| run.ratio().map(significant));

    let mut facts = vec![(
        "parameters",
        format!(
            "{}, {} bits of security",
            subject.set().name,
            subject.set().ring.security_bits
        ),
    )];
    if let (Some(cmuxes), Some(selectors)) = (subject.cmuxes(), subject.selectors()) {
        facts.push((
            "circuit",
            format!("{cmuxes} CMUXes over {selectors} selectors"),
        ));
    }
    facts.push(("bundle", bytes(bundle_bytes as u64)));
    if subject.sizes.evaluation_key > 0 {
        facts.push(("evaluation key", bytes(subject.sizes.evaluation_key)));
    }
    let sizes = |alone: u64, batch: f64| {
        let batch = bytes(batch.ceil() as u64);
        format!("{}; {batch} where all are one request", bytes(alone))
    };
    let batch_reply = runs.first().map_or(0.0, |run| run.batch_reply_row);
    let Sizes {
        query_row,
        reply_row,
        batch_query_row,
        ..
    } = subject.sizes;
    facts.push(("query, a row", sizes(query_row, batch_query_row)));
    facts.push(("reply, a row", sizes(reply_row, batch_reply)));
    facts.push(("make keys", seconds(subject.client.make_keys)));
    facts.push(("encrypt a row", seconds(subject.client.encrypt)));
    facts.push(("decrypt a row", seconds(subject.client.decrypt)));
    format!("{}\n\n{}", terminal::facts(facts), table(header, rows))
}

fn text_of_parts(parts: &InParts) -> String {
    let InParts {
        part_seconds,
        part_selectors,
        part_shares,
        beside_seconds,
    } = parts;
    let parts = part_seconds.iter().zip(part_selectors).zip(part_shares);
    let part = |(number, ((time, selectors), share)): (usize, ((&f64, &usize), &f64))| {
        vec![
            number.to_string(),
            selectors.to_string(),
            format!("{:.1} %", 100.0 * share),
            seconds(*time),
        ]
    };
    let header = ["part", "selectors", "of the whole", "1 thread"].map(str::to_owned);
    format!(
        "\n\n{}\nall of them, one after the other  {}\nbeside each other, a thread each   {}",
        table(header.to_vec(), (1..).zip(parts).map(part)),
        seconds(part_seconds.iter().sum()),
        seconds(*beside_seconds),
    )
}
