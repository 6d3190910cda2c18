//! Header and rows.

use crate::cell;
use crate::error::{Place, TableError};
use crate::lines::Lines;
use cipherfn_program::{Kind, Tensor, TensorType};
use cipherfn_protocol::specs::InputColumn;
use std::collections::HashMap;
use std::io::Read;

/// A CSV stream whose header has been read.
#[derive(Debug)]
pub struct Table<R> {
    lines: Lines<R>,
    header: Vec<String>,
}

/// Typed rows of a [`Table`]: each is the inputs of a row program.
///
/// The iterator ends after its first error. A table without rows gives [`TableError::NoRows`].
#[derive(Debug)]
pub struct Rows<R> {
    lines: Lines<R>,
    /// Cell index and type of each wanted column.
    wanted: Vec<(usize, InputColumn)>,
    inputs: Vec<TensorType>,
    ignored: Vec<String>,
    count: u64,
    limit: u64,
    done: bool,
}

impl<R: Read> Table<R> {
    /// Reads the header. `source_name` stands for the file in errors.
    pub fn open(source_name: impl Into<String>, input: R) -> Result<Self, TableError> {
        let mut lines = Lines::new(source_name.into(), input);
        if !lines.advance()? {
            return Err(TableError::Empty {
                source_name: lines.source_name,
            });
        }
        let names =
            (0..lines.width()).map(|index| lines.cell(index).map(|name| name.trim().to_owned()));
        let header = names.collect::<Result<Vec<_>, _>>()?;
        let mut seen = HashMap::new();
        for (index, name) in header.iter().enumerate() {
            if let Some(first) = seen.insert(name, index) {
                let (first, second) = (first + 1, index + 1);
                return Err(TableError::DuplicateColumn {
                    source_name: lines.source_name,
                    name: name.clone(),
                    first,
                    second,
                });
            }
        }
        Ok(Self { lines, header })
    }

    /// Column names in the file's order.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Looks up `columns` by name. Input `i` of a row takes as many consecutive ones of them as it
    /// is long.
    ///
    /// # Panics
    /// If the inputs' lengths do not add up to the number of columns; those of checked client specs
    /// do.
    pub fn select(
        self,
        columns: &[InputColumn],
        inputs: &[TensorType],
    ) -> Result<Rows<R>, TableError> {
        assert_eq!(
            inputs.iter().map(|input| input.len).sum::<usize>(),
            columns.len(),
            "inputs take every column"
        );
        let mut index: HashMap<&str, usize> = self
            .header
            .iter()
            .enumerate()
            .map(|(index, name)| (name.as_str(), index))
            .collect();
        let mut wanted = Vec::with_capacity(columns.len());
        let mut names = Vec::new();
        for column in columns {
            match index.get(column.name.as_str()) {
                Some(index) => wanted.push((*index, column.clone())),
                None => names.push(column.name.clone()),
            }
        }
        if !names.is_empty() {
            let way_out = way_out(&self.header, columns);
            return Err(TableError::MissingColumns {
                source_name: self.lines.source_name,
                names,
                way_out,
            });
        }
        for column in columns {
            index.remove(column.name.as_str());
        }
        let ignored = self
            .header
            .iter()
            .filter(|name| index.contains_key(name.as_str()))
            .cloned()
            .collect();
        Ok(Rows {
            lines: self.lines,
            wanted,
            inputs: inputs.to_vec(),
            ignored,
            count: 0,
            limit: u64::MAX,
            done: false,
        })
    }
}

impl<R> Rows<R> {
    /// Names of the file's other columns.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Ends after `rows` rows.
    #[must_use]
    pub fn limit(self, rows: u64) -> Self {
        Self {
            limit: rows,
            ..self
        }
    }

    /// Name of the file in errors.
    pub fn source_name(&self) -> &str {
        &self.lines.source_name
    }

    /// Line of the last row returned.
    pub const fn line(&self) -> u64 {
        self.lines.line()
    }
}

impl<R: Read> Iterator for Rows<R> {
    type Item = Result<Vec<Tensor>, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done || self.count == self.limit {
            return None;
        }
        let row = self.read().transpose();
        self.done = !matches!(row, Some(Ok(_)));
        row
    }
}

impl<R: Read> Rows<R> {
    fn read(&mut self) -> Result<Option<Vec<Tensor>>, TableError> {
        if !self.lines.advance()? {
            return if self.count == 0 {
                Err(TableError::NoRows {
                    source_name: self.lines.source_name.clone(),
                })
            } else {
                Ok(None)
            };
        }
        self.count += 1;
        let mut wanted = self.wanted.iter();
        let mut row = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            let mut tensor = with_capacity(*input);
            for (index, column) in wanted.by_ref().take(input.len) {
                let place = || Place {
                    source: self.lines.source_name.clone(),
                    line: self.lines.line(),
                    column: column.name.clone(),
                };
                cell::push(&mut tensor, self.lines.cell(*index)?, column, place)?;
            }
            row.push(tensor);
        }
        Ok(Some(row))
    }
}

fn with_capacity(input: TensorType) -> Tensor {
    match input.kind {
        Kind::F32 => Tensor::F32(Vec::with_capacity(input.len)),
        Kind::F64 => Tensor::F64(Vec::with_capacity(input.len)),
        Kind::I64 => Tensor::I64(Vec::with_capacity(input.len)),
        Kind::Text => Tensor::Text(Vec::with_capacity(input.len)),
    }
}

/// Advice for columns that were not found.
fn way_out(header: &[String], columns: &[InputColumn]) -> String {
    let differs_by_case = |name: &String| {
        columns
            .iter()
            .any(|column| column.name != *name && column.name.eq_ignore_ascii_case(name))
    };
    if let [only] = header
        && let Some(separator) = [';', '\t', '|']
            .into_iter()
            .find(|separator| only.contains(*separator))
    {
        return format!(
            "the header seems to be separated by {separator:?}: separate cells by commas"
        );
    }
    if header.iter().all(|name| name.parse::<f64>().is_ok()) {
        return "the first line holds numbers: put the column names there".to_owned();
    }
    if let Some(name) = header.iter().find(|name| differs_by_case(name)) {
        return format!("names are case-sensitive and the header has {name:?}: rename it");
    }
    format!("the header has {}: add or rename columns", list(header))
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("{name:?}"))
        .collect();
    if names.len() > SHOWN {
        shown.push(format!("and {} more", names.len() - SHOWN));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests;
