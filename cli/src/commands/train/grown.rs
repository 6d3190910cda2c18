//! A tree that is grown on encrypted rows: they are counted in a pass a level, and the counts decide the
//! splits of the next one.

use super::Train;
use super::leaves::{Counted, LeafTable};
use crate::files::Output;
use crate::terminal::{self, Terminal, Unit};
use anyhow::{Context, Result};
use cipherfn_compiler::write::write_onnx;
use cipherfn_training::leaves::{Grown, Growth, LeafCounts, LeafRow, LeafTraining};
use std::io::Write;

/// A tree, and what it took.
pub(super) struct Tree {
    /// The program with it.
    training: LeafTraining,
    /// What all rows leave in its leaves.
    leaves: LeafCounts,
    round_trips: usize,
    /// Of all passes.
    seconds: f64,
    /// Of the encrypted counts.
    reply: usize,
}

/// Grows a tree on rows. `count` makes a pass over them, encrypted: by the program of a level, and its number
/// from 0. Counts are held to the rows before anything follows from them.
pub(super) async fn grow(
    mut training: LeafTraining,
    rows: &[LeafRow],
    terminal: Terminal,
    mut count: impl AsyncFnMut(&LeafTraining, usize) -> Result<Counted>,
) -> Result<Tree> {
    let Growth { depth, .. } = training.growth().context("the tree is not grown")?;
    let progress = terminal.progress(Some(u64::from(depth)), Unit::Steps, "growing");
    let (mut seconds, mut reply, mut round_trips) = (0.0, 0, 0);
    let mut last: Option<Grown> = None;
    loop {
        let counted = count(&training, round_trips).await?;
        training.require_counts_of(rows, &counted.counts)?;
        let grown = match &last {
            Some(last) => last.grow(rows.len(), &counted.counts)?,
            None => training.grow(rows.len(), &counted.counts)?,
        };
        seconds += counted.seconds;
        reply += counted.bytes;
        round_trips += 1;
        training = grown.training.clone();
        progress.set_position(round_trips as u64);
        if grown.split == 0 || round_trips == depth as usize {
            progress.finish_and_clear();
            return Ok(Tree {
                training,
                leaves: grown.counts,
                round_trips,
                seconds,
                reply,
            });
        }
        last = Some(grown);
    }
}

impl Train {
    /// Writes a tree as a model. `program` is what it was grown by.
    pub(super) fn write_tree(
        &self,
        program: &LeafTraining,
        tree: &Tree,
        table: &LeafTable,
        (mut output, whose): (Output, Option<String>),
        terminal: Terminal,
    ) -> Result<()> {
        let count = table.rows.len();
        let counts = std::slice::from_ref(&tree.leaves);
        let model = tree.training.refit(count, counts)?.model;
        output.write_all(&write_onnx(&model))?;
        output.finish()?;
        let leaves = tree.training.trees()[0].leaves();
        let (rounds, seconds) = (tree.round_trips, tree.seconds);
        let mut value = serde_json::json!({
            "rows": count,
            "round_trips": rounds,
            "leaves": leaves,
            "seconds": seconds,
            "upload_bytes": table.upload,
            "reply_bytes": tree.reply,
            "clipped": table.clipped,
        });
        if whose.is_some() {
            value["version"] = serde_json::to_value(program.hash())?;
        }
        terminal.summary(&value, || {
            let mut facts = vec![
                ("rows", count.to_string()),
                ("upload", terminal::bytes(table.upload)),
                (
                    "tree",
                    format!("{leaves} leaves, in {rounds} round trips and {seconds:.1} s"),
                ),
                ("counts", terminal::bytes(tree.reply as u64)),
                ("file", self.output.name()),
            ];
            facts.extend(whose.map(|whose| ("program", whose)));
            if table.clipped > 0 {
                let text = format!("{} targets lie outside of their range", table.clipped);
                facts.push(("clipped", text));
            }
            terminal::facts(facts)
        })
    }
}
