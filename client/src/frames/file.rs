//! Frames' files, written row by row.

use super::{FrameEncryptor, FrameError, Tables};
use cipherfn_frame::cells::Units;
use cipherfn_frame::file::{FileError, FileHead, FrameWriter};
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::specs::Gadget;
use cipherfn_scheme::SecretKey;
use std::collections::BTreeSet;
use std::io::Write;

/// Rows that share ciphertexts.
pub(super) const CHUNK: usize = 4096;

/// Why a frame is not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameFileError {
    /// A row, or a table of look-ups.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Other rows than the schema says.
    #[error(
        "the frame was to have {expected} rows, and {found} came; leave the table alone while it is encrypted"
    )]
    Rows {
        /// The schema's.
        expected: u64,
        /// Those that came.
        found: u64,
    },
}

/// An encrypted frame on its way to a file: look-ups' tables first, then rows as they come, some thousand
/// in memory.
pub struct EncryptedFile<'a, W> {
    encryptor: FrameEncryptor<'a>,
    writer: FrameWriter<W>,
    chunk: Vec<Option<Units>>,
    /// Rows that were encrypted.
    written: u64,
    /// Rows that the schema says.
    count: u64,
    padded: bool,
    /// Numbers of rows behind which rows that share ciphertexts begin anew, whatever there is room for.
    ends: BTreeSet<u64>,
}

impl<'a, W: Write> EncryptedFile<'a, W> {
    /// Begins a file. The schema says how many rows there will be; `tables` are of its look-ups and
    /// have all rows, `keys` are parts of the evaluation key that the file carries.
    ///
    /// # Errors
    /// The file; the operating system has no random bytes.
    pub fn new(
        output: W,
        key: &'a SecretKey,
        schema: &'a Schema,
        gadget: Gadget,
        keys: &[Vec<u8>],
        tables: Vec<Tables<'_>>,
    ) -> Result<Self, FrameFileError> {
        let head = FileHead {
            schema: schema.clone(),
            key: key.id(),
            parameter_set: key.parameter_set().tag(),
            gadget,
        };
        let encryptor = FrameEncryptor::new(key, schema, gadget);
        let mut writer = FrameWriter::new(output, &head, keys)?;
        for (lookup, tables) in schema.lookups().iter().zip(tables) {
            writer.tables(&encryptor.tables(lookup, tables)?)?;
        }
        Ok(Self {
            encryptor,
            writer,
            chunk: Vec::with_capacity(CHUNK),
            written: 0,
            count: schema.rows().count.unwrap_or_default(),
            padded: schema.rows().padded,
            ends: BTreeSet::new(),
        })
    }

    /// Lets rows share ciphertexts within parts of so many rows only: as those of a frame do that was
    /// uploaded in such pieces, for columns that are added beside them.
    #[must_use]
    pub fn in_parts(mut self, parts: &[u64]) -> Self {
        let ends = parts.iter().scan(0_u64, |end, rows| {
            *end = end.saturating_add(*rows);
            Some(*end)
        });
        self.ends = ends.collect();
        self
    }

    /// Takes a row.
    ///
    /// # Errors
    /// A row that is none of the schema's; the file.
    pub fn row(&mut self, row: Units) -> Result<(), FrameFileError> {
        self.put(Some(row))
    }

    /// Pads, and ends the file.
    ///
    /// # Errors
    /// Other rows than the schema says; the file.
    pub fn finish(mut self) -> Result<W, FrameFileError> {
        while self.padded && self.rows() < self.count {
            self.put(None)?;
        }
        let found = self.rows();
        if found != self.count {
            return Err(FrameFileError::Rows {
                expected: self.count,
                found,
            });
        }
        self.flush()?;
        Ok(self.writer.finish()?)
    }

    const fn rows(&self) -> u64 {
        self.written + self.chunk.len() as u64
    }

    fn put(&mut self, row: Option<Units>) -> Result<(), FrameFileError> {
        self.chunk.push(row);
        if self.chunk.len() == CHUNK || self.ends.contains(&self.rows()) {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), FrameFileError> {
        if !self.chunk.is_empty() {
            let encrypted = self.encryptor.rows(&self.chunk, self.written as usize)?;
            self.writer.rows(encrypted.rows as u32, &encrypted.inputs)?;
            self.written = self.rows();
            self.chunk.clear();
        }
        Ok(())
    }
}
