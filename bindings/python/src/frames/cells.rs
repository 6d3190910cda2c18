//! Tables as rows of cells.

use crate::error::{Failure, Result};
use crate::table::Batches;
use crate::wait::Watch;
use arrow_array::RecordBatch;
use cipherfn_client::frames::values;
use cipherfn_frame::plan::Literal;

/// Rows that are made cells of at a time.
const ROWS: usize = 4096;

/// Gives each row, by its number from 1, the cells of the columns of these names. Gives back how many rows
/// there are.
pub(super) fn cells(
    batches: Batches,
    names: &[String],
    watch: &Watch,
    mut take: impl FnMut(u64, &[Literal]) -> Result<()>,
) -> Result<u64> {
    let mut rows = 0;
    for batch in batches {
        let batch = batch?;
        let own = select(&batch, names)?;
        for first in (0..own.num_rows()).step_by(ROWS) {
            watch.check()?;
            let some = own.slice(first, ROWS.min(own.num_rows() - first));
            let mut columns: Vec<_> = values(&some, rows as usize + 1)?
                .into_iter()
                .map(Vec::into_iter)
                .collect();
            for _ in 0..some.num_rows() {
                rows += 1;
                let row: Vec<Literal> = columns.iter_mut().filter_map(Iterator::next).collect();
                take(rows, &row)?;
            }
        }
    }
    Ok(rows)
}

fn select(batch: &RecordBatch, names: &[String]) -> Result<RecordBatch> {
    let schema = batch.schema();
    let fields = schema.fields();
    let places = names.iter().map(|name| {
        let place = fields.iter().position(|field| field.name() == name);
        place.ok_or_else(|| {
            let known: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
            Failure::Table(format!(
                "the table has no column {name:?}; it has {}",
                known.join(", ")
            ))
        })
    });
    let places = places.collect::<Result<Vec<_>>>()?;
    let own = batch.project(&places);
    own.map_err(|error| Failure::Table(error.to_string()))
}
