//! How a file writes its table: separator, decimal mark, comments; told, or found in its first
//! lines.

use crate::error::TableError;
use flate2::read::MultiGzDecoder;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

/// Longest first line: beyond it nothing is looked for.
const MAX_LINE: u64 = 16 << 20;
/// The byte order mark of UTF-8.
const BOM: &[u8] = b"\xEF\xBB\xBF";
/// Separators that are looked for where the header has no comma, in this order: a tab is hardly
/// ever part of a name, a semicolon seldom, a bar now and then.
const SEPARATORS: [u8; 3] = [b'\t', b';', b'|'];

/// How a file writes its table. The default is RFC 4180: commas, decimal points, no comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// What stands between cells. A first line `sep=;`, as spreadsheets write it, overrules this.
    pub separator: Separator,
    /// What stands before the decimals of a number.
    pub decimal: Decimal,
    /// Lines that start with this byte are skipped.
    pub comment: Option<u8>,
}

/// What stands between the cells of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separator {
    /// This byte.
    Given(u8),
    /// A comma, unless the header has none and another usual separator.
    Found,
}

/// What stands before the decimals of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decimal {
    /// `1.5`.
    Point,
    /// `1,5`.
    Comma,
}

impl Default for Format {
    fn default() -> Self {
        Self {
            separator: Separator::Given(b','),
            decimal: Decimal::Point,
            comment: None,
        }
    }
}

/// The bytes of a table's text, decompressed, without byte order mark and `sep=` line.
pub(crate) type Text<R> = BufReader<Chain<Cursor<Vec<u8>>, BufReader<Decompressed<R>>>>;

/// A text that has begun: its first lines have told how to read it.
pub(crate) struct Opened<R> {
    pub(crate) text: Text<R>,
    pub(crate) separator: u8,
    /// Number of the first line that `text` starts with, from 1.
    pub(crate) line: u64,
}

/// Plain bytes, or gzip (one member or several).
#[derive(Debug)]
pub(crate) enum Decompressed<R> {
    Plain(Chain<Cursor<Vec<u8>>, R>),
    /// Large beside the other.
    Gzip(Box<MultiGzDecoder<Chain<Cursor<Vec<u8>>, R>>>),
}

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(input) => input.read(out),
            Self::Gzip(input) => input.read(out),
        }
    }
}

/// Reads the first lines of `input` and finds out how it is written.
pub(crate) fn open<R: Read>(
    source_name: &str,
    input: R,
    format: Format,
) -> Result<Opened<R>, TableError> {
    let failed = |cause| TableError::Io {
        source_name: source_name.to_owned(),
        cause,
    };
    let mut input = BufReader::new(decompress(input).map_err(failed)?);
    let mut head = Vec::new();
    let mut line = 1;
    let mut start = read_line(&mut input, &mut head).map_err(failed)?;
    if head.starts_with(b"\xFF\xFE") || head.starts_with(b"\xFE\xFF") {
        return Err(TableError::Utf16 {
            source_name: source_name.to_owned(),
        });
    }
    if head.starts_with(BOM) {
        head.drain(..BOM.len());
    }
    let said = said(&head);
    if said.is_some() {
        head.clear();
        line += 1;
        start = read_line(&mut input, &mut head).map_err(failed)?;
    }
    // The header is the first line that is neither blank nor a comment.
    while start && is_skipped(&head, format.comment) {
        head.clear();
        line += 1;
        start = read_line(&mut input, &mut head).map_err(failed)?;
    }
    let separator = said.unwrap_or(match format.separator {
        Separator::Given(separator) => separator,
        Separator::Found => found(&head),
    });
    let from = head.len();
    read_line(&mut input, &mut head).map_err(failed)?;
    if format.decimal == Decimal::Point && separator != b',' && has_commas(&head[from..], separator)
    {
        return Err(TableError::DecimalComma {
            source_name: source_name.to_owned(),
        });
    }
    let text = BufReader::new(Cursor::new(head).chain(input));
    Ok(Opened {
        text,
        separator,
        line,
    })
}

fn decompress<R: Read>(mut input: R) -> io::Result<Decompressed<R>> {
    let mut magic = Vec::new();
    input.by_ref().take(2).read_to_end(&mut magic)?;
    let is_gzip = magic == [0x1f, 0x8b];
    let input = Cursor::new(magic).chain(input);
    Ok(if is_gzip {
        Decompressed::Gzip(Box::new(MultiGzDecoder::new(input)))
    } else {
        Decompressed::Plain(input)
    })
}

/// Appends the next line with its end, LF, CRLF or CR; false at the end of the input.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    let start = line.len();
    loop {
        let bytes = input.fill_buf()?;
        let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let taken = end.map_or(bytes.len(), |end| end + 1);
        line.extend_from_slice(&bytes[..taken]);
        input.consume(taken);
        if line.ends_with(b"\r") && input.fill_buf()?.first() == Some(&b'\n') {
            line.push(b'\n');
            input.consume(1);
        }
        if end.is_some() || taken == 0 || (line.len() - start) as u64 > MAX_LINE {
            return Ok(line.len() > start);
        }
    }
}

/// The separator of a line `sep=;`.
fn said(line: &[u8]) -> Option<u8> {
    let line = line.strip_prefix(b"\"").unwrap_or(line);
    match line.get(..4)? {
        start if start.eq_ignore_ascii_case(b"sep=") => line.get(4).copied(),
        _ => None,
    }
    .filter(|separator| separator.is_ascii() && !matches!(separator, b'\r' | b'\n' | b'"'))
}

fn is_skipped(line: &[u8], comment: Option<u8>) -> bool {
    matches!(line, b"\n" | b"\r\n" | b"\r")
        || (comment.is_some() && line.first() == comment.as_ref())
}

/// A comma, unless the header has none outside quotes and one of the other separators.
fn found(header: &[u8]) -> u8 {
    let outside: Vec<u8> = header
        .split(|byte| *byte == b'"')
        .step_by(2)
        .flatten()
        .copied()
        .collect();
    if outside.contains(&b',') {
        return b',';
    }
    SEPARATORS
        .into_iter()
        .find(|separator| outside.contains(separator))
        .unwrap_or(b',')
}

/// Whether numbers of a line have decimal commas, and none a decimal point.
fn has_commas(line: &[u8], separator: u8) -> bool {
    let is_digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let has_mark = |cell: &[u8], mark: u8| {
        let cell = cell.trim_ascii();
        let cell = cell.strip_prefix(b"-").unwrap_or(cell);
        let mut parts = cell.split(|byte| *byte == mark);
        matches!((parts.next(), parts.next(), parts.next()), (Some(whole), Some(part), None)
            if is_digits(whole) && is_digits(part))
    };
    let any = |mark| {
        line.split(|byte| *byte == separator)
            .any(|cell| has_mark(cell, mark))
    };
    any(b',') && !any(b'.')
}
