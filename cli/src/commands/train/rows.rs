//! The rows of a training, from a table.

use crate::files::InputSource;
use crate::table::TableOptions;
use crate::terminal::Terminal;
use crate::training::Columns;
use anyhow::{Context, Result};
use cipherfn_compiler::linear::start_weights;
use cipherfn_compiler::read::read_model;
use cipherfn_protocol::hash::Hash;
use cipherfn_training::descent::{DescentStart, RowEncoder, Training, TrainingRows};
use cipherfn_training::leaves::LeafRow;

/// Largest model file.
const MAX_MODEL: u64 = 256 << 20;

/// The rows of a table.
pub(crate) fn read_rows(
    training: &Training,
    target: Option<&str>,
    format: &TableOptions,
    source: &InputSource,
    terminal: Terminal,
) -> Result<TrainingRows> {
    let rows = encoder(training, target, (format, source), terminal)?;
    rows.finish().with_context(|| source.name())
}

/// The rows of one owner of several.
pub(crate) fn read_owner_rows(
    training: &Training,
    target: Option<&str>,
    format: &TableOptions,
    source: &InputSource,
    terminal: Terminal,
) -> Result<TrainingRows> {
    let rows = encoder(training, target, (format, source), terminal)?;
    Ok(rows.finish_part())
}

fn encoder<'a>(
    training: &'a Training,
    target: Option<&str>,
    (format, source): (&TableOptions, &InputSource),
    terminal: Terminal,
) -> Result<RowEncoder<'a>> {
    let columns = Columns {
        numbers: training
            .numbers()
            .iter()
            .map(|own| own.name.as_str())
            .collect(),
        texts: vec![target.unwrap_or(&training.target().name)],
    };
    let mut rows = RowEncoder::new(training);
    columns.each_row(format, source, terminal, |numbers, texts| {
        Ok(rows.add(numbers, texts.first().copied().unwrap_or_default())?)
    })?;
    Ok(rows)
}

/// Names rows on their way to leaves, in the clear: for files that do not leave this machine.
pub(super) fn leaf_hash(rows: &[LeafRow]) -> Hash {
    let rows = rows.iter().flat_map(|row| {
        let bins = row.bins.iter().flat_map(|bin| bin.to_le_bytes());
        bins.chain(row.label.to_le_bytes())
    });
    Hash::of(&rows.collect::<Vec<u8>>())
}

/// The weights of a model as a training's start.
pub(super) fn read_start(training: &Training, source: &InputSource) -> Result<DescentStart> {
    let read = || {
        let model = read_model(&source.read_all(MAX_MODEL)?)?;
        Ok::<_, anyhow::Error>(training.start(&start_weights(&model, training)?)?)
    };
    read().with_context(|| source.name())
}
