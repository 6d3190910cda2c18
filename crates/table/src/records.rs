//! Records with the line where each starts.
//!
//! Split here and not by the `csv` crate: its reader tells neither the line in which a quote was
//! opened nor whether it was ever closed, and it takes a CR alone for a line end only where LF is
//! none. Both are the most frequent ways in which a file loses rows without a word.

use crate::error::TableError;
use crate::format::{self, Format, Text};
use std::collections::VecDeque;
use std::io::{BufRead, Read};

/// Largest record, in bytes: a quote that is never closed must not pull a whole file into memory.
pub(crate) const MAX_RECORD: usize = 16 << 20;

/// Most groups of lines of nothing but separators, each of another width or place, that are kept
/// until it is known whether a row follows.
const MAX_BARE: usize = 1 << 16;

/// A CSV text, with one record in memory.
#[derive(Debug)]
pub(crate) struct Records<R> {
    pub(crate) source_name: String,
    text: Text<R>,
    record: Record,
    /// Lines of nothing but separators before the record that was read.
    bare: VecDeque<Bare>,
    /// That record, while those lines are given.
    held: Option<Held>,
    /// The first blank line behind the header, and whether a record followed it.
    blank: Option<(u64, bool)>,
}

/// Consecutive lines of nothing but separators.
#[derive(Debug)]
struct Bare {
    start: u64,
    lines: u64,
    width: usize,
}

/// A record that waits: its cells, where they end, and its line.
#[derive(Debug)]
struct Held {
    cells: Vec<u8>,
    ends: Vec<usize>,
    start: u64,
}

/// The record that is read, byte by byte.
#[derive(Debug)]
struct Record {
    separator: u8,
    comment: Option<u8>,
    /// Cells, one after the other.
    cells: Vec<u8>,
    /// Where each cell ends in `cells`.
    ends: Vec<usize>,
    /// Whether some cell was quoted: an empty one is then a cell and not a blank line.
    quoted: bool,
    /// Line where the record starts.
    start: u64,
    /// Line that is being read.
    line: u64,
    /// Line in which the last quote was opened.
    quote: u64,
    state: State,
    /// The last byte was a CR: a LF after it belongs to the same line end.
    after_cr: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte.
    Start,
    /// Before the first byte of another cell.
    Cell,
    Bare,
    Quoted,
    /// After a quote in a quoted cell: the end of it, or the first half of a doubled one.
    Quote,
    Comment,
}

impl<R: Read> Records<R> {
    pub(crate) fn new(source_name: String, input: R, format: Format) -> Result<Self, TableError> {
        let opened = format::open(&source_name, input, format)?;
        let record = Record {
            separator: opened.separator,
            comment: format.comment,
            cells: Vec::new(),
            ends: Vec::new(),
            quoted: false,
            start: opened.line,
            line: opened.line,
            quote: 0,
            state: State::Start,
            after_cr: false,
        };
        Ok(Self {
            source_name,
            text: opened.text,
            record,
            bare: VecDeque::new(),
            held: None,
            blank: None,
        })
    }

    /// Reads the header: the first record with text in it; false at the end.
    pub(crate) fn header(&mut self) -> Result<bool, TableError> {
        let found = self.next_written()?;
        self.bare.clear();
        self.blank = None;
        Ok(found)
    }

    /// Reads the next record; false at the end. Blank lines and comments are no records, and neither
    /// are lines of nothing but separators at the end, as spreadsheets write them. Such a line
    /// between others is a row whose values are all missing, as data frames write it.
    pub(crate) fn advance(&mut self) -> Result<bool, TableError> {
        if self.bare.is_empty() && self.held.is_none() {
            if !self.next_written()? {
                return Ok(false);
            }
            if self.bare.is_empty() {
                return Ok(true);
            }
            self.held = Some(Held {
                cells: std::mem::take(&mut self.record.cells),
                ends: std::mem::take(&mut self.record.ends),
                start: self.record.start,
            });
        }
        if let Some(bare) = self.bare.front_mut() {
            self.record.cells.clear();
            self.record.ends = vec![0; bare.width];
            self.record.start = bare.start;
            bare.start += 1;
            bare.lines -= 1;
            if bare.lines == 0 {
                self.bare.pop_front();
            }
        } else if let Some(held) = self.held.take() {
            self.record.cells = held.cells;
            self.record.ends = held.ends;
            self.record.start = held.start;
        }
        Ok(true)
    }

    /// Reads the next record with text in it, and notes the lines of nothing but separators before;
    /// false at the end.
    fn next_written(&mut self) -> Result<bool, TableError> {
        loop {
            self.record.cells.clear();
            self.record.ends.clear();
            self.record.quoted = false;
            if !self.read()? {
                self.bare.clear();
                return Ok(false);
            }
            let (start, width) = (self.record.start, self.width());
            if self.record.quoted || !self.record.cells.is_empty() {
                if let Some((_, followed)) = &mut self.blank {
                    *followed = true;
                }
                return Ok(true);
            }
            if width == 1 {
                self.blank.get_or_insert((start, false));
                continue;
            }
            let is_full = self.bare.len() == MAX_BARE;
            match self.bare.back_mut() {
                Some(bare) if bare.width == width && bare.start + bare.lines == start => {
                    bare.lines += 1;
                }
                _ if is_full => return Err(self.too_long()),
                _ => self.bare.push_back(Bare {
                    start,
                    lines: 1,
                    width,
                }),
            }
        }
    }

    fn read(&mut self) -> Result<bool, TableError> {
        loop {
            let bytes = match self.text.fill_buf() {
                Ok(bytes) => bytes,
                Err(cause) => {
                    let source_name = self.source_name.clone();
                    return Err(TableError::Io { source_name, cause });
                }
            };
            if bytes.is_empty() {
                return self.finish();
            }
            let end = bytes.iter().position(|byte| self.record.take(*byte));
            let taken = end.map_or(bytes.len(), |end| end + 1);
            self.text.consume(taken);
            if end.is_some() {
                return Ok(true);
            }
            // A separator alone costs the end of a cell.
            if self.record.cells.len() + size_of_val(&*self.record.ends) > MAX_RECORD {
                return Err(self.too_long());
            }
        }
    }

    /// The end of the text: of the last record too, if it is without a line end.
    fn finish(&mut self) -> Result<bool, TableError> {
        match self.record.state {
            State::Start | State::Comment => Ok(false),
            State::Quoted => Err(self.unclosed()),
            State::Cell | State::Bare | State::Quote => {
                self.record.end();
                Ok(true)
            }
        }
    }

    fn unclosed(&self) -> TableError {
        TableError::UnclosedQuote {
            source_name: self.source_name.clone(),
            line: self.record.quote,
        }
    }

    fn too_long(&self) -> TableError {
        if self.record.state == State::Quoted {
            return self.unclosed();
        }
        TableError::TooLong {
            source_name: self.source_name.clone(),
            line: self.record.start,
            limit: MAX_RECORD as u64,
        }
    }
}

impl<R> Records<R> {
    /// The first blank line between records so far.
    pub(crate) fn blank(&self) -> Option<u64> {
        self.blank
            .filter(|(_, followed)| *followed)
            .map(|(line, _)| line)
    }

    /// Line where the record starts, from 1.
    pub(crate) const fn start(&self) -> u64 {
        self.record.start
    }

    /// Number of cells.
    pub(crate) const fn width(&self) -> usize {
        self.record.ends.len()
    }

    /// Bytes of one cell; none where the record has no such cell.
    pub(crate) fn bytes(&self, index: usize) -> &[u8] {
        let Record { cells, ends, .. } = &self.record;
        let start = index
            .checked_sub(1)
            .map_or(Some(&0), |before| ends.get(before));
        match (start, ends.get(index)) {
            (Some(start), Some(end)) => &cells[*start..*end],
            _ => &[],
        }
    }

    /// What stands between cells.
    pub(crate) const fn separator(&self) -> u8 {
        self.record.separator
    }
}

impl Record {
    /// Takes the next byte; true where it ends the record.
    fn take(&mut self, byte: u8) -> bool {
        let is_second_half = std::mem::replace(&mut self.after_cr, byte == b'\r') && byte == b'\n';
        if is_second_half {
            if self.state == State::Quoted {
                self.cells.push(byte);
            }
            return false;
        }
        let is_end = matches!(byte, b'\n' | b'\r');
        if self.state == State::Start {
            self.start = self.line;
        }
        self.state = match self.state {
            State::Start if self.comment == Some(byte) => State::Comment,
            State::Comment if is_end => State::Start,
            State::Comment => State::Comment,
            State::Quoted if byte == b'"' => State::Quote,
            State::Start | State::Cell if byte == b'"' => {
                self.quote = self.line;
                self.quoted = true;
                State::Quoted
            }
            State::Quoted | State::Quote if self.state == State::Quoted || byte == b'"' => {
                self.cells.push(byte);
                State::Quoted
            }
            _ if is_end => {
                self.line += 1;
                self.end();
                return true;
            }
            _ if byte == self.separator => {
                self.ends.push(self.cells.len());
                State::Cell
            }
            _ => {
                self.cells.push(byte);
                State::Bare
            }
        };
        self.line += u64::from(is_end);
        false
    }

    /// Ends the last cell.
    fn end(&mut self) {
        self.ends.push(self.cells.len());
        self.state = State::Start;
    }
}
