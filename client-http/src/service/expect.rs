//! What scoring a table as jobs is expected to take, before anything is sent.

use super::bulk::Bulk;
use super::error::ServiceError;
use super::pace::Pace;
use cipherfn_client::Client;
use cipherfn_protocol::api::job::RowCost;

/// What scoring a table is expected to take.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkExpectation {
    /// Rows of the table.
    pub rows: u64,
    /// Chunks that they will be.
    pub chunks: u64,
    /// Bytes of all chunks.
    pub uploaded_bytes: u64,
    /// Bytes of all results.
    pub downloaded_bytes: u64,
    /// What a row takes, where the service tells.
    pub cost: Option<RowCost>,
    /// Workers that share a chunk, a part of the model each.
    pub parts: u32,
}

impl BulkExpectation {
    /// Seconds of workers, where the service tells what a row takes.
    pub fn worker_seconds(&self) -> Option<f64> {
        let row = self.cost.as_ref()?.worker_microseconds();
        Some(row * self.rows as f64 / 1e6)
    }
}

impl Bulk {
    /// What scoring a table of so many rows is expected to take. Sizes are known, times are what the
    /// model's compile report predicts.
    pub fn expect(&self, client: &Client, rows: u64) -> Result<BulkExpectation, ServiceError> {
        let pace = Pace::new(client, self)?;
        let chunk = pace.rows_a_chunk();
        let (whole, rest) = (rows / chunk as u64, (rows % chunk as u64) as usize);
        let bytes = |of: fn(&Client, usize) -> usize| {
            let last = if rest > 0 { of(client, rest) } else { 0 };
            whole * of(client, chunk) as u64 + last as u64
        };
        Ok(BulkExpectation {
            rows,
            chunks: whole + u64::from(rest > 0),
            uploaded_bytes: bytes(Client::query_bytes),
            downloaded_bytes: bytes(Client::reply_bytes),
            cost: self.cost.clone(),
            parts: pace.parts(),
        })
    }
}
