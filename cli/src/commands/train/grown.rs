//! A tree that is grown on encrypted rows: they are counted in a pass a level, and the counts decide the
//! splits of the next one.

use super::Train;
use super::leaves::{Counted, EncryptedRows};
use crate::files::Output;
use crate::terminal::{self, Terminal, Unit};
use anyhow::{Context, Result};
use cipherfn_compiler::write::write_onnx;
use cipherfn_training::leaves::{Grown, Growth, LeafTraining};
use std::io::Write;

impl Train {
    pub(super) fn grown(
        &self,
        mut training: LeafTraining,
        rows: &EncryptedRows,
        mut output: Output,
        terminal: Terminal,
    ) -> Result<()> {
        let Growth { depth, .. } = training.growth().context("the tree is not grown")?;
        let count = rows.rows.len();
        let (mut seconds, mut reply, mut rounds) = (0.0, 0, 0);
        let mut last: Option<Grown> = None;
        let progress = terminal.progress(Some(u64::from(depth)), Unit::Steps, "growing");
        while rounds < depth {
            let counted: Counted = rows.count(&training)?;
            let grown = match &last {
                Some(last) => last.grow(count, &counted.counts)?,
                None => training.grow(count, &counted.counts)?,
            };
            (seconds, reply, rounds) =
                (seconds + counted.seconds, reply + counted.bytes, rounds + 1);
            progress.set_position(u64::from(rounds));
            training = grown.training.clone();
            if last.insert(grown).split == 0 {
                break;
            }
        }
        progress.finish_and_clear();
        let leaves = last.context("no level was counted")?.counts;
        let model = training.refit(count, &[leaves])?.model;
        output.write_all(&write_onnx(&model))?;
        output.finish()?;
        let tree = &training.trees()[0];
        let (upload, leaves) = (rows.encrypted.len(), tree.leaves());
        let value = serde_json::json!({
            "rows": count,
            "round_trips": rounds,
            "leaves": leaves,
            "seconds": seconds,
            "upload_bytes": upload,
            "reply_bytes": reply,
            "clipped": rows.clipped,
        });
        terminal.summary(&value, || {
            let mut facts = vec![
                ("rows", count.to_string()),
                ("upload", terminal::bytes(upload as u64)),
                (
                    "tree",
                    format!("{leaves} leaves, in {rounds} round trips and {seconds:.1} s"),
                ),
                ("counts", terminal::bytes(reply as u64)),
                ("file", self.output.name()),
            ];
            if rows.clipped > 0 {
                let text = format!("{} targets lie outside of their range", rows.clipped);
                facts.push(("clipped", text));
            }
            terminal::facts(facts)
        })
    }
}
