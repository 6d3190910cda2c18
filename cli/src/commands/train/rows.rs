//! The rows of a training, from a table.

use crate::files::InputSource;
use crate::table::TableOptions;
use crate::terminal::Terminal;
use crate::training::Columns;
use anyhow::{Context, Result};
use cipherfn_compiler::linear::start_weights;
use cipherfn_compiler::read::read_model;
use cipherfn_training::descent::{DescentStart, RowEncoder, Training, TrainingRows};

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

/// The weights of a model as a training's start.
pub(super) fn read_start(training: &Training, source: &InputSource) -> Result<DescentStart> {
    let read = || {
        let model = read_model(&source.read_all(MAX_MODEL)?)?;
        Ok::<_, anyhow::Error>(training.start(&start_weights(&model, training)?)?)
    };
    read().with_context(|| source.name())
}
