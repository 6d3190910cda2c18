//! Trainings that owners add rows to: declared, changed, deleted. They count as jobs do until they are one.

use super::index::JobIndex;
use super::{IN_FLIGHT, contended, index_path, upload_folder, upload_path};
use crate::Tenant;
use crate::bucket::{Bucket, Condition, StorageError};
use crate::config::JobRules;
use crate::registry::document::{self, Stored};
use crate::registry::joint::{joint_folder, joint_path};
use crate::registry::store::ATTEMPTS;
use crate::registry::{Chunk, ChunkEvent, GrantRefusal, JointTraining, Registry};
use bytes::Bytes;
use cipherfn_protocol::api::job::{ChunkFile, IdempotencyKey, JobId, UploadFolder};
use cipherfn_protocol::api::trainings::{TrainingDeclaration, TrainingId};
use cipherfn_protocol::hash::Hash;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::array;
use time::OffsetDateTime;

/// What is hashed with a training's id to name it among jobs.
const COUNTED: &[u8] = b"cipherfn 2026 a training among jobs, format 1";

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
            if known.is(declaration) && !known.ended {
                JointDeclared::Known(known)
            } else {
                JointDeclared::Conflict
            }
        };
        let path = joint_path(tenant, declaration.training);
        let known = document::read::<JointTraining>(&self.bucket, &path);
        if let Some(known) = known.await?.sound()? {
            return Ok(known_as(known));
        }
        let training = JointTraining::new(tenant, declaration, (now, now + rules.lifetime));
        let (name, job) = counted_as(&training);
        let fits = self.change_index(tenant, |index| {
            let counted = (job, training.until);
            index.insert(name, counted, rules.quota, now).is_ok()
        });
        if !fits.await? {
            // Somebody else may have declared the same meanwhile, or an earlier declaration have ended between
            // count and record: what it counts runs out.
            if let Some(known) = self.joint(tenant, declaration.training).await? {
                return Ok(known_as(known));
            }
            let index = document::read::<JobIndex>(&self.bucket, &index_path(tenant)).await?;
            let is_taken = index.value().and_then(|index| index.job(name)).is_some();
            return Ok(if is_taken {
                JointDeclared::Conflict
            } else {
                JointDeclared::Quota
            });
        }
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

    /// The tenant's training of this id; not one that it has ended.
    pub async fn joint(
        &self,
        tenant: &Tenant,
        id: TrainingId,
    ) -> Result<Option<JointTraining>, StorageError> {
        let path = joint_path(tenant, id);
        let training = document::read::<JointTraining>(&self.bucket, &path);
        let training = training.await?.sound()?;
        Ok(training.filter(|training| !training.ended))
    }

    /// Changes a tenant's training, by what is there now; `None` where there is none.
    pub async fn change_joint(
        &self,
        (tenant, id): (&Tenant, TrainingId),
        change: impl Fn(&JointTraining) -> Result<JointTraining, GrantRefusal>,
    ) -> Result<Option<Result<JointTraining, GrantRefusal>>, StorageError> {
        let change = |training: &JointTraining| {
            if training.ended {
                return Err(GrantRefusal::Unknown);
            }
            change(training)
        };
        self.change_granting(joint_path(tenant, id), change).await
    }

    /// A tenant's training as it is for whoever adds to it or trains on it: one whose job has failed has none.
    pub async fn open_joint(
        &self,
        tenant: &Tenant,
        id: TrainingId,
        now: OffsetDateTime,
    ) -> Result<Option<JointTraining>, StorageError> {
        let training = self.joint(tenant, id).await?;
        let Some(job) = training.as_ref().and_then(|training| training.job) else {
            return Ok(training);
        };
        // It is one chunk. One that was ended may have had a result, and took that with it.
        let chunk = self.stored_chunk(job, 0.into()).await?.sound()?;
        let chunk = chunk.map(|chunk| chunk.at(now));
        if !matches!(chunk, Some(Chunk::Failed { .. })) {
            return Ok(training);
        }
        // A worker that lives on against the clock has no result beside that of the next job: what is derived is
        // written before anybody hears of it.
        let expire = self.change_chunk(job, 0, &ChunkEvent::Expire, now);
        if expire.await?.is_err() {
            return Ok(training);
        }
        let reopened = self.change_joint((tenant, id), |training| Ok(training.reopened(job)));
        Ok(reopened.await?.and_then(Result::ok))
    }

    /// Ends a tenant's training and deletes all rows that were added; `false` where the tenant has none of
    /// this id.
    ///
    /// The record says first that it has ended, so that nothing is added or trained any more, and goes last: as
    /// long as there is one, a deletion that broke off can be repeated. Of one that was granted to owners the id
    /// stays, for as long as the bucket keeps records: it is not declared again.
    pub async fn delete_joint(
        &self,
        tenant: &Tenant,
        id: TrainingId,
    ) -> Result<bool, StorageError> {
        let path = joint_path(tenant, id);
        for _ in 0..ATTEMPTS {
            let (ended, counted, stays) =
                match document::read::<JointTraining>(&self.bucket, &path).await? {
                    // What is about to be declared counts already: no record, no count taken away.
                    Stored::Absent => return Ok(false),
                    // Nothing can be added to one that cannot be read, either. Its count runs out.
                    Stored::Corrupt(_, etag) => (Some(etag), None, None),
                    Stored::Sound(training, _) if training.is_buried() => return Ok(false),
                    Stored::Sound(training, etag) => {
                        let counted = Some(counted_as(&training).1);
                        let is_granted = !training.grants.is_empty() || !training.owners.is_empty();
                        let stays = is_granted.then(|| training.buried());
                        if training.ended {
                            (Some(etag), counted, stays)
                        } else {
                            let ended = JointTraining {
                                ended: true,
                                ..training
                            };
                            let condition = Condition::Unchanged(&etag);
                            let ended = document::write(&self.bucket, &path, &ended, condition);
                            (ended.await?, counted, stays)
                        }
                    }
                };
            let Some(etag) = ended else {
                continue;
            };
            if let Some(counted) = counted {
                self.change_index(tenant, |index| index.remove(counted))
                    .await?;
            }
            let uploaded = self.bucket.list(&upload_folder(tenant, id.into())).await?;
            let remove =
                |path: String| async move { self.bucket.delete(&path, None).await.map(drop) };
            let removals: Vec<_> = uploaded.into_iter().map(|file| remove(file.key)).collect();
            stream::iter(removals)
                .buffer_unordered(IN_FLIGHT)
                .try_collect::<()>()
                .await?;
            match stays {
                Some(buried) => {
                    let last = Condition::Unchanged(&etag);
                    document::write(&self.bucket, &path, &buried, last).await?;
                }
                None => {
                    self.bucket.delete(&path, Some(&etag)).await?;
                }
            }
            return Ok(true);
        }
        Err(contended(path))
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

/// A training among a tenant's jobs: under a name that is no job's and no declaration's, whichever ids a client
/// chooses; and as a job that no other training of this id is, so that a late deletion takes no later one's count.
fn counted_as(training: &JointTraining) -> (IdempotencyKey, JobId) {
    let half = |hash: Hash| array::from_fn(|place| hash.as_bytes()[place]);
    let id = training.id.to_bytes();
    let created = training.created.unix_timestamp_nanos().to_le_bytes();
    (
        IdempotencyKey::from_bytes(half(Hash::of(&[COUNTED, &id].concat()))),
        JobId::from_bytes(half(Hash::of(&[COUNTED, &id, &created].concat()))),
    )
}
