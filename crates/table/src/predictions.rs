//! Predictions as CSV text.

use crate::error::TableError;
use std::io::{Read, Seek, SeekFrom, Write};

/// Name of the column that says why a row has no prediction.
pub const ERROR: &str = "error";
/// Name of the column that says in what a prediction is not what it seems.
pub const REMARK: &str = "remark";

/// Rows of predictions on their way to a CSV text.
///
/// They wait in a spool (a temporary file, or memory) until all are there: the columns [`ERROR`]
/// and [`REMARK`] are written only if some row has an entry in them.
#[derive(Debug)]
pub struct PredictionWriter<S: Write> {
    spool: csv::Writer<S>,
    columns: Vec<String>,
    errors: u64,
    remarks: u64,
}

impl<S: Read + Write + Seek> PredictionWriter<S> {
    /// Predictions of these columns; `spool` is empty.
    pub fn new(columns: Vec<String>, spool: S) -> Self {
        Self {
            spool: csv::Writer::from_writer(spool),
            columns,
            errors: 0,
            remarks: 0,
        }
    }

    /// Appends a row of one cell a column. A row with an error has no prediction.
    pub fn write<C: AsRef<[u8]>>(
        &mut self,
        cells: impl IntoIterator<Item = C>,
        error: Option<&str>,
        remark: Option<&str>,
    ) -> Result<(), TableError> {
        for cell in cells {
            self.spool.write_field(cell).map_err(failed)?;
        }
        self.errors += u64::from(error.is_some());
        self.remarks += u64::from(remark.is_some());
        self.spool
            .write_field(error.unwrap_or_default())
            .and_then(|()| self.spool.write_field(remark.unwrap_or_default()))
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
        let notes = [(self.errors, ERROR), (self.remarks, REMARK)];
        let notes = (self.columns.len()..).zip(notes);
        let unused: Vec<usize> = notes
            .clone()
            .filter_map(|(place, (count, _))| (count == 0).then_some(place))
            .collect();
        let header = self.columns.iter().map(String::as_str);
        let noted = notes.filter_map(|(_, (count, name))| (count > 0).then_some(name));
        out.write_record(header.chain(noted)).map_err(failed)?;
        let mut rows = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(spool);
        let mut row = csv::ByteRecord::new();
        while rows.read_byte_record(&mut row).map_err(failed)? {
            let cells = row.iter().enumerate();
            let cells = cells.filter(|(place, _)| !unused.contains(place));
            out.write_record(cells.map(|(_, cell)| cell))
                .map_err(failed)?;
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

    fn written(error: Option<&str>, remark: Option<&str>) -> String {
        let columns = vec!["id".to_owned(), "label".to_owned()];
        let mut writer = PredictionWriter::new(columns, Cursor::new(Vec::new()));
        writer.write(["1", "yes"], None, remark).unwrap();
        writer.write([&b"2, \xff"[..], b""], error, None).unwrap();
        let mut out = Vec::new();
        writer.finish(&mut out).unwrap();
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn errors_and_remarks_have_columns_if_there_are_any() {
        assert_eq!(written(None, None), "id,label\n1,yes\n\"2, \u{fffd}\",\n");
        assert_eq!(
            written(Some("no, \"never\""), None),
            "id,label,error\n1,yes,\n\"2, \u{fffd}\",,\"no, \"\"never\"\"\"\n"
        );
        assert_eq!(
            written(None, Some("limited")),
            "id,label,remark\n1,yes,limited\n\"2, \u{fffd}\",,\n"
        );
        assert_eq!(
            written(Some("none"), Some("limited")),
            "id,label,error,remark\n1,yes,,limited\n\"2, \u{fffd}\",,none,\n"
        );
    }
}
