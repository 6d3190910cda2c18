//! Tables between people and the client: rows in (CSV, Parquet, Arrow), predictions out.

use crate::columnar::AsCsv;
use crate::files::InputSource;
use crate::terminal::{self, Terminal};
use crate::usage::bail_usage;
use anyhow::{Context, Result, bail};
use cipherfn_client::{Answer, Client, InputRow};
use cipherfn_table::{Decimal, ERROR, Format, PredictionWriter, REMARK, Rows, Separator, Table};
use indicatif::ProgressBar;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// How a table of rows is written.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TableOptions {
    /// What separates the cells: a character, or tab [default: a comma; in rows to predict also what
    /// their header shows]
    #[arg(long, value_name = "CHARACTER", value_parser = separator)]
    separator: Option<u8>,
    /// Numbers have decimal commas, as in 1,5
    #[arg(long)]
    decimal_comma: bool,
    /// Skip lines that start with this character
    #[arg(long, value_name = "CHARACTER", value_parser = character)]
    comment: Option<u8>,
}

/// What becomes of a row that cannot be read or answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OnError {
    /// Leave its prediction empty and say why in a column "error"; where a value was limited to
    /// what the model was compiled for, the prediction stays and a column "remark" says so
    Mark,
    /// Write nothing and exit with 1
    Fail,
}

impl TableOptions {
    /// The same for rows that a model is made of: a separator that nobody told is a comma.
    pub(crate) fn told(&self) -> Format {
        Format {
            separator: Separator::Given(self.separator.unwrap_or(b',')),
            ..self.format()
        }
    }

    fn format(&self) -> Format {
        Format {
            separator: self.separator.map_or(Separator::Found, Separator::Given),
            decimal: if self.decimal_comma {
                Decimal::Comma
            } else {
                Decimal::Point
            },
            comment: self.comment,
        }
    }

    /// Opens a table under a progress bar, and reads its header.
    pub(crate) fn open(
        &self,
        source: &InputSource,
        terminal: Terminal,
        what: &'static str,
    ) -> Result<(Table<impl Read + Send + use<>>, ProgressBar)> {
        let (input, len, format) = self.text(source)?;
        let (input, progress) = terminal.watch(input, len, what);
        let table = Table::open_as(source.name(), input, format)?;
        Ok((table, progress))
    }

    /// The CSV text of a table, with its length where that is known, and how it is written: a Parquet
    /// or Arrow file becomes text on the way.
    fn text(&self, source: &InputSource) -> Result<(Box<dyn Read + Send>, Option<u64>, Format)> {
        let Some(text) = AsCsv::open(source)? else {
            let (input, len) = source.open()?;
            return Ok((input, len, self.format()));
        };
        if self.separator.is_some() || self.decimal_comma || self.comment.is_some() {
            bail_usage!(
                "--separator, --decimal-comma and --comment are of CSV text, and {} is a Parquet or Arrow file; leave them out",
                source.name()
            );
        }
        Ok((Box::new(text), None, Format::default()))
    }

    /// A cell that may be a number, with a decimal point: where numbers have commas, points are none
    /// of theirs.
    pub(crate) fn with_point(&self, cell: &str) -> String {
        if !self.decimal_comma {
            return cell.to_owned();
        }
        cell.chars()
            .map(|letter| match letter {
                ',' => '.',
                '.' => ',',
                other => other,
            })
            .collect()
    }

    /// Reads `limit` rows of a table before anything is done with it, so that nobody hears of a table
    /// whose lines are malformed. Gives the source to read it from again: what comes from standard
    /// input waits in a temporary file.
    pub(crate) fn check(&self, source: &InputSource, limit: u64) -> Result<InputSource> {
        let again = source.repeatable()?;
        let (input, _, format) = self.text(&again)?;
        let table = Table::open_as(source.name(), input, format)?;
        table.check(limit).context("nothing was sent")?;
        Ok(again)
    }
}

/// The model's rows of a table, good and bad. Cells of other columns that are wanted beside the
/// predictions wait in a queue.
pub(crate) struct InputRows<R> {
    rows: Rows<R>,
    /// Where cells for the predictions go, where there will be any.
    kept: Option<Kept>,
    done: bool,
}

/// Cells on their way around the service, a row after the other.
type Kept = Arc<Mutex<VecDeque<Vec<Vec<u8>>>>>;

/// The model's columns of a table, with a notice of the others, and the columns `keep` for the
/// predictions.
pub(crate) fn select<R: Read>(
    client: &Client,
    table: Table<R>,
    keep: &[String],
    limit: u64,
) -> Result<(InputRows<R>, Predictions)> {
    let specs = client.specs().specs();
    if let Some(name) = keep.iter().find(|name| !table.header().contains(name)) {
        bail_usage!(
            "--keep {name}: {} has no such column; it has {}",
            table.source_name(),
            table.header().join(", ")
        );
    }
    let rows = table
        .select_and_keep(&specs.columns, &specs.preprocess, keep)?
        .limit(limit);
    if let [first, others @ ..] = rows.ignored() {
        let more = match others.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        terminal::notice(&format!(
            "{}: ignoring column {first:?}{more}, which the model does not use",
            rows.source_name()
        ));
    }
    let mut taken = client.prediction_columns();
    taken.extend([ERROR, REMARK].map(str::to_owned));
    for name in keep {
        if taken.contains(name) {
            bail_usage!(
                "--keep {name}: the predictions have a column of that name already; rename the \
                 column in {}, or leave it out",
                rows.source_name()
            );
        }
        taken.push(name.clone());
    }
    let kept = Kept::default();
    let predictions = Predictions {
        kept: Arc::clone(&kept),
        ..Predictions::new(client, keep)?
    };
    let rows = InputRows {
        rows,
        kept: Some(kept),
        done: false,
    };
    Ok((rows, predictions))
}

/// The model's columns of a table that is read before it is read for its predictions.
pub(crate) fn select_rows<R: Read>(
    client: &Client,
    table: Table<R>,
    limit: u64,
) -> Result<InputRows<R>> {
    let specs = client.specs().specs();
    let rows = table.select_and_keep(&specs.columns, &specs.preprocess, &[])?;
    Ok(InputRows {
        rows: rows.limit(limit),
        kept: None,
        done: false,
    })
}

impl<R: Read> Iterator for InputRows<R> {
    type Item = Result<InputRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        match self.rows.next_row() {
            Ok(Some(row)) => {
                if let Some(kept) = &self.kept {
                    lock(kept).push_back(row.kept);
                }
                Some(Ok(row.inputs.map_err(|error| error.to_string())))
            }
            Ok(None) => None,
            Err(error) => {
                self.done = true;
                Some(Err(error.into()))
            }
        }
    }
}

/// Answers on their way to a CSV file.
pub(crate) struct Predictions {
    writer: PredictionWriter<File>,
    /// Columns of a prediction.
    cells: usize,
    kept: Kept,
    rows: u64,
    /// Rows without prediction.
    failed: Noted,
    /// Rows with a remark beside their prediction.
    remarked: Noted,
}

/// Rows of which there is something to say.
#[derive(Default)]
struct Noted {
    rows: u64,
    /// Number of the first one, from 1, and what there is to say.
    first: Option<(u64, String)>,
}

impl Noted {
    fn note(&mut self, row: u64, text: &str) {
        self.rows += 1;
        self.first.get_or_insert_with(|| (row, text.to_owned()));
    }
}

impl Predictions {
    /// Predictions of a client's model, behind the columns `keep`.
    pub(crate) fn new(client: &Client, keep: &[String]) -> Result<Self> {
        Self::of(client.prediction_columns(), keep)
    }

    /// Predictions of these columns, behind the columns `keep`.
    pub(crate) fn of(columns: Vec<String>, keep: &[String]) -> Result<Self> {
        let cells = columns.len();
        let columns = keep.iter().cloned().chain(columns).collect();
        Ok(Self {
            writer: PredictionWriter::new(columns, tempfile::tempfile()?),
            cells,
            kept: Kept::default(),
            rows: 0,
            failed: Noted::default(),
            remarked: Noted::default(),
        })
    }

    /// Takes the answers to the next rows.
    pub(crate) fn take(&mut self, answers: Vec<Answer>) -> Result<()> {
        for answer in answers {
            self.rows += 1;
            let kept = lock(&self.kept).pop_front().unwrap_or_default();
            let note = answer.remark.as_deref();
            let (cells, error, remark) = if let Some(prediction) = &answer.prediction {
                if let Some(remark) = note {
                    self.remarked.note(self.rows, remark);
                }
                (prediction.cells().collect(), None, note)
            } else {
                let reason = note.unwrap_or_default();
                self.failed.note(self.rows, reason);
                (vec![String::new(); self.cells], Some(reason), None)
            };
            let cells = kept
                .into_iter()
                .chain(cells.into_iter().map(String::into_bytes));
            self.writer.write(cells, error, remark)?;
        }
        Ok(())
    }

    /// Number of rows so far.
    pub(crate) const fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes them all, or none if some row failed and `on_error` says so. Gives the numbers of
    /// rows and of failed ones.
    pub(crate) fn finish(self, out: impl Write, on_error: OnError) -> Result<(u64, u64)> {
        let rows = self.rows;
        if let Some((number, remark)) = self.remarked.first {
            let remarked = self.remarked.rows;
            terminal::warning(&format!(
                "{remarked} of {rows} predictions have a remark: see the column \"remark\"; the first is row {number}: {remark}"
            ));
        }
        let failed = self.failed.rows;
        if let Some((number, reason)) = self.failed.first {
            if on_error == OnError::Fail {
                bail!(
                    "{failed} of {rows} rows have no prediction, so none were written; the first is row {number}: {reason}"
                );
            }
            terminal::warning(&format!(
                "{failed} of {rows} rows have no prediction: see the column \"error\"; the first is row {number}: {reason}"
            ));
        }
        self.writer.finish(out)?;
        Ok((rows, failed))
    }
}

fn lock(kept: &Kept) -> std::sync::MutexGuard<'_, VecDeque<Vec<Vec<u8>>>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn separator(text: &str) -> Result<u8, String> {
    match text {
        "tab" | "\\t" | "\t" => Ok(b'\t'),
        _ => character(text),
    }
}

fn character(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] if byte.is_ascii_punctuation() && *byte != b'"' => Ok(*byte),
        _ => Err("give one character, such as ;".to_owned()),
    }
}
