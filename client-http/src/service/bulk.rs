//! Tables as jobs: rows uploaded as chunks, each a whole query, answered by workers, fetched in the
//! order of the rows.
//!
//! ```text
//!   rows ──► encrypt a chunk ──► PUT ──► manifest      until the table ends; several at a time
//!   manifest ──► jobs ──► poll ──► GET a result ──► check, decrypt ──► in the order of the rows
//! ```
//!
//! The manifest says what has been uploaded and how the jobs are called, so a run that was killed
//! goes on: chunks that have arrived are not sent again, jobs that were declared are the same ones.
//! The rows are read twice, once to be encrypted and once beside their answers; memory holds the
//! chunks under way.

use super::error::ServiceError;
use super::manifest::{Head, Manifest, Sent};
use super::transfer::{Presigned, TransferFailure};
use super::transport::Call;
use super::{Service, blocking};
use crate::keyring::KeyRing;
use bytes::Bytes;
use cipherfn_client::{Answer, Client, InputRow};
use cipherfn_protocol::api::job::{
    ChunkFile, JobId, MAX_CHUNK, Transfer, UploadDeclaration, UploadFolder, Uploads,
};
use cipherfn_protocol::api::{self, ApiVersion, ModelName, Route};
use cipherfn_protocol::hash::Sha256;
use cipherfn_scheme::SecretKey;
use futures_util::{StreamExt, stream};
use http::Method;
use sha2::Digest;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

/// Most rows of a chunk unless said otherwise: what a worker can do in a minute or two, with models
/// of some 20 ms a row.
const ROWS: usize = 4096;
/// Largest answer to an upload that is read, in bytes.
const MAX_ANSWER: usize = 64 << 10;
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
    /// Most rows of a chunk; otherwise as many as fit, up to 4,096.
    pub rows_a_chunk: Option<NonZeroUsize>,
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
    manifest: Manifest,
}

impl BulkDone {
    /// Removes the manifest and deletes the jobs, with chunks and results.
    pub async fn forget(self) -> Result<(), ServiceError> {
        // Without it nobody asks for them again, so it goes first; jobs run out by themselves.
        self.manifest.remove()?;
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
    /// Number, order and size of what is sent depend on the number of rows alone. The first error of
    /// the rows ends the work. After an error, the same call goes on where it stopped; a chunk that
    /// has failed is tried again by the next call, in another job. Results stay with the service
    /// until [`BulkDone::forget`]: write what was taken first.
    pub async fn predict_bulk<E, I>(
        &self,
        client: &Arc<Client>,
        keys: &KeyRing,
        bulk: &Bulk,
        mut rows: impl FnMut(BulkPass) -> Result<I, E>,
        mut progress: impl FnMut(BulkProgress),
        take: impl FnMut(Vec<Answer>) -> Result<(), E>,
    ) -> Result<BulkDone, E>
    where
        E: From<ServiceError> + Send + 'static,
        I: Iterator<Item = Result<InputRow, E>> + Send + 'static,
    {
        let (ring, set) = (keys.clone(), client.parameter_set());
        let secret = blocking(move || ring.secret_key(set)).await?;
        let run = BulkRun {
            service: self.clone(),
            model: bulk.model.clone(),
            client: Arc::clone(client),
            secret: Arc::new(secret.map_err(ServiceError::from)?),
        };
        let head = Head {
            format: 1,
            service: self.url().to_owned(),
            model: bulk.model.clone(),
            specs: client.specs().hash(),
            key: run.secret.id(),
            table: bulk.table.clone(),
        };
        let manifest = Manifest::open(&bulk.manifest, &head);
        let mut manifest = manifest.map_err(ServiceError::from)?;
        if !manifest.ended {
            let size = run.rows_a_chunk(bulk)?;
            run.upload(&mut manifest, size, rows(BulkPass::Upload)?, &mut progress)
                .await?;
        }
        let rows = rows(BulkPass::Collect)?;
        let collected = run.collect(&mut manifest, rows, &mut progress, take).await;
        let (report, jobs) = collected?;
        Ok(BulkDone {
            report,
            run,
            jobs,
            manifest,
        })
    }
}

/// What all chunks of a table share.
pub(super) struct BulkRun {
    pub(super) service: Service,
    pub(super) model: ModelName,
    pub(super) client: Arc<Client>,
    pub(super) secret: Arc<SecretKey>,
}

impl BulkRun {
    /// Rows of a chunk: whole groups, where there is room for any.
    fn rows_a_chunk(&self, bulk: &Bulk) -> Result<usize, ServiceError> {
        let limit = MAX_CHUNK as usize;
        let most = self.client.rows_within(limit, limit);
        if most == 0 {
            return Err(ServiceError::RowTooLarge {
                model: self.model.clone(),
                bytes: self.client.query_bytes(1),
                limit,
            });
        }
        let wanted = bulk.rows_a_chunk.map_or(ROWS, NonZeroUsize::get);
        let (rows, group) = (wanted.min(most), self.client.rows_a_group());
        Ok(if rows > group {
            rows - rows % group
        } else {
            rows
        })
    }

    /// Uploads the chunks that have not arrived yet, several at a time.
    async fn upload<E, I>(
        &self,
        manifest: &mut Manifest,
        size: usize,
        mut rows: I,
        progress: &mut impl FnMut(BulkProgress),
    ) -> Result<(), E>
    where
        E: From<ServiceError> + Send + 'static,
        I: Iterator<Item = Result<InputRow, E>> + Send + 'static,
    {
        let known: u64 = manifest.chunks.iter().map(|chunk| chunk.rows).sum();
        let mut uploaded = known;
        progress(BulkProgress::Uploaded(uploaded));
        let skip = move || {
            for row in rows.by_ref().take(known as usize) {
                drop(row?);
            }
            Ok::<_, E>(rows)
        };
        let rows = blocking(skip).await.map_err(E::from)??;
        let batches = stream::unfold(Some(rows), |source| self.next_chunk(source, size));
        let mut batches = pin!(batches);
        // The first one learns the folder, which all others go into.
        let mut folder = manifest.chunks.first().map(|chunk| chunk.upload);
        if folder.is_none()
            && let Some(first) = batches.next().await
        {
            let sent = self.send(None, first?).await?;
            folder = Some(sent.upload);
            uploaded += sent.rows;
            manifest.sent(sent).map_err(ServiceError::from)?;
            progress(BulkProgress::Uploaded(uploaded));
        }
        let in_flight = self.service.0.options.in_flight.get();
        let sent = batches.map(|batch| async move { Ok::<_, E>(self.send(folder, batch?).await?) });
        let mut sent = pin!(sent.buffered(in_flight));
        while let Some(sent) = sent.next().await {
            let sent = sent?;
            uploaded += sent.rows;
            manifest.sent(sent).map_err(ServiceError::from)?;
            progress(BulkProgress::Uploaded(uploaded));
        }
        manifest.end().map_err(ServiceError::from)?;
        Ok(())
    }

    /// Encrypts the next rows. The source is gone after its last row and after an error.
    async fn next_chunk<E, I>(
        &self,
        source: Option<I>,
        size: usize,
    ) -> Option<(Result<Encrypted, E>, Option<I>)>
    where
        E: From<ServiceError> + Send + 'static,
        I: Iterator<Item = Result<InputRow, E>> + Send + 'static,
    {
        let mut source = source?;
        let (client, secret) = (Arc::clone(&self.client), Arc::clone(&self.secret));
        let encrypt = move || {
            let rows = source.by_ref().take(size).collect::<Result<Vec<_>, E>>()?;
            if rows.is_empty() {
                return Ok(None);
            }
            let nonce = client.nonce().map_err(ServiceError::from)?;
            let encoded = client.encode(&rows);
            let query = client.query(&secret, nonce, &encoded.rows);
            let query = query.map_err(ServiceError::from)?;
            let file = ChunkFile {
                bytes: query.len() as u64,
                sha256: sha256(&query),
            };
            let chunk = Encrypted {
                rows: rows.len() as u64,
                nonce,
                file,
                query: query.into(),
            };
            Ok::<_, E>(Some((chunk, source)))
        };
        match blocking(encrypt).await {
            Ok(Ok(None)) => None,
            Ok(Ok(Some((chunk, source)))) => Some((Ok(chunk), Some(source))),
            Ok(Err(error)) => Some((Err(error), None)),
            Err(error) => Some((Err(error.into()), None)),
        }
    }

    /// Uploads a chunk, under a new address where the last one has expired.
    async fn send(
        &self,
        folder: Option<UploadFolder>,
        chunk: Encrypted,
    ) -> Result<Sent, ServiceError> {
        let mut addresses = 1;
        loop {
            let (upload, transfer) = self.address(folder, chunk.file).await?;
            match self.service.put_chunk(&transfer, chunk.query.clone()).await {
                Ok(()) => {
                    return Ok(Sent {
                        upload,
                        rows: chunk.rows,
                        nonce: chunk.nonce,
                        file: chunk.file,
                    });
                }
                Err(TransferFailure::Failed { renew: true, .. }) if addresses < ADDRESSES => {
                    addresses += 1;
                }
                Err(failure) => return Err(self.service.transfer_error(failure, "a chunk")),
            }
        }
    }

    async fn address(
        &self,
        folder: Option<UploadFolder>,
        file: ChunkFile,
    ) -> Result<(UploadFolder, Transfer), ServiceError> {
        let declaration = UploadDeclaration {
            upload: folder,
            chunks: vec![file],
        };
        let path = Route::DeclareUploads.path(ApiVersion::V2, "");
        let (call, answer) = self.service.post(path, &declaration).await?;
        let Uploads { upload, chunks } = self.service.json(&call, &answer)?;
        match (<[Transfer; 1]>::try_from(chunks), folder) {
            (Ok([transfer]), folder)
                if transfer.file == file && folder.is_none_or(|folder| folder == upload) =>
            {
                Ok((upload, transfer))
            }
            _ => Err(self
                .service
                .answer_error(&call, "addresses for other chunks than were declared")),
        }
    }
}

/// A chunk on its way.
struct Encrypted {
    rows: u64,
    nonce: Option<cipherfn_protocol::message::Nonce>,
    file: ChunkFile,
    query: Bytes,
}

impl Service {
    /// Sends a document to a route of version 2.
    pub(super) async fn post(
        &self,
        path: String,
        document: &impl serde::Serialize,
    ) -> Result<(Call, super::transport::Answer), ServiceError> {
        let call = Call::new(Method::POST, path);
        let body = serde_json::to_vec(document).map_err(|error| ServiceError::Request {
            route: call.route(&self.0.endpoint),
            cause: error.to_string(),
        })?;
        let call = call.body(api::JSON, body);
        match self.call(&call).await {
            Ok((answer, _)) => Ok((call, answer)),
            Err(error) if error.is_no_route() => Err(ServiceError::NoJobs {
                url: self.url().to_owned(),
            }),
            Err(error) => Err(error),
        }
    }

    async fn put_chunk(&self, transfer: &Transfer, query: Bytes) -> Result<(), TransferFailure> {
        let sent = self.transfer(Method::PUT, presigned(transfer), query, MAX_ANSWER);
        sent.await.map(drop)
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
