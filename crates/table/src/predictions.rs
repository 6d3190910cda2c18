//! Predictions as CSV text.

use crate::error::TableError;
use std::io::{Read, Seek, SeekFrom, Write};

/// Name of the column of remarks.
const REMARKS: &str = "error";

/// Rows of predictions on their way to a CSV text.
///
/// They wait in a spool (a temporary file, or memory) until all are there: the column `error`, with
/// what there is to say about a row, is written only if some row has a remark.
#[derive(Debug)]
pub struct PredictionWriter<S: Write> {
    spool: csv::Writer<S>,
    columns: Vec<String>,
    remarks: u64,
}

impl<S: Read + Write + Seek> PredictionWriter<S> {
    /// Predictions of these columns; `spool` is empty.
    pub fn new(columns: Vec<String>, spool: S) -> Self {
        Self {
            spool: csv::Writer::from_writer(spool),
            columns,
            remarks: 0,
        }
    }

    /// Appends a row of one cell a column.
    pub fn write<C: AsRef<[u8]>>(
        &mut self,
        cells: impl IntoIterator<Item = C>,
        remark: Option<&str>,
    ) -> Result<(), TableError> {
        for cell in cells {
            self.spool.write_field(cell).map_err(failed)?;
        }
        self.remarks += u64::from(remark.is_some());
        self.spool
            .write_field(remark.unwrap_or_default())
            .and_then(|()| self.spool.write_record(None::<&[u8]>))
            .map_err(failed)
    }

    /// Writes the header and all rows.
    pub fn finish(self, out: impl Write) -> Result<(), TableError> {
        let mut spool = self
            .spool
            .into_inner()
            .map_err(|error| TableError::Write(error.into_error()))?;
        spool.seek(SeekFrom::Start(0)).map_err(TableError::Write)?;
        let mut out = csv::Writer::from_writer(out);
        let with_remarks = self.remarks > 0;
        let header = self.columns.iter().map(String::as_str);
        out.write_record(header.chain(with_remarks.then_some(REMARKS)))
            .map_err(failed)?;
        let mut rows = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(spool);
        let mut row = csv::ByteRecord::new();
        let width = self.columns.len() + usize::from(with_remarks);
        while rows.read_byte_record(&mut row).map_err(failed)? {
            out.write_record(row.iter().take(width)).map_err(failed)?;
        }
        out.flush().map_err(TableError::Write)
    }
}

fn failed(error: csv::Error) -> TableError {
    TableError::Write(error.into())
}

#[cfg(test)]
mod tests {
    use super::PredictionWriter;
    use std::io::Cursor;

    fn written(remark: Option<&str>) -> String {
        let columns = vec!["id".to_owned(), "label".to_owned()];
        let mut writer = PredictionWriter::new(columns, Cursor::new(Vec::new()));
        writer.write(["1", "yes"], None).unwrap();
        writer.write([&b"2, \xff"[..], b""], remark).unwrap();
        let mut out = Vec::new();
        writer.finish(&mut out).unwrap();
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn remarks_have_a_column_if_there_are_any() {
        assert_eq!(written(None), "id,label\n1,yes\n\"2, \u{fffd}\",\n");
        assert_eq!(
            written(Some("no, \"never\"")),
            "id,label,error\n1,yes,\n\"2, \u{fffd}\",,\"no, \"\"never\"\"\"\n"
        );
    }
}
