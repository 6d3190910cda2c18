//! Trainings by a service: encrypted rows as chunks of a job, the state after the last step its result.
//!
//! ```text
//!   rows ──► encrypt a chunk ──► PUT ──► ...                                         upload_rows
//!   weights ◄── check, decrypt (the caller) ◄── GET the result ◄── poll ◄── a job    train
//! ```
//! What is between the two is an [`UploadedRows`], which a caller keeps: another run waits for the same job
//! by it, or cancels it.

use super::awaited::Awaited;
use super::bulk::sha256;
use super::declare::new_name;
use super::error::ServiceError;
use super::uploaded::{FORMAT, RowsName, UploadedRows};
use super::{Service, blocking};
use bytes::Bytes;
use cipherfn_client::training::{DescentError, RowsEncryption};
use cipherfn_protocol::api::job::{
    ChunkFile, JobDeclaration, JobId, JobKind, MAX_CHUNKS, MAX_TRAINING, UploadFolder,
    UploadPurpose,
};
use cipherfn_protocol::api::trainings::TrainingStatus;
use cipherfn_protocol::api::{ModelName, Route};
use cipherfn_protocol::hash::Hash;
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

/// Rows that have arrived.
struct SentRows {
    folder: Option<UploadFolder>,
    chunks: Vec<ChunkFile>,
    /// What names their ciphertexts.
    hashes: Vec<Hash>,
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
        let sent = self.send_rows(rows, (None, 0), &mut progress).await?;
        let none = TrainingError::TooFewRows {
            found: count,
            batch,
        };
        Ok(UploadedRows {
            format: FORMAT,
            service: self.url().to_owned(),
            declaration: JobDeclaration {
                idempotency_key: new_name()?,
                kind: JobKind::Train,
                model: program.clone(),
                specs: training,
                key,
                upload: sent.folder.ok_or_else(|| DescentError::from(none))?,
                chunks: sent.chunks,
                parts: 1,
            },
            rows: count,
            owners: Vec::new(),
            rows_hash: rows_hash(sent.hashes),
            table: name.table,
            start: name.start,
        })
    }

    /// What a training is on to which owners have added rows: these, behind the caller's own ones, which are
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
        let mut chunks = match own {
            Some(own) => {
                let place = (Some(folder), bytes);
                self.send_rows(own, place, &mut progress).await?.chunks
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
        Ok(UploadedRows {
            format: FORMAT,
            service: self.url().to_owned(),
            rows: owners.iter().copied().fold(0, usize::saturating_add),
            owners,
            rows_hash: files_hash(chunks.iter().map(|chunk| chunk.sha256)),
            declaration: JobDeclaration {
                idempotency_key: new_name()?,
                kind: JobKind::Train,
                model: training.program.clone(),
                specs: training.specs,
                key: training.key,
                upload: folder,
                chunks,
                parts: 1,
            },
            table: name.table,
            start: name.start,
        })
    }

    /// Uploads the caller's rows, and what they start from: to a folder, where `beside` bytes are already.
    async fn send_rows(
        &self,
        mut rows: RowsEncryption,
        (folder, beside): (Option<UploadFolder>, u64),
        progress: &mut impl FnMut(RowsUpload),
    ) -> Result<SentRows, ServiceError> {
        // Told before hours of uploading, not after.
        let (bytes, limit) = (rows.file_bytes().saturating_add(beside), MAX_TRAINING);
        if bytes > limit {
            return Err(ServiceError::TrainingTooLarge { bytes, limit });
        }
        let batch = rows.batch_bytes();
        let mut sent = SentRows {
            folder,
            chunks: Vec::new(),
            hashes: Vec::new(),
        };
        let mut start = rows.start().map(|start| Bytes::from(start.to_vec()));
        let mut arrived = 0;
        loop {
            let bytes = if let Some(start) = start.take() {
                sent.hashes.push(Hash::of(&start));
                start
            } else {
                let (next, rest) = blocking(move || (rows.next(), rows)).await?;
                rows = rest;
                let Some(chunk) = next else {
                    return Ok(sent);
                };
                let chunk = chunk.map_err(DescentError::from)?;
                sent.hashes.extend(chunk.hashes(batch));
                Bytes::from(chunk.to_file_bytes())
            };
            let file = ChunkFile {
                bytes: bytes.len() as u64,
                sha256: sha256(&bytes),
            };
            let place = (UploadPurpose::Job, sent.folder);
            let upload = self.upload_file(place, file, bytes, "a chunk of the rows");
            sent.folder = Some(upload.await.map_err(|error| self.takes(error))?);
            sent.chunks.push(file);
            arrived += file.bytes;
            progress(RowsUpload {
                bytes: arrived,
                chunks: sent.chunks.len(),
            });
        }
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
        let result = self.result_of_job(&awaited(uploaded), progress).await;
        result.map_err(|error| self.trains(error))
    }

    /// Ends a training that was begun, or rows that were only uploaded, and deletes both at the service.
    pub async fn cancel_training(&self, uploaded: &UploadedRows) -> Result<(), ServiceError> {
        let declared = self.declared(&awaited(uploaded)).await;
        let job = declared.map_err(|error| self.trains(error))?;
        self.delete_job(job).await
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

fn awaited(uploaded: &UploadedRows) -> Awaited<'_, JobDeclaration> {
    Awaited {
        route: Route::DeclareJob,
        declaration: &uploaded.declaration,
        what: "the result of the training",
        failed: |attempts, problem| ServiceError::TrainingFailed { attempts, problem },
    }
}
