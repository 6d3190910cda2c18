//! Declarations of jobs.

use super::index::{JobIndex, NotTaken};
use super::{contended, index_path, record_path, upload_folder, upload_path};
use crate::Tenant;
use crate::bucket::{Bucket, Condition, Etag, StorageError};
use crate::config::JobRules;
use crate::registry::store::ATTEMPTS;
use crate::registry::{ChunkEvent, Job, JobOrder, Registry, UniqueId, document};
use cipherfn_protocol::api::Problem;
use cipherfn_protocol::api::job::{ChunkFile, JobId};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// What became of a declaration.
#[derive(Clone, Debug, PartialEq)]
pub enum JobDeclared {
    /// The job is new.
    New(Job),
    /// The job was declared before.
    Known(Job),
    /// Another job was declared under this name.
    Conflict,
    /// The tenant has as many jobs as it may.
    Quota,
    /// The chunk of this number is not where it should be.
    Missing(usize),
}

impl<B: Bucket> Registry<B> {
    /// Takes a job whose chunks were uploaded. The same declaration again is the same job.
    ///
    /// The record is written first; the tenant's index decides which of several records under one
    /// name is the job.
    pub async fn declare_job(
        &self,
        tenant: &Tenant,
        order: impl Into<JobOrder>,
        rules: &JobRules,
        now: OffsetDateTime,
    ) -> Result<JobDeclared, StorageError> {
        let order = &order.into();
        let path = index_path(tenant);
        let name = order.idempotency_key;
        let mut made: Option<(Job, Etag)> = None;
        for _ in 0..ATTEMPTS {
            let stored = document::read::<JobIndex>(&self.bucket, &path).await?;
            let mut index = stored.value().cloned().unwrap_or_default();
            let known = match index.job(name) {
                Some(id) => self.stored_job(id).await?.sound()?,
                None => None,
            };
            match known {
                // What there is of it is being deleted.
                Some(job) if job.ended => {
                    index.remove(job.id);
                }
                Some(job) => {
                    // Storage may have written the index and lost its answer, and others have changed it since: what was
                    // made is the job.
                    if let Some((made, _)) = &made
                        && made.id == job.id
                    {
                        return Ok(JobDeclared::New(job));
                    }
                    self.unmake(made).await?;
                    return Ok(if job.is(order) {
                        JobDeclared::Known(job)
                    } else {
                        JobDeclared::Conflict
                    });
                }
                None => {}
            }
            let (job, etag) = match made.take() {
                Some(made) => made,
                None => match self.make(tenant, order, rules, now).await? {
                    Ok(made) => made,
                    Err(missing) => return Ok(JobDeclared::Missing(missing)),
                },
            };
            let taken = index.insert(name, (job.id, job.until), rules.quota, now);
            if let Err(why) = taken {
                self.unmake(Some((job, etag))).await?;
                return Ok(match why {
                    NotTaken::Name => JobDeclared::Conflict,
                    NotTaken::Quota => JobDeclared::Quota,
                });
            }
            let written = document::write(&self.bucket, &path, &index, stored.unchanged()).await?;
            if written.is_some() {
                return Ok(JobDeclared::New(job));
            }
            made = Some((job, etag));
        }
        self.unmake(made).await?;
        Err(contended(path))
    }

    /// The tenant's job of this declaration, if it was declared before.
    pub async fn declared_job(
        &self,
        tenant: &Tenant,
        order: impl Into<JobOrder>,
    ) -> Result<Option<Job>, StorageError> {
        let order = order.into();
        let index = document::read::<JobIndex>(&self.bucket, &index_path(tenant)).await?;
        let known = index.value();
        let Some(id) = known.and_then(|index| index.job(order.idempotency_key)) else {
            return Ok(None);
        };
        Ok(self.job(id).await?.filter(|job| job.is(&order)))
    }

    /// Writes a job's record, or says which chunk is missing.
    async fn make(
        &self,
        tenant: &Tenant,
        order: &JobOrder,
        rules: &JobRules,
        now: OffsetDateTime,
    ) -> Result<Result<(Job, Etag), usize>, StorageError> {
        if let Some(work) = order.work.uploaded() {
            let folder = upload_folder(tenant, work.upload);
            let path = |chunk| upload_path(tenant, work.upload, chunk);
            if let Some(missing) = self.first_missing(&folder, path, &work.chunks).await? {
                return Ok(Err(missing));
            }
        }
        let id = JobId::from_bytes(UniqueId::random()?.to_bytes());
        let job = Job::new(id, tenant, order, (now, now + rules.lifetime));
        let path = record_path(id);
        let etag = document::write(&self.bucket, &path, &job, Condition::Absent).await?;
        let etag = etag.ok_or_else(|| contended(path))?;
        Ok(Ok((job, etag)))
    }

    /// Of files that should lie in a folder the first that does not.
    pub(in crate::registry) async fn first_missing(
        &self,
        folder: &str,
        path: impl Fn(ChunkFile) -> String,
        files: &[ChunkFile],
    ) -> Result<Option<usize>, StorageError> {
        let uploaded = self.bucket.list(folder).await?.into_iter();
        let uploaded: BTreeMap<String, u64> =
            uploaded.map(|object| (object.key, object.bytes)).collect();
        let is_there = |file: ChunkFile| uploaded.get(&path(file)) == Some(&file.bytes);
        Ok(files.iter().position(|file| !is_there(*file)))
    }

    /// Takes back a job that is all of one chunk, as trainings are, before anybody works on it; `false` where
    /// somebody does: who declared the same meanwhile was told of it. What was uploaded stays.
    ///
    /// The chunk fails first, and its document stays as long as the bucket keeps records: no worker begins it, and
    /// the training that has taken the job meanwhile takes another one.
    pub async fn withdraw_job(
        &self,
        job: &Job,
        problem: Problem,
        now: OffsetDateTime,
    ) -> Result<bool, StorageError> {
        let withdraw = ChunkEvent::Withdraw { problem };
        if self.change_chunk(job.id, 0, &withdraw, now).await?.is_err() {
            return Ok(false);
        }
        self.change_index(&job.tenant, |index| index.remove(job.id))
            .await?;
        self.bucket.delete(&record_path(job.id), None).await?;
        Ok(true)
    }

    /// Removes the record of a job that did not become one.
    async fn unmake(&self, made: Option<(Job, Etag)>) -> Result<(), StorageError> {
        if let Some((job, etag)) = made {
            let path = record_path(job.id);
            self.bucket.delete(&path, Some(&etag)).await?;
        }
        Ok(())
    }
}
