//! What scoring a table as jobs is expected to take, before anything is sent.

use super::Service;
use super::bulk::Bulk;
use super::error::ServiceError;
use super::pace::{Pace, worker_microseconds};
use cipherfn_client::Client;
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::api::job::RowCost;
use cipherfn_protocol::hash::SpecsHash;

/// Longest that a request may take at an HTTP API, in microseconds.
const LONGEST_REQUEST: f64 = 29e6;

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
}

impl BulkExpectation {
    /// Seconds of workers, where the service tells what a row takes.
    pub fn worker_seconds(&self) -> Option<f64> {
        let row = worker_microseconds(self.cost.as_ref()?);
        Some(row * self.rows as f64 / 1e6)
    }
}

impl Service {
    /// Whether even one row is predicted to take longer than a request may: then only jobs answer it, as
    /// functions that are cut off never learn how long it takes. Without a prediction it is not.
    pub async fn needs_jobs(
        &self,
        model: &ModelName,
        specs: SpecsHash,
    ) -> Result<bool, ServiceError> {
        let cost = self.row_cost(model, specs).await?;
        Ok(cost.is_some_and(|cost| worker_microseconds(&cost) > LONGEST_REQUEST))
    }

    /// What scoring a table of so many rows is expected to take. Sizes are known, times are what the
    /// model's compile report predicts.
    pub async fn expect_bulk(
        &self,
        client: &Client,
        bulk: &Bulk,
        rows: u64,
    ) -> Result<BulkExpectation, ServiceError> {
        let cost = self.row_cost(&bulk.model, client.specs().hash()).await?;
        let chunk = Pace::new(client, bulk, cost.as_ref())?.rows_a_chunk();
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
            cost,
        })
    }
}
