//! The rows of a training, from a table.

use crate::files::InputSource;
use crate::table::TableOptions;
use crate::terminal::Terminal;
use crate::training::Columns;
use anyhow::{Result, bail};
use cipherfn_client::training::DescentRow;
use cipherfn_protocol::hash::Hash;
use cipherfn_training::descent::Training;
use std::collections::BTreeMap;

/// Rows in the order of descent.
pub(crate) struct TrainingRows {
    pub(crate) rows: Vec<DescentRow>,
    /// How many values of a column lie outside of its range.
    pub(super) clipped: BTreeMap<String, u64>,
}

impl TrainingRows {
    pub(crate) fn read(
        training: &Training,
        target: Option<&str>,
        format: &TableOptions,
        source: &InputSource,
        terminal: Terminal,
    ) -> Result<Self> {
        let columns = Columns {
            numbers: training
                .numbers()
                .iter()
                .map(|own| own.name.as_str())
                .collect(),
            texts: vec![target.unwrap_or(&training.target().name)],
        };
        let (mut rows, mut clipped) = (Vec::new(), BTreeMap::new());
        columns.each_row(format, source, terminal, |numbers, texts| {
            let row = rows.len() as u64 + 1;
            let (features, beyond) = training.encode(row, numbers)?;
            for index in beyond {
                *clipped
                    .entry(training.numbers()[index].name.clone())
                    .or_default() += 1;
            }
            let class = training.class(row, texts.first().copied().unwrap_or_default())?;
            rows.push((features, class));
            Ok(())
        })?;
        for (index, column) in training.numbers().iter().enumerate() {
            let mut values = rows.iter().map(|(features, _)| features[index]);
            let first = values.next();
            if values.all(|value| Some(value) == first) {
                bail!(
                    "{}: column {:?} is constant in steps of its range; leave it out of the spec, or narrow the range",
                    source.name(),
                    column.name
                );
            }
        }
        let order = Training::order(rows.len()).into_iter();
        Ok(Self {
            rows: order.map(|place| rows[place].clone()).collect(),
            clipped,
        })
    }

    /// Names the rows, in the clear: for files that do not leave this machine.
    pub(super) fn hash(&self) -> Hash {
        let rows = self.rows.iter().flat_map(|(features, class)| {
            let features = features.iter().flat_map(|value| value.to_le_bytes());
            features.chain((*class as u64).to_le_bytes())
        });
        Hash::of(&rows.collect::<Vec<u8>>())
    }
}
