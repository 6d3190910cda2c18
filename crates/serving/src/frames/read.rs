//! Frames from files.

use super::{FrameError, StoredFrame, StoredRows};
use cipherfn_frame::file::{FileError, FrameReader};
use cipherfn_scheme::SchemeError;
use cipherfn_scheme::parameters::ParameterSet;
use std::io::Read;

/// Why a file is no frame that can be computed on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is in it.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The parameter set.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
}

impl StoredFrame {
    /// Reads the rest of a file, rows and look-ups.
    ///
    /// # Errors
    /// A file that is damaged, or of a parameter set that nobody knows.
    pub fn read(reader: &mut FrameReader<impl Read>) -> Result<Self, ReadError> {
        let set = ParameterSet::by_tag(reader.head().parameter_set, "data frame")?;
        let mut chunks = Vec::new();
        while let Some(rows) = reader.next_rows()? {
            chunks.push(StoredRows {
                rows: rows.rows as usize,
                inputs: rows.inputs,
            });
        }
        let schema = reader.head().schema.clone();
        Ok(Self::new(set, schema, chunks, reader.tables())?)
    }
}
