//! Answers as typed columns: Parquet and Arrow files.

use anyhow::Result;
use arrow_ipc::writer::FileWriter;
use cipherfn_client::frames::answer_columns;
use cipherfn_frame::answer::Table;
use parquet::arrow::ArrowWriter;
use std::path::Path;

/// A file of typed columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columnar {
    Parquet,
    Arrow,
}

impl Columnar {
    /// What the name of a file asks for.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "parquet" => Some(Self::Parquet),
            "arrow" | "feather" | "ipc" => Some(Self::Arrow),
            _ => None,
        }
    }

    /// The bytes of a file of these columns.
    pub(super) fn bytes(self, table: &Table) -> Result<Vec<u8>> {
        let batch = answer_columns(table)?;
        let mut bytes = Vec::new();
        match self {
            Self::Parquet => {
                let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None)?;
                writer.write(&batch)?;
                writer.close()?;
            }
            Self::Arrow => {
                let mut writer = FileWriter::try_new(&mut bytes, &batch.schema())?;
                writer.write(&batch)?;
                writer.finish()?;
            }
        }
        Ok(bytes)
    }
}
