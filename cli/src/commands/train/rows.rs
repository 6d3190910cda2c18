//! The rows of a training, from a table.

use crate::files::InputSource;
use crate::table::TableOptions;
use crate::terminal::Terminal;
use crate::training::Columns;
use anyhow::{Context, Result};
use cipherfn_protocol::hash::Hash;
use cipherfn_training::descent::{RowEncoder, Training, TrainingRows};

/// The rows of a table.
pub(crate) fn read_rows(
    training: &Training,
    target: Option<&str>,
    format: &TableOptions,
    source: &InputSource,
    terminal: Terminal,
) -> Result<TrainingRows> {
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
    rows.finish().with_context(|| source.name())
}

/// Names the rows, in the clear: for files that do not leave this machine.
pub(super) fn hash(rows: &TrainingRows) -> Hash {
    let rows = rows.rows.iter().flat_map(|(features, class)| {
        let features = features.iter().flat_map(|value| value.to_le_bytes());
        features.chain((*class as u64).to_le_bytes())
    });
    Hash::of(&rows.collect::<Vec<u8>>())
}
