//! Header and rows.

use crate::cell::{self, Booleans, Column};
use crate::error::{Hint, Place, TableError};
use crate::format::{Decimal, Format};
use crate::records::Records;
use cipherfn_program::{ColumnKind, EntryKind, InputColumn, RowProgram, Tensor, TensorType};
use std::collections::HashMap;
use std::io::Read;

/// A CSV stream whose header has been read.
#[derive(Debug)]
pub struct Table<R> {
    records: Records<R>,
    header: Vec<String>,
    decimal: Decimal,
}

/// Typed rows of a [`Table`]: each is the inputs of a row program.
///
/// As an iterator it ends after its first error, be it a row's; [`Rows::next_row`] goes on behind a
/// bad row. A table without rows gives [`TableError::NoRows`].
#[derive(Debug)]
pub struct Rows<R> {
    records: Records<R>,
    decimal: Decimal,
    /// Cells of a row.
    width: usize,
    /// Cell index and column of each wanted one.
    wanted: Vec<(usize, Column)>,
    inputs: Vec<TensorType>,
    /// Cell indices of columns that travel beside the row.
    kept: Vec<usize>,
    ignored: Vec<String>,
    count: u64,
    limit: u64,
    done: bool,
}

/// One row.
#[derive(Debug)]
pub struct Row {
    /// The program's inputs, or what is wrong with the row.
    pub inputs: Result<Vec<Tensor>, TableError>,
    /// Cells of the columns that [`Table::select_and_keep`] keeps, as they are.
    pub kept: Vec<Vec<u8>>,
}

impl<R: Read> Table<R> {
    /// Reads the header of RFC 4180 text. `source_name` stands for the file in errors.
    pub fn open(source_name: impl Into<String>, input: R) -> Result<Self, TableError> {
        Self::open_as(source_name, input, Format::default())
    }

    /// Reads the header of text in another format.
    pub fn open_as(
        source_name: impl Into<String>,
        input: R,
        format: Format,
    ) -> Result<Self, TableError> {
        let mut records = Records::new(source_name.into(), input, format)?;
        if !records.header()? {
            return Err(TableError::Empty {
                source_name: records.source_name,
            });
        }
        let name = |index| match std::str::from_utf8(records.bytes(index)) {
            Ok(name) => name.trim().replace('\u{a0}', " "),
            // Only a column that is looked up must have a name that can be read.
            Err(_) => String::from_utf8_lossy(records.bytes(index)).into_owned(),
        };
        let header = (0..records.width()).map(name).collect();
        Ok(Self {
            records,
            header,
            decimal: format.decimal,
        })
    }

    /// Column names in the file's order, without white space around them.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Name of the file in errors.
    pub fn source_name(&self) -> &str {
        &self.records.source_name
    }

    /// That columns of these names are missing, and what the header shows of the reason.
    fn missing(&self, names: &[String]) -> TableError {
        TableError::MissingColumns {
            source_name: self.records.source_name.clone(),
            names: names.to_vec(),
            hint: hint(&self.header, names, self.records.separator()),
        }
    }

    /// Reads `limit` rows, or to the end, and refuses one of another number of cells than the header.
    pub fn check(mut self, limit: u64) -> Result<(), TableError> {
        let mut rows = 0..limit;
        while rows.next().is_some() && self.records.advance()? {
            if self.records.width() != self.header.len() {
                return Err(ragged(&self.records, self.header.len()));
            }
        }
        Ok(())
    }

    /// Looks up `columns` by name. Input `i` of a row takes as many consecutive ones of them as it
    /// is long. Other columns may be unnamed or share a name.
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
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, name) in self.header.iter().enumerate() {
            places.entry(name).or_default().push(index);
        }
        let mut wanted = Vec::with_capacity(columns.len());
        let mut names = Vec::new();
        for column in columns {
            match places.get(column.name.trim()).map(Vec::as_slice) {
                Some([index]) => wanted.push((
                    *index,
                    Column {
                        input: column.clone(),
                        missing_text: None,
                        booleans: match column.kind {
                            ColumnKind::Int64 => Booleans::Taken,
                            _ => Booleans::Refused,
                        },
                    },
                )),
                Some([first, second, ..]) => {
                    return Err(TableError::DuplicateColumn {
                        name: column.name.clone(),
                        first: first + 1,
                        second: second + 1,
                        source_name: self.records.source_name,
                    });
                }
                _ => names.push(column.name.clone()),
            }
        }
        if !names.is_empty() {
            return Err(self.missing(&names));
        }
        let is_wanted = |index: usize| wanted.iter().any(|(place, _)| *place == index);
        let ignored = self
            .header
            .iter()
            .enumerate()
            .filter(|(index, name)| !name.is_empty() && !is_wanted(*index))
            .map(|(_, name)| name.clone())
            .collect();
        Ok(Rows {
            width: self.header.len(),
            wanted,
            inputs: inputs.to_vec(),
            kept: Vec::new(),
            ignored,
            decimal: self.decimal,
            records: self.records,
            count: 0,
            limit: u64::MAX,
            done: false,
        })
    }

    /// The columns that `program` reads, and cells of the columns `kept` beside each row, as they
    /// are.
    pub fn select_and_keep(
        self,
        columns: &[InputColumn],
        program: &RowProgram,
        kept: &[String],
    ) -> Result<Rows<R>, TableError> {
        let mut places = Vec::with_capacity(kept.len());
        let mut names = Vec::new();
        for name in kept {
            match self.header.iter().position(|column| column == name) {
                Some(index) => places.push(index),
                None => names.push(name.clone()),
            }
        }
        if !names.is_empty() {
            return Err(self.missing(&names));
        }
        let mut rows = self
            .select(columns, program.inputs())?
            .missing_texts(program);
        rows.ignored.retain(|name| !kept.contains(name));
        rows.kept = places;
        Ok(rows)
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

    /// Takes an empty cell of a column of texts for the text by which `program` knows a missing
    /// value, where it knows one.
    #[must_use]
    pub fn missing_texts(mut self, program: &RowProgram) -> Self {
        let mut wanted = self.wanted.iter_mut();
        for (input, shape) in program.inputs().iter().enumerate() {
            for (_, column) in wanted.by_ref().take(shape.len) {
                column.missing_text = program.missing_text(input).map(str::to_owned);
            }
        }
        self
    }

    /// Takes True and False for 1 and 0 in every column that begins with one of them, not only
    /// where the model says so: for the rows that tell what a column holds.
    #[must_use]
    pub fn accept_booleans(mut self) -> Self {
        for (_, column) in &mut self.wanted {
            column.booleans = Booleans::Open;
        }
        self
    }

    /// Whether each wanted column began with True or False.
    pub fn boolean(&self) -> impl Iterator<Item = bool> {
        let taken = |(_, column): &(_, Column)| column.booleans == Booleans::Taken;
        self.wanted.iter().map(taken)
    }

    /// Name of the file in errors.
    pub fn source_name(&self) -> &str {
        &self.records.source_name
    }

    /// The first blank line between the rows so far. It is no row; in a table of one column it may have
    /// been meant for one.
    pub fn blank_line(&self) -> Option<u64> {
        self.records.blank()
    }

    /// Line of the last row returned.
    pub const fn line(&self) -> u64 {
        self.records.start()
    }
}

impl<R: Read> Iterator for Rows<R> {
    type Item = Result<Vec<Tensor>, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let row = self
            .next_row()
            .and_then(|row| row.map(|row| row.inputs).transpose());
        self.done = !matches!(row, Ok(Some(_)));
        row.transpose()
    }
}

impl<R: Read> Rows<R> {
    /// The next row, good or bad; an error is one of the whole file.
    pub fn next_row(&mut self) -> Result<Option<Row>, TableError> {
        if self.count == self.limit {
            return Ok(None);
        }
        if !self.records.advance()? {
            return match self.count {
                0 => Err(TableError::NoRows {
                    source_name: self.records.source_name.clone(),
                }),
                _ => Ok(None),
            };
        }
        self.count += 1;
        let kept = self
            .kept
            .iter()
            .map(|index| self.records.bytes(*index).to_vec())
            .collect();
        let inputs = self.inputs();
        Ok(Some(Row { inputs, kept }))
    }

    fn inputs(&mut self) -> Result<Vec<Tensor>, TableError> {
        if self.records.width() != self.width {
            return Err(ragged(&self.records, self.width));
        }
        let mut wanted = self.wanted.iter_mut();
        let mut row = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            let mut tensor = with_capacity(*input);
            for (index, column) in wanted.by_ref().take(input.len) {
                let bytes = self.records.bytes(*index);
                cell::push(&mut tensor, bytes, column, self.decimal).map_err(|source| {
                    TableError::Cell {
                        place: Place {
                            source: self.records.source_name.clone(),
                            line: self.records.start(),
                            column: column.input.name.clone(),
                        },
                        source,
                    }
                })?;
            }
            row.push(tensor);
        }
        Ok(row)
    }
}

fn ragged<R>(records: &Records<R>, expected: usize) -> TableError {
    TableError::Ragged {
        source_name: records.source_name.clone(),
        line: records.start(),
        expected,
        found: records.width(),
    }
}

fn with_capacity(input: TensorType) -> Tensor {
    match input.kind {
        EntryKind::F32 => Tensor::F32(Vec::with_capacity(input.len)),
        EntryKind::F64 => Tensor::F64(Vec::with_capacity(input.len)),
        EntryKind::I64 => Tensor::I64(Vec::with_capacity(input.len)),
        EntryKind::Text => Tensor::Text(Vec::with_capacity(input.len)),
    }
}

/// Why columns were not found.
fn hint(header: &[String], names: &[String], separator: u8) -> Hint {
    if let [only] = header
        && let Some(found) = [b';', b'\t', b'|']
            .into_iter()
            .find(|found| *found != separator && only.contains(char::from(*found)))
    {
        return Hint::Separator(found);
    }
    if header.iter().all(|name| name.parse::<f64>().is_ok()) {
        return Hint::NoHeader;
    }
    let plain = |name: &str| -> String {
        let letters = name.chars().filter(|letter| letter.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    };
    let near: Vec<_> = names
        .iter()
        .filter_map(|wanted| {
            let found = header.iter().find(|name| plain(name) == plain(wanted))?;
            Some((found.clone(), wanted.clone()))
        })
        .collect();
    match comment(header) {
        _ if !near.is_empty() => Hint::Near(near),
        Some(mark) => Hint::Comment(mark),
        None => Hint::Header(header.to_vec()),
    }
}

/// What seems to mark a header as a comment: a usual mark in front of more text. Alone it is a name,
/// of the column that numbers the rows.
pub fn comment<S: AsRef<str>>(header: &[S]) -> Option<u8> {
    let [mark @ (b'#' | b'%' | b'/' | b'!'), _, ..] = header.first()?.as_ref().as_bytes() else {
        return None;
    };
    Some(*mark)
}

#[cfg(test)]
mod tests;
