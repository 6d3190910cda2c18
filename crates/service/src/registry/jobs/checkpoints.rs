//! Checkpoints: what an attempt at a chunk has kept of its work, so that the next one goes on there.
//!
//! Each has a name of its own, and is further than the one before it. The chunk's document says which
//! one counts, with size and SHA-256.

use super::{BINARY, Input, result_folder};
use crate::bucket::{Bucket, Condition, StorageError};
use crate::registry::{Attempt, Checkpoint, Chunk, ChunkEvent, ChunkRefusal, Job, Registry};
use bytes::Bytes;
use cipherfn_protocol::api::job::ChunkFile;
use cipherfn_protocol::hash::Sha256;
use sha2::Digest;
use std::time::Duration;
use time::OffsetDateTime;

/// What an attempt keeps.
#[derive(Clone, Debug)]
pub struct Kept {
    /// How far it has come, in steps of the work.
    pub steps: u64,
    /// Time that went into them.
    pub spent: Duration,
    /// All that it takes to go on.
    pub bytes: Bytes,
}

impl<B: Bucket> Registry<B> {
    /// Keeps what an attempt has done of a chunk, in place of what was kept `before`; refused where
    /// the chunk is no longer the attempt's.
    pub async fn save(
        &self,
        (job, number): (&Job, usize),
        by: &Attempt,
        (before, kept): (Option<Checkpoint>, Kept),
        now: OffsetDateTime,
    ) -> Result<Result<Checkpoint, ChunkRefusal>, StorageError> {
        let checkpoint = Checkpoint {
            attempt: by.number,
            steps: kept.steps,
            milliseconds: u64::try_from(kept.spent.as_millis()).unwrap_or(u64::MAX),
            file: ChunkFile {
                bytes: kept.bytes.len() as u64,
                sha256: Sha256::from_bytes(sha2::Sha256::digest(&kept.bytes).into()),
            },
        };
        let path = checkpoint_path(job, number, checkpoint);
        let written = self
            .bucket
            .put(&path, kept.bytes, BINARY, Condition::Always);
        written.await?;
        let event = ChunkEvent::Save {
            owner: by.owner.clone(),
            checkpoint,
        };
        let changed = self.change_chunk(job.id, number, &event, now).await?;
        let superseded = match changed {
            Ok(_) => before,
            // Written all the same, where its answer was lost and somebody else goes on from it by now.
            Err(_) if self.goes_on_from((job, number), checkpoint).await? => None,
            Err(_) => Some(checkpoint),
        };
        if let Some(superseded) = superseded {
            self.remove_checkpoint(job, number, superseded).await?;
        }
        Ok(changed.map(|_| checkpoint))
    }

    /// Whether a chunk names a checkpoint as the one from which the next attempt goes on.
    async fn goes_on_from(
        &self,
        (job, number): (&Job, usize),
        checkpoint: Checkpoint,
    ) -> Result<bool, StorageError> {
        let stored = self.stored_chunk(job.id, number.into()).await?;
        let kept = |chunk: &Chunk| match chunk {
            Chunk::Held { checkpoint, .. } => *checkpoint,
            Chunk::Done { .. } | Chunk::Failed { .. } => None,
        };
        Ok(stored.value().and_then(kept) == Some(checkpoint))
    }

    /// What was kept.
    pub async fn checkpoint(
        &self,
        job: &Job,
        number: usize,
        checkpoint: Checkpoint,
    ) -> Result<Input, StorageError> {
        let path = checkpoint_path(job, number, checkpoint);
        self.bound(&path, checkpoint.file).await
    }

    /// Removes what nobody goes on from.
    pub async fn remove_checkpoint(
        &self,
        job: &Job,
        number: usize,
        checkpoint: Checkpoint,
    ) -> Result<(), StorageError> {
        let path = checkpoint_path(job, number, checkpoint);
        self.bucket.delete(&path, None).await.map(drop)
    }
}

fn checkpoint_path(job: &Job, number: usize, checkpoint: Checkpoint) -> String {
    let Checkpoint { attempt, steps, .. } = checkpoint;
    format!("{}{number}-{attempt}-{steps}.cfc", result_folder(job))
}
