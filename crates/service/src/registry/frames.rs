//! Tenants' encrypted frames: pieces uploaded, declared, read, deleted.
//!
//! ```text
//! frames/{tenant}/index.json             the tenant's frames: what its quota counts
//! frames/{tenant}/{frame}/record.json    what is public of a frame, and its pieces
//! frames/{tenant}/{frame}/{sha256}.cff   a piece
//! ```
//! The index has a frame before it has a record and as long as it has one, so every usable frame
//! counts.

use super::document::{self, Stored};
use super::frame::{FrameIndex, FramePiece};
use super::store::ATTEMPTS;
use super::{GrantRefusal, Granting, Input, Registry, StoredFrame};
use crate::Tenant;
use crate::bucket::{Bucket, Condition, Presigned, StorageError};
use crate::config::FrameRules;
use bytes::Bytes;
use cipherfn_protocol::api::frames::FrameId;
use cipherfn_protocol::api::job::ChunkFile;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::time::Duration;
use time::OffsetDateTime;

/// Objects that are read or deleted at the same time.
const IN_FLIGHT: usize = 32;

/// What became of a declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameDeclared {
    /// The frame is new.
    New,
    /// It was declared before.
    Known(Box<StoredFrame>),
    /// The folder is that of another frame.
    Conflict,
    /// The tenant has as many frames as it may.
    Quota,
}

impl<B: Bucket> Registry<B> {
    /// A request that uploads a piece: exactly this one, once.
    pub async fn piece_request(
        &self,
        tenant: &Tenant,
        frame: FrameId,
        file: ChunkFile,
        lifetime: Duration,
    ) -> Result<Presigned, StorageError> {
        let path = piece_path(tenant, frame, file);
        self.whole_request(&path, file, lifetime).await
    }

    /// Of pieces of a frame the first that is not there.
    pub async fn missing_piece(
        &self,
        tenant: &Tenant,
        frame: FrameId,
        pieces: &[ChunkFile],
    ) -> Result<Option<usize>, StorageError> {
        let path = |file| piece_path(tenant, frame, file);
        let folder = folder(tenant, frame);
        self.first_missing(&folder, path, pieces).await
    }

    /// The first bytes of an uploaded piece, at most so many; `None` where it is gone.
    pub async fn piece_start(
        &self,
        tenant: &Tenant,
        frame: FrameId,
        (file, len): (ChunkFile, u64),
    ) -> Result<Option<Bytes>, StorageError> {
        let path = piece_path(tenant, frame, file);
        let range = self.bucket.range(&path, 0, len.min(file.bytes), None);
        Ok(range.await?.map(|range| range.object.bytes))
    }

    /// A piece of a frame.
    pub async fn piece(
        &self,
        frame: &StoredFrame,
        piece: FramePiece,
    ) -> Result<Input, StorageError> {
        let path = piece_path(&frame.tenant, frame.id, piece.file);
        self.bound(&path, piece.file).await
    }

    /// Takes a frame whose pieces were uploaded and looked at. The same again is the same frame.
    pub async fn declare_frame(
        &self,
        frame: &StoredFrame,
        rules: &FrameRules,
        now: OffsetDateTime,
    ) -> Result<FrameDeclared, StorageError> {
        let record = record_path(&frame.tenant, frame.id);
        if let Stored::Sound(known, _) = document::read(&self.bucket, &record).await? {
            return Ok(known_as(known, frame));
        }
        let index = index_path(&frame.tenant);
        let takes = |index: &mut FrameIndex| index.insert(frame.id, frame.until, rules.quota, now);
        if !self.change_frames(&index, takes).await? {
            return Ok(FrameDeclared::Quota);
        }
        let written = document::write(&self.bucket, &record, frame, Condition::Absent);
        if written.await?.is_some() {
            return Ok(FrameDeclared::New);
        }
        match document::read(&self.bucket, &record).await?.sound()? {
            Some(known) => Ok(known_as(known, frame)),
            None => Err(contended(record)),
        }
    }

    /// The tenant's frame of this id.
    pub async fn frame(
        &self,
        tenant: &Tenant,
        id: FrameId,
    ) -> Result<Option<StoredFrame>, StorageError> {
        let path = record_path(tenant, id);
        document::read(&self.bucket, &path).await?.sound()
    }

    /// The tenant's frames that have not run out, the oldest first.
    pub async fn frames(
        &self,
        tenant: &Tenant,
        now: OffsetDateTime,
    ) -> Result<Vec<StoredFrame>, StorageError> {
        let index = document::read::<FrameIndex>(&self.bucket, &index_path(tenant)).await?;
        let ids: Vec<FrameId> = index
            .value()
            .map_or_else(Vec::new, |index| index.ids().collect());
        let reads = ids.into_iter().map(|id| self.frame(tenant, id));
        let reads: Vec<_> = reads.collect();
        let frames = stream::iter(reads).buffered(IN_FLIGHT).try_collect();
        let frames: Vec<Option<StoredFrame>> = frames.await?;
        let live = frames.into_iter().flatten();
        let mut live: Vec<_> = live.filter(|frame| !frame.is_expired(now)).collect();
        live.sort_by_key(|frame| (frame.created, frame.id));
        Ok(live)
    }

    /// Deletes a tenant's frame with its pieces; `false` where the tenant has none of this id. The
    /// record goes first: no query is begun on it any more. What is left of a deletion that broke off
    /// goes with the next one, or when it runs out.
    pub async fn delete_frame(&self, tenant: &Tenant, id: FrameId) -> Result<bool, StorageError> {
        let record = record_path(tenant, id);
        let was_there = self.bucket.size(&record).await?.is_some();
        self.bucket.delete(&record, None).await?;
        let pieces = self.bucket.list(&folder(tenant, id)).await?;
        let had_pieces = !pieces.is_empty();
        let remove = |path: String| async move { self.bucket.delete(&path, None).await.map(drop) };
        let removals: Vec<_> = pieces.into_iter().map(|piece| remove(piece.key)).collect();
        stream::iter(removals)
            .buffer_unordered(IN_FLIGHT)
            .try_collect::<()>()
            .await?;
        let index = index_path(tenant);
        let counted = self.change_frames(&index, |index| index.remove(id)).await?;
        Ok(was_there || had_pieces || counted)
    }

    /// Changes a tenant's frame, by what is there now; `None` where there is none.
    pub async fn change_frame(
        &self,
        (tenant, id): (&Tenant, FrameId),
        change: impl Fn(&StoredFrame) -> Result<StoredFrame, GrantRefusal>,
    ) -> Result<Option<Result<StoredFrame, GrantRefusal>>, StorageError> {
        self.change_granting(record_path(tenant, id), change).await
    }

    /// Deletes files of a frame that are none of its pieces.
    pub async fn delete_pieces(
        &self,
        frame: &StoredFrame,
        files: impl Iterator<Item = ChunkFile>,
    ) -> Result<(), StorageError> {
        for file in files.filter(|file| !frame.has(*file)) {
            let path = piece_path(&frame.tenant, frame.id, file);
            self.bucket.delete(&path, None).await?;
        }
        Ok(())
    }

    /// Changes an index, if `change` says that there is anything to write.
    async fn change_frames(
        &self,
        path: &str,
        change: impl Fn(&mut FrameIndex) -> bool,
    ) -> Result<bool, StorageError> {
        for _ in 0..ATTEMPTS {
            let stored = document::read::<FrameIndex>(&self.bucket, path).await?;
            let mut index = stored.value().cloned().unwrap_or_default();
            if !change(&mut index) {
                return Ok(false);
            }
            let written = document::write(&self.bucket, path, &index, stored.unchanged()).await?;
            if written.is_some() {
                return Ok(true);
            }
        }
        Err(contended(path.to_owned()))
    }
}

fn known_as(known: StoredFrame, frame: &StoredFrame) -> FrameDeclared {
    // Behind its owner's pieces there may be those of others.
    if known.pieces.starts_with(&frame.pieces) {
        FrameDeclared::Known(Box::new(known))
    } else {
        FrameDeclared::Conflict
    }
}

fn contended(key: String) -> StorageError {
    StorageError::Contended {
        key,
        attempts: ATTEMPTS,
    }
}

fn index_path(tenant: &Tenant) -> String {
    format!("frames/{tenant}/index.json")
}

fn folder(tenant: &Tenant, frame: FrameId) -> String {
    format!("frames/{tenant}/{frame}/")
}

pub(super) fn record_path(tenant: &Tenant, frame: FrameId) -> String {
    format!("{}record.json", folder(tenant, frame))
}

fn piece_path(tenant: &Tenant, frame: FrameId, file: ChunkFile) -> String {
    format!("{}{}.cff", folder(tenant, frame), file.sha256)
}
