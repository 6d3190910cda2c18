//! Records with the line where each starts.

use crate::error::TableError;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Largest record, in bytes: a quote that is never closed must not pull a whole file into memory.
pub(crate) const MAX_RECORD: u64 = 16 << 20;

/// The CSV parser, with one record in memory.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    pub(crate) source_name: String,
    reader: csv::Reader<Normalised<R>>,
    budget: Budget,
    record: csv::ByteRecord,
    line: u64,
    width: Option<usize>,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(source_name: String, input: R) -> Self {
        let budget = Budget::default();
        let input = Normalised {
            inner: input,
            budget: budget.clone(),
            held: false,
            ended: false,
        };
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .terminator(csv::Terminator::Any(b'\n'))
            .from_reader(input);
        Self {
            source_name,
            reader,
            budget,
            record: csv::ByteRecord::new(),
            line: 0,
            width: None,
        }
    }

    /// Reads the next record, which has as many cells as the first; false at the end.
    pub(crate) fn advance(&mut self) -> Result<bool, TableError> {
        self.budget.renew();
        let start = self.reader.position().line();
        let more = self
            .reader
            .read_byte_record(&mut self.record)
            .map_err(|error| self.explain(error, start))?;
        if !more {
            return Ok(false);
        }
        // The parser's own position is that of the blank lines before the record.
        let inside = self.record.as_slice().split(|byte| *byte == b'\n').count() as u64 - 1;
        self.line = (self.reader.position().line() - 1).saturating_sub(inside);
        let expected = *self.width.get_or_insert(self.record.len());
        if self.record.len() != expected {
            let source_name = self.source_name.clone();
            return Err(TableError::Ragged {
                source_name,
                line: self.line,
                expected,
                found: self.record.len(),
            });
        }
        Ok(true)
    }

    fn explain(&self, error: csv::Error, line: u64) -> TableError {
        let source_name = self.source_name.clone();
        match error.into_kind() {
            csv::ErrorKind::Io(_) if self.budget.is_spent() => TableError::TooLong {
                source_name,
                line,
                limit: MAX_RECORD,
            },
            csv::ErrorKind::Io(cause) => TableError::Io { source_name, cause },
            other => TableError::Io {
                source_name,
                cause: io::Error::other(format!("{other:?}")),
            },
        }
    }
}

impl<R> Lines<R> {
    /// Line where the record starts, from 1.
    pub(crate) const fn line(&self) -> u64 {
        self.line
    }

    /// Number of cells.
    pub(crate) fn width(&self) -> usize {
        self.record.len()
    }

    /// Text of one cell.
    pub(crate) fn cell(&self, index: usize) -> Result<&str, TableError> {
        std::str::from_utf8(self.record.get(index).unwrap_or_default()).map_err(|_| {
            TableError::NotUtf8 {
                source_name: self.source_name.clone(),
                line: self.line,
            }
        })
    }
}

/// Bytes that may still be read for the current record. Shared by the reader inside the parser and
/// the code around it.
#[derive(Clone, Debug, Default)]
struct Budget(Arc<AtomicU64>);

impl Budget {
    fn renew(&self) {
        self.0.store(MAX_RECORD, Ordering::Relaxed);
    }

    fn left(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn is_spent(&self) -> bool {
        self.left() == 0
    }
}

/// Turns CRLF into LF and ends the last line, so that the parser counts lines in one way; fails
/// once the budget is spent.
#[derive(Debug)]
struct Normalised<R> {
    inner: R,
    budget: Budget,
    /// A CR at the end of what was read: whether it belongs to a line end is not known yet.
    held: bool,
    ended: bool,
}

impl<R: Read> Read for Normalised<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // Room for a held CR and the byte after it. The parser's buffer is never this short.
        if self.ended || out.len() < 2 {
            return Ok(0);
        }
        let start = usize::from(self.held);
        out[0] = b'\r';
        let end = start
            + usize::try_from(self.budget.left())
                .unwrap_or(usize::MAX)
                .min(out.len() - start);
        if end == start {
            return Err(io::Error::other("record above the limit"));
        }
        let len = self.inner.read(&mut out[start..end])?;
        self.budget.0.fetch_sub(len as u64, Ordering::Relaxed);
        if len == 0 {
            self.ended = true;
            out[start] = b'\n';
            return Ok(start + 1);
        }
        let mut kept = 0;
        self.held = out[start + len - 1] == b'\r';
        let filled = start + len - usize::from(self.held);
        for index in 0..filled {
            if out[index] != b'\r' || out[index + 1..filled].first() != Some(&b'\n') {
                out[kept] = out[index];
                kept += 1;
            }
        }
        // Nothing but a held CR: an empty read would mean the end.
        if kept == 0 { self.read(out) } else { Ok(kept) }
    }
}
