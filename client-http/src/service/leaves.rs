//! Rows that a service counts in the leaves of trees: chunks of a job that trains, the counts its result. Of a tree
//! that is grown each level is a job of its own on the same chunks, behind the tree so far.

use super::Service;
use super::bulk::sha256;
use super::error::ServiceError;
use super::sent::CHUNK;
use super::train::{RowsUpload, training_job};
use super::uploaded::{RowsName, UploadedRows};
use bytes::Bytes;
use cipherfn_client::training::leaves::{LeafError, LeafRowsEncryption};
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::api::job::{ChunkFile, UploadPurpose};
use cipherfn_protocol::hash::Hash;
use cipherfn_training::descent::rows_hash;
use cipherfn_training::leaves::GrownTree;

impl Service {
    /// Uploads rows for a training of trees by `program`; [`Self::train`] has them counted. `table` is for the
    /// caller.
    ///
    /// Number and size of what is sent depend on the program and on the number of rows alone.
    pub async fn upload_leaf_rows(
        &self,
        program: &ModelName,
        rows: LeafRowsEncryption,
        table: Hash,
        mut progress: impl FnMut(RowsUpload),
    ) -> Result<UploadedRows, ServiceError> {
        let (training, key, count) = (rows.training().hash(), rows.key().id(), rows.rows());
        let sent = self.send_rows(rows, (None, 0), &mut progress).await?;
        let folder = sent.folder.ok_or(LeafError::NoRows)?;
        let declaration = training_job((program, training, key), (folder, sent.chunks))?;
        let named = (count, rows_hash(sent.hashes));
        let name = RowsName { table, start: None };
        Ok(UploadedRows::new(self.url(), declaration, named, name))
    }

    /// Uploads a tree as far as it is grown beside the rows, for the job of a level: the first after that on a
    /// leaf is number 1. Where that was done before, by the same client, what was uploaded is as it is. A caller
    /// keeps what this gives before it has the job done ([`UploadedRows::level`], [`Self::train_by`]).
    pub async fn upload_tree(
        &self,
        uploaded: &UploadedRows,
        (level, tree): (usize, &GrownTree),
    ) -> Result<UploadedRows, ServiceError> {
        let bytes = Bytes::from(tree.to_file_bytes().map_err(LeafError::from)?);
        let file = ChunkFile {
            bytes: bytes.len() as u64,
            sha256: sha256(&bytes),
        };
        let first = &uploaded.declaration;
        match uploaded.level(level) {
            Some(known) if known.chunks.first() == Some(&file) => return Ok(uploaded.clone()),
            None if level == uploaded.levels.len() + 1 => {}
            _ => return Err(ServiceError::OtherTree { level }),
        }
        let place = (UploadPurpose::Job, Some(first.upload));
        self.upload_file(place, file, bytes, CHUNK).await?;
        let chunks = std::iter::once(&file).chain(&first.chunks).copied();
        let job = training_job(
            (&first.model, first.specs, first.key),
            (first.upload, chunks.collect::<Vec<_>>()),
        )?;
        let mut next = uploaded.clone();
        next.levels.push(job);
        Ok(next)
    }
}
