//! Multipart uploads that are not complete yet, on disk and in memory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use s3s::{S3Error, S3Result, s3_error};
use serde::{Deserialize, Serialize};

use super::checksum::Checksums;
use super::file::{Headers, read_record};
use super::store::{Bucket, lock};

/// An upload in parts that is not complete yet.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) start: Start,
    pub(crate) parts: Mutex<BTreeMap<i32, PartRecord>>,
}

/// What the upload was begun with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) key: String,
    pub(crate) initiated: SystemTime,
    pub(crate) headers: Headers,
    pub(crate) algorithm: Option<String>,
    /// Checksums of the whole content rather than of the parts' checksums.
    pub(crate) full: bool,
}

/// What is known of a part besides its content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PartRecord {
    pub(crate) number: i32,
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) md5: [u8; 16],
    pub(crate) modified: SystemTime,
    pub(crate) checksums: Checksums,
}

impl Upload {
    /// Reads the upload in `directory`; `None` where it is not one.
    pub(crate) fn open(directory: &Path) -> io::Result<Option<(String, Self)>> {
        let Some(id) = directory.file_name().and_then(|name| name.to_str()) else {
            return Ok(None);
        };
        let Ok(start) = fs::read(directory.join("upload")) else {
            return Ok(None);
        };
        let Ok(start) = serde_json::from_slice::<Start>(&start) else {
            return Ok(None);
        };
        let mut parts = BTreeMap::new();
        for entry in fs::read_dir(directory)? {
            if let Some((part, size)) = read_record::<PartRecord>(&entry?.path())?
                && part.size == size
            {
                parts.insert(part.number, part);
            }
        }
        Ok(Some((
            id.to_owned(),
            Self {
                start,
                parts: Mutex::new(parts),
            },
        )))
    }
}

/// The upload of that id and key.
pub(crate) fn find(bucket: &Bucket, id: &str, key: &str) -> S3Result<Arc<Upload>> {
    let upload = bucket
        .uploads()
        .get(id)
        .filter(|upload| upload.start.key == key)
        .cloned();
    upload.ok_or_else(|| {
        s3_error!(
            NoSuchUpload,
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
        )
    })
}

/// Forgets an upload and deletes its parts.
pub(crate) fn drop_upload(bucket: &Bucket, id: &str) -> S3Result<()> {
    let removed = bucket.uploads().remove(id);
    if let Some(upload) = removed {
        // A part that arrives in this moment finds the upload gone.
        let _parts = lock(&upload.parts);
        fs::remove_dir_all(bucket.upload_path(id)).map_err(S3Error::internal_error)?;
    }
    Ok(())
}
