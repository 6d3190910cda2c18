//! How many rows a chunk has: what a worker is expected to answer in a minute or two; and in how many
//! parts the model is evaluated, where a row is too long for one.

use super::Service;
use super::bulk::Bulk;
use super::error::ServiceError;
use super::transport::Call;
use cipherfn_client::Client;
use cipherfn_protocol::api::job::{
    MAX_CHUNK, MAX_CHUNKS, MAX_PARTS, MAX_SHARES, MAX_SUMS, RowCost, WORKER_SECONDS,
};
use cipherfn_protocol::api::{ApiVersion, ModelName, ProblemType, Route};
use cipherfn_protocol::hash::SpecsHash;
use http::Method;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Time of a worker for a chunk, in microseconds: starting it costs a percent or two of that, and
/// what a killed one loses is little of what it may take.
const CHUNK: f64 = 90e6;
/// Most that a row may take of a worker, in microseconds: half of its time, as predictions and
/// processors differ. What takes longer is shared by several.
const SHARE: f64 = WORKER_SECONDS / 2.0 * 1e6;
/// Rows of a chunk where nothing is known: a minute or two of models of some 20 ms a row.
const ROWS: f64 = 4096.0;
/// A chunk that took less says more of starting a worker than of its rows, in milliseconds: the next
/// one has twice as many.
const TELLING: u64 = 10_000;

/// Rows a chunk.
pub(super) struct Pace {
    /// As many as fit.
    most: usize,
    /// Rows that share ciphertexts.
    group: usize,
    /// What was asked for.
    wanted: Option<NonZeroUsize>,
    /// In how many parts the model is evaluated.
    parts: u32,
    /// Microseconds that workers take for a row, as bits of an `f64`.
    row: AtomicU64,
}

impl Pace {
    /// Rows a chunk of a table, as far as they are known before.
    pub(super) fn new(client: &Client, bulk: &Bulk) -> Result<Self, ServiceError> {
        let limit = MAX_CHUNK as usize;
        let most = client.rows_within(limit, limit);
        if most == 0 {
            return Err(ServiceError::RowTooLarge {
                model: bulk.model.clone(),
                bytes: client.query_bytes(1),
                limit,
            });
        }
        let cost = bulk.cost.as_ref();
        let row = cost.map_or(CHUNK / ROWS, RowCost::worker_microseconds);
        let needed = (row / SHARE).ceil() as u32;
        let parts = bulk.parts.map_or(needed, NonZeroU32::get);
        let parts = parts.clamp(1, MAX_PARTS);
        Ok(Self {
            most: if parts > 1 {
                most.min(rows_in_parts(client, parts))
            } else {
                most
            },
            parts,
            group: client.rows_a_group(),
            wanted: bulk.rows_a_chunk,
            row: AtomicU64::new(row.to_bits()),
        })
    }

    /// Rows of the next chunk: whole groups, where there is room for any.
    pub(super) fn rows_a_chunk(&self) -> usize {
        let wanted = self
            .wanted
            .map_or_else(|| self.expected(), NonZeroUsize::get);
        let rows = wanted.clamp(1, self.in_time().min(self.most).max(1));
        if rows > self.group {
            rows - rows % self.group
        } else {
            rows
        }
    }

    /// In how many parts the model is evaluated.
    pub(super) const fn parts(&self) -> u32 {
        self.parts
    }

    /// Most chunks of a job.
    pub(super) const fn chunks_a_job(&self) -> usize {
        match self.parts {
            1 => MAX_CHUNKS,
            parts => MAX_SHARES / parts as usize,
        }
    }

    /// What a worker is expected to take for so many rows.
    pub(super) fn time(&self, rows: u64) -> Duration {
        let microseconds = self.row() * rows as f64 / f64::from(self.parts);
        Duration::from_micros(microseconds as u64)
    }

    fn expected(&self) -> usize {
        (CHUNK * f64::from(self.parts) / self.row()).round() as usize
    }

    /// Rows of which a part is not too long for a worker: it has no checkpoints.
    fn in_time(&self) -> usize {
        match self.parts {
            1 => usize::MAX,
            parts => (SHARE * f64::from(parts) / self.row()) as usize,
        }
    }

    fn row(&self) -> f64 {
        f64::from_bits(self.row.load(Ordering::Relaxed))
    }

    /// Takes what a worker took over what was predicted.
    pub(super) fn learn(&self, rows: u64, milliseconds: u64) {
        let rows = rows.max(1) as f64;
        let row = if milliseconds >= TELLING {
            milliseconds as f64 * 1e3 / rows
        } else {
            // A table's last chunk is short because it has few rows: none shrinks for it.
            self.row().min(CHUNK * f64::from(self.parts) / (2.0 * rows))
        };
        self.row.store(row.to_bits(), Ordering::Relaxed);
    }
}

/// Most rows of a chunk in parts: what the parts make of each is stored with all coefficients.
fn rows_in_parts(client: &Client, parts: u32) -> usize {
    // An outcome a row and a head beside it.
    let row = client.result_bytes() + 1;
    let head = 1 << 10;
    (MAX_SUMS / parts as usize - head) / row
}

impl Service {
    /// What a row of a job is predicted to take; `None` where the service does not tell.
    pub async fn row_cost(
        &self,
        model: &ModelName,
        specs: SpecsHash,
    ) -> Result<Option<RowCost>, ServiceError> {
        let path = Route::Cost.path(ApiVersion::V2, model.as_str());
        let call = Call::new(Method::GET, format!("{path}?specs={specs}"));
        match self.call(&call).await {
            Ok((answer, _)) => {
                let cost = self.json(&call, &answer).ok();
                Ok(cost.filter(|cost: &RowCost| {
                    cost.specs == specs
                        && cost.row_microseconds.is_finite()
                        && cost.row_microseconds > 0.0
                }))
            }
            Err(error) if is_unpredicted(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether scoring may go on without a prediction: what else is wrong, the next request says, too.
fn is_unpredicted(error: &ServiceError) -> bool {
    match error {
        ServiceError::Problem { problem, .. } => !matches!(
            problem.kind,
            ProblemType::StaleSpecs | ProblemType::UnknownModel
        ),
        ServiceError::Status { .. } => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherfn_protocol::api::Problem;

    fn pace(most: usize, group: usize, row: f64) -> Pace {
        Pace {
            most,
            group,
            wanted: None,
            parts: 1,
            row: AtomicU64::new(row.to_bits()),
        }
    }

    #[test]
    fn a_chunk_is_a_minute_or_two_of_a_worker_and_fits() {
        // 20 ms a row: 90 s.
        assert_eq!(pace(10_000, 1, 20_000.0).rows_a_chunk(), 4500);
        assert_eq!(
            pace(10_000, 7, 20_000.0).rows_a_chunk(),
            4494,
            "whole groups"
        );
        assert_eq!(pace(1000, 1, 20_000.0).rows_a_chunk(), 1000, "what fits");
        assert_eq!(pace(1000, 7, 1e12).rows_a_chunk(), 1, "at least a row");
        let unknown = pace(10_000, 1, CHUNK / ROWS);
        assert_eq!(unknown.rows_a_chunk(), 4096, "nothing known");
    }

    #[test]
    fn what_workers_took_counts_more_than_what_was_predicted() {
        let pace = pace(10_000, 1, 20_000.0);
        pace.learn(100, TELLING - 1);
        assert_eq!(pace.rows_a_chunk(), 4500, "a table's last rows");
        pace.learn(4500, 180_000);
        assert_eq!(pace.rows_a_chunk(), 2250);
    }

    #[test]
    fn short_chunks_double_the_next_one() {
        // Predicted a hundred times too long.
        let pace = pace(100_000, 7, 2_000_000.0);
        let mut sizes = vec![pace.rows_a_chunk()];
        for _ in 0..4 {
            let rows = pace.rows_a_chunk() as u64;
            // Of the chunks under way each says the same.
            pace.learn(rows, 20 * rows);
            pace.learn(rows, 20 * rows);
            sizes.push(pace.rows_a_chunk());
        }
        assert_eq!(sizes, [42, 84, 168, 336, 672]);
        pace.learn(672, 13_440);
        assert_eq!(pace.rows_a_chunk(), 4494, "long enough to tell");
    }

    #[test]
    fn workers_that_share_rows_get_more_of_them() {
        let shared = |parts, row| Pace {
            parts,
            ..pace(512, 1, row)
        };
        // 1,000 s a row in four parts: 250 s each.
        assert_eq!(shared(4, 1000e6).rows_a_chunk(), 1);
        assert_eq!(shared(4, 10e6).rows_a_chunk(), 36, "90 s each");
        assert_eq!(shared(4, 1000.0).rows_a_chunk(), 512, "what is stored");
        // 100 s a row, 25 s a part of it: half of a worker's time, whatever is asked for.
        let wanted = Pace {
            wanted: NonZeroUsize::new(512),
            ..shared(4, 100e6)
        };
        assert_eq!(wanted.rows_a_chunk(), 18);
        assert_eq!(shared(1, 1.0).chunks_a_job(), MAX_CHUNKS);
        assert_eq!(shared(3, 1.0).chunks_a_job(), 33);
        assert_eq!(shared(MAX_PARTS, 1.0).chunks_a_job(), 3);
    }

    #[test]
    fn only_what_scoring_meets_too_ends_it_before() {
        let problem = |kind| ServiceError::Problem {
            route: String::new(),
            attempts: 1,
            problem: Box::new(Problem::new(kind, "")),
        };
        for kind in ProblemType::ALL.iter().copied() {
            let ends = [ProblemType::StaleSpecs, ProblemType::UnknownModel].contains(&kind);
            assert_eq!(is_unpredicted(&problem(kind)), !ends, "{kind:?}");
        }
    }

    #[test]
    fn processors_are_those_of_the_memory() {
        let cost = |memory| RowCost {
            specs: SpecsHash::of(b"specs"),
            row_microseconds: 6000.0,
            worker_memory_mb: memory,
            architecture: "x86_64".to_owned(),
        };
        let is = |memory, row: f64| (cost(memory).worker_microseconds() - row).abs() < 1e-9;
        assert!(is(1769, 6000.0));
        assert!(is(2 * 1769, 3000.0));
        assert!(is(1 << 20, 1000.0), "six at most");
    }
}
