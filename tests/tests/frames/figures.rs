//! Figures: `cargo test --workspace --test frames figures -- --ignored --nocapture`, the engine being
//! optimised in every profile.

use super::passes::{errors, group_by, join};
use super::{GADGET, KEYS, column, encrypt, schema};
use cipherfn_frame::pass::Pass;
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels};
use cipherfn_serving::frames::{StoredFrame, compress, evaluate};
use std::time::Instant;

const FINE: Gadget = Gadget::new(BaseLog::new(4), Levels::new(6));

/// Processor time of the process in seconds, and the most memory that it had in MB.
fn used() -> (f64, u64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11..13]
        .iter()
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let most: u64 = most
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    (ticks as f64 / 100.0, most / 1024)
}

fn measure(what: &str, pass: &Pass, frames: &[&StoredFrame]) {
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let (before, start) = (used(), Instant::now());
        let results =
            pool.install(|| evaluate(&KEYS.1, std::slice::from_ref(pass), frames).unwrap());
        let (seconds, after) = (start.elapsed().as_secs_f64(), used());
        let reply: usize = compress(pass, &results[0])
            .unwrap()
            .iter()
            .map(Vec::len)
            .sum();
        let worst = errors(pass, frames[0].rows())
            .into_iter()
            .fold(0.0, f64::max);
        println!(
            "{what}, {threads} threads: {seconds:.3} s, processor {:.3} s, reply {reply} B, error 2^{:.2}, memory {} MB",
            after.0 - before.0,
            worst.log2(),
            after.1,
        );
    }
}

fn keyed(name: &str, most: usize, lookup: bool) -> String {
    let mut text = format!(
        "format = 1\nname = \"{name}\"\n[[column]]\nname = \"id\"\ntype = \"integer\"\nmin = 0\nmax = {most}\nroles = [\"key\"]\n"
    );
    if lookup {
        for column in ["a", "b", "c"] {
            text += &format!(
                "[[column]]\nname = \"{column}\"\ntype = \"integer\"\nmin = 0\nmax = 65535\n"
            );
        }
        text += "[[lookup]]\nby = [\"id\"]\ncolumns = [\"a\", \"b\", \"c\"]\n";
    }
    text
}

fn joins(left_rows: usize, right_rows: usize, domain: usize) {
    let (left, right) = (
        schema(&keyed("left", domain - 1, false)),
        schema(&keyed("right", domain - 1, true)),
    );
    let key = |row: usize| (row * 1_237 % domain) as i64;
    let value = |row: usize| ((row * 40_503) % 65_536) as i64;
    let columns = [
        column((0..right_rows).map(key)),
        column((0..right_rows).map(value)),
        column((0..right_rows).map(|row| value(row + 1))),
        column((0..right_rows).map(|row| value(row + 2))),
    ];
    for gadget in [GADGET, FINE, Gadget::new(BaseLog::new(8), Levels::new(3))] {
        let frames = [
            encrypt(&left, gadget, &[column((0..left_rows).map(key))], 10_000),
            encrypt(&right, gadget, &columns, 10_000),
        ];
        let what = format!(
            "join {left_rows} x {right_rows}, {} x {}, files {} and {} B",
            gadget.base_log,
            gadget.levels,
            frames[0].bytes(),
            frames[1].bytes()
        );
        measure(
            &what,
            &join(&left, &right, gadget),
            &[&frames[0], &frames[1]],
        );
    }
}

#[test]
#[ignore = "figures"]
fn small_join() {
    joins(5, 15, 15);
}

#[test]
#[ignore = "figures"]
fn thousand_join() {
    joins(1_000, 1_000, 2_048);
}

fn groups(rows: usize, gadgets: &[Gadget]) {
    let text = |limb: u32| {
        format!(
            "format = 1\nname = \"sales\"\n[[column]]\nname = \"amount\"\ntype = \"integer\"\nmin = 0\nmax = 255\nlimb-bits = {limb}\nroles = [\"value\"]\n[[column]]\nname = \"age\"\ntype = \"integer\"\nmin = 0\nmax = 127\nroles = [\"key\"]\n[[column]]\nname = \"region\"\ntype = \"integer\"\nmin = 0\nmax = 7\nroles = [\"key\"]\n"
        )
    };
    let sales = schema(&text(8));
    let columns = [
        column((0..rows).map(|row| (row * 193 % 256) as i64)),
        column((0..rows).map(|row| (row * 57 % 100) as i64)),
        column((0..rows).map(|row| (row * 31 % 8) as i64)),
    ];
    for gadget in gadgets {
        let frame = encrypt(&sales, *gadget, &columns, 10_000);
        let what = format!(
            "group by of {rows} rows, {} x {}, file {} B",
            gadget.base_log,
            gadget.levels,
            frame.bytes()
        );
        measure(&what, &group_by(&sales, *gadget, 30, 1, 1_000), &[&frame]);
    }
}

#[test]
#[ignore = "figures"]
fn thousand_groups() {
    groups(1_000, &[GADGET, FINE]);
}

#[test]
#[ignore = "figures"]
fn ten_thousand_groups() {
    groups(10_000, &[GADGET]);
}
