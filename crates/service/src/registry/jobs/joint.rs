//! Trainings that owners add rows to: declared, changed, deleted. They count as jobs do until they are one.

use super::index::JobIndex;
use super::{IN_FLIGHT, contended, index_path, upload_folder, upload_path};
use crate::Tenant;
use crate::bucket::{Bucket, Condition, StorageError};
use crate::config::JobRules;
use crate::registry::document;
use crate::registry::joint::{joint_folder, joint_path};
use crate::registry::store::ATTEMPTS;
use crate::registry::{GrantRefusal, JointTraining, Registry};
use bytes::Bytes;
use cipherfn_protocol::api::job::{ChunkFile, IdempotencyKey, JobId, UploadFolder};
use cipherfn_protocol::api::trainings::{TrainingDeclaration, TrainingId};
use futures_util::{StreamExt, TryStreamExt, stream};
use time::OffsetDateTime;

/// What became of a declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JointDeclared {
    /// The training is new.
    New(JointTraining),
    /// It was declared before.
    Known(JointTraining),
    /// Another one was declared under this name.
    Conflict,
    /// The tenant has as many jobs as it may.
    Quota,
}

impl<B: Bucket> Registry<B> {
    /// Takes a training that owners are to add rows to. The same again is the same training.
    pub async fn declare_joint(
        &self,
        tenant: &Tenant,
        declaration: &TrainingDeclaration,
        rules: &JobRules,
        now: OffsetDateTime,
    ) -> Result<JointDeclared, StorageError> {
        let known_as = |known: JointTraining| {
            if known.is(declaration) {
                JointDeclared::Known(known)
            } else {
                JointDeclared::Conflict
            }
        };
        if let Some(known) = self.joint(tenant, declaration.training).await? {
            return Ok(known_as(known));
        }
        let training = JointTraining::new(tenant, declaration, (now, now + rules.lifetime));
        let (name, job) = counted_as(training.id);
        let fits = self.change_index(tenant, |index| {
            index.insert(name, (job, training.until), rules.quota, now)
        });
        if !fits.await? {
            return Ok(JointDeclared::Quota);
        }
        let path = joint_path(tenant, training.id);
        let written = document::write(&self.bucket, &path, &training, Condition::Absent);
        if written.await?.is_some() {
            return Ok(JointDeclared::New(training));
        }
        let known = self.joint(tenant, declaration.training).await?;
        known.map(known_as).ok_or_else(|| contended(path))
    }

    /// The tenant's trainings that have not run out, the oldest first.
    pub async fn joints(
        &self,
        tenant: &Tenant,
        now: OffsetDateTime,
    ) -> Result<Vec<JointTraining>, StorageError> {
        let folder = joint_folder(tenant);
        let listed = self.bucket.list(&folder).await?;
        let id = |key: &str| {
            let name = key.strip_prefix(&folder)?.strip_suffix(".json")?;
            name.parse::<TrainingId>().ok()
        };
        let ids = listed.iter().filter_map(|object| id(&object.key));
        let reads: Vec<_> = ids.map(|id| self.joint(tenant, id)).collect();
        let found = stream::iter(reads).buffered(IN_FLIGHT).try_collect();
        let found: Vec<Option<JointTraining>> = found.await?;
        let live = found.into_iter().flatten();
        let mut live: Vec<_> = live.filter(|training| !training.is_expired(now)).collect();
        live.sort_by_key(|training| (training.created, training.id));
        Ok(live)
    }

    /// The tenant's training of this id.
    pub async fn joint(
        &self,
        tenant: &Tenant,
        id: TrainingId,
    ) -> Result<Option<JointTraining>, StorageError> {
        let path = joint_path(tenant, id);
        document::read(&self.bucket, &path).await?.sound()
    }

    /// Changes a tenant's training, by what is there now; `None` where there is none.
    pub async fn change_joint(
        &self,
        (tenant, id): (&Tenant, TrainingId),
        change: impl Fn(&JointTraining) -> Result<JointTraining, GrantRefusal>,
    ) -> Result<Option<Result<JointTraining, GrantRefusal>>, StorageError> {
        self.change_granting(joint_path(tenant, id), change).await
    }

    /// Ends a tenant's training and deletes all rows that were added; `false` where the tenant has none of
    /// this id. The record goes first: nothing is added any more.
    pub async fn delete_joint(
        &self,
        tenant: &Tenant,
        id: TrainingId,
    ) -> Result<bool, StorageError> {
        let path = joint_path(tenant, id);
        let was_there = self.bucket.size(&path).await?.is_some();
        self.bucket.delete(&path, None).await?;
        let uploaded = self.bucket.list(&upload_folder(tenant, id.into())).await?;
        // Rows whose training is gone lie in no folder that anybody else names.
        if was_there {
            let remove =
                |path: String| async move { self.bucket.delete(&path, None).await.map(drop) };
            let removals: Vec<_> = uploaded.into_iter().map(|file| remove(file.key)).collect();
            stream::iter(removals)
                .buffer_unordered(IN_FLIGHT)
                .try_collect::<()>()
                .await?;
        }
        let counted = self.change_index(tenant, |index| index.remove(counted_as(id).1));
        Ok(counted.await? || was_there)
    }

    /// Deletes uploaded chunks that are none of a training's rows.
    pub async fn delete_uploads(
        &self,
        training: &JointTraining,
        files: impl Iterator<Item = ChunkFile>,
    ) -> Result<(), StorageError> {
        for file in files {
            let path = upload_path(&training.tenant, training.id.into(), file);
            self.bucket.delete(&path, None).await?;
        }
        Ok(())
    }

    /// Of uploaded chunks the first that is not there.
    pub async fn missing_upload(
        &self,
        (tenant, folder): (&Tenant, UploadFolder),
        files: &[ChunkFile],
    ) -> Result<Option<usize>, StorageError> {
        let path = |file| upload_path(tenant, folder, file);
        self.first_missing(&upload_folder(tenant, folder), path, files)
            .await
    }

    /// The first bytes of an uploaded chunk, at most so many; `None` where it is gone.
    pub async fn upload_start(
        &self,
        (tenant, folder): (&Tenant, UploadFolder),
        (file, len): (ChunkFile, u64),
    ) -> Result<Option<Bytes>, StorageError> {
        let path = upload_path(tenant, folder, file);
        let range = self.bucket.range(&path, 0, len.min(file.bytes), None);
        Ok(range.await?.map(|range| range.object.bytes))
    }

    /// Changes a tenant's index of jobs, if `change` says that there is anything to write.
    pub(super) async fn change_index(
        &self,
        tenant: &Tenant,
        change: impl Fn(&mut JobIndex) -> bool,
    ) -> Result<bool, StorageError> {
        let path = index_path(tenant);
        for _ in 0..ATTEMPTS {
            let stored = document::read::<JobIndex>(&self.bucket, &path).await?;
            let mut index = stored.value().cloned().unwrap_or_default();
            if !change(&mut index) {
                return Ok(false);
            }
            let written = document::write(&self.bucket, &path, &index, stored.unchanged()).await?;
            if written.is_some() {
                return Ok(true);
            }
        }
        Err(contended(path))
    }
}

/// A training among a tenant's jobs.
const fn counted_as(id: TrainingId) -> (IdempotencyKey, JobId) {
    let bytes = id.to_bytes();
    (IdempotencyKey::from_bytes(bytes), JobId::from_bytes(bytes))
}
