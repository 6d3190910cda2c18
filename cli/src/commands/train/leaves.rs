//! Leaves of trees, refitted to encrypted rows.

use super::grown::grow;
use super::{Train, keys};
use crate::files::{Content, InputSource, Output};
use crate::shared::block_on;
use crate::terminal::{self, Terminal};
use crate::training::Columns;
use anyhow::{Context, Result};
use cipherfn_client::training::leaves::{decrypt_counts, encrypt_rows};
use cipherfn_compiler::write::write_onnx;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{ExpandedEvaluationKey, SecretKey};
use cipherfn_serving::training::SET;
use cipherfn_serving::training::leaves::{LeafCounter, key_parts, require_exact};
use cipherfn_training::leaves::{LeafCounts, LeafRow, LeafRowEncoder, LeafTarget, LeafTraining};
use std::io::Write;
use std::time::Instant;

/// Rows of a table.
pub(super) struct LeafTable {
    pub(super) rows: Vec<LeafRow>,
    /// Labels outside of their range.
    pub(super) clipped: u64,
    /// Bytes of the encrypted rows.
    pub(super) upload: u64,
}

/// Rows under a key.
struct EncryptedRows {
    count: usize,
    encrypted: Vec<u8>,
    secret: SecretKey,
    key: ExpandedEvaluationKey,
}

/// What a pass over rows has counted.
pub(super) struct Counted {
    pub(super) counts: Vec<LeafCounts>,
    /// Of the pass.
    pub(super) seconds: f64,
    /// Of the encrypted counts.
    pub(super) bytes: usize,
}

impl EncryptedRows {
    /// Counts them as a server would, and decrypts the counts.
    fn count(&self, training: &LeafTraining) -> Result<Counted> {
        let counter = LeafCounter::new(training, self.secret.parameter_set())?;
        let start = Instant::now();
        let sums = counter.sums(&self.key, &self.encrypted, self.count)?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Counted {
            counts: decrypt_counts(&self.secret, training, self.count, &sums)?,
            seconds,
            bytes: sums.iter().map(Vec::len).sum(),
        })
    }
}

impl Train {
    pub(super) fn leaves(
        &self,
        program: &[u8],
        input: &InputSource,
        terminal: Terminal,
    ) -> Result<()> {
        let training = LeafTraining::from_json(program).with_context(|| self.program.name())?;
        let output =
            self.output
                .create(Content::Binary, self.force.force, &[&self.program, input])?;
        let (rows, clipped) = self.leaf_rows(&training, input, terminal)?;
        let set = ParameterSet::by_name(SET)?;
        require_exact(&training, set, rows.len()).with_context(|| self.program.name())?;
        let (secret, key) = keys(self.keys.as_deref(), &key_parts(set)?)?;
        let encrypted = EncryptedRows {
            count: rows.len(),
            encrypted: encrypt_rows(&secret, &training, &rows)?,
            secret,
            key,
        };
        let table = LeafTable {
            rows,
            clipped,
            upload: encrypted.encrypted.len() as u64,
        };
        let told = (output, None);
        if training.growth().is_some() {
            let level = async |level: &LeafTraining, _| encrypted.count(level);
            let grown = grow(training.clone(), &table.rows, terminal, level);
            return self.write_tree(&training, &block_on(grown)?, &table, told, terminal);
        }
        let counted = encrypted.count(&training)?;
        self.refit(&training, &table, &counted, told, terminal)
    }

    /// Writes a program's trees with what rows leave in their leaves, as a model.
    pub(super) fn refit(
        &self,
        training: &LeafTraining,
        table: &LeafTable,
        counted: &Counted,
        (mut output, whose): (Output, Option<String>),
        terminal: Terminal,
    ) -> Result<()> {
        let LeafTable {
            rows,
            clipped,
            upload,
        } = table;
        training.require_counts_of(rows, &counted.counts)?;
        let refitted = training.refit(rows.len(), &counted.counts)?;
        output.write_all(&write_onnx(&refitted.model))?;
        output.finish()?;
        let residuals = training.residuals(rows, &refitted.model);
        let mut value = serde_json::json!({
            "rows": rows.len(),
            "trees": training.trees().len(),
            "empty_leaves": refitted.empty,
            "seconds": counted.seconds,
            "upload_bytes": upload,
            "reply_bytes": counted.bytes,
            "clipped": clipped,
        });
        if whose.is_some() {
            value["version"] = serde_json::to_value(training.hash())?;
        }
        if let Some((before, after)) = residuals {
            value["residual_before"] = before.into();
            value["residual"] = after.into();
        }
        terminal.summary(&value, || {
            let mut facts = vec![
                ("rows", rows.len().to_string()),
                ("upload", terminal::bytes(*upload)),
                (
                    "trees",
                    format!("{} in {:.1} s", training.trees().len(), counted.seconds),
                ),
                ("counts", terminal::bytes(counted.bytes as u64)),
                ("file", self.output.name()),
            ];
            facts.extend(whose.map(|whose| ("program", whose)));
            if let Some((before, after)) = residuals {
                let text = format!("{before:.4} of these rows before the step, {after:.4} after it (root mean square)");
                facts.push(("residual", text));
            }
            if refitted.empty > 0 {
                let kept = match residuals {
                    Some(_) => "what they had",
                    None => "what the nearest node above has",
                };
                let text = format!("{} leaves have no row, and {kept}", refitted.empty);
                facts.push(("empty", text));
            }
            if *clipped > 0 {
                let text = match residuals {
                    Some(_) => format!("{clipped} residuals are longer than the target's range"),
                    None => format!("{clipped} targets lie outside of their range"),
                };
                facts.push(("clipped", text));
            }
            terminal::facts(facts)
        })
    }

    /// The rows of a table.
    pub(super) fn leaf_rows(
        &self,
        training: &LeafTraining,
        input: &InputSource,
        terminal: Terminal,
    ) -> Result<(Vec<LeafRow>, u64)> {
        let target = training.target();
        let name = self.target.as_deref().unwrap_or(target.name());
        let mut columns = Columns {
            numbers: training.columns().collect(),
            texts: Vec::new(),
        };
        match target {
            LeafTarget::Number { .. } => columns.numbers.push(name),
            LeafTarget::Classes { .. } => columns.texts.push(name),
        }
        let mut rows = LeafRowEncoder::new(training);
        columns.each_row(&self.format, input, terminal, |numbers, texts| {
            Ok(rows.add(numbers, texts.first().copied())?)
        })?;
        rows.finish().with_context(|| input.name())
    }
}
