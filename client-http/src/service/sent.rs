//! Encrypted rows on their way to a training, file by file.

use super::bulk::sha256;
use super::error::ServiceError;
use super::train::RowsUpload;
use super::{Service, blocking};
use bytes::Bytes;
use cipherfn_client::training::leaves::LeafRowsEncryption;
use cipherfn_client::training::{DescentError, RowsEncryption};
use cipherfn_protocol::api::job::{ChunkFile, MAX_TRAINING, UploadFolder, UploadPurpose};
use cipherfn_protocol::hash::Hash;

/// What errors call what is uploaded.
pub(super) const CHUNK: &str = "a chunk of the rows";

/// A file's bytes, and what names its ciphertexts.
type RowFile = (Vec<u8>, Vec<Hash>);

/// Files of rows, encrypted one after the other.
pub(super) trait RowFiles: Send + 'static {
    /// Bytes of all files.
    fn bytes(&self) -> u64;

    /// The next file.
    fn next(&mut self) -> Option<Result<RowFile, ServiceError>>;
}

/// Rows of a training by descent, behind what they start from.
pub(super) struct DescentFiles {
    start: Option<Vec<u8>>,
    rows: RowsEncryption,
}

/// Rows that have arrived.
pub(super) struct SentRows {
    pub(super) folder: Option<UploadFolder>,
    pub(super) chunks: Vec<ChunkFile>,
    /// What names their ciphertexts.
    pub(super) hashes: Vec<Hash>,
}

impl From<RowsEncryption> for DescentFiles {
    fn from(rows: RowsEncryption) -> Self {
        Self {
            start: rows.start().map(<[u8]>::to_vec),
            rows,
        }
    }
}

impl RowFiles for DescentFiles {
    fn bytes(&self) -> u64 {
        self.rows.file_bytes()
    }

    fn next(&mut self) -> Option<Result<RowFile, ServiceError>> {
        if let Some(start) = self.start.take() {
            let hash = Hash::of(&start);
            return Some(Ok((start, vec![hash])));
        }
        let batch = self.rows.batch_bytes();
        let chunk = self.rows.next()?.map_err(DescentError::from);
        let file = chunk.map(|chunk| (chunk.to_file_bytes(), chunk.hashes(batch).collect()));
        Some(file.map_err(ServiceError::from))
    }
}

impl RowFiles for LeafRowsEncryption {
    fn bytes(&self) -> u64 {
        self.file_bytes()
    }

    fn next(&mut self) -> Option<Result<RowFile, ServiceError>> {
        let chunk = Iterator::next(self)?;
        let file = chunk.map(|chunk| (chunk.to_file_bytes(), vec![Hash::of(&chunk.group)]));
        Some(file.map_err(ServiceError::from))
    }
}

impl Service {
    /// Uploads the caller's rows: to a folder, where `beside` bytes are already.
    pub(super) async fn send_rows(
        &self,
        mut rows: impl RowFiles,
        (folder, beside): (Option<UploadFolder>, u64),
        progress: &mut impl FnMut(RowsUpload),
    ) -> Result<SentRows, ServiceError> {
        // Told before hours of uploading, not after.
        let (bytes, limit) = (rows.bytes().saturating_add(beside), MAX_TRAINING);
        if bytes > limit {
            return Err(ServiceError::TrainingTooLarge { bytes, limit });
        }
        let mut sent = SentRows {
            folder,
            chunks: Vec::new(),
            hashes: Vec::new(),
        };
        let mut arrived = 0;
        loop {
            let (next, rest) = blocking(move || (rows.next(), rows)).await?;
            rows = rest;
            let Some(file) = next else {
                return Ok(sent);
            };
            let (bytes, hashes) = file?;
            sent.hashes.extend(hashes);
            let bytes = Bytes::from(bytes);
            let file = ChunkFile {
                bytes: bytes.len() as u64,
                sha256: sha256(&bytes),
            };
            let place = (UploadPurpose::Job, sent.folder);
            let upload = self.upload_file(place, file, bytes, CHUNK);
            sent.folder = Some(upload.await.map_err(|error| self.takes(error))?);
            sent.chunks.push(file);
            arrived += file.bytes;
            progress(RowsUpload {
                bytes: arrived,
                chunks: sent.chunks.len(),
            });
        }
    }
}
