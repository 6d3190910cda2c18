//! Rows of CSV files on their way to a training.

use crate::files::InputSource;
use crate::table::TableOptions;
use crate::terminal::Terminal;
use anyhow::{Context, Result};
use cipherfn_program::{EntryKind, Tensor, TensorType};
use cipherfn_protocol::specs::{ColumnKind, InputColumn};

/// Columns of a table, by name.
pub(crate) struct Columns<'a> {
    /// Of numbers.
    pub(crate) numbers: Vec<&'a str>,
    /// Of texts.
    pub(crate) texts: Vec<&'a str>,
}

impl Columns<'_> {
    /// Gives `take` the cells of each row. Missing ones are errors.
    pub(crate) fn each_row(
        &self,
        options: &TableOptions,
        source: &InputSource,
        terminal: Terminal,
        mut take: impl FnMut(&[f64], &[&str]) -> Result<()>,
    ) -> Result<()> {
        let column = |kind| {
            move |name: &&str| InputColumn {
                name: (*name).to_owned(),
                kind,
                missing: false,
            }
        };
        let numbers = self.numbers.iter().map(column(ColumnKind::Float64));
        let texts = self.texts.iter().map(column(ColumnKind::Text));
        let columns: Vec<InputColumn> = numbers.chain(texts).collect();
        let input = |kind, len| TensorType { kind, len };
        let groups = [
            input(EntryKind::F64, self.numbers.len()),
            input(EntryKind::Text, self.texts.len()),
        ];
        let groups: Vec<_> = groups.into_iter().filter(|group| group.len > 0).collect();
        let (table, progress) = options.open(source, terminal, "reading")?;
        for row in table.select(&columns, &groups)? {
            let row = row?;
            let (mut numbers, mut texts) = (Vec::new(), Vec::new());
            for group in &row {
                match group {
                    Tensor::F64(values) => numbers.extend_from_slice(values),
                    Tensor::Text(values) => texts.extend(values.iter().map(|text| &**text)),
                    _ => {}
                }
            }
            take(&numbers, &texts).with_context(|| source.name())?;
        }
        progress.finish_and_clear();
        Ok(())
    }
}
