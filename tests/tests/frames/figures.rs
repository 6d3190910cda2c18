//! Figures: `cargo test --workspace --test frames figures -- --ignored --nocapture`, the engine being
//! optimised in every profile.

use super::{GADGET, KEYS, encrypt, last, lower, plain, rows, schema, set, worth};
use cipherfn_frame::plan::Plan;
use cipherfn_frame::query::{Query, col, len, sum};
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

fn measure(what: &str, plan: &Plan, frames: &[StoredFrame], gadget: Gadget, rows_per_sum: u32) {
    let (passes, ordered) = lower(plan, frames, gadget, rows_per_sum);
    let (_, columns) = worth(&passes, &ordered);
    let files: Vec<usize> = frames.iter().map(StoredFrame::bytes).collect();
    println!(
        "{what}, {} x {}, files {files:?} B",
        gadget.base_log, gadget.levels
    );
    for column in columns {
        match column.bits {
            Some(bits) => println!("  {}: {bits:.1} bits", column.name),
            None => println!("  {}: exact", column.name),
        }
    }
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let (before, start) = (used(), Instant::now());
        let results = pool.install(|| evaluate(&KEYS.1, &passes.passes, &ordered).unwrap());
        let (seconds, after) = (start.elapsed().as_secs_f64(), used());
        let reply = compress(last(&passes), results.last().unwrap()).unwrap();
        let reply: usize = reply.iter().map(Vec::len).sum();
        println!(
            "  {threads} threads: {seconds:.3} s, processor {:.2} s, reply {reply} B, memory {} MB",
            after.0 - before.0,
            after.1,
        );
    }
}

fn column(name: &str, most: i64, roles: &str) -> String {
    format!(
        "[[column]]\nname = \"{name}\"\ntype = \"integer\"\nmin = 0\nmax = {most}\nroles = [{roles}]\n"
    )
}

fn head(name: &str) -> String {
    format!("format = 1\nname = \"{name}\"\n")
}

const KEY: &str = "\"key\"";
const VALUE: &str = "\"value\"";
const LOOKUP: &str = "[[lookup]]\nby = [\"id\"]\ncolumns = [\"a\", \"b\", \"c\"]\n";

/// A left join that returns three looked-up columns.
fn join(left_rows: i64, right_rows: i64, domain: i64, most: i64, gadget: Gadget) {
    let left = schema(&(head("left") + &column("id", domain - 1, KEY)));
    let values = ["a", "b", "c"].map(|name| column(name, most, ""));
    let right =
        schema(&(head("right") + &column("id", domain - 1, KEY) + &values.concat() + LOOKUP));
    let key = |row: i64| row * 1_237 % domain;
    let value = |row: i64| row * 40_503 % (most + 1);
    let frames = [
        encrypt(
            &left,
            gadget,
            &rows((0..left_rows).map(|row| [key(row)])),
            0,
            10_000,
        ),
        encrypt(
            &right,
            gadget,
            &rows(
                (0..right_rows).map(|row| [key(row), value(row), value(row + 1), value(row + 2)]),
            ),
            0,
            10_000,
        ),
    ];
    let plan = Query::scan("left")
        .merge("right")
        .on("id")
        .left()
        .select(["a", "b", "c"])
        .plan();
    let what = format!("left join of {left_rows} rows with {right_rows}, values to {most}");
    measure(&what, &plan, &frames, gadget, 400);
    // The same table in the clear.
    let [left, _] = frames;
    let clear =
        rows((0..right_rows).map(|row| [key(row), value(row), value(row + 1), value(row + 2)]));
    let clear = StoredFrame::plain(set(), plain(&right, &clear));
    let what = format!("{what}, in the clear");
    measure(&what, &plan, &[left, clear], gadget, 400);
}

#[test]
#[ignore = "figures"]
fn joins_of_few_rows() {
    join(5, 15, 15, 15, GADGET);
    join(5, 15, 15, 255, GADGET);
}

#[test]
#[ignore = "figures"]
fn joins_of_a_thousand_rows() {
    for gadget in [GADGET, FINE, Gadget::new(BaseLog::new(8), Levels::new(3))] {
        join(1_000, 1_000, 2_048, 65_535, gadget);
    }
}

#[test]
#[ignore = "figures"]
fn joins_with_a_table_of_2048_rows() {
    join(1_000, 2_048, 2_048, 65_535, GADGET);
}

fn groups(count: i64, gadget: Gadget, rows_per_sum: u32) {
    let sales = head("sales")
        + &column("amount", 255, VALUE)
        + &column("age", 127, KEY)
        + &column("region", 7, KEY);
    let row = |row: i64| [row * 193 % 256, row * 57 % 100, row * 31 % 8];
    let frames = [encrypt(
        &schema(&sales),
        gadget,
        &rows((0..count).map(row)),
        0,
        10_000,
    )];
    let plan = Query::scan("sales")
        .filter(col("age").gt(30))
        .group_by(["region"])
        .agg([sum("amount"), len()])
        .plan();
    let what = format!("sum and count of {count} rows, {rows_per_sum} a sum");
    measure(&what, &plan, &frames, gadget, rows_per_sum);
}

#[test]
#[ignore = "figures"]
fn groups_of_a_thousand_rows() {
    groups(1_000, GADGET, 255);
    groups(1_000, GADGET, 1_000);
    groups(1_000, FINE, 1_000);
}

#[test]
#[ignore = "figures"]
fn groups_of_ten_thousand_rows() {
    groups(10_000, GADGET, 255);
}

/// Sums of the one side's values by a column of the other.
#[test]
#[ignore = "figures"]
fn groups_of_joins() {
    let left = head("left") + &column("id", 2_047, KEY) + &column("v", 255, VALUE);
    let right = head("right")
        + &column("id", 2_047, KEY)
        + &column("region", 7, KEY)
        + "[[lookup]]\nby = [\"id\"]\ncolumns = [\"region\"]\n";
    let frames = [
        encrypt(
            &schema(&left),
            GADGET,
            &rows((0..1_000).map(|row: i64| [row * 1_237 % 2_048, row % 256])),
            0,
            10_000,
        ),
        encrypt(
            &schema(&right),
            GADGET,
            &rows((0..1_000).map(|row: i64| [row * 1_237 % 2_048, row % 8])),
            0,
            10_000,
        ),
    ];
    let plan = Query::scan("left")
        .merge("right")
        .on("id")
        .inner()
        .group_by(["region"])
        .agg([sum("v")])
        .plan();
    measure(
        "sum by a joined column, 1000 x 1000",
        &plan,
        &frames,
        GADGET,
        1_000,
    );
}
