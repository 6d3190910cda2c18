//! Chunks whose parts are worked on apart: where the parts stand, and what was made of them. No client
//! gets an address of that: it tells more of a model than its answers.

use super::{BINARY, IN_FLIGHT, Input, chunk_folder};
use crate::bucket::{Bucket, Condition, StorageError};
use crate::registry::{Chunk, Job, Registry};
use bytes::Bytes;
use cipherfn_protocol::api::job::JobId;
use futures_util::{StreamExt, TryStreamExt, stream};
use time::OffsetDateTime;

/// What somebody works on: a chunk, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Number of the chunk.
    pub chunk: usize,
    /// Number of the part; `None` for all of the chunk.
    pub part: Option<u32>,
}

/// All of a chunk.
impl From<usize> for Share {
    fn from(chunk: usize) -> Self {
        Self { chunk, part: None }
    }
}

impl<B: Bucket> Registry<B> {
    /// Where the parts of a chunk stand.
    pub async fn parts(
        &self,
        job: &Job,
        chunk: usize,
        now: OffsetDateTime,
    ) -> Result<Vec<Option<Chunk>>, StorageError> {
        let read = |part| async move {
            let part = Some(part);
            let stored = self.stored_chunk(job.id, Share { chunk, part }).await?;
            Ok(stored.sound()?.map(|part| part.at(now)))
        };
        let reads: Vec<_> = (0..job.parts).map(read).collect();
        stream::iter(reads).buffered(IN_FLIGHT).try_collect().await
    }

    /// The parts of a chunk that whoever begins now would get ([`Chunk::free_parts`]).
    pub async fn free_parts(
        &self,
        job: &Job,
        chunk: usize,
        now: OffsetDateTime,
    ) -> Result<Vec<u32>, StorageError> {
        let own = self.stored_chunk(job.id, chunk.into()).await?.sound()?;
        let parts = self.parts(job, chunk, now).await?;
        Ok(Chunk::free_parts(own.as_ref(), &parts, now))
    }

    /// Stores what an attempt made of a part. It counts once the part says so.
    pub async fn put_sums(
        &self,
        job: &Job,
        (chunk, part, attempt): (usize, u32, u32),
        bytes: Bytes,
    ) -> Result<(), StorageError> {
        let path = sums_path(job, chunk, part, attempt);
        let written = self.bucket.put(&path, bytes, BINARY, Condition::Always);
        written.await.map(drop)
    }

    /// What was made of a part that is done, as it was made.
    pub async fn sums(
        &self,
        job: &Job,
        (chunk, part): (usize, u32),
        done: &Chunk,
    ) -> Result<Input, StorageError> {
        let Chunk::Done {
            attempt, result, ..
        } = done
        else {
            return Ok(Input::Missing);
        };
        let path = sums_path(job, chunk, part, *attempt);
        self.bound(&path, *result).await
    }

    /// Removes what was made of a chunk's parts, or of one that does not count.
    pub async fn remove_sums(
        &self,
        job: &Job,
        sums: &[(usize, u32, u32)],
    ) -> Result<(), StorageError> {
        let remove = |(chunk, part, attempt): &(usize, u32, u32)| {
            let path = sums_path(job, *chunk, *part, *attempt);
            async move { self.bucket.delete(&path, None).await.map(drop) }
        };
        let removals: Vec<_> = sums.iter().map(remove).collect();
        stream::iter(removals)
            .buffer_unordered(IN_FLIGHT)
            .try_collect()
            .await
    }
}

pub(super) fn share_path(id: JobId, share: Share) -> String {
    match share.part {
        None => format!("{}{}.json", chunk_folder(id), share.chunk),
        Some(part) => format!("{}{}-{part}.json", part_folder(id), share.chunk),
    }
}

pub(super) fn part_folder(id: JobId) -> String {
    format!("jobs/{id}/parts/")
}

pub(super) fn sums_folder(job: &Job) -> String {
    format!("sums/{}/{}/", job.tenant, job.id)
}

fn sums_path(job: &Job, chunk: usize, part: u32, attempt: u32) -> String {
    format!("{}{chunk}-{part}-{attempt}.cfs", sums_folder(job))
}
