//! The end of jobs.

use super::{
    IN_FLIGHT, chunk_folder, contended, part_folder, record_path, result_folder, sums_folder,
    upload_path,
};
use crate::Tenant;
use crate::bucket::{Bucket, Condition, StorageError};
use crate::registry::document::Stored;
use crate::registry::store::ATTEMPTS;
use crate::registry::{Job, Registry, document};
use cipherfn_protocol::api::job::{ChunkFile, JobId};
use futures_util::{StreamExt, TryStreamExt, stream};

impl<B: Bucket> Registry<B> {
    /// Ends a tenant's job and deletes its chunks and results; `false` where the tenant has none of
    /// this id. No chunk is begun once it has returned; what an attempt makes that was under way
    /// does not count, as the chunk is gone.
    ///
    /// The record says first that the job has ended and goes last: as long as there is one, a
    /// deletion that broke off can be repeated.
    pub async fn delete_job(&self, tenant: &Tenant, id: JobId) -> Result<bool, StorageError> {
        let path = record_path(id);
        for _ in 0..ATTEMPTS {
            let (job, etag) = match self.stored_job(id).await? {
                Stored::Sound(job, etag) if job.tenant == *tenant => (job, etag),
                Stored::Absent | Stored::Sound(..) => return Ok(false),
                Stored::Corrupt(error, _) => return Err(error),
            };
            let written = if job.ended {
                Some(etag)
            } else {
                let ended = Job {
                    ended: true,
                    ..job.clone()
                };
                let condition = Condition::Unchanged(&etag);
                document::write(&self.bucket, &path, &ended, condition).await?
            };
            let Some(etag) = written else {
                continue;
            };
            self.change_index(tenant, |index| index.remove(id)).await?;
            self.remove_job_files(&job).await?;
            self.bucket.delete(&path, Some(&etag)).await?;
            return Ok(true);
        }
        Err(contended(path))
    }

    async fn remove_job_files(&self, job: &Job) -> Result<(), StorageError> {
        // Frames, which nobody uploaded for a job, stay.
        let mut paths: Vec<String> = Vec::new();
        if let Some(work) = job.work.uploaded() {
            let uploaded = |chunk: &ChunkFile| upload_path(&job.tenant, work.upload, *chunk);
            paths.extend(work.chunks.iter().map(uploaded));
        }
        let mut folders = vec![chunk_folder(job.id), result_folder(job)];
        if job.is_in_parts() {
            folders.extend([part_folder(job.id), sums_folder(job)]);
        }
        for folder in folders {
            let objects = self.bucket.list(&folder).await?;
            paths.extend(objects.into_iter().map(|object| object.key));
        }
        let remove = |path: String| async move { self.bucket.delete(&path, None).await.map(drop) };
        let removals: Vec<_> = paths.into_iter().map(remove).collect();
        stream::iter(removals)
            .buffer_unordered(IN_FLIGHT)
            .try_collect()
            .await
    }
}
