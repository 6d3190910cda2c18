//! Tables as jobs: rows uploaded as chunks, each a whole query, answered by workers, fetched in the
//! order of the rows.
//!
//! ```text
//!   rows ──► encrypt a chunk ──► PUT ──► manifest ──► a job, once enough have arrived     send, declare
//!                                                          │
//!   rows ──────────────────── in their order ◄── check, decrypt ◄── GET a result ◄── poll collect
//! ```
//!
//! Both sides run at the same time: the first job has one chunk, each further one twice as many, so
//! that workers have something to do while the rest is uploaded, and large tables are few jobs. Where
//! the service takes no more of them, those that were collected make room: their results are kept
//! beside the manifest.
//!
//! The manifest says what has been uploaded and how the jobs are called, so a run that was killed
//! goes on: chunks that have arrived are not sent again, jobs that were declared are the same ones.
//! The rows are read twice, once to be encrypted and once beside their answers; memory holds the
//! chunks under way.

use super::declare::Declaring;
use super::error::ServiceError;
use super::manifest::{Head, Manifest, Named};
use super::pace::Pace;
use super::transfer::{Presigned, TransferFailure};
use super::transport::Call;
use super::{Service, blocking};
use crate::keyring::KeyRing;
use cipherfn_client::{Answer, Client, InputRow};
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::api::job::{IdempotencyKey, JobId, RowCost, Transfer};
use cipherfn_protocol::hash::Sha256;
use cipherfn_scheme::SecretKey;
use sha2::Digest;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// How often a chunk gets a new address.
pub(super) const ADDRESSES: u32 = 3;

/// A table to score as jobs.
#[derive(Clone, Debug)]
pub struct Bulk {
    /// The model that scores it.
    pub model: ModelName,
    /// Where to remember what has been uploaded. The file is removed when all answers were taken.
    pub manifest: PathBuf,
    /// Names the table and how it is read: a run goes on only over the same one.
    pub table: String,
    /// Rows of a chunk, if they fit; otherwise as many as a worker is expected to answer in a minute
    /// or two.
    pub rows_a_chunk: Option<NonZeroUsize>,
    /// In how many parts workers evaluate the model, so that several share a row; otherwise in as
    /// many as it takes for a row to be answered in time, which is one of nearly every model.
    pub parts: Option<NonZeroU32>,
    /// What a row is predicted to take, where the service tells: [`Service::row_cost`].
    pub cost: Option<RowCost>,
}

/// How far bulk scoring is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkProgress {
    /// Rows whose chunks have arrived.
    Uploaded(u64),
    /// Rows whose answers were taken.
    Answered(u64),
}

/// What rows are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkPass {
    /// To be encrypted. Left out where all chunks have arrived in an earlier run.
    Upload,
    /// To be beside their answers.
    Collect,
}

/// All answers were taken; the service still has them.
#[must_use = "the jobs stay at the service, and the manifest here, until they are forgotten"]
pub struct BulkDone {
    /// What it took.
    pub report: BulkReport,
    run: BulkRun,
    jobs: Vec<JobId>,
}

impl BulkDone {
    /// Removes the manifest and deletes the jobs, with chunks and results.
    pub async fn forget(self) -> Result<(), ServiceError> {
        // Without it nobody asks for them again, so it goes first; jobs run out by themselves.
        self.run.manifest.lock().remove()?;
        for job in self.jobs {
            self.run.delete(job).await?;
        }
        Ok(())
    }
}

/// What bulk scoring took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BulkReport {
    /// Rows answered.
    pub rows: u64,
    /// Chunks that they were.
    pub chunks: usize,
    /// Jobs that these were.
    pub jobs: usize,
    /// Bytes of all chunks.
    pub uploaded_bytes: u64,
    /// Bytes of all results.
    pub downloaded_bytes: u64,
    /// Time of all workers, in milliseconds: what is paid for.
    pub worker_milliseconds: u64,
}

impl Service {
    /// Scores a table as jobs; `take` gets the answers in the order of the rows, a chunk at a time.
    /// `rows` gives the same rows for every pass.
    ///
    /// Number, order and size of what is sent depend on the number of rows, and on how long the
    /// service takes for a row, alone. The first error of the rows ends the work. After an error, the same call goes on where it stopped; a chunk that
    /// has failed is tried again by the next call, in another job. Results stay with the service
    /// until [`BulkDone::forget`]: write what was taken first.
    pub async fn predict_bulk<E, I>(
        &self,
        client: &Arc<Client>,
        keys: &KeyRing,
        bulk: &Bulk,
        mut rows: impl FnMut(BulkPass) -> Result<I, E>,
        mut progress: impl FnMut(BulkProgress) + Send,
        take: impl FnMut(Vec<Answer>) -> Result<(), E>,
    ) -> Result<BulkDone, E>
    where
        E: From<ServiceError> + Send + 'static,
        I: Iterator<Item = Result<InputRow, E>> + Send + 'static,
    {
        let (ring, set) = (keys.clone(), client.parameter_set());
        let secret = blocking(move || ring.secret_key(set)).await?;
        let secret = Arc::new(secret.map_err(ServiceError::from)?);
        let head = Head {
            format: 3,
            service: self.url().to_owned(),
            model: bulk.model.clone(),
            specs: client.specs().hash(),
            key: secret.id(),
            table: bulk.table.clone(),
        };
        let manifest = Manifest::open(&bulk.manifest, &head).map_err(ServiceError::from)?;
        let to_send = if manifest.ended {
            None
        } else {
            Some(rows(BulkPass::Upload)?)
        };
        let run = BulkRun {
            service: self.clone(),
            model: bulk.model.clone(),
            client: Arc::clone(client),
            secret,
            pace: Pace::new(client, bulk)?,
            manifest: Shared(Mutex::new(manifest)),
        };
        let progress = Mutex::new(&mut progress);
        let told = |done| progress.lock().unwrap_or_else(PoisonError::into_inner)(done);
        let (declared, jobs) = mpsc::unbounded_channel();
        let (collected, over) = mpsc::unbounded_channel();
        let declaring = Declaring::new(declared, over, run.pace.chunks_a_job());
        let sending = run.send_all(to_send, declaring, &told);
        let rows = rows(BulkPass::Collect)?;
        let collecting = run.collect((jobs, collected), rows, &told, take);
        let ((), (report, jobs)) = tokio::try_join!(sending, collecting)?;
        Ok(BulkDone { report, run, jobs })
    }
}

/// What all chunks of a table share.
pub(super) struct BulkRun {
    pub(super) service: Service,
    pub(super) model: ModelName,
    pub(super) client: Arc<Client>,
    pub(super) secret: Arc<SecretKey>,
    pub(super) pace: Pace,
    pub(super) manifest: Shared,
}

/// The manifest of a run, which both of its sides write.
pub(super) struct Shared(Mutex<Manifest>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Manifest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new name for a job of so many chunks.
    pub(super) fn rename(
        &self,
        job: usize,
        (chunks, parts): (usize, u32),
    ) -> Result<IdempotencyKey, ServiceError> {
        let name = super::declare::new_name()?;
        let named = Named {
            name,
            chunks,
            parts,
        };
        self.lock().name_job(job, named)?;
        Ok(name)
    }
}

impl Service {
    /// Sends a document to a route of version 2.
    pub(super) async fn post(
        &self,
        path: String,
        document: &impl serde::Serialize,
    ) -> Result<(Call, super::transport::Answer), ServiceError> {
        let sent = self.send_document(path, document).await;
        sent.map_err(|error| self.takes(error))
    }

    /// What an older service says of routes for jobs.
    pub(super) fn takes(&self, error: ServiceError) -> ServiceError {
        if error.is_no_route() {
            return ServiceError::NoJobs {
                url: self.url().to_owned(),
            };
        }
        error
    }

    pub(super) fn transfer_error(&self, failure: TransferFailure, what: &str) -> ServiceError {
        match failure {
            TransferFailure::Ours(error) => error,
            TransferFailure::Address => ServiceError::Answer {
                route: self.url().to_owned(),
                reason: format!("an address for {what} that this client does not go to"),
            },
            TransferFailure::Failed {
                to,
                attempts,
                cause,
                ..
            } => ServiceError::Transfer {
                what: what.to_owned(),
                to,
                attempts,
                cause,
            },
        }
    }
}

pub(super) fn presigned(transfer: &Transfer) -> Presigned<'_> {
    Presigned {
        method: &transfer.method,
        url: &transfer.url,
        headers: &transfer.headers,
    }
}

pub(super) fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}
