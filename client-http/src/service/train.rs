//! Trainings by a service: encrypted rows as chunks of a job, the state after the last step its result.
//!
//! ```text
//!   rows ──► encrypt a chunk ──► PUT ──► ...                                         upload_rows
//!   weights ◄── check, decrypt (the caller) ◄── GET the result ◄── poll ◄── a job    train
//! ```
//! What is between the two is an [`UploadedRows`], which a caller keeps: another run waits for the same job
//! by it, or cancels it.

use super::Service;
use super::awaited::Awaited;
use super::declare::new_name;
use super::error::ServiceError;
use super::sent::DescentFiles;
use super::uploaded::{RowsName, UploadedRows};
use bytes::Bytes;
use cipherfn_client::training::{DescentError, RowsEncryption};
use cipherfn_protocol::api::job::{
    ChunkFile, JobDeclaration, JobId, JobKind, MAX_CHUNKS, UploadFolder,
};
use cipherfn_protocol::api::trainings::TrainingStatus;
use cipherfn_protocol::api::{ModelName, Route};
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_protocol::message::KeyId;
use cipherfn_training::TrainingError;
use cipherfn_training::descent::{files_hash, rows_hash};

/// How far an upload of rows is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowsUpload {
    /// Bytes that have arrived.
    pub bytes: u64,
    /// Chunks that have arrived.
    pub chunks: usize,
}

impl Service {
    /// Uploads rows for a training by `program`, and what it starts from. `name` is for the caller.
    ///
    /// Number and size of what is sent depend on the program and on the number of rows alone.
    pub async fn upload_rows(
        &self,
        program: &ModelName,
        rows: RowsEncryption,
        name: RowsName,
        mut progress: impl FnMut(RowsUpload),
    ) -> Result<UploadedRows, ServiceError> {
        let (training, key) = (rows.training().hash(), rows.key().id());
        let (count, batch) = (rows.rows(), rows.training().batch());
        let files = DescentFiles::from(rows);
        let sent = self.send_rows(files, (None, 0), &mut progress).await?;
        let none = TrainingError::TooFewRows {
            found: count,
            batch,
        };
        let folder = sent.folder.ok_or_else(|| DescentError::from(none))?;
        let declaration = training_job((program, training, key), (folder, sent.chunks))?;
        let named = (count, rows_hash(sent.hashes));
        Ok(UploadedRows::new(self.url(), declaration, named, name))
    }

    /// What a training is on to which owners have added rows: these, behind the caller's own rows, which are
    /// uploaded beside them. `name` is for the caller.
    pub async fn upload_beside(
        &self,
        training: &TrainingStatus,
        own: Option<RowsEncryption>,
        name: RowsName,
        mut progress: impl FnMut(RowsUpload),
    ) -> Result<UploadedRows, ServiceError> {
        let others = training.owners.iter().flat_map(|owner| &owner.chunks);
        let others: Vec<ChunkFile> = others.copied().collect();
        if others.is_empty() {
            return Err(ServiceError::NoOwners {
                training: training.training,
            });
        }
        let folder = UploadFolder::from(training.training);
        let count = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
        let rows = training.owners.iter().map(|owner| count(owner.rows));
        let mut owners: Vec<usize> = own.iter().map(RowsEncryption::rows).collect();
        owners.extend(rows);
        // What a service says may be anything.
        let bytes = others.iter().map(|file| file.bytes);
        let bytes = bytes.fold(0, u64::saturating_add);
        let place = (Some(folder), bytes);
        let mut chunks = match own {
            Some(own) => {
                self.send_rows(DescentFiles::from(own), place, &mut progress)
                    .await?
                    .chunks
            }
            None => Vec::new(),
        };
        chunks.extend(others);
        if chunks.len() > MAX_CHUNKS {
            return Err(ServiceError::TooManyChunks {
                found: chunks.len(),
                limit: MAX_CHUNKS,
            });
        }
        let name_of_all = files_hash(chunks.iter().map(|chunk| chunk.sha256));
        let of = (&training.program, training.specs, training.key);
        let declaration = training_job(of, (folder, chunks))?;
        let rows = owners.iter().copied().fold(0, usize::saturating_add);
        Ok(UploadedRows {
            owners,
            ..UploadedRows::new(self.url(), declaration, (rows, name_of_all), name)
        })
    }

    /// Has the service train on rows that were uploaded, and waits for the result: a state, of which the
    /// caller has still to find out whether it is that after the last step
    /// ([`decrypt_weights`](cipherfn_client::training::decrypt_weights)). `progress` hears how many steps
    /// are done for certain. The parts of the key that trainings need must be registered
    /// ([`Self::supply_parts`]). The job stays until it is deleted or runs out.
    pub async fn train(
        &self,
        uploaded: &UploadedRows,
        progress: impl FnMut(u64),
    ) -> Result<(JobId, Bytes), ServiceError> {
        self.train_by(&uploaded.declaration, progress).await
    }

    /// The same by one of several jobs on these rows: a level of a tree ([`UploadedRows::level`]).
    pub async fn train_by(
        &self,
        job: &JobDeclaration,
        progress: impl FnMut(u64),
    ) -> Result<(JobId, Bytes), ServiceError> {
        let result = self.result_of_job(&awaited(job), progress).await;
        result.map_err(|error| self.trains(error))
    }

    /// Ends a training that was begun, or rows that were only uploaded, and deletes both at the service.
    pub async fn cancel_training(&self, uploaded: &UploadedRows) -> Result<(), ServiceError> {
        // Of what comes first the rows go: a job that was not declared is not declared then.
        let mut ended = Ok(());
        for job in std::iter::once(&uploaded.declaration).chain(&uploaded.levels) {
            let declared = self.declared(&awaited(job)).await;
            let deleted = match declared {
                Ok(job) => self.delete_job(job).await,
                Err(error) => Err(self.trains(error)),
            };
            match deleted {
                Err(error) if error.is_of_gone_training() => ended = ended.and(Err(error)),
                other => other?,
            }
        }
        // A level that was never begun is no news.
        if uploaded.levels.is_empty() {
            ended
        } else {
            Ok(())
        }
    }

    /// What an older service says of routes for trainings, and of jobs that train.
    pub(super) fn trains(&self, error: ServiceError) -> ServiceError {
        if error.is_no_route() {
            return ServiceError::NoTrainings {
                url: self.url().to_owned(),
            };
        }
        error
    }
}

/// A job of a version of a program, under a key, on chunks in a folder.
pub(super) fn training_job(
    (program, specs, key): (&ModelName, SpecsHash, KeyId),
    (upload, chunks): (UploadFolder, Vec<ChunkFile>),
) -> Result<JobDeclaration, ServiceError> {
    Ok(JobDeclaration {
        idempotency_key: new_name()?,
        kind: JobKind::Train,
        model: program.clone(),
        specs,
        key,
        upload,
        chunks,
        parts: 1,
    })
}

pub(super) fn awaited(declaration: &JobDeclaration) -> Awaited<'_, JobDeclaration> {
    Awaited {
        route: Route::DeclareJob,
        declaration,
        what: "the result of the training",
        failed: |attempts, problem| ServiceError::TrainingFailed { attempts, problem },
    }
}
