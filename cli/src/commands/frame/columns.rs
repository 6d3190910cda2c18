//! Decrypted answers, as CSV or as typed columns: Parquet and Arrow files.

use crate::files::{Content, Destination, InputSource, Output};
use anyhow::Result;
use arrow_ipc::writer::FileWriter;
use cipherfn_client::frames::{answer_columns, decrypt_reply};
use cipherfn_frame::answer::Table;
use cipherfn_frame::reply::Reply;
use cipherfn_scheme::SecretKey;
use cipherfn_serving::frames::PreparedQuery;
use parquet::arrow::ArrowWriter;
use std::io::Write;
use std::path::Path;

/// Where decrypted rows are written.
pub(super) struct TableOutput {
    output: Output,
    columnar: Option<Columnar>,
}

impl TableOutput {
    /// Begins it, as what its name asks for; to be called before any long work.
    pub(super) fn create(
        destination: &Destination,
        force: bool,
        inputs: &[&InputSource],
    ) -> Result<Self> {
        let columnar = match destination {
            Destination::File(path) => Columnar::of(path),
            Destination::Stdout => None,
        };
        let content = columnar.map_or(Content::Text, |_| Content::Binary);
        let output = destination.create(content, force, inputs)?;
        Ok(Self { output, columnar })
    }

    /// Writes it whole.
    pub(super) fn write(mut self, table: &Table) -> Result<()> {
        if let Some(columnar) = self.columnar {
            self.output.write_all(&columnar.bytes(table)?)?;
        } else {
            let mut csv = csv::Writer::from_writer(&mut self.output);
            csv.write_record(table.columns.iter().map(|(name, _)| name))?;
            for row in &table.rows {
                csv.write_record(row.iter().map(ToString::to_string))?;
            }
            csv.flush()?;
        }
        self.output.finish()
    }
}

/// The rows of an answer.
pub(super) fn decrypted(
    prepared: &PreparedQuery,
    secret: &SecretKey,
    reply: &Reply,
) -> Result<Table> {
    let last = prepared.last();
    let words = decrypt_reply(secret, last, prepared.rows_of(last), &reply.ciphertexts)?;
    Ok(prepared.table(&words))
}

/// A file of typed columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Columnar {
    Parquet,
    Arrow,
}

impl Columnar {
    /// What the name of a file asks for.
    fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "parquet" => Some(Self::Parquet),
            "arrow" | "feather" | "ipc" => Some(Self::Arrow),
            _ => None,
        }
    }

    /// The bytes of a file of these columns.
    fn bytes(self, table: &Table) -> Result<Vec<u8>> {
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
