//! Files of the store: content followed by a record.
//!
//! ```text
//! content | record (JSON) | length of the record (4 bytes, big endian) | magic (4 bytes)
//! ```
//! Content and record become visible with one rename, so a reader sees both or neither. What is
//! acknowledged survives the machine: a file is synced before its rename, its directory after it.
//! Names of files never contain a client's text.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{ETag, StreamingBlob, Timestamp};
use s3s::{S3Error, S3ErrorCode, S3Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::checksum::Checksums;
use crate::body::STALLED;
use crate::random;

/// Ends every file: its version.
const MAGIC: [u8; 4] = *b"s3o1";
/// Bytes behind the record: its length and [`MAGIC`].
const FOOTER: u64 = 8;
/// Largest record that is believed: a damaged length takes no more memory than this.
const RECORD_LIMIT: u32 = 1 << 20;
/// Bytes that are read or written at a time.
const CHUNK: usize = 256 << 10;

/// What is known of an object besides its content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) modified: SystemTime,
    pub(crate) headers: Headers,
    pub(crate) checksums: Checksums,
    /// Whether the checksums are of the parts' checksums rather than of the content.
    pub(crate) composite: bool,
}

/// Headers that S3 gives back as they were put.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Headers {
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) cache_control: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
}

impl Record {
    pub(crate) fn etag(&self) -> ETag {
        ETag::Strong(self.etag.clone())
    }

    pub(crate) fn modified(&self) -> Timestamp {
        Timestamp::from(self.modified)
    }
}

/// Content on disk that no name refers to yet; removed when dropped.
#[derive(Debug)]
pub(crate) struct Staged {
    path: PathBuf,
    pub(crate) size: u64,
    pub(crate) md5: [u8; 16],
    pub(crate) checksums: Checksums,
}

impl Staged {
    /// Writes a body to a new file below `directory`.
    pub(crate) async fn receive(
        directory: &Path,
        body: StreamingBlob,
        hasher: ChecksumHasher,
    ) -> S3Result<Self> {
        Self::write(
            directory,
            body.map(|chunk| chunk.map_err(|error| upload_error(&error.to_string()))),
            hasher,
        )
        .await
    }

    /// Writes chunks to a new file below `directory`.
    pub(crate) async fn write(
        directory: &Path,
        chunks: impl Stream<Item = S3Result<Bytes>> + Send,
        mut hasher: ChecksumHasher,
    ) -> S3Result<Self> {
        let path = directory.join(random::hex(16));
        let mut staged = Self {
            path,
            size: 0,
            md5: [0; 16],
            checksums: Checksums::default(),
        };
        let file = tokio::fs::File::create_new(&staged.path)
            .await
            .map_err(S3Error::internal_error)?;
        let mut file = tokio::io::BufWriter::with_capacity(CHUNK, file);
        let mut md5 = Md5::new();
        let mut chunks = std::pin::pin!(chunks);
        while let Some(chunk) = tokio::time::timeout(STALLED, chunks.next())
            .await
            .map_err(|_| stalled())?
        {
            let chunk = chunk?;
            md5.update(&chunk);
            hasher.update(&chunk);
            staged.size += chunk.len() as u64;
            file.write_all(&chunk)
                .await
                .map_err(S3Error::internal_error)?;
        }
        file.flush().await.map_err(S3Error::internal_error)?;
        staged.md5 = md5.finalize();
        staged.checksums = hasher.finalize().into();
        Ok(staged)
    }

    /// Appends the record, after which [`publish`](Self::publish) can follow.
    pub(crate) fn seal(&self, record: &impl Serialize) -> S3Result<()> {
        append(&self.path, record).map_err(S3Error::internal_error)
    }

    /// Gives the file its name, in place of a former one.
    pub(crate) fn publish(self, path: &Path) -> S3Result<()> {
        std::fs::rename(&self.path, path)
            .and_then(|()| sync_directory_of(path))
            .map_err(S3Error::internal_error)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Not found after `publish`.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The record of a file; `None` where the file is damaged.
pub(crate) fn read_record<T: DeserializeOwned>(path: &Path) -> io::Result<Option<(T, u64)>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if length < FOOTER {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(length - FOOTER))?;
    let mut footer = [0; FOOTER as usize];
    file.read_exact(&mut footer)?;
    let [a, b, c, d, magic @ ..] = footer;
    let size = u32::from_be_bytes([a, b, c, d]);
    let Some(start) = (length - FOOTER).checked_sub(u64::from(size)) else {
        return Ok(None);
    };
    if magic != MAGIC || size > RECORD_LIMIT {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(start))?;
    let mut record = vec![0; size as usize];
    file.read_exact(&mut record)?;
    Ok(serde_json::from_slice(&record)
        .ok()
        .map(|record| (record, start)))
}

/// `length` bytes of a file from `start`, read as they are asked for.
pub(crate) fn read(
    mut file: File,
    start: u64,
    length: u64,
) -> io::Result<impl Stream<Item = io::Result<Bytes>> + Send + Sync> {
    file.seek(SeekFrom::Start(start))?;
    let mut file = tokio::fs::File::from_std(file);
    file.set_max_buf_size(CHUNK);
    Ok(futures_util::stream::try_unfold(
        (file, length),
        |(mut file, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let mut chunk = vec![0; left.min(CHUNK as u64) as usize];
            let count = file.read(&mut chunk).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            chunk.truncate(count);
            Ok(Some((Bytes::from(chunk), (file, left - count as u64))))
        },
    ))
}

fn append(path: &Path, record: &impl Serialize) -> io::Result<()> {
    let record = serde_json::to_vec(record)?;
    let mut file = File::options().append(true).open(path)?;
    let size = u32::try_from(record.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    file.write_all(&[&record[..], &size.to_be_bytes(), &MAGIC].concat())?;
    file.sync_all()
}

/// A small file of its own, and its directory's name for it, and the directory's own.
pub(crate) fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    sync_directory_of(path)?;
    path.parent().map_or(Ok(()), sync_directory_of)
}

/// Makes the names last that were added to or taken from a file's directory.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// S3's answer to a body that stops arriving.
fn stalled() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::RequestTimeout,
        "Your socket connection to the server was not read from or written to within the timeout period.",
    )
}

/// S3's answer to a body that did not arrive as declared, from the protocol layer's error.
fn upload_error(message: &str) -> S3Error {
    if message.contains("Sha256Mismatch") {
        let mut error = S3Error::new(S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()));
        error.set_message(
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        );
        error.set_status_code(http::StatusCode::BAD_REQUEST);
        error
    } else if message.contains("SignatureMismatch") {
        S3Error::with_message(
            S3ErrorCode::SignatureDoesNotMatch,
            "a chunk's signature does not match",
        )
    } else {
        S3Error::with_message(
            S3ErrorCode::IncompleteBody,
            "The request body terminated unexpectedly",
        )
    }
}
