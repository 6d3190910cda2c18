//! Tenants' jobs: chunks uploaded, declared, worked on, fetched, deleted.
//!
//! ```text
//! jobs/index/{tenant}.json                       the tenant's jobs: what its quota counts
//! jobs/{job}/record.json                         what a job is, and whose
//! jobs/joint/{tenant}/{training}.json            a training that owners add rows to, before its job
//! jobs/{job}/chunks/{number}.json                where a chunk stands that somebody has worked on
//! jobs/{job}/parts/{number}-{part}.json          the same of a part, where the model is evaluated in parts
//! uploads/{tenant}/{upload}/{sha256}.cfq         a chunk
//! results/{tenant}/{job}/{number}-{attempt}.cfr  what an attempt made of it
//! results/{tenant}/{job}/{number}-{attempt}-{steps}.cfc  where the next one goes on
//! sums/{tenant}/{job}/{number}-{part}-{attempt}.cfs  what an attempt made of a part, for no client
//! ```
//!
//! A job is found by its id alone, so that whoever works on it is told nothing else.

mod checkpoints;
mod declare;
mod delete;
mod index;
mod joint;
mod parts;

use super::document::{self, Stored};
use super::store::ATTEMPTS;
use super::{Chunk, ChunkEvent, ChunkRefusal, Job, KeyFile, Registry, UniqueId};
use crate::Tenant;
use crate::bucket::{Bucket, Condition, Piece, Presigned, StorageError};
use bytes::Bytes;
pub use checkpoints::Kept;
use cipherfn_protocol::api::job::{ChunkFile, JobId, UploadFolder};
pub use declare::JobDeclared;
use futures_util::{StreamExt, TryStreamExt, stream};
pub use joint::JointDeclared;
pub use parts::Share;
use parts::{part_folder, share_path, sums_folder};
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;
use time::OffsetDateTime;

/// Objects of a job that are read, written or deleted at the same time.
const IN_FLIGHT: usize = 32;
/// How the names of results end.
const RESULT: &str = ".cfr";
/// Content type of results.
const BINARY: &str = "application/octet-stream";

/// An object that a document names by size and checksum: a chunk as it was uploaded, a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// What it should be.
    Sound(Bytes),
    /// It is gone.
    Missing,
    /// It is something else.
    Altered(String),
}

impl<B: Bucket> Registry<B> {
    /// A name for a folder of uploads that was never used.
    pub fn new_upload(&self) -> Result<UploadFolder, StorageError> {
        UniqueId::random().map(|id| UploadFolder::from_bytes(id.to_bytes()))
    }

    /// A request that uploads a chunk: exactly this one, once.
    pub async fn upload_request(
        &self,
        tenant: &Tenant,
        upload: UploadFolder,
        chunk: ChunkFile,
        lifetime: Duration,
    ) -> Result<Presigned, StorageError> {
        let path = upload_path(tenant, upload, chunk);
        self.whole_request(&path, chunk, lifetime).await
    }

    /// A request that uploads a file as a whole: exactly this one, once.
    pub(super) async fn whole_request(
        &self,
        path: &str,
        file: ChunkFile,
        lifetime: Duration,
    ) -> Result<Presigned, StorageError> {
        let whole = Piece {
            number: 1,
            offset: 0,
            bytes: file.bytes,
            sha256: file.sha256,
        };
        self.bucket.presign_put(path, &whole, lifetime).await
    }

    /// The job of this id, whoever's it is; not one that its owner has ended.
    pub async fn job(&self, id: JobId) -> Result<Option<Job>, StorageError> {
        let job = self.stored_job(id).await?.sound()?;
        Ok(job.filter(|job| !job.ended))
    }

    /// Where some of a job's chunks stand; `None` for those that nobody has worked on.
    pub async fn chunks(
        &self,
        job: &Job,
        numbers: Range<usize>,
        now: OffsetDateTime,
    ) -> Result<Vec<Option<Chunk>>, StorageError> {
        let read = |number: usize| async move {
            let stored = self.stored_chunk(job.id, number.into()).await?.sound()?;
            let own = stored.map(|chunk| chunk.at(now));
            if own.is_some() || !job.is_in_parts() {
                return Ok(own);
            }
            let parts = self.parts(job, number, now).await?;
            Ok(Chunk::of_parts(own, &parts))
        };
        let reads: Vec<_> = numbers.map(read).collect();
        stream::iter(reads).buffered(IN_FLIGHT).try_collect().await
    }

    /// How many of a job's chunks have a result.
    pub async fn results(&self, job: &Job) -> Result<usize, StorageError> {
        let folder = result_folder(job);
        let results = self.bucket.list(&folder).await?;
        let number = |key: &str| {
            let name = key.strip_prefix(&folder)?.strip_suffix(RESULT)?;
            Some(name.split_once('-')?.0.to_owned())
        };
        let numbers: BTreeSet<_> = results
            .iter()
            .filter_map(|result| number(&result.key))
            .collect();
        Ok(numbers.len())
    }

    /// Lets an event happen to a chunk, or to a part of one.
    pub async fn change_chunk(
        &self,
        id: JobId,
        share: impl Into<Share>,
        event: &ChunkEvent,
        now: OffsetDateTime,
    ) -> Result<Result<Chunk, ChunkRefusal>, StorageError> {
        let share = share.into();
        let path = share_path(id, share);
        for _ in 0..ATTEMPTS {
            let stored = self.stored_chunk(id, share).await?;
            let next = match Chunk::next(stored.value(), event.clone(), now) {
                Ok(next) => next,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let written = document::write(&self.bucket, &path, &next, stored.unchanged()).await?;
            if written.is_some() {
                return Ok(Ok(next));
            }
        }
        Err(contended(path))
    }

    /// A chunk as it was uploaded.
    pub async fn input(&self, job: &Job, number: usize) -> Result<Input, StorageError> {
        let Some(work) = job.work.uploaded() else {
            return Ok(Input::Missing);
        };
        let Some(chunk) = work.chunks.get(number) else {
            return Ok(Input::Missing);
        };
        let path = upload_path(&job.tenant, work.upload, *chunk);
        self.bound(&path, *chunk).await
    }

    /// An object that must be this one.
    pub(super) async fn bound(&self, path: &str, file: ChunkFile) -> Result<Input, StorageError> {
        Ok(match self.bucket.get(path, file.bytes).await {
            Ok(None) => Input::Missing,
            Ok(Some(object)) if KeyFile::from(file).is(&object.bytes) => Input::Sound(object.bytes),
            Ok(Some(_)) => Input::Altered("its SHA-256 is not the declared one".to_owned()),
            Err(StorageError::TooLarge { bytes, .. }) => Input::Altered(format!(
                "it has {bytes} bytes, {} were declared",
                file.bytes
            )),
            Err(error) => return Err(error),
        })
    }

    /// Stores what an attempt made of a chunk. It counts once the chunk says so.
    pub async fn put_result(
        &self,
        job: &Job,
        (number, attempt): (usize, u32),
        bytes: Bytes,
    ) -> Result<(), StorageError> {
        let path = result_path(job, number, attempt);
        let written = self.bucket.put(&path, bytes, BINARY, Condition::Always);
        written.await.map(drop)
    }

    /// Removes what an attempt made that does not count.
    pub async fn remove_result(
        &self,
        job: &Job,
        (number, attempt): (usize, u32),
    ) -> Result<(), StorageError> {
        let path = result_path(job, number, attempt);
        self.bucket.delete(&path, None).await.map(drop)
    }

    /// A request that gives a result.
    pub async fn result_request(
        &self,
        job: &Job,
        (number, attempt): (usize, u32),
        lifetime: Duration,
    ) -> Result<Presigned, StorageError> {
        let path = result_path(job, number, attempt);
        self.bucket.presign_get(&path, lifetime).await
    }

    /// What an attempt made of a chunk.
    pub async fn result(
        &self,
        job: &Job,
        (number, attempt): (usize, u32),
        file: ChunkFile,
    ) -> Result<Input, StorageError> {
        self.bound(&result_path(job, number, attempt), file).await
    }

    pub(super) async fn stored_job(&self, id: JobId) -> Result<Stored<Job>, StorageError> {
        document::read(&self.bucket, &record_path(id)).await
    }

    async fn stored_chunk(&self, id: JobId, share: Share) -> Result<Stored<Chunk>, StorageError> {
        document::read(&self.bucket, &share_path(id, share)).await
    }
}

fn contended(key: String) -> StorageError {
    StorageError::Contended {
        key,
        attempts: ATTEMPTS,
    }
}

fn index_path(tenant: &Tenant) -> String {
    format!("jobs/index/{tenant}.json")
}

fn record_path(id: JobId) -> String {
    format!("jobs/{id}/record.json")
}

fn chunk_folder(id: JobId) -> String {
    format!("jobs/{id}/chunks/")
}

fn upload_folder(tenant: &Tenant, upload: UploadFolder) -> String {
    format!("uploads/{tenant}/{upload}/")
}

fn upload_path(tenant: &Tenant, upload: UploadFolder, chunk: ChunkFile) -> String {
    format!("{}{}.cfq", upload_folder(tenant, upload), chunk.sha256)
}

fn result_folder(job: &Job) -> String {
    format!("results/{}/{}/", job.tenant, job.id)
}

fn result_path(job: &Job, number: usize, attempt: u32) -> String {
    format!("{}{number}-{attempt}{RESULT}", result_folder(job))
}
