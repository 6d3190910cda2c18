//! A run over a table as jobs, as a test wants it to go.

use super::super::{Owner, PATIENCE};
use super::{ROWS, chunk, chunks};
use crate::stack::name;
use cipherfn_client::{Answer, InputRow};
use cipherfn_client_http::{Bulk, BulkDone, BulkPass, BulkProgress, BulkReport, ServiceError};
use cipherfn_table::TableError;
use std::io::Cursor;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::mpsc;

/// Why a run ends here.
#[derive(Debug)]
pub(super) enum Stop {
    /// As a test wants it.
    Cut,
    Failed(ServiceError),
}

impl From<ServiceError> for Stop {
    fn from(error: ServiceError) -> Self {
        Self::Failed(error)
    }
}

/// How a run is to go.
#[derive(Clone, Copy)]
pub(super) struct Course {
    /// It is cut before this row is read to be encrypted.
    pub(super) reading: Option<usize>,
    /// It is cut when so many answers were taken.
    pub(super) taken: Option<usize>,
    /// Rows that there are when they are read beside their answers.
    pub(super) beside: usize,
    /// Whether the rows of the last chunk come once an answer was taken.
    pub(super) waits: bool,
    pub(super) parts: Option<NonZeroU32>,
}

impl Default for Course {
    fn default() -> Self {
        Self {
            reading: None,
            taken: None,
            beside: ROWS,
            waits: false,
            parts: None,
        }
    }
}

pub(super) async fn run(
    owner: &Owner<'_>,
    (manifest, table): (&Path, &str),
    course: Course,
) -> Result<(BulkDone, Vec<Answer>), Stop> {
    let caller = &owner.caller;
    let specs = caller.client.specs().hash();
    let cost = caller.service.row_cost(&name("tree"), specs).await;
    let bulk = Bulk {
        model: name("tree"),
        manifest: manifest.to_owned(),
        table: table.to_owned(),
        rows_a_chunk: NonZeroUsize::new(chunk(owner)),
        parts: course.parts,
        cost: cost.expect("told"),
    };
    let client = &caller.client;
    let last_chunk = (chunks(owner) - 1) * chunk(owner);
    let (taken, first_taken) = mpsc::channel();
    let mut first_taken = course.waits.then_some(first_taken);
    let rows = |pass| {
        let (count, end, mut waits) = match pass {
            BulkPass::Upload => (ROWS, course.reading, first_taken.take()),
            BulkPass::Collect => (course.beside, None, None),
        };
        let table = Cursor::new(owner.model.rows(0, count));
        let rows = cipherfn_tests::input_rows::<TableError, _>(client, table);
        let rows = rows.expect("rows").enumerate();
        let row = move |(number, row): (usize, Result<InputRow, TableError>)| {
            if end.is_some_and(|end| number >= end) {
                return Err(Stop::Cut);
            }
            if number == last_chunk
                && let Some(first) = waits.take()
            {
                first.recv_timeout(PATIENCE).map_err(|_| Stop::Cut)?;
            }
            Ok(row.unwrap_or_else(|_| panic!("row {number}")))
        };
        Ok::<_, Stop>(rows.map(row))
    };
    let mut answers = Vec::new();
    let take = |more: Vec<Answer>| {
        answers.extend(more);
        // Nobody waits any more, or nobody has.
        let _ = taken.send(());
        let enough = course.taken.is_some_and(|taken| answers.len() >= taken);
        if enough { Err(Stop::Cut) } else { Ok(()) }
    };
    let told = |_: BulkProgress| ();
    let done = caller
        .service
        .predict_bulk(client, &caller.ring, &bulk, rows, told, take);
    let done = done.await?;
    Ok((done, answers))
}

pub(super) async fn check(
    owner: &Owner<'_>,
    (done, answers): (BulkDone, Vec<Answer>),
) -> BulkReport {
    let csv = cipherfn_tests::predictions(&owner.caller.client, &answers).expect("predictions");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let cells = |row: csv::StringRecord| row.iter().map(str::to_owned).collect();
    let found: Vec<Vec<String>> = reader
        .records()
        .map(|row| cells(row.expect("CSV")))
        .collect();
    owner.model.check(0, ROWS, &found);
    let report = done.report;
    done.forget().await.expect("forgotten");
    assert_eq!((report.rows, report.chunks), (ROWS as u64, chunks(owner)));
    report
}
