//! A frame's file in pieces, as a service takes it.

use crate::file::{FileError, FileHead, FileRows, FrameReader, FrameWriter};
use crate::schema::Rows;
use cipherfn_protocol::api::frames::MAX_PIECES;
use cipherfn_protocol::api::job::MAX_CHUNK;
use std::io::Read;

/// Bytes of rows from which on a piece ends, unless the frame would have too many.
const PIECE: usize = 8 << 20;

/// Cuts a frame's file into such of fewer rows. Keys stay behind, look-ups' tables go with the first.
#[derive(Debug)]
pub struct Pieces<R> {
    reader: FrameReader<R>,
    most: usize,
    is_first: bool,
    next: Option<FileRows>,
}

impl<R: Read> Pieces<R> {
    /// Of a file of so many bytes, 0 if nobody knows.
    pub fn new(reader: FrameReader<R>, len: u64) -> Self {
        let least = len / (MAX_PIECES as u64 / 2);
        Self {
            reader,
            most: PIECE.max(usize::try_from(least).unwrap_or(PIECE)),
            is_first: true,
            next: None,
        }
    }

    /// The next piece; `None` behind the last one.
    ///
    /// # Errors
    /// A file that is damaged.
    pub fn next_piece(&mut self) -> Result<Option<Vec<u8>>, FileError> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while bytes < self.most {
            let Some(more) = self.take()? else { break };
            let len: usize = more.inputs.iter().map(Vec::len).sum();
            if !rows.is_empty() && (bytes + len) as u64 > MAX_CHUNK / 2 {
                self.next = Some(more);
                break;
            }
            bytes += len;
            rows.push(more);
        }
        if rows.is_empty() && !self.is_first {
            return Ok(None);
        }
        let head = self.reader.head();
        let own = Rows {
            count: Some(rows.iter().map(|rows| u64::from(rows.rows)).sum()),
            padded: head.schema.rows().padded,
        };
        let head = FileHead {
            schema: head.schema.clone().with_rows(own),
            ..head.clone()
        };
        let mut writer = FrameWriter::new(Vec::new(), &head, &[])?;
        for tables in self.reader.tables() {
            writer.tables(if self.is_first { tables } else { &[] })?;
        }
        for rows in &rows {
            writer.rows(rows.rows, &rows.inputs)?;
        }
        self.is_first = false;
        Ok(Some(writer.finish()?))
    }

    fn take(&mut self) -> Result<Option<FileRows>, FileError> {
        match self.next.take() {
            Some(rows) => Ok(Some(rows)),
            None => self.reader.next_rows(),
        }
    }
}
